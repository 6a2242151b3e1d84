"""What is sought: examples drawn on the map or taken from a layer, a model, and where to search."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsMapLayerProxyModel,
    QgsProject,
    QgsRasterLayer,
    QgsSettings,
)
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout

from ..few_shot_card import few_shot_html, read_few_shot_card
from ..options import LAST_FEW_SHOT
from ..translate import tr
from .draw_tool import DrawTool
from .examples import add_example, drop_last, is_drawn, new_examples
from .fitting import layer_box
from .run_form import FormError, RunForm, chosen_features


class SimilarForm(RunForm):
    """The fields of the dock Find Similar. ``refused(sentence)`` tells why something could not be drawn."""

    refused = pyqtSignal(str)

    def __init__(self, canvas: Any, parent: Any = None) -> None:
        last = str(QgsSettings().value(LAST_FEW_SHOT, "") or "")
        super().__init__(canvas, tr("Raster to search"), last, parent)
        self.tool = DrawTool(canvas)
        self.tool.drawn.connect(self._on_drawn)
        self._before: Any = None
        canvas.mapToolSet.connect(self._on_tool)
        self.examples.layerChanged.connect(self._show_examples)
        self.draw_button.toggled.connect(self._on_draw)
        self.back_button.clicked.connect(self._take_back)
        self._show_examples()

    def card_text(self, path: str) -> str:
        """Return a line of facts. Raises ModelCardError."""
        return few_shot_html(read_few_shot_card(path))

    def no_model(self) -> str:
        """Return where models come from."""
        return tr("Choose a few-shot model; “Train few-shot model” makes one.")

    def add_rows(self, form: QFormLayout) -> None:
        """Add examples and what they are called."""
        filters = QgsMapLayerProxyModel.Filter
        self.examples = layer_box()
        self.examples.setFilters(filters.PolygonLayer)
        self.chosen = QCheckBox(tr("Selected features only"))
        self.draw_button = QPushButton(tr("Draw"))
        self.draw_button.setObjectName("wsss_geo_similar_draw")
        self.draw_button.setCheckable(True)
        self.draw_button.setToolTip(
            tr("Draw polygons on the map: click the corners, end with a right click; Backspace takes a corner back")
        )
        self.back_button = QPushButton(tr("Take Back"))
        self.back_button.setObjectName("wsss_geo_similar_back")
        self.back_button.setToolTip(tr("Take away the polygon drawn last"))
        self.other = layer_box()
        self.other.setFilters(filters.RasterLayer)
        self.other.setAllowEmptyLayer(True, tr("[The same raster]"))
        self.other.setCurrentIndex(0)
        self.name = QLineEdit(tr("found"))
        drawing = QHBoxLayout()
        for widget in (self.draw_button, self.back_button):
            drawing.addWidget(widget)
        column = QVBoxLayout()
        column.addWidget(self.examples)
        column.addWidget(self.chosen)
        column.addLayout(drawing)
        form.addRow(tr("Examples"), column)
        form.addRow(tr("Drawn in"), self.other)
        form.addRow(tr("Call it"), self.name)

    def more_parameters(self, layer: QgsRasterLayer) -> dict[str, Any]:
        """Return examples, their raster and their name. Raises FormError."""
        name, other = self.name.text().strip(), self.other.currentLayer()
        if not name:
            raise FormError(tr("Give what is sought a name."))
        missing = tr("Draw polygons around a few examples, or choose a layer of polygons.")
        examples = chosen_features(self.examples, self.chosen, missing)
        return {"EXAMPLES": examples, "NAME": name, **({"EXAMPLE_RASTER": other.id()} if other else {})}

    def stop(self) -> None:
        """Give the map back."""
        self._canvas.mapToolSet.disconnect(self._on_tool)
        if self._canvas.mapTool() is self.tool:
            self._canvas.unsetMapTool(self.tool)
        self.tool.remove()

    # -- drawing ------------------------------------------------------------------------------------------------

    def _on_draw(self, wanted: bool) -> None:
        if wanted and self._canvas.mapTool() is not self.tool:
            self._before = self._canvas.mapTool()
            self._canvas.setMapTool(self.tool)
            self._canvas.setFocus()
        elif not wanted and self._canvas.mapTool() is self.tool:
            self._canvas.unsetMapTool(self.tool)
            if self._before is not None:
                self._canvas.setMapTool(self._before)

    def _on_tool(self, tool: Any, _: Any) -> None:
        self.draw_button.setChecked(tool is self.tool)

    def _on_drawn(self, polygon: QgsGeometry) -> None:
        """Keep a polygon of the map in the layer of examples, which is made where there is none."""
        layer = self.examples.currentLayer()
        if not is_drawn(layer):
            raster = self.other.currentLayer() or self.raster.currentLayer()
            layer = new_examples(raster.crs() if raster is not None else QgsCoordinateReferenceSystem())
            QgsProject.instance().addMapLayer(layer)
            self.examples.setLayer(layer)
            self.chosen.setChecked(False)
        crs = self._canvas.mapSettings().destinationCrs()
        try:
            polygon.transform(QgsCoordinateTransform(crs, layer.crs(), QgsProject.instance()))
        except QgsCsException:
            self.refused.emit(tr("What was drawn lies outside the CRS of “{}”.").format(layer.name()))
            return
        add_example(layer, polygon)
        self._show_examples()

    def _take_back(self) -> None:
        layer = self.examples.currentLayer()
        if is_drawn(layer):
            drop_last(layer)
        self._show_examples()

    def _show_examples(self, *_: Any) -> None:
        layer = self.examples.currentLayer()
        self.back_button.setEnabled(is_drawn(layer) and layer.featureCount() > 0)
