"""The ``evaluate`` job: a model or a mask against a reference."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.evaluation.compare import compare
from wsss_geo.evaluation.figures import Panel, write_comparison, write_confusion
from wsss_geo.evaluation.masks import class_file
from wsss_geo.evaluation.metrics import Scores, Tally, score
from wsss_geo.evaluation.tiles import score_tiles
from wsss_geo.inference.run import run as predict
from wsss_geo.jobs import EvaluateJob, EvaluateResult, PredictJob
from wsss_geo.nn.model_file import read_card
from wsss_geo.outputs import check_output, check_output_folder, replacing
from wsss_geo.progress import Progress
from wsss_geo.raster.files import reading
from wsss_geo.raster.info import describe
from wsss_geo.record import write_record


def run(job: EvaluateJob, report: Progress) -> EvaluateResult:
    """Score a model on tiles with masks, a mask against a reference, or a model on a raster against a reference.

    The mean IoU is over the classes that occur in the reference; scores of the others are None. Pixels that the
    reference leaves unlabelled and those for which there is no prediction (nodata of the image) are not counted;
    pixels that a mask calls unsure (predict --unsure) are counted apart, the scores are over those it is sure of;
    reference classes that the prediction does not know are left out and named in a warning.

    Raises InputError when there is nothing to compare: no masks, no overlap, no common class, an empty split.
    """
    if job.with_tags and not job.tiles:
        raise UsageError("evaluate.with_tags: only tiles have tags", "leave it out, or give --tiles")
    if job.out is None:
        return _evaluate(job, None, report)
    fresh = not os.path.exists(job.out)
    out = check_output_folder(os.path.abspath(job.out))
    check_output(_record(out))
    try:
        return _evaluate(job, out, report)
    except BaseException:
        if fresh:
            with contextlib.suppress(OSError):  # figures that were finished stay
                out.rmdir()
        raise


def _evaluate(job: EvaluateJob, out: Path | None, report: Progress) -> EvaluateResult:
    started = time.monotonic()
    if job.tiles:
        found, panels, scheme = score_tiles(job, report)
    else:
        found, panels, scheme = _score_raster(job, out, report)
    return _finish(job, out, found, panels, scheme, time.monotonic() - started, report)


def _score_raster(job: EvaluateJob, out: Path | None, report: Progress) -> tuple[Tally, list[Panel], ClassScheme]:
    if job.prediction:
        found, panel, scheme = compare(job.prediction, job, class_file(job.classes), report)
        return found, [panel], scheme
    raster, model = str(job.raster), str(job.model)
    classes = read_card(model).classes
    folder = Path(tempfile.mkdtemp(prefix="wsss-geo.", suffix=".part", dir=out))
    try:
        mask = folder / "prediction.tif"
        wanted = PredictJob(
            rasters=(raster,),
            model=model,
            out=str(mask),
            scores=job.scores,
            flips=job.flips,
            rotations=job.rotations,
            scales=job.scales,
            refine=job.refine,
            device=job.device,
            batch_size=job.batch_size,
        )
        predict(wanted, report)
        found, panel, scheme = compare(str(mask), job, classes, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    image = _thumbnail(raster, panel.reference.shape)
    return found, [dataclasses.replace(panel, image=image)], scheme


def _finish(
    job: EvaluateJob,
    out: Path | None,
    found: Tally,
    panels: list[Panel],
    scheme: ClassScheme,
    seconds: float,
    report: Progress,
) -> EvaluateResult:
    scores = score(found)
    _tell(found, scores, report)
    result = EvaluateResult(
        classes=found.classes,
        miou=scores.miou,
        iou=scores.iou,
        accuracy=scores.accuracy,
        f1=scores.f1,
        confusion=tuple(tuple(row) for row in found.confusion.tolist()),
        pixels=scores.pixels,
        unsure=found.unsure,
        coverage=found.coverage,
        figures=None if out is None else str(out),
    )
    if out is not None:
        write_confusion(out / "confusion.png", found, scores)
        write_comparison(out / "comparison.png", panels, found.classes, scheme)
        with replacing(out / "metrics.json") as part:
            part.write_text(json.dumps(_metrics(job, found, scores), indent=2) + "\n", encoding="utf-8")
        named = (job.tiles, job.prediction, job.raster, job.reference, job.classes)
        write_record(_record(out), job, result, [p for p in named if p], {"evaluate": seconds}, job.model)
    return result


def _metrics(job: EvaluateJob, found: Tally, scores: Scores) -> dict[str, Any]:
    absent = [n for n, v in scores.iou.items() if v is None]
    return {
        **dataclasses.asdict(scores),
        "miou_over": [n for n in found.classes if n not in absent],
        "absent_in_reference": absent,
        "labelled_pixels_without_prediction": found.unpredicted,
        "unsure_pixels": found.unsure,
        "coverage": found.coverage,
        "pixels_of_unknown_reference_classes": dict(found.foreign or {}),
        "classes": list(found.classes),
        "confusion": found.confusion.tolist(),
        "confusion_axes": "row = reference class, column = predicted class",
        "split": job.split if job.tiles else None,
        "scores": job.scores if job.model else None,
        "with_tags": job.with_tags,
    }


def _tell(found: Tally, scores: Scores, report: Progress) -> None:
    absent = [n for n, v in scores.iou.items() if v is None]
    if absent:
        report.info(f"not in the reference, so without scores: {', '.join(absent)}")
    if found.unsure:
        report.info(f"the mask is sure of {found.coverage:.1%} of the compared pixels; the scores are of these alone")
    labelled = scores.pixels + found.unsure + found.unpredicted + sum((found.foreign or {}).values())
    if found.unpredicted:
        report.info(f"{found.unpredicted / labelled:.1%} of the labelled pixels have no prediction and are not counted")
    if found.foreign:
        share = sum(found.foreign.values()) / labelled
        unknown = ", ".join(found.foreign)
        report.warn(f"the prediction does not know {unknown}: {share:.1%} of the labelled pixels are not counted")


def _thumbnail(path: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The raster's first three image bands (or one, thrice) at ``shape``, stretched between percentiles to 0..1."""
    info = describe(path)
    bands = info.image_bands[:3] if len(info.image_bands) >= 3 else info.image_bands[:1] * 3
    with reading(path), rasterio.open(path) as file:
        pixels = file.read(list(bands), out_shape=(3, *shape), resampling=rasterio.enums.Resampling.nearest)
        valid = file.dataset_mask(out_shape=shape) > 0
    image = np.moveaxis(pixels.astype(np.float32), 0, -1)
    valid &= np.isfinite(image).all(axis=-1)
    low, high = np.percentile(image[valid], (2, 98), axis=0) if valid.any() else (0.0, 1.0)
    stretched: NDArray[np.float32] = np.clip((image - low) / np.maximum(high - low, 1e-6), 0, 1)
    stretched[~valid] = 1.0
    return stretched


def _record(out: Path) -> Path:
    return out.with_name(f"{out.name}.json")
