"""How results look: classes in their own colours, with their names in the legend."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsContrastEnhancement,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterLayer,
    QgsSingleBandGrayRenderer,
    QgsVectorLayer,
)

from .compat import group_layer

#: What a mask of "Find similar" holds where something was found.
FOUND = 1

# QGIS keeps a bare pointer to a post-processor and calls it after the algorithm has gone.
_kept: deque[Any] = deque(maxlen=64)


def style_on_load(context: QgsProcessingContext, path: str, role: str, name: str, group: str) -> None:
    """Let the layer at ``path`` be named, grouped and styled when QGIS loads it; ``role`` as in ``Styler``."""
    if not context.willLoadLayerOnCompletion(path):
        return
    details = context.layerToLoadOnCompletionDetails(path)
    details.name = name
    group_layer(details, group)
    styler = Styler(role)
    _kept.append(styler)
    details.setPostProcessor(styler)
    context.addLayerToLoadOnCompletion(path, details)


def forget_stylers() -> None:
    """Let go of all post-processors, when the plugin is unloaded."""
    _kept.clear()


class Styler(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer just loaded; ``role`` is mask, found, polygons or confidence."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:
        """Style ``layer``; QGIS calls this in the main thread."""
        if self._role == "mask" and isinstance(layer, QgsRasterLayer):
            style_mask(layer)
        elif self._role == "found" and isinstance(layer, QgsRasterLayer):
            style_mask(layer, shown=(FOUND,))
        elif self._role == "confidence" and isinstance(layer, QgsRasterLayer):
            style_confidence(layer)
        elif self._role == "polygons" and isinstance(layer, QgsVectorLayer):
            style_polygons(layer)
        layer.triggerRepaint()


def style_mask(layer: QgsRasterLayer, shown: Collection[int] | None = None) -> None:
    """Show the classes of a mask that have a name, or of them those ``shown``, in the colours of its colour table."""
    provider = layer.dataProvider()
    nodata = provider.sourceNoDataValue(1) if provider.sourceHasNoDataValue(1) else None
    entries = QgsPalettedRasterRenderer.colorTableToClassData(provider.colorTable(1))
    classes = [e for e in entries if e.label.strip() and e.value != nodata and e.label != str(int(e.value))]
    if shown is not None:
        classes = [c for c in classes if int(c.value) in shown]
    if classes:
        layer.setRenderer(QgsPalettedRasterRenderer(provider, 1, classes))


def style_confidence(layer: QgsRasterLayer) -> None:
    """Show confidence from black to white, the same on every raster; QGIS applies the scale that makes it 0 to 1."""
    provider = layer.dataProvider()
    stretch = QgsContrastEnhancement(provider.dataType(1))
    stretch.setMinimumValue(0)
    stretch.setMaximumValue(255 * provider.bandScale(1))
    stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
    renderer = QgsSingleBandGrayRenderer(provider, 1)
    renderer.setContrastEnhancement(stretch)
    layer.setRenderer(renderer)


def style_polygons(layer: QgsVectorLayer) -> None:
    """Load the style file beside the polygons, if there is one and it is one for polygons."""
    path = Path(layer.source().split("|", 1)[0]).with_suffix(".qml")
    if not path.is_file():
        return
    before = layer.renderer().clone() if layer.renderer() else None
    layer.loadNamedStyle(str(path))
    if layer.renderer() is None and before is not None:
        layer.setRenderer(before)
