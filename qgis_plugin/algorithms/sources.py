"""From layers to the files that the engine reads."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import QgsMapLayer, QgsProviderRegistry, QgsRasterLayer

#: Vector formats the engine reads as they are; layers of others, or with only their selection, are exported first.
VECTOR_FORMATS = ["gpkg", "shp", "geojson", "fgb"]


def raster_refusal(layer: QgsMapLayer | None) -> str:
    """Return why the engine cannot read ``layer``, or an empty text."""
    if not isinstance(layer, QgsRasterLayer) or not layer.isValid():
        return "The raster layer is missing or cannot be read; choose another."
    if layer.providerType() != "gdal":
        return (
            f"Layer “{layer.name()}” is served by “{layer.providerType()}” and is no file; "
            "save it first with Layer > Save As… and use the copy."
        )
    return ""


def raster_path(layer: QgsRasterLayer) -> str:
    """Return what the engine opens for a raster layer of files."""
    source = layer.source()
    parts: dict[str, Any] = QgsProviderRegistry.instance().decodeUri("gdal", source)
    path = parts.get("path") or ""
    if not parts.get("layerName") and not parts.get("vsiPrefix") and path and os.path.exists(path):
        return os.path.abspath(path)
    return source.split("|", 1)[0]
