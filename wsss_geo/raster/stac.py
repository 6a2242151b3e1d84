"""The rasters of STAC items (SpatioTemporal Asset Catalog 1.0): which asset is the picture, and where it lies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss_geo.errors import InputError
from wsss_geo.raster.files import is_local

_MEDIA = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/png", "image/jpeg", "application/x-geotiff")
_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img")
_LONGEST_NAME = 100
_NOT_DATA = {"thumbnail", "overview", "metadata", "cloud", "cloud-shadow", "snow-ice", "water-mask", "data-mask"}


@dataclass(frozen=True)
class Item:
    """``name`` is the id of the item, fit for a file name; ``href`` the path or address of its raster."""

    name: str
    href: str


def read_items(path: str, asset: str | None = None) -> list[Item]:
    """Return the items in a file that holds one (a GeoJSON Feature) or several (an ItemCollection).

    ``asset`` names the asset to take. Without it, it is the only raster with the role ``visual``, else the only one
    with the role ``data``, else the only raster. Raises InputError where that is none or not one.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as JSON ({reason})", "give a STAC item or a raster") from None
    kind = content.get("type") if isinstance(content, dict) else None
    features = content.get("features") if kind == "FeatureCollection" else [content]
    if not isinstance(features, list) or not all(isinstance(f, dict) and _assets(f) is not None for f in features):
        raise InputError(path, "is no STAC item and no collection of items", "give items with assets, or a raster")
    if not features:
        raise InputError(path, "holds no STAC item", "give items with assets, or a raster")
    return [_item(path, feature, asset) for feature in features]


def _assets(feature: Mapping[str, Any]) -> Mapping[str, Any] | None:
    assets = feature.get("assets")
    whole = isinstance(assets, dict) and all(
        isinstance(a, dict) and isinstance(a.get("href"), str) and isinstance(a.get("roles") or [], list)
        for a in assets.values()
    )
    return assets if whole and isinstance(feature.get("id"), str) else None


def _item(path: str, feature: Mapping[str, Any], wanted: str | None) -> Item:
    assets = _assets(feature) or {}
    source = f"{path}: item {feature['id']}"
    if wanted is not None:
        if wanted not in assets:
            raise InputError(source, f"has no asset {wanted}", f"choose one of {_listed(list(assets))}")
        key = wanted
    else:
        key = _picture(source, assets)
    name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in feature["id"][:_LONGEST_NAME]).strip(" .")
    return Item(name or "item", _resolved(path, assets[key]["href"]))


def _picture(source: str, assets: Mapping[str, Any]) -> str:
    """Return the key of the asset that shows the picture."""
    rasters = [key for key, asset in assets.items() if _is_raster(asset)]
    for role in ("visual", "data"):
        having = [key for key in rasters if role in (assets[key].get("roles") or ())]
        if len(having) == 1:
            return having[0]
        if having:
            rasters = having
            break
    if len(rasters) == 1:
        return rasters[0]
    if rasters:
        raise InputError(source, f"has several rasters: {_listed(rasters)}", "choose one with --asset")
    raise InputError(source, f"has no raster among its assets ({_listed(list(assets))})", "choose one with --asset")


def _is_raster(asset: Mapping[str, Any]) -> bool:
    roles = asset.get("roles") or ()
    media = str(asset.get("type") or "").lower()
    if _NOT_DATA.intersection(map(str, roles)):
        return False
    return media.startswith(_MEDIA) if media else asset["href"].split("?", 1)[0].lower().endswith(_SUFFIXES)


def _resolved(path: str, href: str) -> str:
    """Return ``href`` as seen from here; relative ones count from the item's folder."""
    if not is_local(href) or os.path.isabs(href):
        return href
    return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(path)), href))


def _listed(keys: list[str]) -> str:
    shown = keys[:12] if len(keys) > 12 else keys
    return ", ".join(shown) + (", ..." if len(keys) > len(shown) else "")
