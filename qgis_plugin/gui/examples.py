"""The layer of examples that are drawn on the map."""

from __future__ import annotations

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFillSymbol,
    QgsGeometry,
    QgsMapLayer,
    QgsSingleSymbolRenderer,
    QgsVectorLayer,
)

from ..translate import tr

_DRAWN = "wsss_geo/examples"


def new_examples(crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
    """Return an empty temporary layer of polygons in ``crs``, drawn as outlines that are seen on any image."""
    layer = QgsVectorLayer("Polygon", tr("Examples"), "memory")
    layer.setCrs(crs)
    layer.setCustomProperty(_DRAWN, True)
    symbol = QgsFillSymbol.createSimple(
        {"color": "255,214,0,40", "outline_color": "255,214,0,255", "outline_width": "0.7"}
    )
    layer.setRenderer(QgsSingleSymbolRenderer(symbol))
    return layer


def is_drawn(layer: QgsMapLayer | None) -> bool:
    """Whether it is a layer of ``new_examples``, still temporary."""
    return (
        isinstance(layer, QgsVectorLayer)
        and layer.isValid()
        and layer.providerType() == "memory"
        and bool(layer.customProperty(_DRAWN))
    )


def add_example(layer: QgsVectorLayer, polygon: QgsGeometry) -> None:
    """Add a polygon in the layer's CRS."""
    feature = QgsFeature(layer.fields())
    feature.setGeometry(polygon)
    layer.dataProvider().addFeatures([feature])
    _changed(layer)


def drop_last(layer: QgsVectorLayer) -> None:
    """Take the polygon away that was drawn last."""
    ids = sorted(layer.allFeatureIds())
    if ids:
        layer.dataProvider().deleteFeatures(ids[-1:])
        _changed(layer)


def _changed(layer: QgsVectorLayer) -> None:
    layer.updateExtents()
    layer.reload()
    layer.triggerRepaint()
