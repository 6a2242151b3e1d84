"""Polygon files: Shapefile, GeoPackage, GeoParquet, FlatGeobuf and GeoJSON, each with its styles."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import EnvironmentFault, UsageError
from wsss_geo.outputs import check_output, replacing
from wsss_geo.vector.arrow import Batches, write_geoparquet
from wsss_geo.vector.styles import polygon_qml, polygon_sld

_DRIVERS = {".shp": "ESRI Shapefile", ".gpkg": "GPKG", ".parquet": "", ".fgb": "FlatGeobuf", ".geojson": "GeoJSON"}

#: The suffixes `write_polygons` takes.
SUFFIXES = tuple(_DRIVERS)

_SHAPEFILE_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj")
_SHAPEFILE_BYTES = 2**31 - 1
_TEXTS = ("class", "source", "model")
_DBF_TEXT_BYTES = 254
_DBF_DEFAULT_TEXT_BYTES = 80
_DBF_NUMBER_BYTES = 60


def check_polygon_suffix(path: Path | str) -> str:
    """Return the suffix of ``path`` in lower case. Raises UsageError if no polygon format has it."""
    suffix = Path(path).suffix.lower()
    if suffix not in _DRIVERS:
        raise UsageError(f"{path}: polygons cannot be written as {suffix or 'a file without suffix'}",
                         f"use {', '.join(SUFFIXES)}")  # fmt: skip
    return suffix


def write_polygons(
    polygons: geopandas.GeoDataFrame | Iterable[geopandas.GeoDataFrame],
    path: Path | str,
    classes: ClassScheme | Callable[[], ClassScheme | None] | None = None,
    warn: Callable[[str], None] = warnings.warn,
) -> list[Path]:
    """Write the polygons of `polygonize`, or the frames of `polygonize_stream`, in the format that ``path`` ends with.

    Frames are written as they come, so no more than one is in memory; only a Shapefile, which holds 2 GB at most, is
    collected first, so that too many polygons are refused before a byte is written.

    With ``classes`` (or what it returns when all polygons have come) a ``.qml`` (QGIS) and a ``.sld`` style stand
    beside it, and a GeoPackage holds them as its default style too. GeoJSON is in longitude and latitude (WGS 84, as
    RFC 7946 asks for) if the polygons have a CRS; without one it keeps their coordinates, which other programs take for
    degrees. Every other format is in the CRS of the frames. All files appear when whole and replace old ones, also
    those that an older Shapefile of the name left behind. ``warn`` hears of texts that a Shapefile cannot hold in full.

    Returns the files written. Raises UsageError for an unknown suffix, polygons beyond the 2 GB of a Shapefile, or a
    CRS that has no WGS 84 equivalent; InputError if the folder cannot be written; EnvironmentFault if a file is in use
    or the disk is full.
    """
    path = check_output(path)
    suffix = check_polygon_suffix(path)
    frames = iter([polygons] if isinstance(polygons, geopandas.GeoDataFrame) else polygons)
    written = [path]
    with _faults(path):
        if suffix == ".shp":
            whole = _fit_for_dbf(_collected(frames, path), path, warn)
            _check_shapefile_size(whole, path)
            written += _write_shapefile(whole, path)
            scheme = classes() if callable(classes) else classes
        else:
            with replacing(path) as part:
                if suffix == ".parquet":
                    write_geoparquet(frames, part)
                elif suffix == ".geojson":
                    first, frames = _peeked(frames)
                    # GDAL drops what is no longitude and latitude if it must follow the RFC
                    strict = "NO" if first.crs is None else "YES"
                    converted = (_in_wgs84(frame, path) for frame in frames)
                    _write(converted, part, path, COORDINATE_PRECISION=9, RFC7946=strict)
                else:
                    # 1.3: the GDAL of QGIS 3.22 warns of newer GeoPackages
                    _write(frames, part, path, **({"VERSION": "1.3"} if suffix == ".gpkg" else {}))
                scheme = classes() if callable(classes) else classes
                if suffix == ".gpkg":
                    _add_layer_style(part, path.stem, scheme)
        for ending, style in _styles(scheme, path.stem).items():
            with replacing(path.with_suffix(ending)) as part:
                part.write_text(style, encoding="utf-8")
            written.append(path.with_suffix(ending))
    return written


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        problem = f"{path}: file is in use ({error.strerror})"
        raise EnvironmentFault(problem, "close it elsewhere and run again") from error
    except pyogrio.errors.DataSourceError as error:
        raise EnvironmentFault(f"{path}: cannot be written ({error})", "check the disk and run again") from error


def _write(frames: Iterator[geopandas.GeoDataFrame], part: Path, path: Path, **options: Any) -> None:
    """Hand the frames to GDAL one after the other, as Arrow batches."""
    first, frames = _peeked(frames)
    kind = "MultiPolygon" if (first.geom_type == "MultiPolygon").any() else "Polygon"
    batches = Batches(frames)
    with warnings.catch_warnings(), batches.failing():
        warnings.filterwarnings("ignore", message="'crs' was not provided|No SRS set on layer")
        pyogrio.raw.write_arrow(
            batches.reader(), part, layer=path.stem, driver=_DRIVERS[path.suffix.lower()], geometry_type=kind,
            geometry_name="geometry", crs=None if first.crs is None else first.crs.to_wkt(), **options,
        )  # fmt: skip


def _peeked(
    frames: Iterator[geopandas.GeoDataFrame],
) -> tuple[geopandas.GeoDataFrame, Iterator[geopandas.GeoDataFrame]]:
    """Return the first frame, and all of them."""
    first = next(frames)
    return first, itertools.chain([first], frames)


def _collected(frames: Iterator[geopandas.GeoDataFrame], path: Path) -> geopandas.GeoDataFrame:
    """Return all frames as one; refuses as soon as they pass what a Shapefile holds."""
    found, shapes = [], 0
    for frame in frames:
        found.append(frame)
        shapes += _shape_bytes(frame)
        if shapes > _SHAPEFILE_BYTES:
            raise _too_large(path, f"more than {sum(map(len, found))}", shapes)
    if len(found) == 1:
        return found[0]
    return geopandas.GeoDataFrame(pandas.concat(found, ignore_index=True), crs=found[0].crs)


def _in_wgs84(frame: geopandas.GeoDataFrame, path: Path) -> geopandas.GeoDataFrame:
    if frame.crs is None:
        return frame
    try:
        converted = frame.to_crs(4326)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"{path}: CRS {frame.crs.name!r} has no WGS 84 equivalent ({error})", "write .gpkg") from error
    if not np.isfinite(converted.total_bounds).all() and len(frame):
        raise UsageError(f"{path}: CRS {frame.crs.name!r} has no WGS 84 equivalent everywhere", "write .gpkg")
    return converted


def _fit_for_dbf(frame: geopandas.GeoDataFrame, path: Path, warn: Callable[[str], None]) -> geopandas.GeoDataFrame:
    """Shorten texts to the 254 bytes of a DBF field, between characters, and say so."""
    for column in _TEXTS:
        shorter = {t: _shortened(t) for t in frame[column].unique() if len(t.encode()) > _DBF_TEXT_BYTES}
        if shorter:
            warn(
                f"{path}: {column} is cut to the {_DBF_TEXT_BYTES} bytes that a Shapefile holds; write .gpkg to keep it"
            )
            frame = frame.assign(**{column: frame[column].replace(shorter)})
    return frame


def _shortened(text: str) -> str:
    return text.encode()[:_DBF_TEXT_BYTES].decode(errors="ignore")


def _check_shapefile_size(frame: geopandas.GeoDataFrame, path: Path) -> None:
    """Refuse what would pass 2 GB, before a byte is written."""
    widths = [max(len(t.encode()) for t in ["", *frame[c].unique()]) for c in _TEXTS]
    table = 256 + len(frame) * (sum(max(w, _DBF_DEFAULT_TEXT_BYTES) for w in widths) + _DBF_NUMBER_BYTES)
    size = max(100 + _shape_bytes(frame), table)
    if size > _SHAPEFILE_BYTES:
        raise _too_large(path, str(len(frame)), size)


def _shape_bytes(frame: geopandas.GeoDataFrame) -> int:
    """Return the bytes of these polygons in the .shp, without its header."""
    geometries = frame.geometry.values
    parts = shapely.get_parts(geometries)
    rings = int(shapely.get_num_interior_rings(parts).sum()) + len(parts)
    return 52 * len(frame) + 4 * rings + 16 * int(shapely.get_num_coordinates(geometries).sum())


def _too_large(path: Path, count: str, size: int) -> UsageError:
    return UsageError(
        f"{path}: {count} polygons need {size / 1e9:.1f} GB, a Shapefile holds 2 GB",
        "write .gpkg, or ask for fewer polygons with --min-area",
    )


def _write_shapefile(frame: geopandas.GeoDataFrame, path: Path) -> list[Path]:
    """Write all parts under a passing name, then rename; the .shp comes last."""
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    parts = [part.with_suffix(s) for s in _SHAPEFILE_PARTS]
    written = []
    try:
        with replacing(path):
            _write(iter([frame]), part, path, ENCODING="UTF-8")
            for source, suffix in zip(parts, _SHAPEFILE_PARTS, strict=True):
                target = path.with_suffix(suffix)
                if source.exists():
                    os.replace(source, target)
                    written.append(target)
                else:
                    target.unlink(missing_ok=True)
    finally:
        for source in parts:
            source.unlink(missing_ok=True)
    return written


def _styles(classes: ClassScheme | None, layer: str) -> dict[str, str]:
    return {} if classes is None else {".qml": polygon_qml(classes), ".sld": polygon_sld(classes, layer)}


def _add_layer_style(path: Path, layer: str, classes: ClassScheme | None) -> None:
    """Put the style where QGIS looks for it in a GeoPackage: the table ``layer_styles``."""
    if classes is None:
        return
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), "
            "f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), "
            "styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES "
            "('layer_styles', 'attributes', 'layer_styles')"
        )
        column = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, 'classes', ?, ?, 1, ?, '')",
            (layer, column[0], polygon_qml(classes), polygon_sld(classes, layer), "Class colours"),
        )
