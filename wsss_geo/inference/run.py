"""The job that turns rasters into masks and polygons."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import geopandas
import pandas
import rasterio
import torch

from wsss_geo.errors import EnvironmentFault, InputError, UsageError
from wsss_geo.inference.estimate import GDAL_CACHE
from wsss_geo.inference.one_raster import Outcome, Targets, predict_raster, work_folder
from wsss_geo.inference.predictor import Predictor
from wsss_geo.inference.scene import list_rasters, open_scene
from wsss_geo.inference.vectorize import trace_mask
from wsss_geo.jobs import PredictJob, PredictResult
from wsss_geo.nn.model_file import LoadedModel, load_model
from wsss_geo.outputs import check_output, check_output_folder, replacing
from wsss_geo.progress import Progress
from wsss_geo.raster.info import RasterInfo, describe
from wsss_geo.record import write_record
from wsss_geo.vector.files import check_polygon_suffix, write_polygons
from wsss_geo.vector.styles import raster_qml

_TIFF = (".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class _Finished:
    """One raster is done; ``polygons`` are not written yet."""

    result: PredictResult
    polygons: geopandas.GeoDataFrame | None


def run(job: PredictJob, report: Progress) -> PredictResult:
    """Predict ``job.rasters`` with ``job.model``.

    One raster: ``job.out`` is the mask. Several, or a folder as ``job.out``: ``job.out``, ``job.confidence`` and
    ``job.cam`` are folders that get a file named after each raster; polygons of all rasters go into one file. A run
    that was killed goes on where it was if the same job is run again; the bytes of the result do not depend on that,
    nor on ``threads``. Raises UsageError, InputError, EnvironmentFault, ModelError.
    """
    started = time.monotonic()
    rasters = list_rasters(job.rasters)
    targets = _targets(job, rasters)
    _check_inputs_survive(job, rasters, targets)
    device = choose_device(job.device)
    model = load_model(job.model, device)
    predictor = Predictor(
        model.network, model.card.normalisation, device, job.scores, job.cam is not None, job.flips, job.model
    )
    loaded = time.monotonic() - started
    done: list[_Finished] = []
    for number, (raster, target) in enumerate(zip(rasters, targets, strict=True)):
        if len(rasters) > 1:
            report.info(f"raster {number + 1} of {len(rasters)}: {raster}")
        done.append(_predict_one(raster, target, job, model, predictor, str(device), loaded, report, len(rasters) == 1))
    if len(done) == 1:
        return done[0].result
    if job.polygons is not None:
        frame = _joined([f.polygons for f in done if f.polygons is not None], job.polygons)
        write_polygons(frame, job.polygons, model.card.classes, report.warn)
    return _together(job, [f.result for f in done], time.monotonic() - started)


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes an accelerator if there is one. Raises EnvironmentFault."""
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not mps):
        raise EnvironmentFault(f"this machine has no usable {name} device", "use --device auto or cpu")
    return torch.device(name)


def _predict_one(
    raster: str,
    target: Targets,
    job: PredictJob,
    model: LoadedModel,
    predictor: Predictor,
    device: str,
    loaded: float,
    report: Progress,
    alone: bool,
) -> _Finished:
    started = time.monotonic()
    scene = open_scene(raster, job, model.card, model.network.patch, report)
    if scene.strips.height * scene.strips.width == 0:
        raise InputError(raster, "has no pixels", "give another raster")
    frame, polygon_count, seconds = None, None, {"load": loaded}
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE), work_folder(scene, job, model, device, target, report) as work:
        scratch = target.work / "confidence.tif"
        wanted = target if target.confidence or not job.polygons else dataclasses.replace(target, confidence=scratch)
        try:
            outcome = predict_raster(scene, job, model, predictor, wanted, work, report)
        finally:
            scene.close()
        seconds["predict"] = time.monotonic() - started
        if job.polygons is not None:
            frame = trace_mask(
                str(target.mask), describe(str(target.mask)), model.card.classes, report, str(wanted.confidence),
                job.min_area, job.simplify, Path(raster).name, Path(job.model).stem,
            )  # fmt: skip
            polygon_count = len(frame)
            if alone:
                write_polygons(frame, job.polygons, model.card.classes, report.warn)
            seconds["polygons"] = time.monotonic() - started - seconds["predict"]
    if job.polygons is None or Path(job.polygons).with_suffix("") != target.mask.with_suffix(""):
        with replacing(target.mask.with_suffix(".qml")) as part:
            part.write_text(raster_qml(model.card.classes), encoding="utf-8")
    result = _result(scene.info, target, outcome, model, time.monotonic() - started, job.polygons, polygon_count)
    own = dataclasses.replace(
        job,
        rasters=(raster,),
        out=str(target.mask),
        confidence=None if job.confidence is None else str(target.confidence),
        cam=None if job.cam is None else str(target.cam),
    )
    inputs = [raster, *([job.aoi] if job.aoi and Path(job.aoi).exists() else [])]
    write_record(f"{target.mask}.json", own, result, inputs, seconds, job.model)
    return _Finished(result, frame)


