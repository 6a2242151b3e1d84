"""Computing bands of one raster in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import EnvironmentFault, InputError
from wsss_geo.inference.finished import BandArrays, BandFormat, count
from wsss_geo.inference.manifest import WorkFolder
from wsss_geo.job_fields import parse_bytes
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel
from wsss_geo.progress import Progress
from wsss_geo.record import fingerprint, versions
from wsss_geo.streaming.batches import cut_batches
from wsss_geo.streaming.colours import match_colours
from wsss_geo.streaming.estimate import Estimate, estimate
from wsss_geo.streaming.layout import Band
from wsss_geo.streaming.limits import Limits
from wsss_geo.streaming.predictor import Predictor
from wsss_geo.streaming.probe import Cost
from wsss_geo.streaming.refine import Refinement
from wsss_geo.streaming.scene import Scene, open_scene
from wsss_geo.streaming.stream import Decoding, FinishedBand, Passed, stream
from wsss_geo.streaming.strips import read_strips

#: Counts up when the same job gives other bytes than before, so that old work folders are not continued.
_ENGINE = 3

#: What of a job the bytes of a band do not depend on, or what the key has in another form.
_NOT_IN_KEY = {
    "rasters", "model", "out", "polygons", "confidence", "cam", "stac", "aoi", "min_area", "simplify", "device",
    "threads", "max_memory", "workers", "scheduler", "shard", "finish",
}  # fmt: skip

WriteBand = Callable[[Band, BandArrays], None]


@dataclass(frozen=True)
class Engine:
    """What all rasters of a job are computed with; ``device`` is where the network runs, as a word.

    ``cost`` is that of a window; None in a process that only does what it is told.
    """

    job: PredictJob
    model: LoadedModel
    predictor: Predictor
    device: str
    cost: Cost | None = None

    @property
    def shown(self) -> ClassScheme:
        """The classes of the mask: the model's and, on request, one for what is not sure enough."""
        classes = self.model.card.classes
        return classes.with_unsure() if self.job.unsure else classes


@dataclass(frozen=True)
class RasterTask:
    """One raster and what its bands are computed with."""

    scene: Scene
    engine: Engine
    form: BandFormat
    limits: Limits

    @property
    def job(self) -> PredictJob:
        """The job that this raster is part of."""
        return self.engine.job

    @property
    def model(self) -> LoadedModel:
        """The model."""
        return self.engine.model

    @property
    def shown(self) -> ClassScheme:
        """The classes of the mask."""
        return self.engine.shown

    @property
    def channels(self) -> int:
        """Classes and activation maps together."""
        return len(self.model.card.classes) + self.form.cam_classes

    def key(self) -> dict[str, Any]:
        """Return everything that the bytes of a band depend on."""
        fields = (f.name for f in dataclasses.fields(PredictJob) if f.name not in _NOT_IN_KEY)
        options = {name: getattr(self.job, name) for name in fields}
        options |= {"batch_size": self.limits.batch}
        options |= {"confidence": self.form.confidence, "cam": self.form.cam_classes > 0, "device": self.engine.device}
        program = {"engine": _ENGINE, **{k: v for k, v in versions().items() if k in ("wsss-geo", "torch", "rasterio")}}
        return {
            "input": dict(self.scene.info.fingerprint),
            "model": self.model.sha256,
            "options": options,
            "area of interest": fingerprint(self.job.aoi) if self.job.aoi else None,
            "program": program,
        }


def open_task(raster: str, engine: Engine, report: Progress, limits: Limits | None = None) -> RasterTask:
    """Open ``raster``; ``limits`` are those that the job asks for or, if it limits the memory, fit into that.

    Raises InputError, UsageError, EnvironmentFault if no limits fit.
    """
    task = _open(raster, engine, limits or Limits.of(engine.job), report)
    if limits is not None or engine.job.max_memory is None or engine.cost is None:
        return task
    allowed, needed = parse_bytes("predict.max_memory", engine.job.max_memory), 0
    for smaller in task.limits.smaller():
        if smaller.batch != task.limits.batch:
            task.scene.close()
            task = _open(raster, engine, smaller, Progress())
        task = _limited(task, smaller)
        needed = needed_for(task, engine.cost).memory
        if needed <= allowed:
            return task
    task.scene.close()
    raise EnvironmentFault(
        f"{raster}: {allowed >> 20} MiB of memory are allowed, at least {-(-needed // (1 << 20))} MiB are needed",
        "raise --max-memory, or give a smaller --window",
    )


