"""Python's side of the jobs: one function a command, and ``run`` for any job."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss_geo import jobs
from wsss_geo.errors import InputError, UsageError
from wsss_geo.job_fields import MAPPING_OPTIONS, Job
from wsss_geo.progress import Progress

_RUNNERS = {
    "tile": "wsss_geo.tiling.run",
    "train": "wsss_geo.training.run",
    "predict": "wsss_geo.inference.run",
    "evaluate": "wsss_geo.evaluation.run",
    "vectorize": "wsss_geo.tracing.run",
    "pretrain": "wsss_geo.pretraining.run",
    "probe": "wsss_geo.pretraining.probe",
    "calibrate": "wsss_geo.training.calibrate",
    "report": "wsss_geo.reporting.run",
    "fewshot-train": "wsss_geo.fewshot.train",
    "fewshot-test": "wsss_geo.fewshot.score",
    "fewshot": "wsss_geo.fewshot.run",
}


def run(job: Job, report: Progress | None = None) -> Any:
    """Do ``job`` and return its result; ``report`` hears how it goes. Raises WsssGeoError."""
    return importlib.import_module(_RUNNERS[job.command]).run(job, report or Progress())


def tile(*rasters: Any, report: Progress | None = None, **fields: Any) -> jobs.TileResult:
    """Cut rasters into scenes and join them with their tags; the keywords are the fields of ``jobs.TileJob``."""
    return run(_job(jobs.TileJob, {"rasters": rasters}, fields), report)


def train(tiles: Any, *, report: Progress | None = None, **fields: Any) -> jobs.TrainResult:
    """Train a model from the tags of a tile set; the keywords are the fields of ``jobs.TrainJob``."""
    return run(_job(jobs.TrainJob, {"tiles": tiles}, fields), report)


def predict(*rasters: Any, report: Progress | None = None, **fields: Any) -> jobs.PredictResult:
    """Turn rasters into masks and polygons; the keywords are the fields of ``jobs.PredictJob``."""
    return run(_job(jobs.PredictJob, {"rasters": rasters}, fields), report)


def evaluate(*, report: Progress | None = None, **fields: Any) -> jobs.EvaluateResult:
    """Score a model or a prediction; the keywords are the fields of ``jobs.EvaluateJob``."""
    return run(_job(jobs.EvaluateJob, {}, fields), report)


def vectorize(mask: Any, *, report: Progress | None = None, **fields: Any) -> jobs.VectorizeResult:
    """Turn a mask raster into polygons; the keywords are the fields of ``jobs.VectorizeJob``."""
    return run(_job(jobs.VectorizeJob, {"mask": mask}, fields), report)


def pretrain(*sources: Any, report: Progress | None = None, **fields: Any) -> jobs.PretrainResult:
    """Pre-train a backbone without any tag; the keywords are the fields of ``jobs.PretrainJob``."""
    return run(_job(jobs.PretrainJob, {"sources": sources}, fields), report)


def probe(weights: Any, *, report: Progress | None = None, **fields: Any) -> jobs.ProbeResult:
    """Judge a frozen backbone; the keywords are the fields of ``jobs.ProbeJob``."""
    return run(_job(jobs.ProbeJob, {"weights": weights}, fields), report)


def calibrate(model: Any, *, report: Progress | None = None, **fields: Any) -> jobs.CalibrateResult:
    """Give a model a temperature for its confidence; the keywords are the fields of ``jobs.CalibrateJob``."""
    return run(_job(jobs.CalibrateJob, {"model": model}, fields), report)


def write_report(source: Any, *, report: Progress | None = None, **fields: Any) -> jobs.ReportResult:
    """Write a page about a map, a training or a model; the keywords are the fields of ``jobs.ReportJob``."""
    return run(_job(jobs.ReportJob, {"source": source}, fields), report)


def few_shot_train(tiles: Any, *, report: Progress | None = None, **fields: Any) -> jobs.FewShotTrainResult:
    """Train few-shot segmentation on episodes; the keywords are the fields of ``jobs.FewShotTrainJob``."""
    return run(_job(jobs.FewShotTrainJob, {"tiles": tiles}, fields), report)


def few_shot_test(model: Any, *, report: Progress | None = None, **fields: Any) -> jobs.FewShotTestResult:
    """Score a few-shot model on episodes; the keywords are the fields of ``jobs.FewShotTestJob``."""
    return run(_job(jobs.FewShotTestJob, {"model": model}, fields), report)


def few_shot(*, report: Progress | None = None, **fields: Any) -> jobs.FewShotResult:
    """Find what is like a few polygons; the keywords are the fields of ``jobs.FewShotJob``."""
    return run(_job(jobs.FewShotJob, {}, fields), report)


def build_job(command: str, given: Mapping[str, Any]) -> Job:
    """Build a job from field values; a recipe file and a data set fill others. Raises UsageError and InputError."""
    recipe = given.get("recipe")
    if isinstance(recipe, (str, os.PathLike)):
        given = read_recipe(recipe, given, jobs.kind_of(command))
    dataset = given.get("dataset")
    if dataset in jobs.DATASETS:
        from wsss_geo.tileset.catalog import defaults_of

        given = {**defaults_of(str(dataset), given.get("protocol")), **given}
    return jobs.from_json({**given, "command": command})


def read_recipe(path: Any, given: Mapping[str, Any], kind: type[Job] = jobs.TrainJob) -> dict[str, Any]:
    """Return the fields of a recipe (YAML) for jobs of a ``kind``, overruled by those ``given``. Raises InputError."""
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it repeats itself by aliases, of which a few lines could fill the memory")
        fields = yaml.safe_load(text)
    except Exception as error:  # noqa: BLE001 - PyYAML has many kinds for dates and numbers that are none
        reason = " ".join(str(error).split())
        hint = "give a YAML file like those in training/recipes"
        raise InputError(path, f"recipe cannot be read ({reason})", hint) from None
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(fields, dict) or not set(fields) <= known:
        wrong = ", ".join(sorted(map(str, set(fields) - known))) if isinstance(fields, dict) else type(fields).__name__
        raise InputError(path, f"recipe holds what {kind.command} does not know: {wrong}", "see training/recipes")
    merged = {**fields, **given}
    for name in MAPPING_OPTIONS:
        parts = [part for part in (fields.get(name), given.get(name)) if part]
        if all(isinstance(part, Mapping) for part in parts):  # what is none is refused where the job is built
            merged[name] = {k: v for part in parts for k, v in part.items()}
    return merged


def _job(kind: type[Job], positional: dict[str, Any], given: dict[str, Any]) -> Any:
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(given) - known):
        raise UsageError(f"{kind.command}: unknown argument {', '.join(unknown)}", f"known: {', '.join(sorted(known))}")
    return build_job(kind.command, {**positional, **given})
