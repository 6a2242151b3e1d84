"""Vector layers that users give: read whole, brought to a CRS; whatever is wrong with them becomes one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

from wsss_geo.errors import InputError, WsssGeoError

#: Coordinates beyond these are on no map.
_FARTHEST = 1e15


def read_layer(path: Path | str, hint: str, *, attributes: bool = True) -> geopandas.GeoDataFrame:
    """Return the features of a layer, all OGR reads or GeoParquet, without ``attributes`` unless they are wanted.

    Raises InputError, with ``hint``, for what is no layer, has no geometry or is damaged.
    """

    def read() -> Any:
        if Path(path).suffix.lower() == ".parquet":
            return geopandas.read_parquet(path)
        return geopandas.read_file(path, engine="pyogrio", **({} if attributes else {"columns": []}))

    frame = _tried(path, "cannot be read as a vector layer", hint, read)
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise InputError(path, "has no geometry", hint)
    frame = _tried(path, "has damaged geometries", hint, lambda: _placed(frame))
    if frame.crs is not None and frame.crs.name.startswith("Undefined"):  # how a GeoPackage says that there is none
        frame = frame.set_crs(None, allow_override=True)
    return frame


def in_crs_of(grid: Any, shapes: Any, path: Path | str) -> Any:
    """Return ``shapes``, a frame or series that has a CRS, in that of ``grid``. Raises InputError."""
    wkt = grid.crs.to_wkt()
    problem = "cannot be brought to the CRS of the raster"
    return _tried(path, problem, "save it in that CRS first", lambda: _placed(shapes.to_crs(wkt)))


def _placed(shapes: Any) -> Any:
    """Return a frame or series whose geometries beyond all measure are empty: arithmetic on them would fail."""
    geometries = shapes.geometry.to_numpy().copy()
    known = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    lost = known & ~(np.abs(shapely.bounds(geometries)) <= _FARTHEST).all(axis=1)
    if not lost.any():
        return shapes
    geometries[lost] = shapely.Polygon()
    placed = geopandas.GeoSeries(geometries, index=shapes.index, crs=shapes.crs)
    return shapes.set_geometry(placed) if isinstance(shapes, geopandas.GeoDataFrame) else placed


def _tried(path: Path | str, problem: str, hint: str, work: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except (MemoryError, WsssGeoError):
        raise
    except Exception as error:  # of OGR, Arrow, GEOS and PROJ, which have many kinds
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(path, f"{problem} ({said})", hint) from error
