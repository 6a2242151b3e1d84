"""The drawing board: colour, height, roof slopes and truth of one scene, all on the same pixel grid.

Ground coordinates are metres from the upper left corner, x to the east (columns) and y to the south (rows).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from landscape.noise import Texture, fractal

Array = NDArray[np.float64]

#: Pixels along each side of a scene, and the ground size of one in metres.
SIZE = 2048
GSD = 0.5

WATER, WOODLAND, CROPLAND, GRASS, BUILDING, ROAD = range(6)


@dataclass
class Canvas:
    """What lies on the ground. Colours are display values 0..255 as they look in full sun on level ground."""

    rng: np.random.Generator
    color: Array = field(init=False)  # [H, W, 3]
    height: Array = field(init=False)  # [H, W] metres above the local ground, what casts shadows
    roof_slope: Array = field(init=False)  # [H, W, 2] dh/dx, dh/dy where a roof is
    truth: NDArray[np.uint8] = field(init=False)  # [H, W] class ids
    crown: NDArray[np.bool_] = field(init=False)  # [H, W] covered by a tree
    blocked: NDArray[np.bool_] = field(init=False)  # [H, W] nothing may be built or planted here
    x: Array = field(init=False)  # [H, W] ground coordinates of the pixel centres
    y: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = (SIZE, SIZE)
        axis = (np.arange(SIZE) + 0.5) * GSD
        self.x, self.y = np.broadcast_to(axis, shape), np.broadcast_to(axis[:, None], shape)
        self.color = np.zeros((*shape, 3))
        self.height = np.zeros(shape)
        self.roof_slope = np.zeros((*shape, 2))
        self.truth = np.full(shape, GRASS, np.uint8)
        self.crown = np.zeros(shape, bool)
        self.blocked = np.zeros(shape, bool)
        self.texture = Texture(self.rng)
        self.fine = fractal(self.rng, SIZE, longest=8, shortest=1.6, beta=0.4)
        self.middle = fractal(self.rng, SIZE, longest=60, shortest=8, beta=1.0)
        self.broad = fractal(self.rng, SIZE, longest=500, shortest=50, beta=1.5)
        self.grain = self.rng.normal(size=shape)

    def patch(self, x: float, y: float, radius: float) -> tuple[slice, slice] | None:
        """The pixels within a square of half side ``radius`` metres around a point, or None outside the scene."""
        row, col, reach = int(y / GSD), int(x / GSD), int(radius / GSD) + 1
        rows = slice(max(row - reach, 0), min(row + reach + 1, SIZE))
        cols = slice(max(col - reach, 0), min(col + reach + 1, SIZE))
        return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None

    def blend(self, where: tuple[slice, slice] | slice, rgb: Array, cover: Array) -> None:
        """Lay a colour over a part of the scene with the given coverage 0..1."""
        part = self.color[where]
        part += cover[..., None] * (rgb - part)

    def value_at(self, image: NDArray[np.generic], x: float, y: float) -> float:
        """The value of an image of the scene at a ground point (the nearest pixel inside the scene)."""
        row, col = (min(max(int(v / GSD), 0), SIZE - 1) for v in (y, x))
        return float(image[row, col])


def coverage(inside: Array, softness: float = GSD) -> Array:
    """How much of a pixel an area covers, from the distance in metres to its border (positive inside)."""
    return np.clip(inside / softness + 0.5, 0.0, 1.0)


def rgb(*values: float) -> Array:
    """A display colour as an array."""
    return np.array(values, dtype=np.float64)
