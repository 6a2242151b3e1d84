"""What is tagged: a new grid over a raster layer, or scenes tagged before."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsMapLayerProxyModel, QgsProject, QgsRasterLayer, QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...wsss_geo.classes import ClassScheme, read_classes
from ...wsss_geo.errors import UsageError, WsssGeoError
from ..model_card import ModelCardError, read_model_card
from ..scenes.grid import MOST_SCENES
from ..scenes.layer import grid_of, is_scene_layer
from ..translate import fill, tr
from .fitting import layer_box

_SIZE = "wsss_geo/scene_size"


class TagSetup(QWidget):
    """Asks for raster, size, classes and file. Signals: ``begun()``, ``resumed(layer id)``, ``opened(path)``."""

    begun = pyqtSignal()
    resumed = pyqtSignal(str)
    opened = pyqtSignal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._loaded: ClassScheme | None = None
        self.raster = layer_box()
        self.raster.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.scene_size = QSpinBox()
        self.scene_size.setRange(8, 8192)
        self.scene_size.setSuffix(tr(" px"))
        self.scene_size.setValue(int(QgsSettings().value(_SIZE, 256)))
        self._about = QLabel()
        self._about.setWordWrap(True)
        self.names = QLineEdit()
        self.names.setPlaceholderText(tr("water, field, forest"))
        self._load = QPushButton(tr("Load…"))
        self._load.setToolTip(tr("Take the classes of a classes.json or of a model"))
        self.file = QgsFileWidget()
        self.file.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        self.file.setFilter(tr("GeoPackage (*.gpkg)"))
        self.file.setConfirmOverwrite(False)
        self.file.lineEdit().setPlaceholderText(tr("[Temporary layer]"))
        self.start = QPushButton(tr("Start Tagging"))
        self.start.setObjectName("wsss_geo_start_tagging")
        self.known = QComboBox()
        self.resume = QPushButton(tr("Continue"))
        self._open = QPushButton(tr("Open File…"))
        self._lay_out()
        self._connect()
        self.refresh()

    def classes(self) -> ClassScheme | None:
        """Return the classes that are typed or loaded, None if there are none. Raises UsageError."""
        names = [name.strip() for name in self.names.text().replace(";", ",").split(",") if name.strip()]
        if not names:
            return None
        if self._loaded is not None and tuple(names) == self._loaded.names:
            return self._loaded
        return ClassScheme.from_names(names)

    def load_classes(self, path: str) -> None:
        """Take the classes of a file. Raises WsssGeoError or ModelCardError."""
        self._loaded = read_model_card(path).classes if path.endswith(".safetensors") else read_classes(path)
        self.names.setText(", ".join(self._loaded.names))

    def path(self) -> str:
        """Return the GeoPackage to write, empty for a temporary layer."""
        path = self.file.filePath().strip()
        return path if not path or path.lower().endswith(".gpkg") else f"{path}.gpkg"

    def remember(self) -> None:
        """Start with this size the next time."""
        QgsSettings().setValue(_SIZE, self.scene_size.value())

    def refresh(self) -> None:
        """List the scenes that the project shows, and say how many a new grid would have."""
        layers = [x for x in QgsProject.instance().mapLayers().values() if is_scene_layer(x)]
        self.known.clear()
        for layer in sorted(layers, key=lambda x: x.name()):
            self.known.addItem(layer.name(), layer.id())
        self.known.setEnabled(bool(layers))
        self.resume.setEnabled(bool(layers))
        self._count()

    def _count(self) -> None:
        raster = self.raster.currentLayer()
        problem = "" if isinstance(raster, QgsRasterLayer) else tr("Add a raster layer to the project.")
        problem = problem or ("" if raster.isValid() and raster.width() else tr("This layer has no pixels of its own."))
        if not problem:
            grid = grid_of(raster, self.scene_size.value())
            rows, cols = grid.shape
            self._about.setText(fill(tr("{:,} scenes in {:,} rows and {:,} columns"), len(grid), rows, cols))
            if len(grid) > MOST_SCENES:
                problem = fill(tr("{:,} scenes are too many; choose larger ones."), len(grid))
        if problem:
            self._about.setText(problem)
        self.start.setEnabled(not problem)

    def _on_load(self) -> None:
        kinds = tr("Classes (*.json *.safetensors)")
        path, _ = QFileDialog.getOpenFileName(self, tr("Classes"), "", kinds)
        if not path:
            return
        try:
            self.load_classes(path)
        except (WsssGeoError, ModelCardError, UsageError) as error:
            self._about.setText(str(error))

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Scenes"), "", tr("GeoPackage (*.gpkg)"))
        if path:
            self.opened.emit(path)

    def _connect(self) -> None:
        self.raster.layerChanged.connect(self._count)
        self.scene_size.valueChanged.connect(self._count)
        self._load.clicked.connect(self._on_load)
        self._open.clicked.connect(self._on_open)
        self.start.clicked.connect(self.begun)
        self.resume.clicked.connect(lambda: self.resumed.emit(self.known.currentData() or ""))

    def _lay_out(self) -> None:
        names = QHBoxLayout()
        names.addWidget(self.names, 1)
        names.addWidget(self._load)
        new = QGroupBox(tr("New scenes"))
        form = QFormLayout(new)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(tr("Raster layer"), self.raster)
        form.addRow(tr("Scene size"), self.scene_size)
        form.addRow("", self._about)
        form.addRow(tr("Classes"), names)
        form.addRow(tr("Save to"), self.file)
        form.addRow(self.start)
        old = QGroupBox(tr("Tagged before"))
        lines = QVBoxLayout(old)
        lines.addWidget(self.known)
        buttons = QHBoxLayout()
        buttons.addWidget(self.resume)
        buttons.addWidget(self._open)
        lines.addLayout(buttons)
        whole = QVBoxLayout(self)
        whole.addWidget(new)
        whole.addWidget(old)
        whole.addStretch(1)
