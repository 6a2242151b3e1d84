"""Ground sample distance: how many metres a pixel is long."""

from __future__ import annotations

import math

from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError


def pixel_metres(height: int, width: int, transform: Affine, wkt: str) -> float | None:
    """Return the side in metres of the pixel at the centre of a raster, sqrt(|dx| |dy|).

    Both sides are geodesic lengths on the ellipsoid of the CRS ``wkt``, be it degrees, web mercator or another
    planet. Where PROJ finds no geographic CRS behind it (local grids), the units of the CRS count. None if neither
    works.
    """
    row, col = (height - 1) / 2 + 0.5, (width - 1) / 2 + 0.5
    corners = [transform * (col, row), transform * (col + 1, row), transform * (col, row + 1)]
    try:
        crs = CRS.from_wkt(wkt)
        sides = _geodesic(crs, corners) or _planar(crs, corners)
    except ProjError:
        return None
    if sides is None or not all(math.isfinite(s) and s > 0 for s in sides):
        return None
    return math.sqrt(sides[0] * sides[1])


def _geodesic(crs: CRS, corners: list[tuple[float, float]]) -> tuple[float, float] | None:
    geographic, geod = crs.geodetic_crs, crs.get_geod()
    if geographic is None or geod is None:
        return None
    try:
        to_degrees = Transformer.from_crs(crs, geographic, always_xy=True)
        lon, lat = to_degrees.transform(*zip(*corners, strict=True))
    except ProjError:
        return None
    if not all(math.isfinite(v) for v in (*lon, *lat)):
        return None
    _, _, lengths = geod.inv([lon[0], lon[0]], [lat[0], lat[0]], lon[1:], lat[1:])
    return float(lengths[0]), float(lengths[1])


def _planar(crs: CRS, corners: list[tuple[float, float]]) -> tuple[float, float] | None:
    if crs.is_geographic or not crs.axis_info:
        return None
    metres = crs.axis_info[0].unit_conversion_factor
    first, right, below = corners
    return math.dist(first, right) * metres, math.dist(first, below) * metres
