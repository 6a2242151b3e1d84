"""From layers to the files that the engine reads."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import QgsMapLayer, QgsProviderRegistry, QgsRasterLayer, QgsRectangle

from ..pixel_grid import PixelGrid, pixel_grid
from ..translate import tr

#: Vector formats the engine reads as they are; layers of others, or with only their selection, are exported first.
VECTOR_FORMATS = ["gpkg", "shp", "geojson", "fgb"]

#: How GDAL calls a part of a raster, or a raster in another place.
_VRT = "vrt://"


def raster_refusal(layer: QgsMapLayer | None) -> str:
    """Return why the engine cannot read ``layer``, or an empty text."""
    if not isinstance(layer, QgsRasterLayer) or not layer.isValid():
        return tr("The raster layer is missing or cannot be read; choose another.")
    if layer.providerType() != "gdal":
        return tr(
            "Layer “{}” is served by “{}” and is no file; save it first with Layer > Save As… and use the copy."
        ).format(layer.name(), layer.providerType())
    grid = pixel_grid(layer)
    if grid.by_points:
        return tr(
            "Layer “{}” is placed by ground control points alone; warp it first (Raster > Projections > Warp) and use "
            "the result."
        ).format(layer.name())
    if grid.plain and "?" in raster_path(layer):
        return tr("Layer “{}” has no georeference and “?” in its file's name; rename the file.").format(layer.name())
    return ""


def raster_path(layer: QgsRasterLayer) -> str:
    """Return what the engine opens for a raster layer of files."""
    source = layer.source()
    parts: dict[str, Any] = QgsProviderRegistry.instance().decodeUri("gdal", source)
    path = parts.get("path") or ""
    if not parts.get("layerName") and not parts.get("vsiPrefix") and path and os.path.exists(path):
        return os.path.abspath(path)
    return source.split("|", 1)[0]


def file_of(path: str) -> str:
    """Return the file behind what the engine opens: that of ``vrt://FILE?...``, else the path itself."""
    return path[len(_VRT) :].partition("?")[0] if path.startswith(_VRT) else path


def engine_raster(layer: QgsRasterLayer) -> str:
    """Return what the engine opens for a raster layer so that its results lie where QGIS shows the layer.

    An image without georeference is placed where QGIS draws it, below y = 0; else polygons would be its mirror image.
    """
    grid = pixel_grid(layer)
    return _vrt(layer, grid) if grid.plain else raster_path(layer)


def engine_box(box: QgsRectangle) -> str:
    """Return a box in the layer's CRS as the engine reads it: minx,miny,maxx,maxy."""
    return ",".join(repr(v) for v in (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()))


def window_path(layer: QgsRasterLayer, box: QgsRectangle) -> str:
    """Return what the engine opens for the pixels of a raster layer that a box touches.

    An empty text if there are none, or if the file cannot be opened so.
    """
    grid = pixel_grid(layer)
    window = grid.window(box)
    path = raster_path(layer)
    if not os.path.isfile(path) or "?" in path or window[2] < 1 or window[3] < 1:
        return ""
    return _vrt(layer, grid, window)


def _vrt(layer: QgsRasterLayer, grid: PixelGrid, window: tuple[int, int, int, int] | None = None) -> str:
    """Return GDAL's name for a window of a file, all of it unless given, in the place where QGIS draws it."""
    options = [f"srcwin={','.join(map(str, window))}"] if window else []
    if grid.plain:
        west, south, east, north = grid.box_of(*(window or (0, 0, grid.width, grid.height)))
        options.append(f"a_ullr={west:.0f},{north:.0f},{east:.0f},{south:.0f}")
    return f"{_VRT}{raster_path(layer)}?{'&'.join(options)}"
