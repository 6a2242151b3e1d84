"""What is compared: masks and reference polygons, read as values on one grid from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from wsss_geo.classes import IGNORE, ClassScheme, read_classes
from wsss_geo.errors import InputError
from wsss_geo.evaluation.metrics import OTHER
from wsss_geo.progress import Progress
from wsss_geo.raster.cog import read_unsure
from wsss_geo.raster.files import GDAL_ERRORS, open_raster, reading, reason
from wsss_geo.raster.info import GeoGrid
from wsss_geo.raster.mask_classes import describe_mask, read_mask_classes
from wsss_geo.vector.layers import in_crs_of, read_layer

_VECTOR_SUFFIXES = (".shp", ".gpkg", ".parquet", ".fgb", ".geojson", ".json", ".kml", ".gml")
_FIELDS = ("class", "class_name", "classname", "label", "name", "class_id")


class Values(Protocol):
    """Mask values 0..256 on a grid; 255 where there is no label. ``names`` of the values, None if unknown."""

    names: dict[int, str] | None

    def read(self, row: int, height: int) -> NDArray[np.int64]:
        """Return rows ``row`` .. ``row + height`` as [height, width of the grid]."""

    def close(self) -> None:
        """Close the files."""


class MaskRaster:
    """Band 1 of a mask raster on ``grid`` (its own unless given), sampled by nearest neighbour.

    ``unsure`` is the value of pixels of which the mask is not sure enough, None if it has none.
    Raises InputError for what is no mask, or cannot be brought to the grid.
    """

    def __init__(self, path: str, grid: GeoGrid | None = None, report: Progress | None = None) -> None:
        info = describe_mask(path)
        self.path, self.info, self.grid = path, info, grid or info.grid
        self.scheme: ClassScheme | None = read_mask_classes(path)
        self.names = scheme_names(self.scheme)
        self.unsure = read_unsure(path)
        warp = _needs_warp(path, info.grid, self.grid, report or Progress())
        self._file = open_raster(path)
        self._source = _warped(path, self._file, self.grid) if warp else self._file
        self._alpha = self._source.count if warp else info.alpha_band

    def read(self, row: int, height: int) -> NDArray[np.int64]:
        """Return rows of values; what nodata, alpha or a mask hides, and all outside the raster, is 255."""
        window = Window(0, row, self.grid.width, height)
        with reading(self.path):
            values = self._source.read(1, window=window).astype(np.int64)
            if self._alpha:
                valid = self._source.read(self._alpha, window=window)
            else:
                valid = self._source.read_masks(1, window=window)
        values[(values < 0) | (values > IGNORE)] = OTHER
        values[valid == 0] = IGNORE
        return values

    def close(self) -> None:
        """Close the file."""
        if self._source is not self._file:
            self._source.close()
        self._file.close()


class MaskPolygons:
    """Polygons drawn on ``grid``; a pixel takes the class of the last one that holds its centre.

    Values number the classes from 0. Raises InputError for what is no polygon layer or has no class attribute.
    """

    def __init__(self, path: str, field: str | None, grid: GeoGrid, report: Progress | None = None) -> None:
        frame = _read_polygons(path)
        if frame.crs is not None and grid.crs is not None:
            frame = in_crs_of(grid, frame, path)
        elif (frame.crs is None) != (grid.crs is None):
            (report or Progress()).warn(f"{path}: only one of polygons and mask has a CRS, taken to hold for both")
        labels = [_label(v) for v in frame[_class_field(path, frame, field)]]
        listed = sorted({n for n in labels if n is not None})
        if not listed:
            raise InputError(path, "names no class", "choose the attribute that does with --field")
        if len(listed) > IGNORE:
            raise InputError(path, f"holds {len(listed)} classes", "choose the attribute of the classes with --field")
        self.path, self.grid = path, grid
        self.names: dict[int, str] | None = dict(enumerate(listed))
        value = {n: i for i, n in enumerate(listed)}
        shapes = _in_pixels(frame.geometry.to_numpy(), grid)
        kept = [i for i, n in enumerate(labels) if n is not None and not shapely.is_empty(shapes[i])]
        self._shapes = shapes[kept]
        self._values = [value[labels[i]] for i in kept]  # type: ignore[index]
        self._tree = shapely.STRtree(self._shapes)

    def read(self, row: int, height: int) -> NDArray[np.int64]:
        """Return rows of values, 255 beside the polygons."""
        shape = (height, self.grid.width)
        near = np.sort(self._tree.query(shapely.box(0, row, self.grid.width, row + height)))
        drawn = [(self._shapes[i], self._values[i]) for i in near]
        if not drawn:
            return np.full(shape, IGNORE, np.int64)
        burnt = rasterize(drawn, out_shape=shape, fill=IGNORE, transform=Affine.translation(0, row), dtype="uint8")
        return burnt.astype(np.int64)

    def close(self) -> None:
        """Nothing is open."""


def open_reference(path: str, field: str | None, grid: GeoGrid, report: Progress) -> Values:
    """Open a reference mask or, by its suffix or because ``field`` is given, reference polygons on ``grid``."""
    if not Path(path).exists() and "://" not in path and not path.startswith("/vsi"):
        raise InputError(path, "no such reference", "give a mask raster or a polygon file")
    if field is not None or Path(path).suffix.lower() in _VECTOR_SUFFIXES:
        return MaskPolygons(path, field, grid, report)
    return MaskRaster(path, grid, report)


def scheme_names(scheme: ClassScheme | None) -> dict[int, str] | None:
    """Names of mask values."""
    return None if scheme is None else dict(zip(scheme.ids, scheme.names, strict=True))


def class_file(path: str | None) -> ClassScheme | None:
    """The scheme in a ``classes.json``, None without a path."""
    return read_classes(path) if path else None


def _needs_warp(path: str, own: GeoGrid, grid: GeoGrid, report: Progress) -> bool:
    """Whether the raster must be resampled to lie on ``grid``."""
    if own.crs is not None and grid.crs is not None:
        return not (own.crs == grid.crs and own.same_pixels(grid))
    if (own.height, own.width) != (grid.height, grid.width):
        raise InputError(
            path,
            f"is {own.width} x {own.height} pixels, the mask {grid.width} x {grid.height}, and one of them has no CRS",
            "give a reference on the pixel grid of the mask",
        )
    if own.crs is not None or grid.crs is not None:
        report.warn(f"{path}: reference or mask has no CRS; they are compared pixel by pixel")
    return False


def _warped(path: str, file: Any, grid: GeoGrid) -> Any:
    try:
        return WarpedVRT(
            file, crs=grid.crs, transform=grid.transform, height=grid.height, width=grid.width, add_alpha=True,
            resampling=rasterio.enums.Resampling.nearest,
        )  # fmt: skip
    except GDAL_ERRORS as error:
        file.close()
        problem = f"cannot be brought to the grid of the other raster ({reason(error)})"
        raise InputError(path, problem, "give a reference on the pixel grid of the mask") from error


def _read_polygons(path: str) -> Any:
    frame = read_layer(path, "give a mask raster or a polygon file")
    frame = frame[frame.geometry.notna() & frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    if frame.empty:
        raise InputError(path, "holds no polygon", "give a polygon layer as reference")
    return frame


def _class_field(path: str, frame: Any, wanted: str | None) -> str:
    listed = [str(c) for c in frame.columns if c != frame.geometry.name]
    if wanted is None:
        lower = {c.lower(): c for c in listed}
        wanted = next((lower[g] for g in _FIELDS if g in lower), None)
    if wanted is None or wanted not in listed:
        problem = "no attribute for the class" if wanted is None else f"no attribute {wanted!r}"
        raise InputError(path, f"{problem}; it has {', '.join(listed) or 'none'}", "name one with --field")
    return wanted


def _label(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return (str(int(value)) if isinstance(value, float) and value == int(value) else str(value)).strip() or None


def _in_pixels(shapes: Sequence[Any], grid: GeoGrid) -> NDArray[Any]:
    """Geometries in pixel coordinates (x = column, y = row); those that the projection loses become empty."""
    inverse = ~grid.transform
    matrix = np.array([[inverse.a, inverse.b], [inverse.d, inverse.e]])
    flat = shapely.force_2d(np.asarray(shapes))
    moved = np.asarray(shapely.transform(flat, lambda xy: xy @ matrix.T + (inverse.c, inverse.f)))
    moved[~np.isfinite(shapely.bounds(moved)).all(axis=1)] = shapely.Polygon()
    broken = ~shapely.is_valid(moved)
    moved[broken] = shapely.make_valid(moved[broken])
    return moved
