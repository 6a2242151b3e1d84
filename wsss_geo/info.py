"""What a path holds: a model, a raster or a tile set, as plain values for people and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.jobs import SPLITS
from wsss_geo.raster.cog import read_scheme
from wsss_geo.raster.files import is_local
from wsss_geo.raster.info import RasterInfo, describe


def describe_path(path: str) -> dict[str, Any]:
    """Describe the model, raster or tile set at ``path``; the values are plain, so they can be written as JSON.

    Raises InputError when it is none of these, ModelError for a model file that cannot be used.
    """
    place = Path(path)
    if is_local(path) and not place.exists():
        raise InputError(path, "no such file or folder", "give a model, a raster or a tile set")
    if place.is_dir():
        return _tileset(place)
    if place.suffix == ".safetensors":
        return _model(place)
    return _raster(path)


def _model(path: Path) -> dict[str, Any]:
    from wsss_geo.nn.fewshot_file import read_few_shot_card
    from wsss_geo.nn.model_file import read_card
    from wsss_geo.nn.weights_file import read_backbone_card
    from wsss_geo.record import file_hash

    if few_shot := read_few_shot_card(path):
        facts = {"kind": "few-shot model", "path": str(path), "bytes": path.stat().st_size, "sha256": file_hash(path)}
        return {**facts, **few_shot.to_json()}
    backbone = read_backbone_card(path)
    kind = "model" if backbone is None else "backbone weights"
    card = read_card(path).to_json() if backbone is None else backbone.to_json()
    if backbone is None:
        card["classes"] = _classes(read_card(path).classes)
    return {"kind": kind, "path": str(path), "bytes": path.stat().st_size, "sha256": file_hash(path), **card}


def _raster(path: str) -> dict[str, Any]:
    info = describe(path)
    scheme = read_scheme(path)
    return {
        "kind": "raster",
        "path": info.path,
        "driver": info.driver,
        "width": info.width,
        "height": info.height,
        "bands": _bands(info),
        "crs": _crs(info),
        "georeference": info.georeference,
        "gsd": info.gsd,
        "transform": list(info.transform)[:6],
        "bounds": _bounds(info),
        "mask": "alpha band" if info.alpha_band else "mask" if info.has_mask else None,
        "palette": None if info.palette is None else len(info.palette),
        "block": list(info.block),
        "overviews": [list(shape) for shape in info.overviews],
        "classes": None if scheme is None else _classes(scheme),
    }


def _tileset(path: Path) -> dict[str, Any]:
    from wsss_geo.tileset.index import read_tileset

    found = read_tileset(path)
    parts = [s for s in SPLITS if len(found.of_split(s))]
    sums = {s: found.tags_matrix(found.of_split(s)).sum(axis=0).astype(int).tolist() for s in parts}
    counts = {name: {s: sums[s][i] for s in parts} for i, name in enumerate(found.scheme.taggable)}
    tiles = found.tiles
    return {
        "kind": "tile set",
        "path": str(path),
        "tiles": len(found),
        "tagged": int(tiles["tagged"].sum()),
        "with_mask": int(tiles["mask"].notna().sum()),
        "scenes": int(tiles["scene_id"].nunique()),
        "sources": int(tiles["source"].nunique()),
        "splits": {s: len(found.of_split(s)) for s in parts},
        "tags": counts,
        "classes": _classes(found.scheme),
        "background": found.scheme.background,
        "size": found.size,
        "gsd": found.gsd,
        "bands": list(found.band_names),
        "materialized": found.materialized,
    }


def _classes(scheme: ClassScheme) -> dict[str, Any]:
    return {c.name: {"id": c.id, "color": c.color} for c in scheme.classes}


def _bands(info: RasterInfo) -> dict[str, Any]:
    """Type, colour, description and nodata of each band, by its number from 1."""
    listed = zip(info.dtypes, info.colors, info.descriptions, info.nodata, strict=True)
    return {
        str(number): {"type": kind, "color": color, "description": text or None, "nodata": _plain(nodata)}
        for number, (kind, color, text, nodata) in enumerate(listed, start=1)
    }


def _plain(nodata: float | None) -> float | str | None:
    """JSON knows neither NaN nor infinity."""
    return nodata if nodata is None or abs(nodata) < float("inf") else str(nodata)


def _crs(info: RasterInfo) -> str | None:
    if info.crs is None:
        return None
    code = info.crs.to_epsg()
    return f"EPSG:{code}" if code else str(info.crs.to_wkt())


def _bounds(info: RasterInfo) -> list[float] | None:
    """Left, bottom, right, top of the extent in the CRS."""
    if info.crs is None:
        return None
    corners = [info.transform * c for c in ((0, 0), (info.width, 0), (0, info.height), (info.width, info.height))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return [min(xs), min(ys), max(xs), max(ys)]
