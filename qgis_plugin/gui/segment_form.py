"""What is segmented, with which model, where, and what is written."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsMapLayer,
    QgsMapLayerProxyModel,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsSettings,
)
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ..algorithms.segment import LAST_MODEL
from ..algorithms.sources import raster_refusal, window_of
from ..model_card import ModelCardError, card_html, read_model_card
from ..online import OnlineError, is_online, online_part
from ..options import model_folder
from ..translate import tr
from .fitting import layer_box
from .results import output_paths

#: More pixels than this are no preview.
MOST_PREVIEW_PIXELS = 16_000_000

_WHOLE, _CANVAS, _POLYGONS = range(3)


class FormError(Exception):
    """The form cannot be run; the message is a sentence for the user."""


class SegmentForm(QWidget):
    """The fields of the dock; ``parameters`` and ``preview_parameters`` are those of the algorithm "Segment layer"."""

    def __init__(self, canvas: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        filters = QgsMapLayerProxyModel.Filter
        self.raster = layer_box()
        self.raster.setFilters(filters.RasterLayer)
        self.model = QgsFileWidget()
        self.model.setFilter(tr("Models (*.safetensors)"))
        self.model.setDefaultRoot(model_folder())
        self.card = QLabel()
        self.card.setWordWrap(True)
        self.extent = QComboBox()
        self.extent.setSizePolicy(self.raster.sizePolicy())
        self.extent.addItems([tr("Whole layer"), tr("Map canvas"), tr("Polygons of a layer")])
        self.area = layer_box()
        self.area.setFilters(filters.PolygonLayer)
        self.selected = QCheckBox(tr("Selected features only"))
        self.polygons = QCheckBox(tr("Polygons of at least"))
        self.polygons.setChecked(True)
        self.min_area = QDoubleSpinBox()
        self.min_area.setRange(0, 1e9)
        self.min_area.setDecimals(1)
        self.min_area.setSuffix(tr(" m²"))
        self.folder = QgsFileWidget()
        self.folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.folder.lineEdit().setPlaceholderText(tr("[Temporary folder]"))
        self._lay_out()
        self.model.fileChanged.connect(self._show_card)
        self.extent.currentIndexChanged.connect(self._show_extent)
        self.polygons.toggled.connect(self.min_area.setEnabled)
        self.model.setFilePath(str(QgsSettings().value(LAST_MODEL, "") or ""))
        self._show_card()
        self._show_extent()

    def choose(self, layer: QgsMapLayer | None) -> None:
        """Choose this layer, if it is one of pixels."""
        if isinstance(layer, QgsRasterLayer) and (is_online(layer) or not raster_refusal(layer)):
            self.raster.setLayer(layer)

    def layer(self) -> QgsRasterLayer:
        """Return the chosen layer. Raises FormError."""
        layer = self.raster.currentLayer()
        if layer is None:
            raise FormError(tr("Add a raster layer to the project and choose it."))
        refusal = "" if is_online(layer) else raster_refusal(layer)
        if refusal:
            raise FormError(refusal)
        return layer

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a run. Raises FormError."""
        layer = self.layer()
        where: dict[str, Any] = {}
        if self.extent.currentIndex() == _CANVAS:
            where = {"EXTENT": QgsReferencedRectangle(self._visible(layer), layer.crs()), "CLIP": True}
        elif self.extent.currentIndex() == _POLYGONS:
            where = {"AOI": self._area()}
        folder = self.folder.filePath().strip()
        if folder and not os.path.isdir(folder):
            raise FormError(tr("Folder {} does not exist; create it or choose another.").format(folder))
        polygons = self.polygons.isChecked()
        settings = {"MIN_AREA": self.min_area.value()} if polygons else {}
        return {**self._inputs(layer), **where, **settings, **output_paths(layer.name(), folder, polygons)}

    def preview_parameters(self) -> dict[str, Any]:
        """Return the parameters of a preview of what the canvas shows. Raises FormError."""
        layer = self.layer()
        box = self._visible(layer)
        width, height = self._size(layer, box)
        if width * height > MOST_PREVIEW_PIXELS:
            sentence = tr("The map shows {:,} pixels of “{}”, too many for a preview; zoom in.")
            raise FormError(sentence.format(width * height, layer.name()))
        paths = output_paths(layer.name(), "", False)
        return {**self._inputs(layer), "EXTENT": QgsReferencedRectangle(box, layer.crs()), "CLIP": True, **paths}

    def dialog_parameters(self) -> dict[str, Any]:
        """Return what the algorithm's own dialog is opened with."""
        layer, model = self.raster.currentLayer(), self.model.filePath()
        return {**({"INPUT": layer.id()} if layer else {}), **({"MODEL": model} if model else {})}

    def _inputs(self, layer: QgsRasterLayer) -> dict[str, Any]:
        path = self.model.filePath().strip()
        if not path:
            raise FormError(tr("Choose a model; “Train model from tags” makes one."))
        try:
            read_model_card(path)
        except ModelCardError as error:
            raise FormError(str(error)) from None
        return {"INPUT": layer.id(), "MODEL": path}

    def _size(self, layer: QgsRasterLayer, box: QgsRectangle) -> tuple[int, int]:
        """Return the columns and rows of pixels in a box; those of an online layer are the model's."""
        if not is_online(layer):
            return window_of(layer, box)[2:]
        try:
            gsd = read_model_card(self.model.filePath().strip()).gsd
            part = online_part(layer, box, gsd or 1.0, QgsProject.instance().transformContext())
        except (ModelCardError, OnlineError) as error:
            raise FormError(str(error)) from None
        return part.columns, part.rows

    def _visible(self, layer: QgsRasterLayer) -> QgsRectangle:
        settings = self._canvas.mapSettings()
        transform = QgsCoordinateTransform(settings.destinationCrs(), layer.crs(), QgsProject.instance())
        try:
            box = transform.transformBoundingBox(settings.visibleExtent()).intersect(layer.extent())
        except QgsCsException:
            box = QgsRectangle()
        if box.isEmpty():
            raise FormError(tr("The map shows nothing of “{}”; zoom to the layer.").format(layer.name()))
        return box

    def _area(self) -> QgsProcessingFeatureSourceDefinition:
        layer = self.area.currentLayer()
        if layer is None:
            raise FormError(tr("Choose the layer of polygons to segment within."))
        if self.selected.isChecked() and not layer.selectedFeatureCount():
            raise FormError(tr("Nothing is selected in “{}”.").format(layer.name()))
        return QgsProcessingFeatureSourceDefinition(layer.id(), self.selected.isChecked())

    def _show_card(self, *_: Any) -> None:
        path = self.model.filePath().strip()
        try:
            text = card_html(read_model_card(path)) if path else tr("No model chosen yet.")
        except ModelCardError as error:
            text = str(error)
        self.card.setText(text)

    def _show_extent(self, *_: Any) -> None:
        for widget in (self.area, self.selected):
            widget.setVisible(self.extent.currentIndex() == _POLYGONS)

    def _lay_out(self) -> None:
        where = QVBoxLayout()
        for widget in (self.extent, self.area, self.selected):
            where.addWidget(widget)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(tr("Raster layer"), self.raster)
        form.addRow(tr("Model"), self.model)
        form.addRow(self.card)
        form.addRow(tr("Extent"), where)
        form.addRow(self.polygons, self.min_area)
        form.addRow(tr("Save in"), self.folder)
