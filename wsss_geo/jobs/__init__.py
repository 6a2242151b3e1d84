"""Jobs: what the command line, Python, QGIS and a cluster hand to the engine, and what comes back.

A job is a frozen dataclass. Every field carries its own description (kind, limits, choices, help), from which
validation, command-line options and QGIS parameters all derive. ``to_json``/``from_json`` are its file form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import UsageError
from ..job_fields import DEVICES, Job, is_required
from .few_shot import FewShotJob, FewShotResult, FewShotTestJob, FewShotTestResult, FewShotTrainJob, FewShotTrainResult
from .mapping import (
    ON_TOP,
    EvaluateJob,
    EvaluateResult,
    PredictJob,
    PredictResult,
    ShardResult,
    VectorizeJob,
    VectorizeResult,
)
from .reporting import ReportJob, ReportResult
from .shared import REFINEMENTS, SCORES
from .tiling import DATASETS, PROTOCOLS, SPLITS, TileJob, TileResult
from .training import (
    METHODS,
    CalibrateJob,
    CalibrateResult,
    PretrainJob,
    PretrainResult,
    ProbeJob,
    ProbeResult,
    TrainJob,
    TrainResult,
)

__all__ = [
    "DATASETS",
    "DEVICES",
    "METHODS",
    "ON_TOP",
    "PROTOCOLS",
    "REFINEMENTS",
    "SCORES",
    "SPLITS",
    "CalibrateJob",
    "CalibrateResult",
    "EvaluateJob",
    "EvaluateResult",
    "FewShotJob",
    "FewShotResult",
    "FewShotTestJob",
    "FewShotTestResult",
    "FewShotTrainJob",
    "FewShotTrainResult",
    "PredictJob",
    "PredictResult",
    "PretrainJob",
    "PretrainResult",
    "ProbeJob",
    "ProbeResult",
    "ReportJob",
    "ReportResult",
    "ShardResult",
    "TileJob",
    "TileResult",
    "TrainJob",
    "TrainResult",
    "VectorizeJob",
    "VectorizeResult",
    "from_json",
    "kind_of",
]

_JOBS: Mapping[str, type[Job]] = {
    j.command: j
    for j in (
        TileJob, TrainJob, PredictJob, EvaluateJob, VectorizeJob, PretrainJob, ProbeJob,
        CalibrateJob, ReportJob, FewShotTrainJob, FewShotTestJob, FewShotJob,
    )
}  # fmt: skip


def kind_of(command: object) -> type[Job]:
    """Return the class of the jobs of ``command``. Raises UsageError."""
    job = _JOBS.get(command) if isinstance(command, str) else None
    if job is None:
        raise UsageError(f"job command {command!r} is unknown", f"use one of {', '.join(_JOBS)}")
    return job


def from_json(data: Any) -> Job:
    """Build the job that ``to_json`` wrote. Raises UsageError that names the field at fault."""
    if not isinstance(data, Mapping):
        raise UsageError("a job must be a JSON object", 'write {"command": "predict", ...}')
    job = kind_of(data.get("command"))
    own = fields(job)  # type: ignore[arg-type]
    known = {f.name for f in own}
    given = {k: v for k, v in data.items() if k != "command"}
    unknown = sorted(str(k) for k in given if k not in known)
    if unknown:
        raise UsageError(f"{job.command}: unknown field {', '.join(unknown)}", f"known: {', '.join(sorted(known))}")
    missing = [f.name for f in own if is_required(f) and f.name not in given]
    if missing:
        raise UsageError(f"{job.command}: missing field {', '.join(missing)}", "add it to the job")
    return job(**given)
