"""Run inside QGIS: lay a grid, tag by keys on the map and in the dock, move by clicks; as a person would."""

import csv
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["HERE"])

from inside import WORK, begin, buttons, dock, drawn, finish, guarded, in_both_themes, picture, seen, when
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication
from qgis.utils import iface, plugins

SCENE = Path(os.environ["SCENE"])
KEYS = {Qt.Key.Key_Return: "Return", Qt.Key.Key_Right: "Right"}


def press():
    buttons()["wsss_geo_tag"].trigger()
    QTimer.singleShot(500, guarded(start))


def start():
    setup = dock("tag").setup
    picture("tag_setup")
    setup.scene_size.setValue(128)
    setup.load_classes(str(SCENE.with_name("classes.json")))
    setup.file.setFilePath(str(WORK / "scenes.gpkg"))
    QTest.mouseClick(setup.start, Qt.MouseButton.LeftButton)
    when(drawn, tag)


def truth():
    """The tags of the sample, united over scenes of 128 px: row, column -> names."""
    found = {}
    with SCENE.with_name("scene_a_tags.csv").open() as file:
        for row in csv.DictReader(file):
            place = (int((5412000 - float(row["y"])) // 64), int((float(row["x"]) - 612000) // 64))
            found.setdefault(place, set()).update(row["tags"].split(";"))
    return found


def tag():
    """Tag 70 scenes as the sample says, by keys, by turns on the map and in the dock."""
    tags, session = truth(), dock("tag").session
    for turn in range(70):
        widget = iface.mapCanvas() if turn % 2 else dock("tag").page
        widget.setFocus()
        here = session.scenes[session.current]
        for name in tags[here.row // 128, here.col // 128]:
            QTest.keyClick(widget, Qt.Key.Key_1 + session.names.index(name))
        if turn == 9:
            QTest.keyClick(widget, Qt.Key.Key_0)
        QTest.keyClick(widget, Qt.Key.Key_Return)
        QApplication.processEvents()
    seen["tagged"] = session.store.tagged
    seen["scenes"] = len(session.scenes)
    seen["undone"] = session.current
    QTest.keyClick(iface.mapCanvas(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    seen["undone"] = [seen["undone"], session.current]
    QTest.keyClick(iface.mapCanvas(), Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    when(drawn, click)


def click():
    """Choose a scene by a click on the map, as far from the current one as the map shows."""
    session, canvas = dock("tag").session, iface.mapCanvas()
    before = session.current
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(canvas.width() // 2, canvas.height() - 9))
    seen["clicked"] = [before, session.current]
    session.go(before)
    canvas.zoomByFactor(1.6)
    dock("tag")._show()
    for place in (1, 3):
        QTest.keyClick(canvas, Qt.Key.Key_1 + place)
    iface.messageBar().clearWidgets()
    when(drawn, look)


def look():
    in_both_themes("tag_scenes")
    seen["counts"] = [count.text() for _, _, count in dock("tag").page.rows._rows]
    plugins["wsss_geo_segment"].unload()
    QTimer.singleShot(500, guarded(finish))


begin(press)
