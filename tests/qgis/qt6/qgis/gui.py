"""QGIS's widgets: those of Qt that they are made of."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QComboBox, QDockWidget, QLineEdit, QWidget

from qgis.loose import made

_BASES = {"QgsOptionsPageWidget": QWidget, "QgsMapCanvas": QWidget, "QgsMessageBar": QWidget}
_made = {}


class QgsDockWidget(QDockWidget):
    """A dock."""

    setUserVisible = QDockWidget.setVisible


class QgsFileWidget(made("QgsFileWidget", QWidget)):
    """A path."""

    fileChanged = pyqtSignal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._line = QLineEdit(self)

    def lineEdit(self):
        return self._line

    def filePath(self):
        return self._line.text()

    def setFilePath(self, path):
        self._line.setText(path)
        self.fileChanged.emit(path)


class QgsMapLayerComboBox(made("QgsMapLayerComboBox", QComboBox)):
    """No layers."""

    layerChanged = pyqtSignal(object)

    def currentLayer(self):
        return None


def __getattr__(name):
    if not name.startswith("Qgs"):
        raise AttributeError(name)
    bases = (_BASES[name],) if name in _BASES else ()
    return _made.setdefault(name, made(name, *bases))
