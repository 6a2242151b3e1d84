"""Draw the plugin's icon: parcels in the colours of classes under the frame of a tagged scene.

/usr/bin/python3 tools/draw_icon.py qgis_plugin/icon.png
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QGuiApplication, QImage, QPainter, QPainterPath, QPen, QPolygonF

SIDE = 64
PARCELS = (  # colour, corners in units of the side
    ("#2f855a", ((0.0, 0.0), (0.56, 0.0), (0.40, 0.46), (0.0, 0.38))),
    ("#d69e2e", ((0.56, 0.0), (1.0, 0.0), (1.0, 0.42), (0.40, 0.46))),
    ("#2b6cb0", ((0.0, 0.38), (0.40, 0.46), (1.0, 0.42), (1.0, 0.62), (0.44, 0.68), (0.0, 0.60))),
    ("#9ae6b4", ((0.0, 0.60), (0.44, 0.68), (0.36, 1.0), (0.0, 1.0))),
    ("#c53030", ((0.44, 0.68), (1.0, 0.62), (1.0, 1.0), (0.36, 1.0))),
)


def draw() -> QImage:
    """Return the icon."""
    image = QImage(SIDE, SIDE, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    outline = QPainterPath()
    outline.addRoundedRect(QRectF(2, 2, SIDE - 4, SIDE - 4), 9, 9)
    painter.setClipPath(outline)
    for color, corners in PARCELS:
        painter.setBrush(QColor(color))
        painter.setPen(QPen(QColor("white"), 1.5))
        painter.drawPolygon(QPolygonF([QPointF(x * SIDE, y * SIDE) for x, y in corners]))
    painter.setClipping(False)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor("#1a202c"), 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    low, high, arm = 13, SIDE - 13, 11
    for x, dx in ((low, arm), (high, -arm)):
        for y, dy in ((low, arm), (high, -arm)):
            painter.drawLine(QPointF(x, y), QPointF(x + dx, y))
            painter.drawLine(QPointF(x, y), QPointF(x, y + dy))
    painter.end()
    return image


if __name__ == "__main__":
    application = QGuiApplication([])
    if not draw().save(sys.argv[1]):
        sys.exit(f"{sys.argv[1]} cannot be written")
