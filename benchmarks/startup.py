"""How long ``wsss-geo --help`` takes, against a bare start of the same Python.

    python benchmarks/startup.py [--runs 15]

Prints a table of medians; the last line is the figure.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(command: list[str], runs: int) -> float:
    """Median wall time of a command over ``runs`` runs after one to warm up."""
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    bare = seconds([sys.executable, "-c", "pass"], runs)
    light = seconds([sys.executable, "-c", "import wsss_geo"], runs)
    shown = seconds([sys.executable, "-m", "wsss_geo.cli", "--help"], runs)
    print(f"{'command':24}{'seconds':>9}{'ratio':>8}")
    for name, value in (("python -c pass", bare), ("import wsss_geo", light), ("wsss-geo --help", shown)):
        print(f"{name:24}{value:9.3f}{value / bare:8.1f}")
    print(f"wsss-geo --help: {shown:.3f} s")


if __name__ == "__main__":
    main()
