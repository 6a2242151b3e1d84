"""Parts of a run as tasks of a batch queue: each computes its bands into the shared work folder, one joins them."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence

import rasterio

from wsss_geo.errors import InputError
from wsss_geo.inference.compute import Engine, Pace, RasterTask, WriteBand, check_unchanged, compute_bands, open_task
from wsss_geo.inference.finished import BandArrays
from wsss_geo.inference.manifest import WorkFolder, read_key
from wsss_geo.inference.one_raster import Fill, announce, read_band
from wsss_geo.inference.sharing import Shard, describe_bands, parts_of, split, within
from wsss_geo.inference.targets import Targets
from wsss_geo.job_fields import parse_shard
from wsss_geo.jobs import ShardResult
from wsss_geo.lock import alone
from wsss_geo.progress import Progress
from wsss_geo.raster.sources import Source
from wsss_geo.streaming.layout import Band
from wsss_geo.streaming.stream import Passed


def run_shard(
    engine: Engine, shard: str, rasters: Sequence[Source], targets: Sequence[Targets], report: Progress
) -> ShardResult:
    """Compute the part ``shard`` of all rasters; what an interrupted run of it has finished is kept.

    Raises InputError if the work of other shards was begun with other options, EnvironmentFault, ModelError.
    """
    part = Shard(*parse_shard(shard))
    with alone(*(t.mask.with_name(f"{t.mask.name}.{part.writer}") for t in targets[:1]), report=report):
        return _run_part(engine, part, rasters, targets, report)


def _run_part(
    engine: Engine, part: Shard, rasters: Sequence[Source], targets: Sequence[Targets], report: Progress
) -> ShardResult:
    started = time.monotonic()
    before = own = finished = total = 0
    for raster, target in zip(rasters, targets, strict=True):
        task = open_task(raster.path, engine, report)
        count = len(task.scene.layout.bands)
        runs = parts_of(part, count, before)
        with rasterio.Env(GDAL_CACHEMAX=task.limits.cache), contextlib.closing(task.scene):
            announce(task, target, report, 1 / part.count)
            work = WorkFolder.join(target.work, task.key(), part.writer)
            _compute(task, runs, work, report)
            check_unchanged(task)
        work.refresh()
        before += len(split(count, part.count))
        own, finished, total = own + sum(map(len, runs)), finished + len(work.bands), total + count
    if finished == total:
        report.info("all bands are there: run the same command with --finish in place of --shard")
    folders = tuple(str(t.work) for t in targets)
    return ShardResult(str(part), folders, own, finished, total, round(time.monotonic() - started, 3))


def _compute(task: RasterTask, runs: list[range], work: WorkFolder, report: Progress) -> None:
    layout = task.scene.layout
    width = layout.cols.pixels / 1e6
    todo = within(work.missing(len(layout.bands)), runs)
    rows = [_model_rows(task, bands) for bands in todo]
    pace = Pace(report, sum(last - first for first, last in rows) * width)
    before = 0.0
    for bands, (first, last) in zip(todo, rows, strict=True):

        def passed(done: Passed, first: int = first, last: int = last, before: float = before) -> None:
            pace((before + min(max(done.rows - first, 0), last - first)) * width)

        pace(before * width)
        compute_bands(task, bands, work, _leave, passed)
        before += last - first


def _leave(band: Band, arrays: BandArrays) -> None:
    """Do nothing with a band beyond keeping it."""


def _model_rows(task: RasterTask, bands: range) -> tuple[int, int]:
    """Return the rows of the model's grid that ``bands`` cover."""
    rows, found = task.scene.layout.rows, task.scene.layout.bands
    ends = found[bands[0]].first, found[bands[-1]].last
    return ends[0] * rows.pixels // rows.targets, ends[1] * rows.pixels // rows.targets


def noted_device(targets: Sequence[Targets]) -> str | None:
    """Return where the network of the shards ran, None if none has run."""
    for target in targets:
        key = read_key(target.work)
        if key and isinstance(key.get("options"), dict) and isinstance(key["options"].get("device"), str):
            return str(key["options"]["device"])
    return None


@contextlib.contextmanager
def joined_work(task: RasterTask, targets: Targets) -> Iterator[WorkFolder]:
    """Yield what the shards have computed; it goes when it has been joined and stays if that fails.

    Raises InputError if there is nothing, or of other options.
    """
    work = WorkFolder.join(targets.work, task.key(), "", make=False)
    yield work
    work.remove()


@contextlib.contextmanager
def refusing(task: RasterTask, work: WorkFolder) -> Iterator[Fill]:
    """Yield what computes nothing. Raises InputError at once if bands are missing, later if one is damaged."""
    bands = task.scene.layout.bands
    missing = work.missing(len(bands))
    if missing:
        raise _missing(task, work, missing)

    def fill(runs: range, write: WriteBand) -> None:
        damaged = [b for b in runs if read_band(task, work, bands[b]) is None]
        for band in damaged:
            work.drop(band)
        raise _missing(task, work, work.missing(len(bands)))

    yield fill


def _missing(task: RasterTask, work: WorkFolder, runs: list[range]) -> InputError:
    """Return the error that names the bands and, as far as can be told, the shards."""
    names = [m for w in work.writers() if (m := re.fullmatch(r"shard-(\d+)-of-(\d+)", w))]
    count = max((int(m[2]) for m in names), default=0)
    absent = sorted({*range(1, count + 1)} - {int(m[1]) for m in names if int(m[2]) == count})
    hint = "run the shards that were interrupted again"
    if absent:
        hint = "run " + " and ".join(f"--shard {number}/{count}" for number in absent[:5])
    problem = f"{describe_bands(runs)} of {len(task.scene.layout.bands)} are missing"
    return InputError(work.folder, problem, hint)
