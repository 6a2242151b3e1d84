"""Run inside QGIS: preview, segment, threshold, the dialog, unloading; as a person would, by clicks."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["HERE"])

from inside import begin, buttons, dock, drawn, finish, guarded, in_both_themes, picture, seen, when
from qgis.core import QgsApplication, QgsProject
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.utils import iface, plugins

clicks = []


def click(widget):
    clicks.append(widget.objectName())
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def layers():
    nodes = QgsProject.instance().layerTreeRoot().findLayers()
    return [[n.name(), n.layer().renderer().type(), n.itemVisibilityChecked()] for n in nodes]


def press():
    seen["buttons"] = sorted(buttons())
    clicks.append("wsss_geo_segment")
    buttons()["wsss_geo_segment"].trigger()
    QTimer.singleShot(500, guarded(preview))


def preview():
    seen["model"] = Path(dock("segment").form.model.filePath()).name
    iface.mapCanvas().zoomByFactor(0.4)
    click(dock("segment").preview_button)
    when(lambda: dock("segment").run is None and drawn(), previewed)


def previewed():
    seen["preview"] = layers()
    seen["status"] = dock("segment").status.text()
    dock("segment").slider.setValue(60)
    when(drawn, run)


def run():
    picture("segment_preview")
    dock("segment").slider.setValue(0)
    clicks[1:] = []
    click(dock("segment").run_button)
    when(lambda: dock("segment").run is None and drawn(), look)


def look():
    seen["clicks"] = clicks
    seen["layers"] = layers()
    seen["status"] = dock("segment").status.text()
    iface.messageBar().clearWidgets()
    dock("segment").slider.setValue(60)
    iface.mapCanvas().zoomToFullExtent()
    QTimer.singleShot(1000, guarded(lambda: when(drawn, look_at_map)))


def look_at_map():
    picture("map", iface.mapCanvas())
    in_both_themes("segment_dock")
    seen["dock"] = [dock("segment").width(), iface.mainWindow().height()]
    plugins["wsss_geo_segment"].segment_layer()
    when(lambda: plugins["wsss_geo_segment"]._dialogs, dialog)


def dialog():
    (shown,) = plugins["wsss_geo_segment"]._dialogs
    seen["dialog"] = [shown.width(), shown.height()]
    shown.close()
    plugins["wsss_geo_segment"].unload()
    QTimer.singleShot(500, guarded(left))


def left():
    seen["left"] = {
        "buttons": sorted(buttons()),
        "provider": "wsss_geo" in [p.id() for p in QgsApplication.processingRegistry().providers()],
        "menu": [a.text() for a in iface.rasterMenu().actions() if "wsss" in a.text()],
        "docks": [c.objectName() for c in iface.mainWindow().children() if c.objectName().startswith("wsss_geo")],
    }
    finish()


begin(press)
