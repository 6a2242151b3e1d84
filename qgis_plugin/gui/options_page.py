"""The plugin's page in Settings > Options."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
)

from ...wsss_geo.jobs import DEVICES
from ..engine.locate import EngineMissingError, check_python, find_engine, interpreter_in, package_root
from ..options import MOST_THREADS, Options, load_options, save_options
from ..translate import tr

PAGE = "wsss_geo_options"


class OptionsPage(QgsOptionsPageWidget):
    """Shows the settings, and keeps them when the user says OK."""

    def __init__(self, set_up: Callable[[], None], diagnose: Callable[[], None], parent: Any = None) -> None:
        super().__init__(parent)
        self.setObjectName(PAGE)
        options = load_options()
        self.python = QgsFileWidget()
        self.python.lineEdit().setPlaceholderText(tr("[Set up by the plugin, or WSSS_GEO_PYTHON]"))
        self.python.setFilePath(options.python)
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.state.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.models = QgsFileWidget()
        self.models.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.models.setFilePath(options.model_folder)
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setCurrentText(options.device)
        self.device.setToolTip(tr("Where algorithms compute unless told otherwise"))
        self.threads = QSpinBox()
        self.threads.setRange(0, MOST_THREADS)
        self.threads.setSpecialValueText(tr("As many as the engine takes"))
        self.threads.setValue(options.threads)
        self.tracebacks = QCheckBox(tr("Tell in the log where in the engine an error arose"))
        self.tracebacks.setChecked(options.tracebacks)
        self.set_up_button = QPushButton(tr("Set Up Engine…"))
        self.set_up_button.clicked.connect(set_up)
        self.diagnose_button = QPushButton(tr("Diagnostics…"))
        self.diagnose_button.clicked.connect(diagnose)
        self._lay_out()
        self.python.fileChanged.connect(self._show_state)
        self._show_state()

    def options(self) -> Options:
        """Return what the page says."""
        return Options(
            self.python.filePath().strip(),
            self.models.filePath().strip(),
            self.device.currentText(),
            self.threads.value(),
            self.tracebacks.isChecked(),
        )

    def apply(self) -> None:
        """Keep it; QGIS calls this on OK."""
        save_options(self.options())

    def _show_state(self, *_: Any) -> None:
        python = self.python.filePath().strip()
        if python:
            problem = check_python(interpreter_in(python))
            self.state.setText(tr("It {}.").format(problem) if problem else tr("It has all that the engine needs."))
            return
        try:
            engine = find_engine()
            self.state.setText(tr("{} is used ({}).").format(engine.python, engine.origin))
        except EngineMissingError as error:
            self.state.setText(str(error))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.set_up_button)
        buttons.addWidget(self.diagnose_button)
        buttons.addStretch(1)
        engine = QGroupBox(tr("Engine"))
        form = QFormLayout(engine)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(tr("Python"), self.python)
        form.addRow("", self.state)
        form.addRow("", buttons)
        form.addRow(tr("Device"), self.device)
        form.addRow(tr("Threads"), self.threads)
        form.addRow(self.tracebacks)
        models = QGroupBox(tr("Models"))
        form = QFormLayout(models)
        form.addRow(tr("Folder"), self.models)
        whole = QVBoxLayout(self)
        whole.addWidget(engine)
        whole.addWidget(models)
        whole.addStretch(1)


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page whenever the user opens the options."""

    def __init__(self, set_up: Callable[[], None], diagnose: Callable[[], None]) -> None:
        super().__init__()
        self._set_up, self._diagnose = set_up, diagnose
        self.setTitle("wsss-geo")
        self.setIcon(QIcon(str(package_root() / "icon.png")))

    def createWidget(self, parent: Any) -> OptionsPage:
        """Return a new page."""
        return OptionsPage(self._set_up, self._diagnose, parent)
