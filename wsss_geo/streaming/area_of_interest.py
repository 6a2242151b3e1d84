"""The area of interest: polygons of a file or a box, as masks on the pixel and the token grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import binary_dilation

from wsss_geo.errors import InputError, UsageError
from wsss_geo.raster.grid import Window
from wsss_geo.raster.reader import GeoGrid, RasterReader, Tile
from wsss_geo.streaming.layout import Layout
from wsss_geo.vector.layers import in_crs_of, read_layer


class AreaOfInterest:
    """Polygons over the mask grid ``grid``; the model sees ``shape`` pixels there, in tokens of ``patch``."""

    def __init__(self, polygons: NDArray[Any], grid: GeoGrid, patch: int, shape: tuple[int, int]) -> None:
        self._polygons = polygons
        self._grid = grid
        model = grid.resized(*shape)
        self._token_transform = model.transform * Affine.scale(patch)
        self._tokens = tuple(-(-side // patch) for side in shape)

    def pixels(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return which pixels of the mask rows ``first`` .. ``last`` have their centre inside, bool [rows, width]."""
        part = self._grid.part(first, 0, last - first, self._grid.width)
        return self._burn(part.transform, (part.height, part.width), all_touched=False)

    def tokens(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return which tokens of the rows ``first`` .. ``last`` pixels inside are decoded from, bool [rows, width]."""
        top, bottom = max(first - 1, 0), min(last + 1, self._tokens[0])
        transform = self._token_transform * Affine.translation(0, top)
        burnt = self._burn(transform, (bottom - top, self._tokens[1]), all_touched=True)
        wide: NDArray[np.bool_] = binary_dilation(burnt, np.ones((3, 3), np.bool_))
        return wide[first - top : last - top]

    def _burn(self, transform: Affine, shape: tuple[int, int], all_touched: bool) -> NDArray[np.bool_]:
        corners = [transform * corner for corner in ((0, 0), (shape[1], 0), (shape[1], shape[0]), (0, shape[0]))]
        near = self._polygons[shapely.intersects(self._polygons, shapely.Polygon(corners))]
        if not len(near):
            return np.zeros(shape, np.bool_)
        return rasterize(near, out_shape=shape, transform=transform, all_touched=all_touched, dtype="uint8") > 0


class AreaReader:
    """Reads what windows over the area need and says of all else that it has no data, without reading it."""

    def __init__(self, reader: RasterReader, area: AreaOfInterest, layout: Layout) -> None:
        self._reader, self._area, self._layout = reader, area, layout

    def read(self, window: Window) -> Tile:
        """Return the pixels of ``window``, which lies inside the raster."""
        if self._needed(window):
            return self._reader.read(window)
        shape = window.height, window.width
        return Tile(np.zeros((self._reader.count, *shape), self._reader.dtype), np.zeros(shape, np.bool_))

    def _needed(self, window: Window) -> bool:
        """Whether a wanted token lies as near as a window of the network is long."""
        patch, size = self._layout.patch, self._layout.rows.size
        top, left = max(window.row_off // patch - size, 0), max(window.col_off // patch - size, 0)
        bottom = min(-(-window.row_end // patch) + size, self._layout.rows.tokens)
        right = min(-(-window.col_end // patch) + size, self._layout.cols.tokens)
        return bool(self._area.tokens(top, bottom)[:, left:right].any())


def read_area(text: str, grid: GeoGrid) -> NDArray[Any]:
    """Return the polygons that ``text`` means, in the CRS of ``grid``: a polygon file, or minx,miny,maxx,maxy.

    Raises UsageError for a box that is none, InputError for a file without polygons or an area beside the raster.
    """
    polygons = _box(text) if not Path(text).exists() and text.count(",") == 3 else _polygons_of(text, grid)
    corners = [grid.transform * c for c in ((0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height))]
    if not shapely.intersects(polygons, shapely.Polygon(corners)).any():
        raise InputError(text, "this area of interest lies outside the raster", "check coordinates and CRS")
    return polygons


def _box(text: str) -> NDArray[Any]:
    try:
        left, bottom, right, top = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"predict.aoi: {text!r} is not a box", "give minx,miny,maxx,maxy in the raster's CRS"
        ) from None
    if not (left < right and bottom < top) or not np.isfinite([left, bottom, right, top]).all():
        raise UsageError(f"predict.aoi: the box {text} is empty", "give minx,miny,maxx,maxy in the raster's CRS")
    return np.array([shapely.box(left, bottom, right, top)])


def _polygons_of(path: str, grid: GeoGrid) -> NDArray[Any]:
    if not Path(path).exists() and "://" not in path and not path.startswith("/vsi"):
        raise InputError(path, "no such area of interest", "give a polygon file, or minx,miny,maxx,maxy")
    frame = read_layer(path, "give polygons", attributes=False)
    if frame.crs is not None and grid.crs is not None:
        frame = in_crs_of(grid, frame, path)
    found = frame.geometry.dropna().to_numpy()
    found = shapely.make_valid(found[np.isin(shapely.get_type_id(found), (3, 6)) & ~shapely.is_empty(found)])
    if not len(found):
        raise InputError(path, "holds no polygon", "give a polygon layer as area of interest")
    return found
