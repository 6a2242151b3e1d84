"""Tags from a vector layer: drawn polygons and points of one class each, or scenes with a list of classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.tag_table import TagTable, merged
from wsss_geo.tileset.tags_csv import split_tags

_GUESSES = ("class", "class_name", "classname", "label", "name")
_POLYGONS = (3, 6)  # shapely type ids of Polygon and MultiPolygon


def vector_tags(
    path: Path, sources: Sequence[Source], attribute: str | None, min_area: float, report: Progress
) -> TagTable:
    """Join the features of a layer with tiles, in the CRS of each raster. Raises InputError.

    Features of one class: a tile takes the classes whose polygons cover at least ``min_area`` of it, and those of
    all points and lines in it; a tile that no feature touches stays untagged. Features with a list ``tags`` are
    scenes: a tile takes the tags of the scenes that hold its centre, or of the points in it. Of scenes that overlap
    there it takes those that cover most of it, and none if they are untagged (no value in ``tags``).
    """
    frame = _read(path)
    attribute, scenes = _attribute(path, frame, attribute)
    names = [_names(value, path, i, scenes) for i, value in enumerate(frame[attribute])]
    usable = np.array([scenes or bool(n) for n in names], dtype=bool)
    usable &= ~(frame.geometry.isna() | frame.geometry.is_empty).to_numpy()
    kept = [n for n, u in zip(names, usable, strict=True) if u]
    shapes = frame.geometry[usable]
    ids = [str(i) for i, u in zip(frame.index, usable, strict=True) if u]

    pairs: list[tuple[str, tuple[str, ...]]] = []
    hit: set[int] = set()
    for source in sources:
        pixels = _in_pixels(path, shapes, source)
        join = _scene_join if scenes else _class_join
        tile_ids = source.tile_ids
        for tile, found, features in join(pixels, kept, source, min_area):
            pairs.append((tile_ids[tile], found))
            hit.update(features)
    if frame.crs is None and any(s.crs is not None for s in sources):
        report.warn(f"{path}: has no CRS, taken to be that of the rasters")
    given = [at for at, found in enumerate(kept) if found is not None]
    missed = [f"feature {ids[at]}" for at in given if at not in hit]
    return TagTable(
        merged(pairs),
        given=len(given),
        missed=len(missed),
        unmatched=tuple(missed[:5]),
        expected="check the CRS of the layer and that it overlaps the rasters",
    )


def _read(path: Path) -> Any:
    from wsss_geo.vector.layers import read_layer

    frame = read_layer(path, "give tags as a CSV, a layer of polygons or points, masks or folders")
    if frame.empty:
        raise InputError(path, "has no features", "tag some scenes first")
    return frame.reset_index(drop=True)


def _attribute(path: Path, frame: Any, wanted: str | None) -> tuple[str, bool]:
    """The attribute that holds the classes, and whether its values are lists of tags."""
    listed = [c for c in frame.columns if c != frame.geometry.name]
    if wanted is None:
        lower = {str(c).lower(): c for c in listed}
        if "tags" in lower and frame[lower["tags"]].astype(str).str.contains("=>").any():
            del lower["tags"]  # key=>value pairs of OpenStreetMap, not classes
        wanted = next((lower[g] for g in ("tags", *_GUESSES) if g in lower), None)
    if wanted is None or wanted not in listed:
        problem = "no attribute for the class" if wanted is None else f"no attribute {wanted!r}"
        raise InputError(path, f"{problem}; it has {', '.join(map(str, listed)) or 'none'}", "name one with --field")
    return str(wanted), str(wanted).lower() == "tags"


def _names(value: Any, path: Path, feature: int, scenes: bool) -> tuple[str, ...] | None:
    """Class names of one feature; None where nothing was entered."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(str(v).strip() for v in value)
    text = str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
    if scenes:
        return split_tags(text, path, feature + 1)
    try:
        listed = json.loads(text) if text.startswith("[") else None
    except (json.JSONDecodeError, RecursionError):
        listed = None
    if isinstance(listed, list):
        return tuple(str(v).strip() for v in listed)
    return tuple(p.strip() for p in text.split(";") if p.strip())


