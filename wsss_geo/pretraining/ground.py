"""The imagery of a pre-training: random windows straight from rasters, tile sets and folders of images."""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.raster.grid import Window
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.reader import RasterReader, Tile
from wsss_geo.tileset.index import TileSet, is_tileset, read_tileset
from wsss_geo.tileset.statistics import measure, sample_pixels
from wsss_geo.tileset.tag_table import RASTER_SUFFIXES, find_rasters

#: A window with a smaller share of valid pixels is not shown.
LEAST_VALID = 0.5
#: Windows read before the run: for the statistics of the bands, and to fall back on.
_SURVEY = 256
_SURVEY_PIXELS = 4096
#: Draws for one window before one of the survey takes its place.
_TRIES = 16
_OPEN_FILES = 64
#: Regions of at most this many pixels are decoded once and kept, up to so many bytes a process: opening a small file
#: again costs more than a small network's step.
_SMALL = 1 << 20
_CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Region:
    """A part of a raster from which windows are drawn, in pixels of the grid that ``reader`` reads."""

    reader: RasterReader
    part: Window


@dataclass(frozen=True)
class Spot:
    """A square window of region number ``region``."""

    region: int
    window: Window


class Ground:
    """Regions that agree in bands and pixel type, and a reproducible draw of windows of ``side`` pixels from them.

    A region is drawn as often as its area asks for, one smaller than a window like one of its size; there the window is
    the largest square that fits. Files are opened on use, the last few stay open; small regions stay in memory.

    Raises InputError where regions disagree.
    """

    def __init__(self, regions: Sequence[Region], side: int) -> None:
        first = regions[0].reader
        for region in regions:
            reader = region.reader
            if reader.count != first.count:
                problem = f"has {reader.count} bands, {first.path} has {first.count}"
                raise InputError(reader.path, problem, "choose some with --bands")
            if reader.dtype != first.dtype:
                problem = f"holds {reader.dtype} pixels, {first.path} {first.dtype}"
                raise InputError(reader.path, problem, "convert them to one type")
        self.regions = tuple(regions)
        self.side = side
        areas = np.array([r.part.height * r.part.width for r in regions], np.float64)
        self._edges = np.cumsum(np.maximum(areas / side**2, 1.0))
        self._forget()

    @property
    def bands(self) -> int:
        """Channels of every window."""
        return self.regions[0].reader.count

    @property
    def eight_bit(self) -> bool:
        """Whether pixels are uint8."""
        return self.regions[0].reader.dtype == np.uint8

    @property
    def gsd(self) -> float | None:
        """Median ground sample distance in metres of the rasters that have one."""
        known = [r.reader.gsd for r in self.regions if r.reader.gsd]
        return float(np.median(known)) if known else None

    def digest(self) -> str:
        """SHA-256 of what tells this imagery from other: files, their sizes and times, parts of them."""
        facts = [[r.reader.info.fingerprint, list(vars(r.part).values())] for r in self.regions]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def draw(self, rng: np.random.Generator) -> Spot:
        """Draw a window, whether it holds valid pixels or not."""
        number = int(np.searchsorted(self._edges, rng.random() * self._edges[-1], side="right"))
        number = min(number, len(self.regions) - 1)
        part = self.regions[number].part
        side = min(self.side, part.height, part.width)
        row = part.row_off + int(rng.integers(part.height - side + 1))
        col = part.col_off + int(rng.integers(part.width - side + 1))
        return Spot(number, Window(row, col, side, side))

    def draw_valid(self, rng: np.random.Generator, fallback: Sequence[Spot]) -> Tile:
        """Draw windows until one has enough valid pixels; after some tries take one of ``fallback``."""
        for _ in range(_TRIES):
            tile = self.read(self.draw(rng))
            if tile.valid.mean() >= LEAST_VALID:
                return tile
        return self.read(fallback[int(rng.integers(len(fallback)))])

    def read(self, spot: Spot) -> Tile:
        """Read a window. Raises InputError."""
        part = self.regions[spot.region].part
        if part.height * part.width > _SMALL:
            return self._read(spot.region, spot.window)
        whole = self._kept.get(spot.region)
        if whole is None:
            whole = self._read(spot.region, part)
            size = whole.pixels.nbytes + whole.valid.nbytes
            if self._used + size <= _CACHE_BYTES:
                self._kept[spot.region] = whole
                self._used += size
        rows, cols = spot.window.relative_to(part).slices
        return Tile(whole.pixels[:, rows, cols], whole.valid[rows, cols])

    def _read(self, region: int, window: Window) -> Tile:
        reader = self.regions[region].reader
        tile = reader.read(window)
        self._open[id(reader)] = reader
        self._open.move_to_end(id(reader))
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        return tile

    def _forget(self) -> None:
        self._open: OrderedDict[int, RasterReader] = OrderedDict()
        self._kept: dict[int, Tile] = {}
        self._used = 0

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_open", "_kept", "_used")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