def _result(
    info: RasterInfo,
    target: Targets,
    outcome: Outcome,
    model: LoadedModel,
    seconds: float,
    polygons: str | None,
    polygon_count: int | None,
) -> PredictResult:
    names, totals = model.card.classes.names, outcome.totals
    pixels = sum(totals.pixels)
    return PredictResult(
        mask=str(target.mask),
        width=info.width,
        height=info.height,
        windows=outcome.windows,
        valid_share=pixels / (info.width * info.height),
        share={n: p / max(pixels, 1) for n, p in zip(names, totals.pixels, strict=True)},
        area_m2=dict(zip(names, totals.area, strict=True)),
        seconds=round(seconds, 3),
        polygons=polygons,
        polygon_count=polygon_count,
        confidence=None if target.confidence is None else str(target.confidence),
        cam=None if target.cam is None else str(target.cam),
    )


def _together(job: PredictJob, results: Sequence[PredictResult], seconds: float) -> PredictResult:
    """Return the sums over several rasters; ``width`` and ``height`` are those of the largest."""
    largest = max(results, key=lambda r: r.width * r.height)
    cells = [r.width * r.height for r in results]
    valid = [r.valid_share * c for r, c in zip(results, cells, strict=True)]
    names = largest.share.keys()
    weighted = {n: sum(r.share[n] * v for r, v in zip(results, valid, strict=True)) for n in names}
    return PredictResult(
        mask=job.out,
        width=largest.width,
        height=largest.height,
        windows=sum(r.windows for r in results),
        valid_share=sum(valid) / sum(cells),
        share={n: w / max(sum(valid), 1) for n, w in weighted.items()},
        area_m2={n: sum(r.area_m2[n] for r in results) for n in names},
        seconds=round(seconds, 3),
        polygons=job.polygons,
        polygon_count=None if job.polygons is None else sum(r.polygon_count or 0 for r in results),
        confidence=job.confidence,
        cam=job.cam,
    )


def _joined(frames: Sequence[geopandas.GeoDataFrame], path: str) -> geopandas.GeoDataFrame:
    """Return the polygons of all rasters in the CRS of the first."""
    crs = frames[0].crs
    if any((f.crs is None) != (crs is None) for f in frames):
        raise InputError(path, "some rasters have a CRS and some have none", "predict them one by one")
    same = [f if crs is None or f.crs == crs else f.to_crs(crs) for f in frames]
    return geopandas.GeoDataFrame(pandas.concat(same, ignore_index=True), crs=crs)


def _targets(job: PredictJob, rasters: Sequence[str]) -> list[Targets]:
    """Return the files of each raster; checks that they can be written. Raises UsageError, InputError."""
    if job.polygons is not None:
        check_polygon_suffix(job.polygons)
        check_output(job.polygons)
    wanted = [p for p in (job.out, job.confidence, job.cam) if p is not None]
    if len({Path(p).absolute() for p in wanted}) < len(wanted):
        raise UsageError("mask, confidence and cam would go to the same place", "give each an output of its own")
    if len(rasters) == 1 and not Path(job.out).is_dir():
        return [Targets(*(None if p is None else _tiff(p) for p in (job.out, job.confidence, job.cam)))]  # type: ignore[arg-type]
    for path in wanted:
        if Path(path).suffix.lower() in _TIFF:
            raise UsageError(f"{path}: {len(rasters)} rasters do not go into one file", "name a folder")
    folders = [None if p is None else check_output_folder(p) for p in (job.out, job.confidence, job.cam)]
    return [
        Targets(*(None if f is None else f / f"{Path(raster).stem}.tif" for f in folders))  # type: ignore[arg-type]
        for raster in rasters
    ]


def _tiff(path: str) -> Path:
    if Path(path).suffix.lower() not in _TIFF:
        raise UsageError(f"{path}: rasters are written as GeoTIFF", "end the name with .tif")
    return check_output(path)


def _check_inputs_survive(job: PredictJob, rasters: Sequence[str], targets: Sequence[Targets]) -> None:
    """Raise UsageError if an output would replace an input."""
    inputs = {Path(p).absolute() for p in (*rasters, job.model, *([job.aoi] if job.aoi else []))}
    for target in targets:
        for path in (target.mask, target.confidence, target.cam, job.polygons and Path(job.polygons)):
            if path and path.absolute() in inputs:
                raise UsageError(f"{path}: is an input of this run", "choose another output")
