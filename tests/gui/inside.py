"""What the scripts that run inside QGIS share: steps one after the other, pictures, and the end."""

import json
import os
import time
import traceback
from pathlib import Path

from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QApplication, QCheckBox, QLabel, QPushButton, QToolBar
from qgis.utils import iface, loadPlugin, plugins, startPlugin, updateAvailablePlugins

SEEN, WORK = Path(os.environ["SEEN"]), Path(os.environ["WORK"])
seen = {}


def finish():
    """Write what was seen, and leave at once: QGIS would ask about the project."""
    QgsProject.instance().setDirty(False)
    (SEEN / "seen.json").write_text(json.dumps(seen))
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
    """Go on with ``step`` once ``condition()``."""
    deadline = deadline or time.monotonic() + 800
    if condition():
        QTimer.singleShot(700, guarded(step))
    elif time.monotonic() > deadline:
        seen["fault"] = f"waited in vain before {step.__name__}"
        finish()
    else:
        QTimer.singleShot(200, guarded(lambda: when(condition, step, deadline)))


def drawn():
    """Whether the map has been drawn."""
    return not iface.mapCanvas().isDrawing()


def begin(step):
    """Load plugin and sample scene, then go on with ``step``."""

    def start():
        iface.mainWindow().resize(1280, 800)
        QApplication.setActiveWindow(iface.mainWindow())  # nobody else does without a window manager
        updateAvailablePlugins()
        for name in ("processing", "wsss_geo_segment"):
            if name not in plugins:
                loadPlugin(name)
                startPlugin(name)
        for dock in iface.mainWindow().findChildren(type(iface.layerTreeView().parent().parent())):
            if dock.objectName() == "Browser":
                dock.close()
        layer = QgsRasterLayer(os.environ["SCENE"], "scene")
        QgsProject.instance().addMapLayer(layer)
        iface.setActiveLayer(layer)
        iface.mapCanvas().zoomToFullExtent()
        when(drawn, step)

    QTimer.singleShot(3000, guarded(start))


def buttons():
    """The plugin's actions on the toolbars, by name."""
    found = (a for bar in iface.mainWindow().findChildren(QToolBar) for a in bar.actions())
    return {a.objectName(): a for a in found if a.objectName().startswith("wsss_geo_")}


def dock(name):
    return plugins["wsss_geo_segment"]._docks[name]


def picture(name, widget=None):
    """Save a picture of a widget, the window unless given, and note which texts are clipped."""
    widget = widget or iface.mainWindow()
    for _ in range(3):
        QApplication.processEvents()
    widget.grab().save(str(SEEN / f"{name}.png"))
    seen.setdefault("clipped", []).extend(f"{name}: {text}" for text in clipped(widget))


def in_both_themes(name, widget=None):
    """Take a picture in QGIS's light and its dark theme; of the window, once and last, for it keeps some darkness."""
    picture(name, widget)
    palette = QApplication.palette()
    QgsApplication.setUITheme("Night Mapping")
    picture(f"{name}_dark", widget)
    QgsApplication.setUITheme("default")
    QApplication.setPalette(palette)  # the light theme leaves that of the dark one
    QApplication.processEvents()


def clipped(widget):
    """Texts of buttons and labels of the plugin that have less room than they need."""
    found = []
    for kind in (QPushButton, QCheckBox, QLabel):
        for w in widget.findChildren(kind):
            whole = kind is not QLabel or not w.wordWrap()
            if w.isVisible() and whole and w.text() and w.width() + 1 < w.sizeHint().width() and mine(w):
                found.append(w.text())
    return found


def mine(widget):
    """Whether a widget belongs to a window of its own or to a dock of the plugin."""
    while widget is not None and not widget.objectName().startswith("wsss_geo"):
        widget = widget.parentWidget()
    return widget is not None
