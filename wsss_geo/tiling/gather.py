"""From paths to sources: find rasters, agree on bands, lay the grid of tiles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_geo.errors import InputError, UsageError
from wsss_geo.jobs import TileJob
from wsss_geo.outputs import part_of
from wsss_geo.progress import Progress
from wsss_geo.raster.info import RasterInfo
from wsss_geo.raster.reader import RasterReader
from wsss_geo.tileset.catalog import Collection
from wsss_geo.tileset.cells import Source, source_names, tile_windows
from wsss_geo.tileset.index import open_pixels
from wsss_geo.tileset.index_rows import MOST_TILES
from wsss_geo.tileset.statistics import PER_TILE, SAMPLE, sample_pixels
from wsss_geo.tileset.tag_table import RASTER_SUFFIXES, find_rasters

#: A tile with a smaller share of valid pixels than this is dropped.
LEAST_VALID = 0.5
#: Most bytes of a tile: some have to fit in memory.
_LARGEST_TILE = 1 << 30


@dataclass(frozen=True)
class Gathered:
    """Sources that agree in bands and pixel type."""

    sources: tuple[Source, ...]
    bands: tuple[int, ...]
    band_names: tuple[str, ...]
    eight_bit: bool
    channels: int | None = None
    """Channels that every raster gives, grey ones in so many alike; None: as many as it has."""
    infos: tuple[RasterInfo, ...] = ()
    """What the files were when they were first looked at."""


@dataclass(frozen=True)
class Scanned:
    """Sources with only their usable tiles, and the pixel sample of each tile, float32 [C, n], by tile id."""

    sources: tuple[Source, ...]
    samples: dict[str, NDArray[np.float32]]


def raster_paths(job: TileJob) -> list[Path]:
    """Return the rasters of the job: files as given, folders searched recursively, tags and outputs left out.

    Raises InputError when there are none.
    """
    out = Path(os.path.abspath(job.out))
    left_out = [out, part_of(out)]
    tags = Path(os.path.abspath(job.tags)) if job.tags else None
    found: list[Path] = []
    for given in map(Path, job.rasters):
        if not given.is_dir():
            found.append(given)
            continue
        folder = Path(os.path.abspath(given))
        barred = [*left_out, *([tags] if tags and tags != folder and tags.is_relative_to(folder) else [])]
        inside = [p for p in find_rasters(given) if not any(Path(os.path.abspath(p)).is_relative_to(b) for b in barred)]
        if not inside:
            raise InputError(given, "no rasters in this folder", f"looked for {', '.join(RASTER_SUFFIXES)}")
        found += inside
    return list({os.path.abspath(p): p for p in found}.values())


def gather(job: TileJob, report: Progress, collection: Collection | None = None) -> Gathered:
    """Describe the rasters of the job, or the images of ``collection`` in their order, and lay out their tiles.

    Raises InputError where a raster is unfit or they disagree, UsageError where tags of whole images would be cut.
    """
    paths = [s.image for s in collection.scenes] if collection else raster_paths(job)
    names = [s.name for s in collection.scenes] if collection else source_names(paths)
    channels, known = (collection.channels, collection.gsd) if collection else (None, None)
    first = open_source(paths[0], job, channels)
    sources, infos = [], []
    smaller = total = 0
    for done, (path, name) in enumerate(zip(paths, names, strict=True)):
        if done % 50 == 0:
            report.step(done, len(paths), path.name, "rasters")
        reader = open_source(path, job, channels)
        if reader.count != first.count:
            raise InputError(
                path, f"has {reader.count} bands, {first.path} has {first.count}", "choose some with --bands"
            )
        if reader.dtype != first.dtype:
            raise InputError(
                path, f"holds {reader.dtype} pixels, {first.path} {first.dtype}", "convert them to one type"
            )
        if job.gsd and reader.info.gsd is None:
            report.warn(f"{path}: has no georeference, read at its own resolution and not at {job.gsd:g} m")
        stride = job.stride or job.size
        total += _checked_tiles(reader, job.size, stride)
        if total > MOST_TILES:
            raise InputError(path, f"would be cut into {total} tiles", "use a larger --size or --stride")
        windows = tile_windows(reader.height, reader.width, job.size, stride)
        if collection and collection.whole_steps:
            windows = tuple(w for w in windows if w.row_off % stride == w.col_off % stride == 0)
        if collection and collection.scenes[done].tags is not None and len(windows) > 1:
            side = max(reader.height, reader.width)
            raise UsageError(f"tile.size: {job.size} px would cut {path}, whose tags speak of it whole", f"use {side}")
        infos.append(reader.info)
        smaller += min(reader.height, reader.width) < job.size
        sources.append(
            Source(path, name, reader.height, reader.width, reader.transform, reader.crs, reader.gsd or known, windows)
        )
    if smaller:
        report.info(f"{smaller} of {len(paths)} rasters are smaller than {job.size} px: their tiles are smaller too")
    bands = tuple(first.bands) if first.count == len(first.bands) else tuple(range(1, first.count + 1))
    band_names = first.band_names
    if job.bands is None and channels == len(first.bands):
        bands = tuple(range(1, channels + 1))
    if collection and collection.band_names:
        band_names = tuple(collection.band_names[b - 1] for b in bands)
    return Gathered(tuple(sources), bands, band_names, first.dtype == np.uint8, channels, tuple(infos))


def check_unchanged(gathered: Gathered) -> None:
    """Raise InputError if a raster is no longer the one that was gathered."""
    for info in gathered.infos:
        info.check_unchanged()


def _checked_tiles(reader: RasterReader, size: int, stride: int) -> int:
    """Return how many tiles a raster gives, counted without making them. Raises InputError where one is too large."""
    height, width = min(reader.height, size), min(reader.width, size)
    bytes_of_one = reader.count * height * width * reader.dtype.itemsize
    if bytes_of_one > _LARGEST_TILE:
        problem = f"a tile of {width} x {height} px with {reader.count} bands takes {bytes_of_one >> 20} MiB"
        raise InputError(reader.path, problem, "choose bands with --bands, or a smaller --size")
    rows, cols = (-(-max(side - size, 0) // stride) + 1 for side in (reader.height, reader.width))
    return rows * cols


def open_source(path: Path, job: TileJob, channels: int | None = None) -> RasterReader:
    """A reader of the bands the job asks for; without, of all, a colour table taken for its red, green and blue."""
    return open_pixels(path, job.bands, job.gsd, channels)


def scan(gathered: Gathered, job: TileJob, report: Progress) -> Scanned:
    """Read every tile once: drop those that are mostly invalid, and sample pixels of the others.

    Raises InputError when a raster cannot be read or nothing is left.
    """
    total = sum(len(s.windows) for s in gathered.sources)
    each = int(np.clip(SAMPLE // max(total, 1), 4, PER_TILE))
    kept: list[Source] = []
    samples: dict[str, NDArray[np.float32]] = {}
    done = dropped = 0
    for number, source in enumerate(gathered.sources):
        usable = []
        for place, (tile_id, (share, sample)) in enumerate(
            zip(source.tile_ids, _read_tiles(source, job, each, number, gathered.channels), strict=True)
        ):
            if done % 50 == 0:
                report.step(done, total, source.path.name, "tiles")
            done += 1
            usable.append(share >= LEAST_VALID)
            if usable[place]:
                samples[tile_id] = sample
        dropped += len(usable) - sum(usable)
        kept.append(source.keep(usable))
    report.step(total, total, "", "tiles")
    if not samples:
        raise InputError(
            gathered.sources[0].path, "no tile has enough valid pixels", "check nodata and masks of the rasters"
        )
    if dropped:
        report.info(f"{dropped} of {total} tiles are more than half nodata and are left out")
    return Scanned(tuple(kept), samples)


def _read_tiles(
    source: Source, job: TileJob, each: int, number: int, channels: int | None
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield the valid share and a pixel sample of every tile."""
    generator = np.random.default_rng([job.seed, number])
    with open_source(source.path, job, channels) as reader:
        for window in source.windows:
            tile = reader.read(window)
            yield float(tile.valid.mean()), sample_pixels(tile.pixels, tile.valid, each, generator)


def safe_name(tile_id: str) -> str:
    """A tile id as the name of a file."""
    return re.sub(r"[^\w.~-]+", "-", tile_id)
