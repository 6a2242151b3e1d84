"""The current scene on the map: its outline, the way there, and clicks that choose another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsWkbTypes,
)
from qgis.gui import QgsMapToolEmitPoint, QgsRubberBand
from qgis.PyQt.QtGui import QColor

#: How many scenes the canvas shows along its shorter side when the first scene is shown.
_AROUND = 3.0


class SceneView:
    """Marks scenes on a map canvas; ``clicked(x, y)`` hears clicks in the CRS of the scenes."""

    def __init__(self, canvas: Any, clicked: Callable[[float, float], None]) -> None:
        self._canvas = canvas
        self._clicked = clicked
        self._crs = QgsCoordinateReferenceSystem()
        self._bands = [self._band(QColor(0, 0, 0, 170), 6), self._band(QColor(255, 214, 0), 3)]
        self._before: Any = None
        self._come = False
        self.tool = QgsMapToolEmitPoint(canvas)
        self.tool.canvasClicked.connect(self._on_click)

    def start(self, crs: QgsCoordinateReferenceSystem) -> None:
        """Show scenes of this CRS from now on, and let clicks choose them."""
        self._crs, self._come = crs, False
        self.pick()

    def pick(self) -> None:
        """Let clicks on the map choose scenes."""
        if self._canvas.mapTool() is not self.tool:
            self._before = self._canvas.mapTool()
            self._canvas.setMapTool(self.tool)

    def show(self, outline: QgsGeometry) -> None:
        """Mark a scene and bring it into view; the scale is chosen once, then it is the user's."""
        shape = QgsGeometry(outline)
        try:
            crs = self._canvas.mapSettings().destinationCrs()
            shape.transform(QgsCoordinateTransform(self._crs, crs, QgsProject.instance()))
        except QgsCsException:
            return
        for band in self._bands:
            band.setToGeometry(shape, None)
            band.show()
        box, view = shape.boundingBox(), self._canvas.extent()
        if not self._come or box.width() > view.width() or box.height() > view.height():
            box.scale(_AROUND)
            self._canvas.setExtent(box)
            self._come = True
        elif not view.contains(box):
            self._canvas.setCenter(box.center())
        self._canvas.refresh()

    def hide(self) -> None:
        """Take the mark away and give the map back to the tool used before."""
        for band in self._bands:
            band.reset(QgsWkbTypes.GeometryType.PolygonGeometry)
        if self._canvas.mapTool() is self.tool:
            self._canvas.unsetMapTool(self.tool)
            if self._before is not None:
                self._canvas.setMapTool(self._before)
        self._before = None

    def remove(self) -> None:
        """Leave nothing on the canvas."""
        self.hide()
        for band in self._bands:
            self._canvas.scene().removeItem(band)
        self._bands = []
        self.tool.deleteLater()

    def _band(self, color: QColor, width: int) -> QgsRubberBand:
        band = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.PolygonGeometry)
        band.setStrokeColor(color)
        band.setFillColor(QColor(0, 0, 0, 0))
        band.setWidth(width)
        return band

    def _on_click(self, point: QgsPointXY, _: Any) -> None:
        crs = self._canvas.mapSettings().destinationCrs()
        try:
            there = QgsCoordinateTransform(crs, self._crs, QgsProject.instance()).transform(point)
        except QgsCsException:
            return
        self._clicked(there.x(), there.y())
