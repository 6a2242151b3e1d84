"""Where tiles lie on the Earth: footprints in longitude and latitude."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from wsss_geo.tileset.cells import Source


def footprints(sources: Sequence[Source]) -> NDArray[Any]:
    """Polygons [n] of all tiles in WGS84 degrees (x = longitude); None without a CRS of this planet.

    Corners are joined by straight lines. A tile across the 180th meridian goes on beyond 180 degrees.
    """
    parts = [_footprints(s) for s in sources]
    return np.concatenate(parts) if parts else np.empty(0, dtype=object)


def _footprints(source: Source) -> NDArray[Any]:
    none = np.full(len(source.windows), None, dtype=object)
    if source.crs is None or not source.windows:
        return none
    row0, col0, row1, col1 = source.bounds_px().T
    cols, rows = np.stack([col0, col1, col1, col0], axis=1), np.stack([row0, row0, row1, row1], axis=1)
    x, y = source.transform * (cols.astype(np.float64), rows.astype(np.float64))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            to_degrees = Transformer.from_crs(CRS.from_wkt(source.crs.to_wkt()), "EPSG:4326", always_xy=True)
            lon, lat = to_degrees.transform(x, y)
    except ProjError:
        return none
    lon, lat = np.asarray(lon), np.asarray(lat)
    across = (lon.max(axis=1) - lon.min(axis=1)) > 180
    lon = np.where(across[:, None] & (lon < 0), lon + 360, lon)
    usable = np.isfinite(lon).all(axis=1) & np.isfinite(lat).all(axis=1)
    none[usable] = shapely.polygons(np.stack([lon, lat], axis=2)[usable])
    return none


def outline(polygons: NDArray[Any]) -> Any:
    """The convex hull of the tiles of one raster, None where they have no place on the Earth."""
    placed = polygons[~shapely.is_missing(polygons)]
    return shapely.convex_hull(shapely.geometrycollections(placed)) if len(placed) else None