def _in_pixels(path: Path, shapes: Any, source: Source) -> NDArray[Any]:
    """Geometries in pixel coordinates (x = column, y = row) of ``source``; those out of reach become empty."""
    if source.crs is not None and shapes.crs is not None:
        from wsss_geo.vector.layers import in_crs_of

        shapes = in_crs_of(source, shapes, path)
    elif source.crs is None and shapes.crs is not None:
        raise InputError(
            path, f"has a CRS but {source.path} has none", "georeference the raster or use a CSV with path"
        )
    inverse = ~source.transform
    flat = shapely.force_2d(np.asarray(shapes.array))
    if source.transform == Affine.identity() and np.nanmax(shapely.bounds(flat)[:, 3], initial=-np.inf) <= 0:
        flat = shapely.transform(flat, lambda xy: xy * (1, -1))  # QGIS draws a raster without georeference below y = 0

    def to_pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack([inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f])

    moved = np.asarray(shapely.transform(flat, to_pixels))
    bounds = shapely.bounds(moved)
    moved[~np.isfinite(bounds).all(axis=1)] = shapely.from_wkt("POLYGON EMPTY")
    broken = ~shapely.is_valid(moved)
    moved[broken] = shapely.make_valid(moved[broken])
    return moved


_Names = Sequence["tuple[str, ...] | None"]
_Joined = Iterator[tuple[int, tuple[str, ...], set[int]]]
#: Scenes that cover a tile this much as well as the best one do so equally.
_AS_GOOD = 0.99


def _scene_join(shapes: NDArray[Any], names: _Names, source: Source, _: float) -> _Joined:
    """Yield (tile, names, features) for scenes: polygons that hold the centre of a tile, points in a tile.

    In a grid whose last scenes are shifted inward several may hold the centre: those that cover most of it count.
    """
    boxes = source.boxes_px()
    polygons = np.isin(shapely.get_type_id(shapes), _POLYGONS)
    centres = shapely.centroid(boxes)
    where = np.flatnonzero(polygons)
    features, tiles = shapely.STRtree(centres).query(shapes[where], predicate="intersects")
    features = where[features]
    covered = shapely.area(shapely.intersection(shapes[features], boxes[tiles]))
    most = np.zeros(len(boxes))
    np.maximum.at(most, tiles, covered)
    owned = covered >= _AS_GOOD * most[tiles]
    yield from _given(names, features[owned], tiles[owned])
    where = np.flatnonzero(~polygons)
    features, tiles = shapely.STRtree(boxes).query(shapes[where], predicate="intersects")
    yield from _given(names, where[features], tiles)


def _given(names: _Names, features: NDArray[np.int64], tiles: NDArray[np.int64]) -> _Joined:
    for feature, tile in zip(features.tolist(), tiles.tolist(), strict=True):
        found = names[feature]
        if found is not None:
            yield tile, found, {feature}


def _class_join(shapes: NDArray[Any], names: _Names, source: Source, min_area: float) -> _Joined:
    """Yield (tile, names, features): classes by the covered share of the tile, points and lines wherever they touch.

    A tile that is touched but reaches no share is yielded with no names.
    """
    boxes = source.boxes_px()
    features, tiles = shapely.STRtree(boxes).query(shapes, predicate="intersects")
    polygons = np.isin(shapely.get_type_id(shapes), _POLYGONS)
    areas = np.zeros(len(features))
    areal = polygons[features]
    areas[areal] = shapely.area(shapely.intersection(shapes[features[areal]], boxes[tiles[areal]]))
    share = areas / shapely.area(boxes)[tiles]
    covered: dict[tuple[int, str], float] = {}
    touched: dict[int, set[int]] = {}
    for feature, tile, part, is_areal in zip(
        features.tolist(), tiles.tolist(), share.tolist(), areal.tolist(), strict=True
    ):
        if is_areal and part <= 0:
            continue
        touched.setdefault(tile, set()).add(feature)
        for name in names[feature] or ():
            covered[tile, name] = covered.get((tile, name), 0.0) + (part if is_areal else 1.0)
    found: dict[int, list[str]] = {}
    for (tile, name), part in covered.items():
        if part >= min_area * (1 - 1e-9):
            found.setdefault(tile, []).append(name)
    for tile, members in touched.items():
        yield tile, tuple(found.get(tile, ())), members
