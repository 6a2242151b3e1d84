"""The run record ``<out>.json``: what was done, with what, from what, and the command that does it again."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from .job_fields import Job, Result
from .outputs import replacing

_PACKAGES = ("wsss-geo", "torch", "timm", "rasterio", "geopandas", "shapely", "pyproj", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter for a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(path: Path | str) -> dict[str, Any]:
    """Return what tells a file from a changed one without reading it: path, bytes, modification time (ns)."""
    try:
        status = os.stat(path)
    except OSError:
        return {"path": str(path)}
    return {"path": str(path), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def file_hash(path: Path | str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_record(
    path: Path | str,
    job: Job,
    result: Result,
    inputs: list[str],
    seconds: Mapping[str, float],
    model: str | None = None,
    sha256: str | None = None,
) -> None:
    """Write the record of a finished run to ``path``; ``seconds`` are the timings by stage.

    ``sha256`` is the hash of the ``model`` that was used, whose file may be another by now; that of the file unless
    given.
    """
    record = {
        "job": job.to_json(),
        "command": job.command_line(),
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "model": {"path": model, "sha256": sha256 or file_hash(model)} if model else None,
        "inputs": [fingerprint(i) for i in inputs],
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
        "result": result.to_json(),
    }
    with replacing(path) as part:
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
