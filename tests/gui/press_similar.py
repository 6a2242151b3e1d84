"""Run inside QGIS: draw examples on the map, find what is like them; as a person would, by clicks."""

import json
import os
import sys

sys.path.insert(0, os.environ["HERE"])

from inside import begin, buttons, dock, drawn, finish, guarded, in_both_themes, picture, seen, when
from qgis.core import QgsApplication, QgsPointXY, QgsProject
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.utils import iface, plugins


def press():
    buttons()["wsss_geo_similar"].trigger()
    QTimer.singleShot(500, guarded(zoom))


def zoom():
    iface.mapCanvas().zoomToFullExtent()
    when(drawn, draw)


def draw():
    form, canvas = dock("similar").form, iface.mapCanvas()
    seen["model"] = form.card.text()
    QTest.mouseClick(form.draw_button, Qt.MouseButton.LeftButton)
    for ring in json.loads(os.environ["EXAMPLES"]):
        for x, y in ring:
            place = canvas.getCoordinateTransform().transform(QgsPointXY(x, y)).toQPointF().toPoint()
            QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)
        QTest.mouseClick(canvas.viewport(), Qt.MouseButton.RightButton, pos=place)
    seen["drawn"] = form.examples.currentLayer().featureCount()
    form.name.setText(os.environ["WANTED"])
    when(drawn, picture_of_examples)


def picture_of_examples():
    picture("similar_examples")
    dock("similar").copy_button.click()
    seen["command"] = QgsApplication.clipboard().text()
    iface.messageBar().clearWidgets()
    QTest.mouseClick(dock("similar").run_button, Qt.MouseButton.LeftButton)
    when(lambda: dock("similar").run is None and drawn(), look)


def look():
    nodes = QgsProject.instance().layerTreeRoot().findLayers()
    seen["layers"] = [[n.name(), n.itemVisibilityChecked()] for n in nodes]
    seen["status"] = dock("similar").status.text()
    iface.messageBar().clearWidgets()
    in_both_themes("similar_dock")
    plugins["wsss_geo_segment"].unload()
    QTimer.singleShot(500, guarded(left))


def left():
    seen["left"] = [c.objectName() for c in iface.mainWindow().children() if c.objectName().startswith("wsss_geo")]
    finish()


begin(press)
