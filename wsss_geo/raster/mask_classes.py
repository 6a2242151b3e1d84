"""Mask rasters: whether a raster is one, and which classes its values stand for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml  # nosec B405: reads only what GDAL wrote just now

import numpy as np
import rasterio.shutil

from wsss_geo.classes import IGNORE, ClassScheme, read_classes
from wsss_geo.errors import InputError, UsageError
from wsss_geo.raster.cog import read_scheme
from wsss_geo.raster.files import is_local, open_raster
from wsss_geo.raster.info import RasterInfo, describe


def describe_mask(path: str) -> RasterInfo:
    """Return the header of a mask raster. Raises InputError for what cannot be one."""
    info = describe(path)
    if len(info.image_bands) != 1:
        raise InputError(path, f"has {len(info.image_bands)} bands", "give a mask, which has one band of class ids")
    if np.dtype(info.dtypes[0]).kind not in "iu":
        hint = "give class ids as whole numbers, for example after gdal_translate -ot Byte"
        raise InputError(path, f"has values of type {info.dtypes[0]}", hint)
    return info


def read_mask_classes(path: str) -> ClassScheme | None:
    """Return the classes that a mask raster names itself, or None.

    Looked for in this order: what our own masks carry; the category names of band 1 with the colours of its palette;
    a ``classes.json`` in the folder of the mask.
    Raises InputError if what is found is no class scheme.
    """
    if (scheme := read_scheme(path)) is not None:
        return scheme
    with open_raster(path) as dataset:
        names = _category_names(dataset)
        palette = _palette(dataset)
    if names:
        return _scheme(path, names, palette)
    beside = Path(path).parent / "classes.json"
    return read_classes(beside) if is_local(path) and beside.exists() else None


def classes_of_values(path: str, values: Iterable[int]) -> ClassScheme | None:
    """Return classes called after the ``values`` in a mask, with the colours of its palette; None if there are none."""
    with open_raster(path) as dataset:
        palette = _palette(dataset)
    names = {v: str(v) for v in sorted(values) if 0 <= v < IGNORE}
    return _scheme(path, names, palette) if names else None


def _scheme(path: str, names: Mapping[int, str], palette: Mapping[int, tuple[int, ...]]) -> ClassScheme:
    entries: list[dict[str, Any]] = []
    for value, name in names.items():
        entry: dict[str, Any] = {"id": value, "name": name}
        if value in palette:
            entry["color"] = "#" + bytes(palette[value][:3]).hex()
        entries.append(entry)
    try:
        return ClassScheme.from_json(entries)
    except UsageError as error:
        raise InputError(path, error.problem, "give --classes") from None


def _palette(dataset: Any) -> Mapping[int, tuple[int, ...]]:
    return dataset.colormap(1) if dataset.colorinterp[0].name == "palette" else {}


def _category_names(dataset: Any) -> dict[int, str]:
    """Return value -> name. GDAL's category names have no door in rasterio but the description of a VRT."""
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "mask.vrt"
        rasterio.shutil.copy(dataset, description, driver="VRT")
        root = Xml.fromstring(description.read_bytes())  # nosec B314: GDAL wrote it just now
    band = root.find("VRTRasterBand[@band='1']/CategoryNames")
    if band is None:
        return {}
    named = {i: (c.text or "").strip() for i, c in enumerate(band.findall("Category"))}
    return {i: name for i, name in named.items() if name and i < IGNORE}
