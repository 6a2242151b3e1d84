"""How large pixels are on the ground."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from wsss_geo.raster.reader import GeoGrid

_COLUMNS, _ROW_STEP = 5, 64


def pixel_areas(grid: GeoGrid, first: int, last: int) -> NDArray[np.float64]:
    """Return the area in square metres of a pixel in each of the rows ``first`` .. ``last``, float64 [rows].

    Geodesic: the parallelogram of a pixel's sides on the ellipsoid of the CRS, averaged over five columns and
    interpolated between every 64th row. Where PROJ cannot reach the ellipsoid, the plane of the CRS counts; without
    CRS a pixel has area 1.
    """
    rows = np.arange(first, last, dtype=np.float64)
    if grid.crs is None:
        return np.ones(len(rows))
    samples = np.unique(np.append(np.arange(first, last, _ROW_STEP), last - 1)).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        crs = CRS.from_wkt(grid.crs.to_wkt())
        areas = _geodesic(grid, crs, samples)
    known = np.isfinite(areas)
    if not known.any():
        return np.full(len(rows), _planar(grid, crs))
    return np.interp(rows, samples[known], areas[known])


def _geodesic(grid: GeoGrid, crs: CRS, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean area per row, NaN where no column lies on the ellipsoid."""
    geod, geographic = crs.get_geod(), crs.geodetic_crs
    nowhere = np.full(len(rows), np.nan)
    if geod is None or geographic is None:
        return nowhere
    cols = (np.arange(_COLUMNS) + 0.5) * grid.width / _COLUMNS
    row, col = (a.ravel() for a in np.meshgrid(rows + 0.5, cols, indexing="ij"))
    try:
        to_degrees = Transformer.from_crs(crs, geographic, always_xy=True)
        ends = [
            to_degrees.transform(*(grid.transform * (col + dx, row + dy)), errcheck=False)
            for dx, dy in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))
        ]
        azimuths, lengths = [], []
        for (lon0, lat0), (lon1, lat1) in (ends[:2], ends[2:]):
            on_earth = np.isfinite(lon0) & np.isfinite(lon1) & (np.abs(lat0) <= 90) & (np.abs(lat1) <= 90)
            safe = [np.where(on_earth, v, 0.0) for v in (lon0, lat0, lon1, lat1)]
            azimuth, _, length = geod.inv(*safe)
            azimuths.append(np.radians(azimuth))
            lengths.append(np.where(on_earth, length, np.nan))
    except ProjError:
        return nowhere
    area = np.abs(lengths[0] * lengths[1] * np.sin(azimuths[1] - azimuths[0])).reshape(len(rows), _COLUMNS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row with no column on the ellipsoid is NaN by intent
        return np.nanmean(area, axis=1)


def _planar(grid: GeoGrid, crs: CRS) -> float:
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info and not crs.is_geographic else 1.0
    return math.fabs(grid.transform.determinant) * metres**2
