"""Finished bands on their way to disk: bytes in the work folder, and what is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_geo.raster.info import GeoGrid
from wsss_geo.raster.pixel_areas import pixel_areas
from wsss_geo.streaming.layout import Band, Layout
from wsss_geo.streaming.stream import FinishedBand


@dataclass(frozen=True)
class BandArrays:
    """``mask`` and, or None, ``confidence`` uint8 [rows, width] and ``cam`` uint8 [tokens, width, K]."""

    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None
    cam: NDArray[np.uint8] | None


@dataclass(frozen=True)
class BandFormat:
    """Which arrays a band of this run has, one after the other in its file."""

    layout: Layout
    confidence: bool
    cam_classes: int

    def pack(self, found: FinishedBand) -> bytes:
        """Return the bytes of a band."""
        arrays = [found.pixels.mask, found.pixels.confidence if self.confidence else None, found.cam]
        return b"".join(np.ascontiguousarray(a).tobytes() for a in arrays if a is not None)

    def unpack(self, band: Band, content: bytes) -> BandArrays | None:
        """Return the arrays of ``band``, None if ``content`` is of another size."""
        rows, width = band.last - band.first, self.layout.cols.targets
        shapes = [(rows, width)] * (2 if self.confidence else 1)
        cam_shape = (band.owned_to - band.owned_from, self.layout.cols.tokens, self.cam_classes)
        expected = sum(r * w for r, w in shapes) + int(np.prod(cam_shape))
        if len(content) != expected:
            return None
        flat = np.frombuffer(content, np.uint8)
        pixels = flat[: len(shapes) * rows * width].reshape(len(shapes), rows, width)
        cam = flat[len(shapes) * rows * width :].reshape(cam_shape) if self.cam_classes else None
        return BandArrays(pixels[0], pixels[1] if self.confidence else None, cam)


def count(found: FinishedBand, grid: GeoGrid) -> dict[str, Any]:
    """Return pixels, square metres and, or None, expected square metres per class of a band, in channel order."""
    areas = pixel_areas(grid, found.band.first, found.band.last)
    counts, expected = found.pixels.counts, found.pixels.expected
    return {
        "pixels": counts.sum(axis=0).tolist(),
        "area": (areas @ counts).tolist(),
        "expected": None if expected is None else (areas @ expected).tolist(),
    }


@dataclass(frozen=True)
class Totals:
    """Sums over the bands: per class of the mask ``pixels`` and ``area`` (square metres); per class of the model the
    area that is ``expected`` by its probabilities, None without confidence."""

    pixels: tuple[int, ...]
    area: tuple[float, ...]
    expected: tuple[float, ...] | None


def total(lines: Sequence[Mapping[str, Any]], classes: int) -> Totals:
    """Add up what ``count`` returned, from top to bottom."""
    pixels, area = [0] * classes, [0.0] * classes
    for line in lines:
        pixels = [a + int(b) for a, b in zip(pixels, line["pixels"], strict=True)]
        area = [a + float(b) for a, b in zip(area, line["area"], strict=True)]
    known = all(line["expected"] is not None for line in lines)
    expected = tuple(map(sum, zip(*(line["expected"] for line in lines), strict=True))) if known else None
    return Totals(tuple(pixels), tuple(area), expected)