@dataclass(frozen=True)
class Survey:
    """What some windows tell: how to normalise the bands, and which windows are surely valid."""

    normalisation: Normalisation
    valid: tuple[Spot, ...]


def gather(
    sources: Sequence[str],
    out: str,
    side: int,
    bands: Sequence[int] | None,
    gsd: float | None,
    report: Progress,
) -> tuple[Ground, tuple[str, ...]]:
    """Find the imagery in ``sources`` and name its bands; ``out`` is left out of folders that are searched.

    ``bands`` and ``gsd`` concern rasters and images; tile sets bring their own, and only their train split counts.
    Raises InputError for what is no imagery.
    """
    regions: list[Region] = []
    names: tuple[str, ...] = ()
    for given in map(Path, sources):
        if given.is_dir() and is_tileset(given):
            tileset = read_tileset(given)
            names = names or tileset.band_names
            regions += _of_tileset(tileset)
            continue
        paths = _rasters(given, Path(os.path.abspath(out)))
        for done, path in enumerate(paths):
            if done % 100 == 0:
                report.step(done, len(paths), path.name, "rasters")
            reader = RasterReader(path, bands, gsd, palette=bands is None)
            if gsd and reader.info.gsd is None and done == 0:
                report.warn(f"{path}: has no georeference, read at its own resolution and not at {gsd:g} m")
            names = names or reader.band_names
            regions.append(Region(reader, Window(0, 0, reader.height, reader.width)))
    small = sum(min(r.part.height, r.part.width) < side for r in regions)
    if small:
        report.info(
            f"{small} of {len(regions)} images or tiles are smaller than the window of {side} px: enlarged to it"
        )
    return Ground(regions, side), names


def survey(ground: Ground, seed: int, report: Progress) -> Survey:
    """Read some windows of all the imagery. Raises InputError when none has enough valid pixels."""
    spots: list[Spot] = []
    samples: list[NDArray[np.float32]] = []
    for number in range(4 * _SURVEY):
        if len(spots) == _SURVEY or (number >= _SURVEY and len(spots) >= _SURVEY // 8):
            break
        if number % 16 == 0:
            report.step(min(number, _SURVEY), _SURVEY, "", "survey")
        rng = np.random.default_rng((seed, 0, number))
        spot = ground.draw(rng)
        tile = ground.read(spot)
        if tile.valid.mean() >= LEAST_VALID:
            spots.append(spot)
            samples.append(sample_pixels(tile.pixels, tile.valid, _SURVEY_PIXELS, rng))
    if not spots:
        problem = f"no window of {ground.side} px has enough valid pixels"
        raise InputError(ground.regions[0].reader.path, problem, "check nodata and masks, or choose a smaller --window")
    report.step(_SURVEY, _SURVEY, "", "survey")
    return Survey(measure(np.concatenate(samples, axis=1), ground.eight_bit), tuple(spots))


def _of_tileset(tileset: TileSet) -> list[Region]:
    """The tiles of the train split as regions; those of one raster share its reader."""
    rows = tileset.of_split("train")
    if not len(rows):
        raise InputError(tileset.root, "has no tile in its train split", "tile again with smaller --val and --test")
    readers: dict[str, RasterReader] = {}
    regions = []
    for source, row, col, height, width in rows[["source", "row_off", "col_off", "height", "width"]].to_numpy():
        if source not in readers:
            readers[source] = tileset.reader(tileset.path(source))
        regions.append(Region(readers[source], Window(int(row), int(col), int(height), int(width))))
    return regions


def _rasters(given: Path, out: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = [p for p in find_rasters(given) if not Path(os.path.abspath(p)).is_relative_to(out)]
    if not found:
        raise InputError(given, "no rasters in this folder", f"looked for {', '.join(RASTER_SUFFIXES)}")
    return found
