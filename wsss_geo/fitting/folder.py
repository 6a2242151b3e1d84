"""The run folder: whose it is, with which settings, and whether its run is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from wsss_geo.errors import UsageError
from wsss_geo.job_fields import Job
from wsss_geo.outputs import replacing

JOB = "job.json"


def claim(folder: Path, job: Job, data_hash: str, settings: Any, hidden: tuple[str, ...]) -> None:
    """Mark ``folder`` as that of ``job`` on the data of this hash, and write ``config.yaml``.

    The latter is a recipe: all fields of the job but ``hidden``, and all ``settings`` (a dataclass).
    Raises UsageError where the folder holds another run.
    """
    path = folder / JOB
    own = {**job.to_json(), "data_hash": data_hash}
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != own:
        raise UsageError(
            f"{folder}: holds the run of another job", "choose another --out, or delete the folder to start anew"
        )
    with replacing(path) as part:
        part.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "config.yaml") as part:
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()}
        fields = {k: v for k, v in job.to_json().items() if k not in ("command", "out", "recipe", *hidden)}
        part.write_text(yaml.safe_dump({**fields, "settings": plain}, sort_keys=False), encoding="utf-8")


def finished(product: Path, record: Path, job: Job) -> Mapping[str, Any] | None:
    """The result of this very job, if its ``record`` and its ``product`` are there."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = found.get("job") == job.to_json() and product.is_file()
    result: Mapping[str, Any] | None = found["result"] if same else None
    return result
