"""From a mask to polygons that fit together without gap or overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.vector.areas import polygon_areas
from wsss_geo.vector.compiled import compiled
from wsss_geo.vector.sieve import sieve
from wsss_geo.vector.trace import Relabeller, Rings, Scanner

#: Some rows [h, W] of the mask and, for all bands or for none, their confidence [h, W].
Band = tuple[npt.NDArray[Any], "npt.NDArray[Any] | None"]

COLUMNS = ("class_id", "class", "area_m2", "conf", "source", "model", "geometry")


@dataclass(frozen=True)
class Outlining:
    """How a mask becomes polygons; `polygonize` says what each option means. Raises UsageError for what is none."""

    transform: Any
    crs: Any = None
    classes: ClassScheme | None = None
    nodata: int | None = IGNORE
    connectivity: int = 4
    min_area_px: int = 0
    simplify_px: float = 0.0
    source: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise UsageError(f"connectivity {self.connectivity!r} is unknown", "use 4 or 8")
        if self.min_area_px < 0 or not self.simplify_px >= 0:
            problem = f"min_area_px {self.min_area_px}, simplify_px {self.simplify_px}: must not be negative"
            raise UsageError(problem, "use 0 or more")


def polygonize(
    mask: npt.NDArray[Any],
    transform: Any,
    crs: Any = None,
    classes: ClassScheme | None = None,
    confidence: npt.NDArray[Any] | None = None,
    nodata: int | None = IGNORE,
    connectivity: int = 4,
    min_area_px: int = 0,
    simplify_px: float = 0.0,
    source: str = "",
    model: str = "",
) -> geopandas.GeoDataFrame:
    """Turn a mask [H, W] of integers >= 0 into a coverage of polygons, one row a region.

    Parameters
    ----------
    transform
        Affine from pixel corners (column, row) to the CRS, or its first six numbers; may rotate.
    crs
        Anything that pyproj understands (a rasterio CRS too), or None.
    classes
        Names the values; without it, and for values it does not know, a class is called after its value.
    confidence
        [H, W], float 0..1 or uint8 scaled by 255.
    nodata
        Value that gets no polygon; None if there is none.
    connectivity
        4: polygons. 8: pixels of one value that touch at a corner belong together, as multipolygons.
    min_area_px
        Regions of fewer pixels go to the neighbour with the longest shared border; see `wsss_geo.vector.sieve`.
    simplify_px
        Tolerance in pixels (the square root of the area a removed corner may span). Shared borders stay shared,
        the outer boundary, also that to nodata, stays as it is.

    Returns
    -------
    GeoDataFrame in the raster's CRS, ordered by the first pixel of each region, with columns ``class_id`` int32,
    ``class``, ``area_m2`` (geodesic; square units of the transform without CRS), ``conf`` (mean of the pixels, 0..1,
    NaN if none was given), ``source``, ``model`` and ``geometry``.

    Raises
    ------
    UsageError if shapes, types or options do not fit.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise UsageError(f"mask has shape {mask.shape}", "give one band [height, width]")
    if confidence is not None:
        confidence = np.asarray(confidence)
        if confidence.shape != mask.shape:
            raise UsageError(f"confidence has shape {confidence.shape}, the mask {mask.shape}", "give the same grid")
    outlining = Outlining(transform, crs, classes, nodata, connectivity, min_area_px, simplify_px, source, model)
    return polygonize_bands(lambda: [(mask, confidence)], mask.shape[1], outlining)


def polygonize_bands(bands: Callable[[], Iterable[Band]], width: int, outlining: Outlining) -> geopandas.GeoDataFrame:
    """Do what `polygonize` does for a mask that comes in bands of rows, from top to bottom.

    ``bands()`` starts a pass over the raster; there are two if ``outlining`` asks for sieving. The result does not
    depend on how the rows are divided. Memory grows with the polygons, not with the raster.
    """
    return next(polygonize_stream(bands, width, outlining, None))


def polygonize_stream(
    bands: Callable[[], Iterable[Band]], width: int, outlining: Outlining, corners: int | None = 1 << 21
) -> Iterator[geopandas.GeoDataFrame]:
    """Do what `polygonize_bands` does and yield the polygons in frames of about so many ``corners``, at least one.

    Regions come as soon as the rows have passed them, so memory holds those that are still open, and one frame. To
    simplify a border its polygons on both sides are needed, and regions that touch at corners must be known as one:
    with ``simplify_px`` or 8-connectivity (or None for ``corners``) all polygons come in one frame at the end.
    """
    affine, crs = _checked_affine(outlining.transform), _checked_crs(outlining.crs)
    nodata, connectivity = outlining.nodata, outlining.connectivity
    passes = bands if outlining.min_area_px <= 1 else _sieved(bands, width, outlining)
    scanner = Scanner(width, nodata, connectivity)
    whole = corners is None or outlining.simplify_px > 0 or connectivity == 8
    room = 0 if corners is None else corners
    scale = 1.0
    for rows, confidence in passes():
        _check_rows(rows, nodata)
        if confidence is not None:
            scale = _confidence_scale(confidence)
        scanner.push(rows, confidence)
        if not whole and scanner.nodes > room:
            found = scanner.closed()
            room = max(room, 2 * scanner.nodes)  # a large open region is not copied again for every few new ones
            if len(found):
                yield _frame(found, outlining, affine, crs, scale)
    yield _frame(scanner.rings(), outlining, affine, crs, scale)


