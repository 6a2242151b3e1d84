"""The grid of scenes over a raster: the same squares that the engine cuts tiles from. Needs no QGIS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Tuple

from ...wsss_geo.raster.grid import axis_starts, window_grid

#: More scenes than this nobody tags, and QGIS grows slow.
MOST_SCENES = 200_000


#: A place in the CRS of a raster.
Point = Tuple[float, float]


@dataclass(frozen=True)
class GridScene:
    """One scene: its name, its first row and column in pixels, its four corners in the raster's CRS, going round."""

    name: str
    row: int
    col: int
    corners: tuple[Point, Point, Point, Point]


@dataclass(frozen=True)
class SceneGrid:
    """Squares of ``size`` pixels over a raster of ``height`` x ``width`` pixels.

    ``place`` leads from column and row to the raster's CRS, in GDAL's order; the raster may be turned or mirrored. The
    last row and column are shifted inward; where the raster is smaller than a scene, the scene ends with it.
    """

    height: int
    width: int
    size: int
    place: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of scenes. Raises UsageError for sizes that are not positive."""
        return tuple(len(axis_starts(side, self.size, self.size)) for side in (self.height, self.width))  # type: ignore[return-value]

    def __len__(self) -> int:
        rows, cols = self.shape
        return rows * cols

    def scenes(self, raster: str) -> Iterator[GridScene]:
        """Yield the scenes row by row, named as the engine names its tiles: raster, first row, first column."""
        for window in window_grid(self.height, self.width, self.size, self.size):
            w = window.clipped(self.height, self.width)
            around = ((w.col_off, w.row_off), (w.col_end, w.row_off), (w.col_end, w.row_end), (w.col_off, w.row_end))
            corners = tuple(self._at(column, row) for column, row in around)
            yield GridScene(f"{raster}_r{w.row_off}_c{w.col_off}", w.row_off, w.col_off, corners)  # type: ignore[arg-type]

    def _at(self, column: int, row: int) -> Point:
        x, a, b, y, c, d = self.place
        return x + column * a + row * b, y + column * c + row * d
