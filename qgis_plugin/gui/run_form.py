"""What the docks that run an algorithm ask for: raster, model, extent, and what is written."""

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
)
from qgis.gui import QgsFileWidget, QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ..algorithms.sources import raster_refusal
from ..model_card import ModelCardError
from ..options import model_folder
from ..translate import tr
from .fitting import layer_box
from .results import output_paths

_WHOLE, _CANVAS, _POLYGONS = range(3)


class FormError(Exception):
    """The form cannot be run; the message is a sentence for the user."""


class RunForm(QWidget):
    """The fields of a dock; ``parameters`` are those of its algorithm.

    Subclasses say what a model's card looks like and may ask for more; ``title`` is that of the raster layer.
    """

    def __init__(self, canvas: Any, title: str, last_model: str, parent: Any = None) -> None:
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
        self._lay_out(title)
        self.model.fileChanged.connect(self._show_card)
        self.extent.currentIndexChanged.connect(self._show_extent)
        self.polygons.toggled.connect(self.min_area.setEnabled)
        self.model.setFilePath(last_model)
        self._show_card()
        self._show_extent()

    # -- what subclasses say ------------------------------------------------------------------------------------

    def card_text(self, path: str) -> str:
        """Return the card of a model as rich text. Raises ModelCardError."""
        raise NotImplementedError

    def no_model(self) -> str:
        """Return what to do where no model is chosen."""
        raise NotImplementedError

    def accepts(self, layer: QgsMapLayer | None) -> bool:
        """Whether the algorithm takes the layer."""
        return not raster_refusal(layer)

    def add_rows(self, form: QFormLayout) -> None:
        """Add fields below that of the raster layer."""

    def more_parameters(self, layer: QgsRasterLayer) -> dict[str, Any]:
        """Return the parameters of the subclass's own fields. Raises FormError."""
        return {}

    # -- for the dock -------------------------------------------------------------------------------------------

    def choose(self, layer: QgsMapLayer | None) -> None:
        """Choose this layer, if it is one that the algorithm takes."""
        if isinstance(layer, QgsRasterLayer) and self.accepts(layer):
            self.raster.setLayer(layer)

    def layer(self) -> QgsRasterLayer:
        """Return the chosen layer. Raises FormError."""
        layer = self.raster.currentLayer()
        if layer is None:
            raise FormError(tr("Add a raster layer to the project and choose it."))
        if not self.accepts(layer):
            raise FormError(raster_refusal(layer))
        return layer

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a run. Raises FormError."""
        layer = self.layer()
        where: dict[str, Any] = {}
        if self.extent.currentIndex() == _CANVAS:
            where = {"EXTENT": QgsReferencedRectangle(self.visible_box(layer), layer.crs()), "CLIP": True}
        elif self.extent.currentIndex() == _POLYGONS:
            missing = tr("Choose the layer of polygons to work within.")
            where = {"AOI": chosen_features(self.area, self.selected, missing)}
        folder = self.folder.filePath().strip()
        if folder and not os.path.isdir(folder):
            raise FormError(tr("Folder {} does not exist; create it or choose another.").format(folder))
        polygons = self.polygons.isChecked()
        settings = {"MIN_AREA": self.min_area.value()} if polygons else {}
        paths = output_paths(layer.name(), folder, polygons)
        return {**self.inputs(layer), **self.more_parameters(layer), **where, **settings, **paths}

    def dialog_parameters(self) -> dict[str, Any]:
        """Return what the algorithm's own dialog is opened with."""
        layer, model = self.raster.currentLayer(), self.model.filePath()
        return {**({"INPUT": layer.id()} if layer else {}), **({"MODEL": model} if model else {})}

    def inputs(self, layer: QgsRasterLayer) -> dict[str, Any]:
        """Return layer and model. Raises FormError."""
        path = self.model.filePath().strip()
        if not path:
            raise FormError(self.no_model())
        try:
            self.card_text(path)
        except ModelCardError as error:
            raise FormError(str(error)) from None
        return {"INPUT": layer.id(), "MODEL": path}

    def visible_box(self, layer: QgsRasterLayer) -> QgsRectangle:
        """Return what the map shows of a layer, in the layer's CRS. Raises FormError."""
        settings = self._canvas.mapSettings()
        transform = QgsCoordinateTransform(settings.destinationCrs(), layer.crs(), QgsProject.instance())
        try:
            box = transform.transformBoundingBox(settings.visibleExtent()).intersect(layer.extent())
        except QgsCsException:
            box = QgsRectangle()
        if box.isEmpty():
            raise FormError(tr("The map shows nothing of “{}”; zoom to the layer.").format(layer.name()))
        return box

    # -- within -------------------------------------------------------------------------------------------------

    def _show_card(self, *_: Any) -> None:
        path = self.model.filePath().strip()
        try:
            text = self.card_text(path) if path else tr("No model chosen yet.")
        except ModelCardError as error:
            text = str(error)
        self.card.setText(text)

    def _show_extent(self, *_: Any) -> None:
        for widget in (self.area, self.selected):
            widget.setVisible(self.extent.currentIndex() == _POLYGONS)

    def _lay_out(self, title: str) -> None:
        where = QVBoxLayout()
        for widget in (self.extent, self.area, self.selected):
            where.addWidget(widget)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(title, self.raster)
        self.add_rows(form)
        form.addRow(tr("Model"), self.model)
        form.addRow(self.card)
        form.addRow(tr("Extent"), where)
        form.addRow(self.polygons, self.min_area)
        form.addRow(tr("Save in"), self.folder)


def chosen_features(
    box: QgsMapLayerComboBox, selected: QCheckBox, missing: str
) -> QgsProcessingFeatureSourceDefinition:
    """Return the features of the layer chosen in a box.

    Raises FormError if nothing is selected, or with the sentence ``missing`` if there is no layer.
    """
    layer = box.currentLayer()
    if layer is None:
        raise FormError(missing)
    if selected.isChecked() and not layer.selectedFeatureCount():
        raise FormError(tr("Nothing is selected in “{}”.").format(layer.name()))
    return QgsProcessingFeatureSourceDefinition(layer.id(), selected.isChecked())
