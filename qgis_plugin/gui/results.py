"""Results on the map: a group named after the raster, just above it, with styled layers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from ..confident import confident_layer
from ..styling import FOUND, style_confidence, style_mask, style_polygons
from ..translate import tr

_GROUP = "wsss_geo/raster"
_PREVIEW = "wsss_geo/preview"
_SUFFIXES = {"OUTPUT": "mask.tif", "CONFIDENCE": "confidence.tif", "POLYGONS": "polygons.gpkg", "REPORT": "report.html"}


def output_paths(name: str, folder: str, polygons: bool) -> dict[str, str]:
    """Return where a run writes: in ``folder``, or a temporary one, under names that nothing has yet."""
    folder = folder or os.path.dirname(QgsProcessingUtils.generateTempFilename("x"))
    stem = first = re.sub(r"[^\w.-]+", "_", name).strip("._") or "raster"
    number = 1
    while any(Path(folder, f"{stem}_{suffix}").exists() for suffix in _SUFFIXES.values()):
        number += 1
        stem = f"{first}_{number}"
    wanted = {k: v for k, v in _SUFFIXES.items() if polygons or k != "POLYGONS"}
    return {k: os.path.join(folder, f"{stem}_{suffix}") for k, suffix in wanted.items()}


def load_results(raster_id: str, name: str, results: Mapping[str, Any], preview: bool, found: str = "") -> list[str]:
    """Add what a run wrote to the project, styled and grouped; return the ids of the layers, top first.

    A preview is one layer, which takes the place of the one before. Of a search, only what was ``found`` is shown.
    """
    label = f"{name}: {found}, {{}}" if found else f"{name}: {{}}"
    mask = QgsRasterLayer(results["OUTPUT"], label.format(tr("Mask")))
    style_mask(mask, (FOUND,) if found else None)
    path = str(Path(results["OUTPUT"]).with_suffix(".vrt"))
    title = tr("Preview") if preview else tr("Mask by confidence")
    confident = confident_layer(mask, results["CONFIDENCE"], path, label.format(title))
    group = _group(raster_id, name)
    if preview:
        _remove_previews(group)
        confident.setCustomProperty(_PREVIEW, True)
        return _add(group, [(confident, True)])
    confidence = QgsRasterLayer(results["CONFIDENCE"], label.format(tr("Confidence")))
    style_confidence(confidence)
    layers: list[tuple[QgsMapLayer, bool]] = [(confident, True), (mask, False), (confidence, False)]
    if results.get("POLYGONS"):
        polygons = QgsVectorLayer(results["POLYGONS"], label.format(tr("Polygons")), "ogr")
        style_polygons(polygons)
        layers = [(polygons, True), (confident, False), *layers[1:]]
    _remove_previews(group)
    return _add(group, layers)


def _group(raster_id: str, name: str) -> QgsLayerTreeGroup:
    root = QgsProject.instance().layerTreeRoot()
    known = [g for g in root.findGroups(True) if g.customProperty(_GROUP) == raster_id]
    if known:
        return known[0]
    node = root.findLayer(raster_id)
    parent = node.parent() if node is not None else root
    at = parent.children().index(node) if node is not None else 0
    group = parent.insertGroup(at, name)
    group.setCustomProperty(_GROUP, raster_id)
    return group


def _remove_previews(group: QgsLayerTreeGroup) -> None:
    found = [node.layer() for node in group.findLayers() if node.layer() is not None]
    QgsProject.instance().removeMapLayers([x.id() for x in found if x.customProperty(_PREVIEW)])


def _add(group: QgsLayerTreeGroup, layers: list[tuple[QgsMapLayer, bool]]) -> list[str]:
    usable = [(layer, visible) for layer, visible in layers if layer.isValid()]
    for at, (layer, visible) in enumerate(usable):
        QgsProject.instance().addMapLayer(layer, False)
        node: QgsLayerTreeLayer = group.insertLayer(at, layer)
        node.setItemVisibilityChecked(visible)
        node.setExpanded(visible)
    for expanded in (False, True):  # the tree shows a change alone, and collapses what was empty
        group.setExpanded(expanded)
    return [layer.id() for layer, _ in usable]
