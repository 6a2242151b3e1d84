"""Look for known weaknesses: in the packages of the lock files, and in our own code.

    python tools/audit.py

pip-audit looks packages up among the advisories that the Python package index publishes, by name and version alone;
bandit reads the code. Exit code 1: something was found; 4: advisories could not be had, so nothing is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "torch.lock")
CODE = ("wsss_geo", "qgis_plugin")
FOUND, UNKNOWN = 1, 4


def judge(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return exit code and sentences for what pip-audit wrote as JSON.

    It passes over packages that the index has no answer for as if they were sound; here they count as not known.
    """
    packages: Sequence[Mapping[str, Any]] = report["dependencies"]
    unknown = [p["name"] for p in packages if "skip_reason" in p]
    lines = [
        f"{p['name']} {p['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'no version'}"
        for p in packages
        for v in p.get("vulns", ())
    ]
    if unknown:
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        told = f"the index has no advisories for {len(unknown)} of {len(packages)} packages ({shown})"
        return (FOUND if lines else UNKNOWN), [*lines, f"{told}; run again where the public index is reached"]
    return (FOUND, lines) if lines else (0, [f"{len(packages)} packages: no known weakness"])


def audit_packages() -> tuple[int, list[str]]:
    """Ask for advisories on all packages of the lock files."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "audit.json"
        locks = [word for lock in LOCKS for word in ("-r", str(ROOT / lock))]
        options = ["--disable-pip", "--progress-spinner", "off", "--format", "json", "--output", str(report)]
        done = _tool("pip_audit", *options, *locks)
        if report.is_file() and report.stat().st_size:
            return judge(json.loads(report.read_text(encoding="utf-8")))
    said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return UNKNOWN, [f"the advisories could not be read; run again where the package index is reached ({said[:200]})"]


def audit_code() -> tuple[int, list[str]]:
    """Read our own code with bandit."""
    done = _tool("bandit", "-q", "-r", *(str(ROOT / part) for part in CODE), "-f", "json")
    report = json.loads(done.stdout)
    lines = [*_findings(report["results"]), *(f"{e['filename']}: {e['reason']}" for e in report["errors"])]
    return (FOUND, lines) if lines else (0, [f"{', '.join(CODE)}: bandit finds nothing"])


def _findings(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for result in results:
        place = Path(result["filename"]).relative_to(ROOT).as_posix()
        yield f"{place}:{result['line_number']}: {result['test_id']} {result['issue_text']}"


def _tool(module: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", module, *options], capture_output=True, text=True, check=False)


def main() -> int:
    """Entry point."""
    codes = []
    for audit in (audit_code, audit_packages):
        code, lines = audit()
        codes.append(code)
        (sys.stderr if code else sys.stdout).write("".join(f"audit: {line}\n" for line in lines))
    return FOUND if FOUND in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