def _open(raster: str, engine: Engine, limits: Limits, report: Progress) -> RasterTask:
    """Polygons need the confidence as well."""
    job = engine.job
    scene = open_scene(raster, dataclasses.replace(job, batch_size=limits.batch), engine.model, report)
    if scene.strips.height * scene.strips.width == 0:
        raise InputError(raster, "has no pixels", "give another raster")
    if job.match_colours:
        normalisation = match_colours(engine.model.card.normalisation, scene.reader)
        engine = dataclasses.replace(engine, predictor=engine.predictor.stretching(normalisation))
    cam = len(engine.model.card.classes.taggable) if job.cam is not None else 0
    form = BandFormat(scene.layout, bool(job.confidence or job.polygons), cam)
    return _limited(RasterTask(scene, engine, form, limits), limits)


def _limited(task: RasterTask, limits: Limits) -> RasterTask:
    strips = dataclasses.replace(task.scene.strips, most=limits.strip)
    return dataclasses.replace(task, scene=dataclasses.replace(task.scene, strips=strips), limits=limits)


def needed_for(task: RasterTask, cost: Cost) -> Estimate:
    """Return what ``task`` takes in one process."""
    form = task.form
    return estimate(
        task.scene.layout, task.scene.strips, task.limits, cost, task.channels, form.confidence, form.cam_classes
    )


def check_unchanged(task: RasterTask) -> None:
    """Raise InputError if the raster is no longer the one that was opened."""
    task.scene.info.check_unchanged()


def compute_bands(
    task: RasterTask, bands: range, work: WorkFolder, write: WriteBand, passed: Callable[[Passed], None]
) -> None:
    """Compute ``bands``, a run of them, keep each in ``work`` and hand it to ``write``; ``passed`` as in ``stream``.

    A band has the same bytes whichever run it is part of: the groups of windows that it needs are run whole, and their
    scores are added in whole numbers. Raises InputError, EnvironmentFault, ModelError.
    """
    scene, job, form = task.scene, task.job, task.form
    layout, area = scene.layout, scene.area
    groups = layout.groups_of(bands)
    first_row = layout.group_starts(groups[0])[0] * layout.patch

    def keep(found: FinishedBand) -> None:
        content = form.pack(found)
        arrays = form.unpack(found.band, content)
        if arrays is None:
            raise RuntimeError(f"band {found.band.index} does not survive packing")
        write(found.band, arrays)
        work.save(found.band.index, content, count(found, scene.info.grid))

    def note(done: Passed) -> None:
        work.note_group(done.group, {"windows": done.windows})
        passed(done)

    card = task.model.card
    decoding = Decoding(
        np.array(card.classes.ids, np.uint8),
        job.threshold,
        form.confidence,
        temperature=card.temperature if job.scores == "decoder" else 1.0,
        unsure=task.shown.ids[-1] if job.unsure else IGNORE,
    )
    if job.refine != "none":
        refinement = Refinement(job.refine, layout, scene.native.read, task.engine.predictor.image01)
        decoding = dataclasses.replace(decoding, refinement=refinement)
    with contextlib.closing(read_strips(scene.strip_reader, scene.strips, first_row, task.limits.threads)) as strips:
        stream(
            cut_batches(layout, strips, groups, task.limits.batch, area.tokens if area else None),
            task.engine.predictor,
            layout,
            decoding,
            keep,
            channels=task.channels,
            bands=bands,
            validity=scene.validity if scene.reader.resampled else None,
            mask_out=area.pixels if area else None,
            passed=note,
        )


class Pace:
    """Tells ``report`` how many megapixels of ``total`` are done, how many a second, and so the time left."""

    def __init__(self, report: Progress, total: float) -> None:
        self._report, self._total = report, total
        self._started = time.monotonic()
        self._begun: float | None = None

    def __call__(self, done: float) -> None:
        """Report that ``done`` megapixels are done."""
        begun = done if self._begun is None else self._begun
        self._begun = begun
        pace = (done - begun) / max(time.monotonic() - self._started, 1e-6)
        note = f"Mpx, {pace:.1f} Mpx/s" if done > begun else "Mpx"
        self._report.step(min(done, self._total), self._total, note, "predict")
