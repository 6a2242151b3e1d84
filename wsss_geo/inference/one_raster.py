"""Prediction of one raster: from the opened scene to finished rasters, resumable at any band."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wsss_geo.errors import EnvironmentFault
from wsss_geo.inference.compute import Pace, RasterTask, WriteBand, check_unchanged, compute_bands, needed_for
from wsss_geo.inference.finished import BandArrays, Totals, total
from wsss_geo.inference.manifest import WorkFolder
from wsss_geo.inference.products import Products, open_products
from wsss_geo.inference.provenance import provenance_tags
from wsss_geo.inference.targets import Targets
from wsss_geo.progress import Progress
from wsss_geo.streaming.estimate import check_disk
from wsss_geo.streaming.layout import Band
from wsss_geo.streaming.stream import Passed

#: Makes a run of bands that are not there yet and hands each, from top to bottom, to a function.
Fill = Callable[[range, WriteBand], None]


@dataclass(frozen=True)
class Outcome:
    """What was counted; ``windows`` that ran in this and in earlier, interrupted runs."""

    totals: Totals
    windows: int


@contextlib.contextmanager
def work_folder(task: RasterTask, targets: Targets, report: Progress) -> Iterator[WorkFolder]:
    """Yield the work folder. It stays when the process is killed or the disk is full, and goes in all other cases."""
    work = WorkFolder.begin(targets.work, task.key())
    if work.restarted:
        changed = ", ".join(work.restarted)
        report.warn(f"{targets.work}: begun with another {changed}; that work is dropped, starting afresh")
    try:
        yield work
    except EnvironmentFault:
        if not work.bands:
            work.remove()
        raise
    except BaseException:
        work.remove()
        raise
    work.remove()


def predict_raster(task: RasterTask, targets: Targets, work: WorkFolder, report: Progress, fill: Fill) -> Outcome:
    """Write mask, confidence and activation maps of a raster, whose missing bands come from ``fill``.

    Raises InputError, EnvironmentFault, ModelError.
    """
    scene, model = task.scene, task.model
    bands = len(scene.layout.bands)
    tags = provenance_tags(task)
    with open_products(
        scene, task.shown, model.card.classes.taggable, tags, targets.mask, targets.confidence, targets.cam
    ) as products:
        if work.bands:
            report.info(f"{scene.info.path}: going on, {len(work.bands)} of {bands} bands are there")
        _write_all(task, work, products, fill)
        check_unchanged(task)
        report.info(f"{scene.info.path}: writing {targets.mask}")
    windows = sum(int(g["windows"]) for g in work.groups.values())
    return Outcome(total([work.bands[b] for b in range(bands)], len(task.shown)), windows)


def announce(task: RasterTask, targets: Targets, report: Progress, share: float = 1.0) -> None:
    """Say what a run of this process, which does ``share`` of the work, will take.

    Raises EnvironmentFault if there is too little disk for it.
    """
    if task.engine.cost is None:
        return
    needed = needed_for(task, task.engine.cost)
    needed = dataclasses.replace(needed, seconds=needed.seconds * share)
    report.info(f"{task.scene.info.path}: {needed}")
    check_disk(needed, targets.mask.parent)


def _write_all(task: RasterTask, work: WorkFolder, products: Products, fill: Fill) -> None:
    """Write all bands in order: those that are there from their files, runs of others as ``fill`` makes them."""
    bands, band = task.scene.layout.bands, 0
    while band < len(bands):
        arrays = read_band(task, work, bands[band])
        if arrays is not None:
            products.write(bands[band], arrays)
            band += 1
            continue
        following = next((b for b in range(band + 1, len(bands)) if b in work.bands), len(bands))
        fill(range(band, following), products.write)
        band = following


def read_band(task: RasterTask, work: WorkFolder, band: Band) -> BandArrays | None:
    """Return a band from its file, None if it is not there or damaged."""
    content = work.load(band.index)
    return None if content is None else task.form.unpack(band, content)


@contextlib.contextmanager
def here(task: RasterTask, work: WorkFolder, report: Progress) -> Iterator[Fill]:
    """Yield what computes bands in this process."""
    layout = task.scene.layout
    width = layout.cols.pixels / 1e6
    pace = Pace(report, task.scene.megapixels)

    def passed(done: Passed) -> None:
        pace(done.rows * width)

    def fill(bands: range, write: WriteBand) -> None:
        pace(layout.group_starts(layout.groups_of(bands)[0])[0] * layout.patch * width)
        compute_bands(task, bands, work, write, passed)

    yield fill
