"""Run inside QGIS: open every dock and dialog, look whether texts have room, copy a command, close them."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["HERE"])

from inside import begin, buttons, finish, guarded, in_both_themes, seen, when
from qgis.core import QgsApplication, QgsProject
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QDialog, QVBoxLayout
from qgis.utils import iface, plugins

ALGORITHMS = ["segment", "find_similar", "scene_grid", "tile", "train", "train_few_shot"]
ALGORITHMS += ["evaluate", "vectorize", "selftest"]


def plugin():
    return plugins["wsss_geo_segment"]


def press():
    for name in ("segment", "similar", "tag"):
        buttons()[f"wsss_geo_{name}"].trigger()
        QApplication.processEvents()
        in_both_themes(f"dock_{name}", plugin()._docks[name])
    QTimer.singleShot(300, guarded(lambda: algorithm(list(ALGORITHMS))))


def algorithm(names):
    if not names:
        windows([("models", "models"), ("set_up", "set_up"), ("diagnostics", "diagnostics")])
        return
    plugin().open(names[0], {})
    when(lambda: plugin()._open_dialogs(), lambda: shown(names))


def shown(names):
    (dialog,) = plugin()._open_dialogs()
    dialog.setObjectName(f"wsss_geo_{names[0]}_dialog")
    in_both_themes(f"dialog_{names[0]}", dialog)
    seen.setdefault("sizes", {})[names[0]] = [dialog.width(), dialog.height()]
    if names[0] == "segment":
        copy(dialog)
    dialog.close()
    algorithm(names[1:])


def copy(dialog):
    """First with nothing set up, then with all that is needed."""
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    seen["nothing"] = dialog.messageBar().currentItem().text()
    (layer,) = QgsProject.instance().mapLayers()
    out = os.environ["WORK"] + "/it's a cover.tif"
    dialog.setParameters({"INPUT": layer, "MODEL": os.environ["MODEL"], "OUTPUT": out, "MIN_AREA": 3})
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    seen["copied"] = dialog.messageBar().currentItem().text()
    seen["command"] = QgsApplication.clipboard().text()
    seen["out"] = out


def windows(names):
    if not names:
        options()
        return
    action, name = names[0]
    getattr(plugin()._engine_menu, f"show_{action}")()
    dialog = plugin()._engine_menu._dialogs[name]
    if name == "models":
        dialog.folder.setFilePath(str(Path(os.environ["MODEL"]).parent))
    if name == "set_up":
        dialog.python.setFilePath(os.environ["WSSS_GEO_PYTHON"])  # that of a fresh profile may be anywhere
    QTimer.singleShot(1500, guarded(lambda: window(dialog, names)))


def window(dialog, names):
    in_both_themes(f"dialog_{names[0][1]}", dialog)
    seen["sizes"][names[0][1]] = [dialog.width(), dialog.height()]
    dialog.close()
    windows(names[1:])


def options():
    """The page in a window of its own: QGIS's dialog of options would wait for its end."""
    holder = QDialog(iface.mainWindow())
    layout = QVBoxLayout(holder)
    layout.addWidget(plugin()._engine_menu._factory.createWidget(holder))
    holder.resize(700, 420)
    holder.show()
    in_both_themes("options_page", holder)
    holder.close()
    plugin().unload()
    QTimer.singleShot(300, guarded(finish))


begin(press)
