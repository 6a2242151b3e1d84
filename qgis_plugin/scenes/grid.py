"""The grid of scenes over a raster: the same squares that the engine cuts tiles from. Needs no QGIS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...wsss_geo.raster.grid import axis_starts, window_grid

#: More scenes than this nobody tags, and QGIS grows slow.
MOST_SCENES = 200_000


@dataclass(frozen=True)
class GridScene:
    """One scene: its name, its first row and column in pixels, its sides in the raster's CRS."""

    name: str
    row: int
    col: int
    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True)
class SceneGrid:
    """Squares of ``size`` pixels over a north-up raster of ``height`` x ``width`` pixels.

    ``west`` and ``north`` are its upper left corner, ``pixel_width`` and ``pixel_height`` (both positive) the sides of
    a pixel, in the raster's CRS. The last row and column are shifted inward; where the raster is smaller than a scene,
    the scene ends with it.
    """

    height: int
    width: int
    size: int
    west: float
    north: float
    pixel_width: float
    pixel_height: float

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
            yield GridScene(
                f"{raster}_r{w.row_off}_c{w.col_off}",
                w.row_off,
                w.col_off,
                self.west + w.col_off * self.pixel_width,
                self.north - w.row_end * self.pixel_height,
                self.west + w.col_end * self.pixel_width,
                self.north - w.row_off * self.pixel_height,
            )
