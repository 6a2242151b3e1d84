"""The part of a raster layer that an algorithm works on: its parameters EXTENT, CLIP and AOI, and its bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext, QgsRasterLayer

from ..pixel_grid import pixel_grid
from ..translate import tr
from .sources import VECTOR_FORMATS, engine_box, engine_raster, window_path


def has_extent(
    algorithm: QgsProcessingAlgorithm, parameters: Any, context: QgsProcessingContext, layer: QgsRasterLayer
) -> bool:
    """Whether an extent is given that is one."""
    if parameters.get("EXTENT") in (None, ""):
        return False
    box = algorithm.parameterAsExtent(parameters, "EXTENT", context, layer.crs())
    return not box.isNull() and not box.isEmpty()


def area_refusal(
    algorithm: QgsProcessingAlgorithm, parameters: Any, context: QgsProcessingContext, layer: QgsRasterLayer
) -> str:
    """Return why the area cannot be the one to work on, or an empty text."""
    if parameters.get("EXTENT") not in (None, "") and parameters.get("AOI") not in (None, ""):
        return tr("Both an extent and polygons are given; keep one of them.")
    if has_extent(algorithm, parameters, context, layer):
        box = algorithm.parameterAsExtent(parameters, "EXTENT", context, layer.crs())
        if not box.intersects(layer.extent()):
            return tr("The extent does not touch layer “{}”; choose one that does.").format(layer.name())
    return ""


def bands_refusal(bands: Sequence[int], layer: QgsRasterLayer) -> str:
    """Return why ``bands`` (from 1) cannot be read from the layer, or an empty text."""
    if all(1 <= b <= layer.bandCount() for b in bands):
        return ""
    return tr("Bands {}: layer “{}” has bands 1 to {}; choose among them.").format(
        list(bands), layer.name(), layer.bandCount()
    )


def area_of(
    algorithm: QgsProcessingAlgorithm,
    parameters: Any,
    context: QgsProcessingContext,
    layer: QgsRasterLayer,
    feedback: Any,
) -> tuple[str, str | None]:
    """Return what the engine opens for the layer and its area of interest, None for all of it."""
    path = engine_raster(layer)
    if parameters.get("AOI") not in (None, ""):
        area = algorithm.parameterAsCompatibleSourceLayerPath(
            parameters, "AOI", context, VECTOR_FORMATS, "gpkg", feedback
        )
        return path, area
    if not has_extent(algorithm, parameters, context, layer):
        return path, None
    box = algorithm.parameterAsExtent(parameters, "EXTENT", context, layer.crs())
    part = window_path(layer, box) if algorithm.parameterAsBool(parameters, "CLIP", context) else ""
    if part and not pixel_grid(layer).turned:
        return part, None
    return part or path, engine_box(box)
