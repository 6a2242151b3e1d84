"""How scenes look: outlines that leave the picture free, tagged ones tinted."""

from __future__ import annotations

from qgis.core import QgsFillSymbol, QgsRuleBasedRenderer, QgsVectorLayer

from ..translate import tr

_OUTLINE = {"outline_width": "0.15", "outline_width_unit": "MM"}


def style_scenes(layer: QgsVectorLayer) -> None:
    """Draw untagged scenes as thin outlines, tagged ones with a tint."""
    rules = (
        (tr("Untagged"), '"tags" IS NULL', {"style": "no", "outline_color": "255,255,255,110"}),
        (tr("Tagged"), "\"tags\" <> ''", {"color": "0,200,120,40", "outline_color": "0,120,70,255"}),
        (tr("None of the classes"), "\"tags\" = ''", {"color": "90,90,90,90", "outline_color": "60,60,60,255"}),
    )
    root = QgsRuleBasedRenderer.Rule(None)
    for label, expression, look in rules:
        symbol = QgsFillSymbol.createSimple({**_OUTLINE, **look})
        root.appendChild(QgsRuleBasedRenderer.Rule(symbol, 0, 0, expression, label))
    layer.setRenderer(QgsRuleBasedRenderer(root))
    layer.triggerRepaint()
