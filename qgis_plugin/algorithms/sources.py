"""From layers to the files that the engine reads."""

from __future__ import annotations

import math
import os
from typing import Any

from qgis.core import QgsMapLayer, QgsProviderRegistry, QgsRasterLayer, QgsRectangle

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


def engine_box(layer: QgsRasterLayer, box: QgsRectangle) -> str:
    """Return a box in the layer's CRS as the engine reads it: minx,miny,maxx,maxy."""
    south, north = box.yMinimum(), box.yMaximum()
    if _has_no_georeference(layer):
        south, north = -north, -south
    return ",".join(repr(v) for v in (box.xMinimum(), south, box.xMaximum(), north))


def _has_no_georeference(layer: QgsRasterLayer) -> bool:
    """Whether QGIS draws the raster below y = 0, pixel by unit; for the engine its rows count downwards from 0."""
    box = layer.extent()
    corner = (box.xMinimum(), box.yMaximum(), box.width(), box.height())
    return not layer.crs().isValid() and corner == (0, 0, layer.width(), layer.height())


def window_of(layer: QgsRasterLayer, box: QgsRectangle) -> tuple[int, int, int, int]:
    """Return the first column and row, width and height of the pixels that a box in the layer's CRS touches.

    Width and height are 0 or less where it touches none.
    """
    extent = layer.extent()
    width, height = extent.width() / layer.width(), extent.height() / layer.height()
    left = max(0, math.floor((box.xMinimum() - extent.xMinimum()) / width))
    top = max(0, math.floor((extent.yMaximum() - box.yMaximum()) / height))
    right = min(layer.width(), math.ceil((box.xMaximum() - extent.xMinimum()) / width))
    bottom = min(layer.height(), math.ceil((extent.yMaximum() - box.yMinimum()) / height))
    return left, top, right - left, bottom - top


def window_path(layer: QgsRasterLayer, box: QgsRectangle) -> str:
    """Return what the engine opens for a part of a raster layer; an empty text if its file cannot be opened so.

    A part of a raster without georeference would not know where it was.
    """
    path = raster_path(layer)
    left, top, width, height = window_of(layer, box)
    if _has_no_georeference(layer) or not os.path.isfile(path) or "?" in path or width < 1 or height < 1:
        return ""
    return f"vrt://{path}?srcwin={left},{top},{width},{height}"
