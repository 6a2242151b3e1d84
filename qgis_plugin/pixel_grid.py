"""Where the pixels of a raster layer's file lie; QGIS draws files that are not north-up from a copy that it warps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qgis.core import QgsRasterLayer, QgsRectangle

#: Pixels; below this a border falls on that of a pixel.
_EXACT = 1e-6


@dataclass(frozen=True)
class PixelGrid:
    """``width`` x ``height`` pixels; ``place`` leads from column and row to the layer's CRS, in GDAL's order.

    ``plain``: the file says nothing of its place, so that QGIS draws it below y = 0, a unit a pixel, and ``place`` says
    so. ``by_points``: it is placed by ground control points or a camera model, for which ``place`` cannot stand.
    """

    width: int
    height: int
    place: tuple[float, ...]
    plain: bool = False
    by_points: bool = False

    @property
    def turned(self) -> bool:
        """Whether rows do not run from west to east."""
        return self.place[2] != 0 or self.place[4] != 0

    def box_of(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Return xmin, ymin, xmax, ymax of a window of pixels in the layer's CRS."""
        a, b = (left, left + width), (top, top + height)
        x, y = zip(*(_applied(self.place, column, row) for column in a for row in b))  # noqa: B905 - Python 3.9
        return min(x), min(y), max(x), max(y)

    def window(self, box: QgsRectangle) -> tuple[int, int, int, int]:
        """Return first column and row, width and height of the pixels that a box in the layer's CRS touches.

        Width and height are 0 or less where it touches none. Of a turned raster it is the window around the box.
        """
        west, south, east, north = box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
        back = _inverse(self.place)
        columns, rows = zip(*(_applied(back, x, y) for x in (west, east) for y in (south, north)))  # noqa: B905
        left, right = _whole(columns, self.width)
        top, bottom = _whole(rows, self.height)
        return left, top, right - left, bottom - top


def pixel_grid(layer: QgsRasterLayer) -> PixelGrid:
    """Return the grid of a layer's file, that of the layer itself where there is no file that GDAL opens."""
    from osgeo import gdal  # comes with QGIS; when it is wanted, so that QGIS starts quickly

    try:
        data: Any = gdal.Open(layer.dataProvider().dataSourceUri()) if layer.providerType() == "gdal" else None
    except RuntimeError:  # where somebody told GDAL to raise
        data = None
    if data is None:
        box, width, height = layer.extent(), layer.width(), layer.height()
        step = box.width() / width, box.height() / height
        return PixelGrid(width, height, (box.xMinimum(), step[0], 0.0, box.yMaximum(), 0.0, -step[1]))
    width, height = data.RasterXSize, data.RasterYSize
    place = data.GetGeoTransform(can_return_null=True)
    if place is not None:
        return PixelGrid(width, height, tuple(place))
    by_points = bool(data.GetGCPCount() or data.GetMetadata("RPC"))
    return PixelGrid(width, height, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), not by_points, by_points)


def _applied(place: tuple[float, ...], u: float, v: float) -> tuple[float, float]:
    return place[0] + u * place[1] + v * place[2], place[3] + u * place[4] + v * place[5]


def _inverse(place: tuple[float, ...]) -> tuple[float, ...]:
    x, a, b, y, c, d = place
    det = a * d - b * c
    a, b, c, d = d / det, -b / det, -c / det, a / det
    return -(a * x + b * y), a, b, -(c * x + d * y), c, d


def _whole(values: Iterable[float], size: int) -> tuple[int, int]:
    """Return the first pixel and the one after the last along an axis of ``size``."""
    listed = list(values)
    return max(0, math.floor(min(listed) + _EXACT)), min(size, math.ceil(max(listed) - _EXACT))
