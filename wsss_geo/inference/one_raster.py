"""Prediction of one raster: from the opened scene to finished rasters, resumable at any band."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsss_geo.errors import EnvironmentFault, InputError
from wsss_geo.inference.batches import cut_batches
from wsss_geo.inference.estimate import check_disk, estimate
from wsss_geo.inference.finished import BandFormat, Totals, count, total
from wsss_geo.inference.manifest import WorkFolder
from wsss_geo.inference.predictor import Predictor
from wsss_geo.inference.products import Products, open_products
from wsss_geo.inference.scene import Scene
from wsss_geo.inference.stream import Decoding, FinishedBand, Passed, stream
from wsss_geo.inference.strips import read_strips
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel
from wsss_geo.progress import Progress
from wsss_geo.record import fingerprint, versions

#: Counts up when the same job gives other bytes than before, so that old work folders are not continued.
_ENGINE = 1


@dataclass(frozen=True)
class Targets:
    """The files of one raster; ``confidence`` may lie in the work folder if only the polygons need it."""

    mask: Path
    confidence: Path | None
    cam: Path | None

    @property
    def work(self) -> Path:
        """The work folder."""
        return self.mask.with_name(self.mask.name + ".work")


@dataclass(frozen=True)
class Outcome:
    """What was counted; ``windows`` that ran in this and in earlier, interrupted runs."""

    totals: Totals
    windows: int


@contextlib.contextmanager
def work_folder(
    scene: Scene, job: PredictJob, model: LoadedModel, device: str, targets: Targets, report: Progress
) -> Iterator[WorkFolder]:
    """Yield the work folder. It stays when the process is killed or the disk is full, and goes in all other cases."""
    work = WorkFolder(targets.work, _key(scene, job, model, device, targets))
    if work.restarted:
        changed = ", ".join(work.restarted)
        report.warn(f"{targets.work}: begun with another {changed}; that work is dropped, starting afresh")
    try:
        yield work
    except EnvironmentFault:
        if not work.finished:
            work.remove()
        raise
    except BaseException:
        work.remove()
        raise
    work.remove()


def predict_raster(
    scene: Scene,
    job: PredictJob,
    model: LoadedModel,
    predictor: Predictor,
    targets: Targets,
    work: WorkFolder,
    report: Progress,
) -> Outcome:
    """Write mask, confidence and activation maps of ``scene``. Raises InputError, EnvironmentFault, ModelError."""
    scheme, layout = model.card.classes, scene.layout
    cam_classes = len(scheme.taggable) if targets.cam else 0
    channels = len(scheme) + cam_classes
    needed = estimate(
        layout, scene.strips, job.batch_size, job.threads, channels, targets.confidence is not None, cam_classes
    )
    report.info(f"{scene.info.path}: {needed}")
    check_disk(needed, targets.mask.parent)
    form = BandFormat(layout, targets.confidence is not None, cam_classes)
    tags = {"model": model.sha256, "input": Path(scene.info.path).name}
    with open_products(scene, scheme, tags, targets.mask, targets.confidence, targets.cam) as products:
        first_band = _replay(work, form, products, layout.bands)
        if first_band:
            report.info(f"{scene.info.path}: going on after band {first_band} of {len(layout.bands)}")
        if first_band < len(layout.bands):
            _run(scene, job, model, predictor, products, work, form, first_band, channels, report)
        now = fingerprint(scene.info.path)
        if now != dict(scene.info.fingerprint):
            raise InputError(scene.info.path, "was changed while it was read", "run again when it is at rest")
        report.info(f"{scene.info.path}: writing {targets.mask}")
    windows = sum(int(g["windows"]) for g in work.groups.values())
    return Outcome(total(work.lines, len(scheme)), windows)


def _replay(work: WorkFolder, form: BandFormat, products: Products, bands: list[Any]) -> int:
    """Write the bands of an interrupted run and return the first that is missing."""
    for band in bands[: work.finished]:
        content = work.load(band.index)
        arrays = None if content is None else form.unpack(band, content)
        if arrays is None:
            work.forget_from(band.index)
            return int(band.index)
        products.write(band, arrays)
    return work.finished


def _run(
    scene: Scene,
    job: PredictJob,
    model: LoadedModel,
    predictor: Predictor,
    products: Products,
    work: WorkFolder,
    form: BandFormat,
    first_band: int,
    channels: int,
    report: Progress,
) -> None:
    layout, area = scene.layout, scene.area
    first_group = layout.group_for(layout.first_token(first_band))
    first_row = layout.group_starts(first_group)[0] * layout.patch
    width = layout.cols.pixels
    started = time.monotonic()

    def write(found: FinishedBand) -> None:
        content = form.pack(found)
        arrays = form.unpack(found.band, content)
        if arrays is None:
            raise RuntimeError(f"band {found.band.index} does not survive packing")
        products.write(found.band, arrays)
        work.save(found.band.index, content, count(found, scene.info.grid))

    def passed(done: Passed) -> None:
        work.note_group(done.group, {"windows": done.windows})
        pace = (done.rows - first_row) * width / 1e6 / max(time.monotonic() - started, 1e-6)
        report.step(done.rows * width / 1e6, scene.megapixels, f"Mpx, {pace:.1f} Mpx/s", "predict")

    report.step(first_row * width / 1e6, scene.megapixels, "Mpx", "predict")
    ids = np.array(model.card.classes.ids, np.uint8)
    with contextlib.closing(read_strips(scene.reader, scene.strips, first_row, job.threads)) as strips:
        stream(
            cut_batches(layout, strips, first_group, job.batch_size, area.tokens if area else None),
            predictor,
            layout,
            Decoding(ids, job.threshold, form.confidence),
            write,
            channels=channels,
            first_band=first_band,
            validity=scene.validity if scene.reader.resampled else None,
            mask_out=area.pixels if area else None,
            passed=passed,
        )


def _key(scene: Scene, job: PredictJob, model: LoadedModel, device: str, targets: Targets) -> dict[str, Any]:
    """Everything that the bytes of a band depend on."""
    area = fingerprint(job.aoi) if job.aoi else None
    options = {
        name: getattr(job, name)
        for name in ("scores", "bands", "threshold", "window", "overlap", "flips", "resample", "batch_size")
    }
    options |= {"confidence": targets.confidence is not None, "cam": targets.cam is not None, "device": device}
    program = {"engine": _ENGINE, **{k: v for k, v in versions().items() if k in ("wsss-geo", "torch", "rasterio")}}
    return {
        "input": dict(scene.info.fingerprint),
        "model": model.sha256,
        "options": options,
        "area of interest": area,
        "program": program,
    }
