"""A map tool that draws polygons."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

from typing import Any

from qgis.core import QgsGeometry, QgsPointXY, QgsWkbTypes
from qgis.gui import QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

#: Its name, by which others see that it has keys of its own.
TOOL = "wsss_geo_draw"

_CORNERS = 3


class DrawTool(QgsMapTool):
    """Left clicks set corners, a right click ends a polygon, Backspace takes a corner back, Escape all.

    ``drawn(polygon)`` tells of each, in the CRS of the map. To QGIS it is no edit tool: those it puts away as soon as a
    layer is chosen that is not being edited.
    """

    drawn = pyqtSignal(QgsGeometry)

    def __init__(self, canvas: Any) -> None:
        super().__init__(canvas)
        self._corners: list[QgsPointXY] = []
        self._here: QgsPointXY | None = None
        self._bands = [self._band(QColor(0, 0, 0, 170), 5), self._band(QColor(255, 214, 0), 3)]
        self.setToolName(TOOL)
        self.setCursor(Qt.CursorShape.CrossCursor)

    def canvasPressEvent(self, event: Any) -> None:
        """Set a corner, or end the polygon."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._corners.append(self.toMapCoordinates(event.pos()))
            self._show()
        elif event.button() == Qt.MouseButton.RightButton:
            self._end()

    def canvasMoveEvent(self, event: Any) -> None:
        """Show where the next corner would be."""
        self._here = self.toMapCoordinates(event.pos())
        self._show()

    def keyPressEvent(self, event: Any) -> None:
        """Take back a corner, or all."""
        if event.key() == Qt.Key.Key_Escape:
            self._corners = []
        elif event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self._corners = self._corners[:-1]
        else:
            event.ignore()
            return
        event.accept()
        self._show()

    def deactivate(self) -> None:
        """Drop what is not finished; another tool takes over."""
        self._corners, self._here = [], None
        self._show()
        super().deactivate()

    def remove(self) -> None:
        """Leave nothing on the canvas."""
        for band in self._bands:
            self.canvas().scene().removeItem(band)
        self._bands = []
        self.deleteLater()

    def _end(self) -> None:
        corners, self._corners = self._corners, []
        self._show()
        polygon = QgsGeometry.fromPolygonXY([[*corners, corners[0]]]) if len(corners) >= _CORNERS else QgsGeometry()
        if polygon.area() > 0:
            self.drawn.emit(polygon)

    def _show(self) -> None:
        points = [*self._corners, *([self._here] if self._here is not None and self._corners else [])]
        for band in self._bands:
            band.reset(QgsWkbTypes.GeometryType.PolygonGeometry)
            for point in points:
                band.addPoint(point)

    def _band(self, color: QColor, width: int) -> QgsRubberBand:
        band = QgsRubberBand(self.canvas(), QgsWkbTypes.GeometryType.PolygonGeometry)
        band.setStrokeColor(color)
        band.setFillColor(QColor(255, 214, 0, 40))
        band.setWidth(width)
        return band