def _sieved(bands: Callable[[], Iterable[Band]], width: int, outlining: Outlining) -> Callable[[], Iterable[Band]]:
    """Pass over the raster once; return the passes over the sieved raster."""
    nodata = outlining.nodata
    scanner = Scanner(width, nodata, outlining.connectivity)
    for rows, _ in bands():
        _check_rows(rows, nodata)
        scanner.push(rows)
    graph = scanner.graph()
    new_values = sieve(graph, outlining.min_area_px)[graph.region_of]

    def again() -> Iterable[Band]:
        relabeller = Relabeller(width, nodata, len(new_values))
        for rows, confidence in bands():
            yield relabeller.push(rows, new_values), confidence

    return again


def _frame(
    rings: Rings,
    outlining: Outlining,
    affine: npt.NDArray[np.float64],
    crs: pyproj.CRS | None,
    confidence_scale: float,
) -> geopandas.GeoDataFrame:
    ring_starts, polygon_starts = rings.ring_starts, rings.region_starts
    if outlining.simplify_px > 0 and len(rings):
        exact = rings.corners.astype(np.float64)
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, exact, (ring_starts, polygon_starts))
        polygons = shapely.coverage_simplify(polygons, outlining.simplify_px, simplify_boundary=False)
        _, kept, (ring_starts, polygon_starts) = shapely.to_ragged_array(polygons)
        corners = _placed(kept.astype(np.int32), affine)  # simplifying drops corners and moves none
    else:
        corners = _placed(rings.corners, affine)
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, corners, (ring_starts, polygon_starts))
    areas = polygon_areas(corners, ring_starts, polygon_starts, crs)
    values, confidence = rings.values, rings.confidence * confidence_scale
    if outlining.connectivity == 8:
        members = np.argsort(rings.group, kind="stable")
        firsts = members[np.unique(rings.group[members], return_index=True)[1]]
        polygons = shapely.multipolygons(polygons[members], indices=rings.group[members])
        pixels = np.bincount(rings.group, rings.pixels)
        areas = np.bincount(rings.group, areas).astype(np.float64)
        confidence = np.bincount(rings.group, confidence * rings.pixels) / pixels
        values = values[firsts]
    ids, index = np.unique(values, return_inverse=True)
    names = np.array([_class_name(int(i), outlining.classes) for i in ids], dtype=object)
    count = len(values)
    return geopandas.GeoDataFrame(
        {
            "class_id": values.astype(np.int32),
            "class": names[index] if count else np.empty(0, dtype=object),
            "area_m2": areas,
            "conf": confidence,
            "source": np.full(count, outlining.source, dtype=object),
            "model": np.full(count, outlining.model, dtype=object),
        },
        geometry=geopandas.array.GeometryArray(polygons),
        crs=crs,
    )


@compiled
def _placed(corners: npt.NDArray[np.int32], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return pixel corners [P, 2] in the CRS."""
    out = np.empty((len(corners), 2), np.float64)
    for i in range(len(corners)):
        x, y = corners[i, 0], corners[i, 1]
        out[i, 0] = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]
        out[i, 1] = affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]
    return out


def _class_name(value: int, classes: ClassScheme | None) -> str:
    if classes is None:
        return str(value)
    return next((c.name for c in classes.classes if c.id == value), str(value))


def _checked_affine(transform: Any) -> npt.NDArray[np.float64]:
    """Return the affine as [2, 3]."""
    try:
        affine = np.array([float(v) for v in tuple(transform)[:6]]).reshape(2, 3)
    except (TypeError, ValueError):
        raise UsageError(f"transform {transform!r} is not an affine", "give its numbers a, b, c, d, e, f") from None
    if not np.isfinite(affine).all() or affine[0, 0] * affine[1, 1] == affine[0, 1] * affine[1, 0]:
        raise UsageError(f"transform {tuple(affine.ravel())} is degenerate", "pixels must have an area")
    return affine


def _checked_crs(crs: Any) -> pyproj.CRS | None:
    if crs is None or (not isinstance(crs, (int, pyproj.CRS)) and not crs):
        return None
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise UsageError(f"CRS {crs!r} is unknown ({error})", "give an EPSG code or WKT") from None


def _check_rows(rows: npt.NDArray[Any], nodata: int | None) -> None:
    """Refuse what is not a label raster."""
    if rows.dtype.kind not in "iub":
        raise UsageError(f"mask has values of type {rows.dtype}", "give whole numbers, as class ids 0 to 254")
    if rows.dtype in (np.uint8, np.uint16, np.bool_) or not rows.size:
        return
    known = rows if nodata is None else rows[rows != nodata]
    if known.size and (known.min() < 0 or known.max() > np.iinfo(np.int32).max):
        raise UsageError(f"mask has values {known.min()} to {known.max()}", "class ids run from 0 to 254")


def _confidence_scale(confidence: npt.NDArray[Any]) -> float:
    if confidence.dtype == np.uint8:
        return 1 / 255
    if confidence.dtype.kind == "f":
        return 1.0
    raise UsageError(f"confidence has values of type {confidence.dtype}", "give uint8 scaled by 255, or float 0..1")
