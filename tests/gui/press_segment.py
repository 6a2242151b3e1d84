"""Run inside QGIS: press the button, run the dialog, look at what comes; writes seen.json and pictures to $SEEN."""

import json
import os
import time
import traceback
from pathlib import Path

from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QTextEdit, QToolBar
from qgis.utils import iface, loadPlugin, plugins, startPlugin, updateAvailablePlugins

FOLDER = Path(os.environ["SEEN"])
seen = {}


def finish():
    QgsProject.instance().setDirty(False)
    (FOLDER / "seen.json").write_text(json.dumps(seen))
    os._exit(0)


def guarded(step):
    def run():
        try:
            step()
        except Exception:
            seen["fault"] = traceback.format_exc()
            finish()

    return run


def when(condition, step, deadline=None):
    deadline = deadline or time.monotonic() + 500
    if condition():
        QTimer.singleShot(1000, guarded(step))
    elif time.monotonic() > deadline:
        seen["fault"] = f"waited in vain before {step.__name__}"
        finish()
    else:
        QTimer.singleShot(200, guarded(lambda: when(condition, step, deadline)))


def start():
    iface.mainWindow().resize(1280, 800)
    updateAvailablePlugins()
    for name in ("processing", "wsss_geo_segment"):
        if name not in plugins:
            loadPlugin(name)
            startPlugin(name)
    layer = QgsRasterLayer(os.environ["SCENE"], "scene")
    QgsProject.instance().addMapLayer(layer)
    iface.setActiveLayer(layer)
    iface.mapCanvas().zoomToFullExtent()
    when(lambda: not iface.mapCanvas().isDrawing(), press)


def buttons():
    found = (a for bar in iface.mainWindow().findChildren(QToolBar) for a in bar.actions())
    return [a for a in found if a.objectName() == "wsss_geo_segment"]


def press():
    seen["buttons"] = len(buttons())
    buttons()[0].trigger()
    when(lambda: plugins["wsss_geo_segment"]._dialogs, run)


def run():
    (dialog,) = plugins["wsss_geo_segment"]._dialogs
    seen["size"] = [dialog.width(), dialog.height()]
    dialog.grab().save(str(FOLDER / "segment_dialog.png"))
    dialog.runAlgorithm()
    when(lambda: dialog.wasExecuted() or "failed after" in log_of(dialog), look)


def log_of(dialog):
    return "\n".join(e.toPlainText() for e in dialog.findChildren(QTextEdit))


def look():
    (dialog,) = plugins["wsss_geo_segment"]._dialogs
    seen["log"] = log_of(dialog)
    dialog.close()
    seen["layers"] = {x.name(): x.renderer().type() for x in QgsProject.instance().mapLayers().values()}
    when(lambda: not iface.mapCanvas().isDrawing(), leave)


def leave():
    iface.mainWindow().grab().save(str(FOLDER / "segment_result.png"))
    plugins["wsss_geo_segment"].unload()
    QTimer.singleShot(500, guarded(left))


def left():
    seen["left"] = {
        "buttons": len(buttons()),
        "provider": "wsss_geo" in [p.id() for p in QgsApplication.processingRegistry().providers()],
        "menu": [a.text() for a in iface.rasterMenu().actions() if "wsss" in a.text()],
    }
    finish()


QTimer.singleShot(3000, guarded(start))
