"""The ``fewshot`` job: a few polygons of a thing, and all that is like it in a raster of any size."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import rasterio
import torch

from wsss_geo.classes import ClassScheme, LandCoverClass
from wsss_geo.errors import UsageError
from wsss_geo.fewshot.comparison import look_at, scale_to_search_at, warn_of_other_values
from wsss_geo.fewshot.support import Support, read_support
from wsss_geo.inference.compute import Engine, open_task
from wsss_geo.inference.one_raster import announce, here, predict_raster, work_folder
from wsss_geo.inference.targets import Targets, check_inputs_survive, name_targets
from wsss_geo.jobs import FewShotJob, FewShotResult, PredictJob
from wsss_geo.lock import alone
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.fewshot_file import FewShotCard, LoadedFewShot, load_few_shot
from wsss_geo.nn.fewshot_network import ConditionedNetwork
from wsss_geo.nn.model_file import LoadedModel, ModelCard
from wsss_geo.outputs import replacing
from wsss_geo.progress import Progress
from wsss_geo.raster.sources import Source, list_sources
from wsss_geo.record import write_record
from wsss_geo.streaming.predictor import build_predictor
from wsss_geo.streaming.probe import probe
from wsss_geo.tracing.run import mask_labels, trace
from wsss_geo.vector.files import write_polygons
from wsss_geo.vector.styles import raster_qml

_FOUND = 1
_COLORS = ("#d9d9d9", "#e6550d")


def run(job: FewShotJob, report: Progress) -> FewShotResult:
    """Search ``job.query`` for what ``job.support`` shows, with the engine and the guarantees of ``predict``.

    Memory is bounded, and a run that was killed goes on where it was if the same job is run again. Raises UsageError,
    InputError for examples and raster that do not fit, EnvironmentFault, ModelError.
    """
    search = search_job(job)
    sources = list_sources(search.rasters)
    if len(sources) != 1:
        raise UsageError(f"fewshot.query: {job.query} holds {len(sources)} rasters", "search them one by one")
    target = name_targets(search, sources)[0]
    check_inputs_survive(search, sources, [target])
    for path in (target.mask, target.confidence, job.polygons and Path(job.polygons)):
        if path and path.absolute() in {Path(p).absolute() for p in (job.support, job.support_raster)}:
            raise UsageError(f"{path}: is an input of this run", "choose another output")
    with alone(*target.files, *([job.polygons] if job.polygons else []), report=report):
        return _search(job, search, sources[0], target, report)


def _search(job: FewShotJob, search: PredictJob, source: Source, target: Targets, report: Progress) -> FewShotResult:
    started = time.monotonic()
    device = choose_device(job.device)
    loaded = load_few_shot(job.model, device)
    if job.window is not None and job.window < loaded.network.multiple:
        raise UsageError(f"fewshot.window: {job.window} px is too small", f"give at least {loaded.network.multiple}")
    scheme = classes_of(job.name)
    support = read_support(job, loaded.card, report)
    scale = scale_to_search_at(job, loaded.card.gsd, support.gsd, report)
    model = condition(loaded, support, scheme, scale)
    predictor = build_predictor(model, device, search)
    engine = Engine(search, model, predictor, str(device), probe(model, predictor, search))
    task = open_task(source.path, engine, report)
    warn_of_other_values(support.look, look_at(task.scene.reader), report)
    count = None
    with (
        rasterio.Env(GDAL_CACHEMAX=task.limits.cache),
        contextlib.closing(task.scene),
        work_folder(task, target, report) as work,
    ):
        scratch = target.work / "confidence.tif"
        wanted = target if target.confidence or not job.polygons else dataclasses.replace(target, confidence=scratch)
        announce(task, wanted, report)
        with here(task, work, report) as fill:
            outcome = predict_raster(task, wanted, work, report, fill)
        searched = time.monotonic() - started
        if job.polygons is not None:
            labels = mask_labels(
                str(target.mask), report, str(wanted.confidence), scheme, source=source.title,
                model=Path(job.model).stem,
            )  # fmt: skip
            kept = _Kept(trace(labels, report, job.min_area, job.simplify))
            only = ClassScheme((scheme.classes[_FOUND],), "none")
            write_polygons(iter(kept), job.polygons, only, report.warn)
            count = kept.count
    if job.polygons is None or Path(job.polygons).with_suffix("") != target.mask.with_suffix(""):
        with replacing(target.mask.with_suffix(".qml")) as part:
            part.write_text(raster_qml(scheme), encoding="utf-8")
    totals, seconds = outcome.totals, time.monotonic() - started
    result = FewShotResult(
        mask=str(target.mask),
        drawn=support.drawn,
        examples=len(support.images),
        windows=outcome.windows,
        share=totals.pixels[_FOUND] / max(1, sum(totals.pixels)),
        area_m2=totals.area[_FOUND],
        seconds=round(seconds, 3),
        polygons=job.polygons,
        polygon_count=count,
        confidence=None if target.confidence is None else str(target.confidence),
    )
    inputs = [job.support, job.support_raster, job.query, *([job.aoi] if job.aoi and Path(job.aoi).exists() else [])]
    stages = {"search": searched, "polygons": seconds - searched}
    write_record(f"{target.mask}.json", job, result, inputs, stages, job.model, loaded.sha256)
    return result


def classes_of(name: str) -> ClassScheme:
    """What the mask holds: 0 other, 1 what is sought, called ``name``. Raises UsageError for a name that is none."""
    if name.strip().lower() in ("", "other"):
        raise UsageError(f"fewshot.name: {name!r} cannot be told from the rest", "choose another name")
    pair = (LandCoverClass(i, n, c) for i, (n, c) in enumerate(zip(("other", name), _COLORS, strict=True)))
    return ClassScheme(tuple(pair), "explicit")


def condition(loaded: LoadedFewShot, support: Support, scheme: ClassScheme, scale: float | None) -> LoadedModel:
    """The network that has seen the examples, as a model of prediction of ``scale`` metres a pixel.

    Its hash is that of file, examples and scale.
    """
    device = loaded.network.backbone.mean.device
    images = torch.from_numpy(support.images).to(device)
    masks = torch.from_numpy(support.masks).to(device).long()
    network: Any = ConditionedNetwork(loaded.network, images, masks).eval()
    digest = hashlib.sha256(loaded.sha256.encode())
    digest.update(support.images.tobytes())
    digest.update(support.masks.tobytes())
    digest.update(repr(scale).encode())
    return LoadedModel(network, _card(loaded.card, scheme, scale), digest.hexdigest())


def search_job(job: FewShotJob) -> PredictJob:
    """The prediction that a search is; what it writes into its outputs is the command of the search."""
    names = ("support", "support_raster", "query", "model")
    plain: dict[str, Any] = {n: Path(getattr(job, n)).name for n in names}
    bare = dataclasses.replace(job, **plain, out="mask.tif", polygons=None, confidence=None)

    class Search(PredictJob):
        def command_line(self, chosen: bool = False) -> str:
            return bare.command_line(chosen)

    same = ("model", "out", "polygons", "confidence", "bands", "aoi", "min_area", "simplify", "threshold", "window",
            "overlap", "flips", "resample", "batch_size", "device", "threads")  # fmt: skip
    return Search(rasters=(job.query,), **{name: getattr(job, name) for name in same})


def _card(card: FewShotCard, scheme: ClassScheme, scale: float | None) -> ModelCard:
    return ModelCard(
        method="dsmf",
        network=card.network,
        classes=scheme,
        bands=card.bands,
        normalisation=card.normalisation,
        gsd=scale,
        tile_size=card.tile_size,
        data_hash=card.data_hash,
        versions=card.versions,
        settings=card.settings,
    )


class _Kept:
    """The polygons of what was sought, counted; those of the rest are dropped."""

    def __init__(self, frames: Iterator[geopandas.GeoDataFrame]) -> None:
        self._frames = frames
        self.count = 0

    def __iter__(self) -> Iterator[geopandas.GeoDataFrame]:
        for frame in self._frames:
            kept = frame[frame["class_id"] == _FOUND]
            self.count += len(kept)
            yield kept
