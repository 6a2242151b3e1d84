"""``python -m wsss_geo.worker JOB.json``: run a job file and speak prefixed JSON lines on standard output.

The prefix and the private stream keep whatever libraries print from being taken for a message.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from wsss_geo.console import claim_stdout, run_guarded
from wsss_geo.errors import EXIT_CANCELLED, InputError, UsageError
from wsss_geo.progress import JsonProgress

PREFIX = "@wsss-geo "


def read_job_file(path: str) -> dict[str, Any]:
    """Read the JSON of a job file. Raises InputError."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"job file cannot be read ({reason})", "give a JSON file with a job") from None
    if not isinstance(data, dict):
        raise InputError(path, "job file holds no JSON object", 'write {"command": "predict", ...}')
    return data


def run_file(path: str, report: JsonProgress) -> None:
    """Run the job in the file at ``path``."""
    from wsss_geo.api import build_job, run

    data = read_job_file(path)
    report.result(run(build_job(str(data.get("command")), data), report).to_json())


def main() -> int:
    """Entry point."""
    report = JsonProgress(claim_stdout(), PREFIX)
    debug = "--debug" in sys.argv[2:]

    def work() -> None:
        if len(sys.argv) < 2:
            raise UsageError("no job file given", "python -m wsss_geo.worker JOB.json")
        run_file(sys.argv[1], report)

    return run_guarded(work, report, debug=debug)


if __name__ == "__main__":
    exit_code = main()
    if exit_code == EXIT_CANCELLED:
        # All is tidied up by now; taking down torch and GDAL in order would only keep whoever cancelled waiting.
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)
