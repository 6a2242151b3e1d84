"""The run folder: whose it is, with which settings, and whether its run is over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from wsss_geo.errors import UsageError
from wsss_geo.fitting.checkpoint import RESUME
from wsss_geo.job_fields import Job
from wsss_geo.lock import alone
from wsss_geo.outputs import check_output_folder, replacing
from wsss_geo.progress import Progress

JOB = "job.json"


@contextlib.contextmanager
def claimed(
    folder: Path, job: Job, data_hash: str, settings: Any, hidden: tuple[str, ...], report: Progress
) -> Iterator[None]:
    """Let only this process write to ``folder``, which is made if it is missing, while the block runs.

    The folder is marked as that of ``job`` on the data of this hash and gets ``config.yaml``, a recipe: all fields of
    the job but ``hidden``, and all ``settings`` (a dataclass). Raises UsageError where it holds another run,
    EnvironmentFault where another process writes to it.
    """
    with alone(check_output_folder(folder), report=report, inside=True):
        _mark(folder, job, data_hash, settings, hidden)
        yield


def _mark(folder: Path, job: Job, data_hash: str, settings: Any, hidden: tuple[str, ...]) -> None:
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
    """The result of this very job, if its ``record`` and its ``product`` are there; no checkpoint is kept then."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = found.get("job") == job.to_json() and product.is_file()
    if not same:
        return None
    (record.parent / RESUME).unlink(missing_ok=True)  # a kill may have come before
    result: Mapping[str, Any] = found["result"]
    return result
