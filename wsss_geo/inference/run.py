"""The job that turns rasters into masks and polygons."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas
import pandas
import rasterio

from wsss_geo.errors import InputError
from wsss_geo.inference.compute import Engine, RasterTask, open_task
from wsss_geo.inference.inputs import gathered
from wsss_geo.inference.manifest import WorkFolder
from wsss_geo.inference.one_raster import Fill, Outcome, announce, here, predict_raster, work_folder
from wsss_geo.inference.provenance import write_item
from wsss_geo.inference.shards import joined_work, noted_device, refusing, run_shard
from wsss_geo.inference.targets import Targets, check_inputs_survive, name_targets
from wsss_geo.jobs import PredictJob, PredictResult, ShardResult
from wsss_geo.lock import alone
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.model_file import load_model
from wsss_geo.outputs import replacing
from wsss_geo.progress import Progress
from wsss_geo.raster.sources import Source
from wsss_geo.record import write_record
from wsss_geo.streaming.predictor import build_predictor
from wsss_geo.streaming.probe import probe
from wsss_geo.tracing.run import Tally, mask_labels, trace
from wsss_geo.vector.files import write_polygons
from wsss_geo.vector.styles import raster_qml

if TYPE_CHECKING:
    from wsss_geo.inference.cluster import Team


@dataclasses.dataclass(frozen=True)
class _Finished:
    """One raster is done; ``polygons`` are not written yet."""

    result: PredictResult
    polygons: geopandas.GeoDataFrame | None


def run(job: PredictJob, report: Progress) -> PredictResult | ShardResult:
    """Predict ``job.rasters`` with ``job.model``.

    One raster: ``job.out`` is the mask. Several, or a folder as ``job.out``: ``job.out``, ``job.confidence`` and
    ``job.cam`` are folders that get a file named after each raster; polygons of all rasters go into one file. With
    ``job.mosaic`` several are one, through a VRT that is written beside the mask. A run
    that was killed goes on where it was if the same job is run again; the bytes of the result do not depend on that,
    nor on ``threads``, nor on who shares the work: processes of this machine (``workers``), those of a Dask cluster
    (``scheduler``), or tasks of a batch queue (``shard``, which gives a ShardResult, and ``finish``).
    Raises UsageError, InputError, EnvironmentFault, ModelError.
    """
    with gathered(job, report) as rasters:
        return _run(job, rasters, report)


def _run(job: PredictJob, rasters: Sequence[Source], report: Progress) -> PredictResult | ShardResult:
    started = time.monotonic()
    targets = name_targets(job, rasters)
    check_inputs_survive(job, rasters, targets)
    polygons = [job.polygons] if job.polygons and not job.shard else []
    with alone(*polygons, report=report), _team(job, report) as team:
        if team is not None:
            device, named = choose_device("cpu"), team.device(job.device)
        elif job.finish:
            device = choose_device("cpu")
            named = noted_device(targets) or str(choose_device(job.device))
        else:
            device = choose_device(job.device)
            named = str(device)
        model = load_model(job.model, device)
        predictor = build_predictor(model, device, job)
        cost = None if job.finish else probe(model, predictor, job)
        engine = Engine(job, model, predictor, named, cost)
        if job.shard is not None:
            return run_shard(engine, job.shard, rasters, targets, report)
        loaded = time.monotonic() - started
        done: list[_Finished] = []
        for number, (raster, target) in enumerate(zip(rasters, targets, strict=True)):
            if len(rasters) > 1:
                report.info(f"raster {number + 1} of {len(rasters)}: {raster.path}")
            with alone(*target.files, report=report):
                done.append(_predict_one(raster, target, engine, team, loaded, report, len(rasters) == 1))
    if len(done) == 1:
        return done[0].result
    if job.polygons is not None:
        frame = _joined([f.polygons for f in done if f.polygons is not None], job.polygons)
        write_polygons(frame, job.polygons, engine.shown, report.warn)
    seconds = time.monotonic() - started
    result = _together(job, [f.result for f in done], seconds)
    record, inputs = f"{job.out.rstrip('/')}.json", [r.path for r in rasters]
    write_record(record, job, result, inputs, {"all": seconds}, job.model, model.sha256)
    return result


@contextlib.contextmanager
def _team(job: PredictJob, report: Progress) -> Iterator[Team | None]:
    """Yield the processes that share the work, None if this one does it all."""
    if not (job.workers or job.scheduler):
        yield None
        return
    from wsss_geo.inference.cluster import gather_team

    with gather_team(job, report) as team:
        yield team


def _filling(
    task: RasterTask, team: Team | None, work: WorkFolder, report: Progress
) -> contextlib.AbstractContextManager[Fill]:
    """Return who computes the bands that are missing: nobody, a team, or this process."""
    if task.job.finish:
        return refusing(task, work)
    return here(task, work, report) if team is None else team.share(task, work, report)


def _predict_one(
    raster: Source,
    target: Targets,
    engine: Engine,
    team: Team | None,
    loaded: float,
    report: Progress,
    alone: bool,
) -> _Finished:
    started = time.monotonic()
    job, model = engine.job, engine.model
    task = open_task(raster.path, engine, report)
    frame, polygon_count, seconds = None, None, {"load": loaded}
    folder = joined_work(task, target) if job.finish else work_folder(task, target, report)
    with rasterio.Env(GDAL_CACHEMAX=task.limits.cache), contextlib.closing(task.scene), folder as work:
        scratch = target.work / "confidence.tif"
        wanted = target if target.confidence or not job.polygons else dataclasses.replace(target, confidence=scratch)
        announce(task, wanted, report, 1.0 if team is None else 1 / team.sharers)
        with _filling(task, team, work, report) as fill:
            outcome = predict_raster(task, wanted, work, report, fill)
        seconds["predict"] = time.monotonic() - started
        if job.polygons is not None:
            labels = mask_labels(
                str(target.mask), report, str(wanted.confidence), task.shown, source=raster.title,
                model=Path(job.model).stem,
            )  # fmt: skip
            tally = Tally(task.shown)
            frames = tally.watched(trace(labels, report, job.min_area, job.simplify))
            if alone:
                write_polygons(frames, job.polygons, task.shown, report.warn)
            else:
                frame = pandas.concat(list(frames), ignore_index=True)
            polygon_count = tally.count
            seconds["polygons"] = time.monotonic() - started - seconds["predict"]
    if job.polygons is None or Path(job.polygons).with_suffix("") != target.mask.with_suffix(""):
        with replacing(target.mask.with_suffix(".qml")) as part:
            part.write_text(raster_qml(task.shown), encoding="utf-8")
    result = _result(task, target, outcome, time.monotonic() - started, polygon_count)
    own = dataclasses.replace(
        job,
        rasters=job.rasters if job.mosaic else (raster.path,),
        asset=job.asset if job.mosaic else None,
        out=str(target.mask),
        confidence=None if job.confidence is None else str(target.confidence),
        cam=None if job.cam is None else str(target.cam),
    )
    parts = [str(part["path"]) for part in task.scene.info.fingerprint.get("parts", [])]
    inputs = [raster.path, *parts, *([job.aoi] if job.aoi and Path(job.aoi).exists() else [])]
    write_record(f"{target.mask}.json", own, result, inputs, seconds, job.model, model.sha256)
    if job.stac:
        write_item(task, own, result)
    return _Finished(result, frame)


def _result(
    task: RasterTask, target: Targets, outcome: Outcome, seconds: float, polygon_count: int | None
) -> PredictResult:
    info, names, totals = task.scene.info, task.shown.names, outcome.totals
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
        polygons=task.job.polygons,
        polygon_count=polygon_count,
        confidence=None if target.confidence is None else str(target.confidence),
        cam=None if target.cam is None else str(target.cam),
        expected_m2=None if totals.expected is None else dict(zip(names, totals.expected, strict=False)),
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
        expected_m2=_sums([r.expected_m2 for r in results]),
        parts=tuple(results),
    )


def _sums(areas: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    """Return the sums by name, None where any is not known."""
    known = [a for a in areas if a is not None]
    return {n: sum(a[n] for a in known) for n in known[0]} if known and len(known) == len(areas) else None


def _joined(frames: Sequence[geopandas.GeoDataFrame], path: str) -> geopandas.GeoDataFrame:
    """Return the polygons of all rasters in the CRS of the first."""
    crs = frames[0].crs
    if any((f.crs is None) != (crs is None) for f in frames):
        raise InputError(path, "some rasters have a CRS and some have none", "predict them one by one")
    same = [f if crs is None or f.crs == crs else f.to_crs(crs) for f in frames]
    return geopandas.GeoDataFrame(pandas.concat(same, ignore_index=True), crs=crs)
