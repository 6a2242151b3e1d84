"""Mask and confidence as one raster, so that a threshold on the confidence is a matter of drawing alone.

Its values are 256 * class id + confidence (0..255). A class is a range of 256 values; those below the threshold are
declared nodata in the layer, which QGIS does while it draws.
"""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsColorRampShader,
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsPalettedRasterRenderer,
    QgsProperty,
    QgsRasterLayer,
    QgsRasterRange,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
    QgsSymbolLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from .pixel_grid import pixel_grid

_STEP = 256
_LARGEST = _STEP * _STEP - 1
_IDS = "wsss_geo/class_ids"

_VRT = """<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{georeference}
  <VRTRasterBand dataType="UInt16" band="1" subClass="VRTDerivedRasterBand">
    <PixelFunctionType>sum</PixelFunctionType>
    <SourceTransferType>UInt16</SourceTransferType>
    <ComplexSource>
      <SourceFilename relativeToVRT="1">{mask}</SourceFilename><SourceBand>1</SourceBand>
      <ScaleOffset>0</ScaleOffset><ScaleRatio>256</ScaleRatio>
    </ComplexSource>
    <SimpleSource>
      <SourceFilename relativeToVRT="1">{confidence}</SourceFilename><SourceBand>1</SourceBand>
    </SimpleSource>
  </VRTRasterBand>
</VRTDataset>
"""


@dataclass(frozen=True)
class _Class:
    id: int
    name: str
    color: QColor


def confident_layer(mask: QgsRasterLayer, confidence: str, path: str, name: str) -> QgsRasterLayer:
    """Write the VRT ``path`` of a styled mask and the confidence raster on its grid; return it as styled layer."""
    grid, crs = pixel_grid(mask), mask.crs()
    place = "" if grid.plain else f"\n  <GeoTransform>{', '.join(map(repr, grid.place))}</GeoTransform>"
    if crs.isValid():
        wkt = crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
        place = f"\n  <SRS>{html.escape(wkt)}</SRS>{place}"
    mask_path, folder = mask.source().split("|", 1)[0], os.path.dirname(path)
    text = _VRT.format(
        width=grid.width,
        height=grid.height,
        georeference=place,
        mask=html.escape(os.path.relpath(mask_path, folder)),
        confidence=html.escape(os.path.relpath(confidence, folder)),
    )
    Path(path).write_text(text, encoding="utf-8")
    layer = QgsRasterLayer(path, name)
    _style(layer, _classes(mask))
    set_threshold(layer, 0.0)
    return layer


def set_threshold(layer: QgsMapLayer, share: float) -> None:
    """Draw only what has at least this confidence (0..1): pixels of a confident layer, polygons by their mean."""
    if isinstance(layer, QgsRasterLayer) and layer.customProperty(_IDS):
        first, shown = round(share * 255), 0
        hidden = []
        for number in sorted(int(word) for word in str(layer.customProperty(_IDS)).split(",")):
            if number * _STEP + first > shown:
                hidden.append(QgsRasterRange(shown, number * _STEP + first - 1))
            shown = (number + 1) * _STEP
        hidden.append(QgsRasterRange(shown, _LARGEST))
        layer.dataProvider().setUserNoDataValue(1, hidden)
    elif isinstance(layer, QgsVectorLayer) and layer.fields().indexOf("conf") >= 0:
        _set_polygon_threshold(layer, share)
    layer.triggerRepaint()


def _classes(mask: QgsRasterLayer) -> list[_Class]:
    renderer = mask.renderer()
    if not isinstance(renderer, QgsPalettedRasterRenderer):
        return []
    return [_Class(int(c.value), c.label, c.color) for c in renderer.classes()]


def _style(layer: QgsRasterLayer, classes: Sequence[_Class]) -> None:
    shader = QgsColorRampShader()
    shader.setColorRampType(QgsColorRampShader.Type.Discrete)
    ordered = sorted(classes, key=lambda c: c.id)
    item = QgsColorRampShader.ColorRampItem
    shader.setColorRampItemList([item(c.id * _STEP + _STEP - 1, c.color, c.name) for c in ordered])
    function = QgsRasterShader()
    function.setRasterShaderFunction(shader)
    layer.setRenderer(QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, function))
    layer.setCustomProperty(_IDS, ",".join(str(c.id) for c in ordered))


def _set_polygon_threshold(layer: QgsVectorLayer, share: float) -> None:
    if not isinstance(layer.renderer(), QgsCategorizedSymbolRenderer):
        return
    renderer = layer.renderer().clone()
    shown = QgsProperty.fromExpression(f'"conf" >= {share!r}', share > 0)
    for at, category in enumerate(renderer.categories()):
        symbol = category.symbol().clone()
        for part in symbol.symbolLayers():
            part.setDataDefinedProperty(QgsSymbolLayer.Property.PropertyLayerEnabled, shown)
        renderer.updateCategorySymbol(at, symbol)
    layer.setRenderer(renderer)
