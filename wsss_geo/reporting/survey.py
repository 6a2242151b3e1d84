"""One look at a map: how much of each class there is, how sure it is, and which scenes are least so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from wsss_geo.classes import IGNORE
from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.info import GeoGrid, RasterInfo, describe
from wsss_geo.raster.pixel_areas import pixel_areas

_STRIP_PIXELS = 1 << 22


@dataclass(frozen=True)
class Scenes:
    """Squares of ``side`` pixels, row by row: mean ``confidence`` float64 [rows, cols] (0..1, NaN without data) and
    ``covered``, the share of a scene that has data."""

    side: int
    confidence: NDArray[np.float64]
    covered: NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """``areas`` float64 [256, 256]: square metres (pixels without CRS) by mask value and confidence 0..255.

    Row 255 is what has no class, of which column 0 has no data. Without a confidence raster all is in column 0, and
    ``scenes`` is None.
    """

    grid: GeoGrid
    areas: NDArray[np.float64]
    scenes: Scenes | None

    @property
    def metric(self) -> bool:
        """Whether areas are square metres."""
        return self.grid.crs is not None

    def by_class(self) -> NDArray[np.float64]:
        """Area of every mask value, float64 [256]; 255, which is no class, has none."""
        found = self.areas.sum(axis=1)
        found[IGNORE] = 0
        return found

    def doubtful(self) -> NDArray[np.float64]:
        """The part of the area of every mask value that is expected to be something else, by its confidence."""
        found: NDArray[np.float64] = self.areas @ (1 - np.arange(256) / 255)
        found[IGNORE] = 0
        return found

    def ranges(self, expected: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least and largest area of every mask value, float64 [256] each, by its confidence.

        The least leaves out what of a class is expected to be something else. The largest adds what is expected of the
        class in the others: what its ``expected`` area by the probabilities of all classes, float64 [256], has beyond
        the least. NaN for what is none of these classes (NaN there), such as unsure pixels. Where ``expected`` is not
        known, what each class is expected to lose goes to the others in proportion to their areas.
        """
        area, doubt = self.by_class(), self.doubtful()
        total, least = area.sum(), area - doubt
        if expected is not None:
            gain = np.maximum(expected - least, 0)
            return np.where(np.isnan(expected), np.nan, least), np.minimum(area + gain, total)
        others = np.maximum(total - area, 1e-12)
        gain = area * ((doubt / others).sum() - doubt / others)
        return least, np.minimum(area + gain, total)

    def by_confidence(self) -> NDArray[np.float64]:
        """Area of every confidence 0..255 among what has a class, float64 [256]."""
        found: NDArray[np.float64] = self.areas[:IGNORE].sum(axis=0)
        return found

    @property
    def confidence(self) -> float:
        """Mean confidence of what has a class."""
        shares = self.by_confidence()
        return float(shares @ np.arange(256) / 255 / max(shares.sum(), 1e-12))


def survey(mask: str, confidence: str | None, side: int, report: Progress) -> Survey:
    """Read ``mask`` and ``confidence`` (uint8, 255 is certain) once, from top to bottom, and count.

    Memory: a strip of rows and two numbers a scene. Raises InputError for what is no mask or does not fit to it.
    """
    info = _checked(mask, confidence)
    height, width = info.height, info.width
    areas = np.zeros(1 << 16)
    rows, cols = -(-height // side), -(-width // side)
    sums, counts = np.zeros((rows, cols)), np.zeros((rows, cols))
    step = max(1, _STRIP_PIXELS // (width * side)) * side
    starts = np.arange(0, width, side)
    with open_raster(mask) as labels, open_raster(confidence or mask) as weights:
        for row in range(0, height, step):
            tall = min(step, height - row)
            window = Window(0, row, width, tall)
            values = _values(mask, labels, window)
            sure = np.zeros_like(values) if confidence is None else _read(confidence, weights, window)
            pairs = values.astype(np.int32) * 256 + sure
            ground = np.repeat(pixel_areas(info.grid, row, row + tall), width)
            areas += np.bincount(pairs.ravel(), ground, 1 << 16)
            if confidence is not None:
                seen = values != IGNORE
                lines = np.arange(0, tall, side)
                first = row // side
                for total, part in ((sums, np.where(seen, sure, 0)), (counts, seen)):
                    wide = np.add.reduceat(part, starts, axis=1, dtype=np.int64)
                    total[first : first + len(lines)] = np.add.reduceat(wide, lines, axis=0)
            report.step(row + tall, height, "rows", "report")
    scenes = None
    if confidence is not None:
        tall_of = np.minimum(side, height - np.arange(0, height, side))
        wide_of = np.minimum(side, width - starts)
        with np.errstate(invalid="ignore"):
            scenes = Scenes(side, sums / counts / 255, counts / side**2 * (tall_of[:, None] * wide_of[None] > 0))
    return Survey(info.grid, areas.reshape(256, 256), scenes)


def least_certain(scenes: Scenes, most: int) -> list[tuple[int, int]]:
    """Return (row, column) of up to ``most`` scenes of least confidence, the least first; none touches another.

    Scenes of which less than half has data do not count.
    """
    order = np.where(scenes.covered >= 0.5, scenes.confidence, np.inf)
    free = np.isfinite(order)
    found: list[tuple[int, int]] = []
    for place in np.argsort(order, axis=None, kind="stable"):
        row, col = divmod(int(place), order.shape[1])
        if len(found) == most or not np.isfinite(order[row, col]):
            break
        if free[row, col]:
            found.append((row, col))
            free[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2] = False
    return found


def scene_classes(mask: str, side: int, row: int, col: int) -> list[int]:
    """Return the mask values of a scene, the most frequent first."""
    with open_raster(mask) as labels:
        tall, wide = min(side, labels.height - row * side), min(side, labels.width - col * side)
        values = _values(mask, labels, Window(col * side, row * side, wide, tall))
    count = np.bincount(values.ravel(), minlength=256)
    count[IGNORE] = 0
    order = np.argsort(-count, kind="stable")
    return [int(v) for v in order if count[v]]


def _values(path: str, dataset: Any, window: Window) -> NDArray[np.uint8]:
    """Mask values; 255 where the raster has none."""
    values = _read(path, dataset, window)
    if "all_valid" not in {flag.name for flag in dataset.mask_flag_enums[0]}:
        with reading(path):
            values[dataset.read_masks(1, window=window) == 0] = IGNORE
    return values


def _read(path: str, dataset: Any, window: Window) -> NDArray[np.uint8]:
    with reading(path):
        found: NDArray[np.uint8] = dataset.read(1, window=window)
    return found


def _checked(mask: str, confidence: str | None) -> RasterInfo:
    info = describe(mask)
    if len(info.image_bands) != 1 or info.dtypes[0] != "uint8":
        raise InputError(mask, f"is no mask: {info.count} x {info.dtypes[0]}", "give a mask that predict wrote")
    if confidence is not None:
        other = describe(confidence)
        if not other.grid.same_pixels(info.grid) or other.dtypes[0] != "uint8":
            hint = "give the confidence of the same prediction"
            raise InputError(confidence, "does not lie on the grid of the mask, or is not uint8", hint)
    return info
