"""The dock Tag Scenes: keys, buttons, the map, files, and what may go wrong meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(qgis_app):
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def dock(package, iface, project, raster):
    """The dock in a window, with a raster in the project; ``dock.tiles`` are the parameters of "Make tile set"."""
    from qgis.core import QgsRasterLayer
    from qgis.PyQt import sip
    from qgis.PyQt.QtCore import Qt

    layer = QgsRasterLayer(raster(), "scene")
    project.addMapLayer(layer)
    iface.canvas.setDestinationCrs(layer.crs())
    tiles = []
    made = package("gui.tag_dock").TagDock(iface, tiles.append)
    made.tiles = tiles
    iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, made)
    iface.window.resize(900, 700)
    iface.window.show()
    made.setup.scene_size.setValue(32)
    made.setup.names.setText("water, field")
    yield made
    if not sip.isdeleted(made):
        made.stop()
        sip.delete(made)


def press(widget, *keys):
    """Press keys as a person does: through the window, where shortcuts are looked up."""
    from qgis.PyQt.QtGui import QKeySequence
    from qgis.PyQt.QtTest import QTest
    from qgis.PyQt.QtWidgets import QApplication

    widget.activateWindow()
    widget.setFocus()
    QApplication.processEvents()
    for key in keys:
        QTest.keySequence(widget, QKeySequence(key))
        QApplication.processEvents()


def said(iface):
    item = iface.bar.currentItem()
    return item.text() if item else ""


def tags(dock):
    return [dock.session.store[i] for i in range(len(dock.session.scenes))]


def test_a_new_grid_says_how_many_scenes_and_refuses_nonsense(dock, iface, tmp_path):
    assert "9 scenes in 3 rows and 3 columns" in dock.setup._about.text()
    dock.setup.names.setText("")
    dock.setup.start.click()
    assert "Name the classes" in said(iface)
    dock.setup.names.setText("a, a")
    dock.setup.start.click()
    assert "must be different" in said(iface)
    (tmp_path / "old.gpkg").write_bytes(b"tags of last year")
    dock.setup.names.setText("a, b")
    dock.setup.file.setFilePath(str(tmp_path / "old.gpkg"))
    dock.setup.start.click()
    assert "exists; open it" in said(iface)
    assert (tmp_path / "old.gpkg").read_bytes() == b"tags of last year"
    assert dock.session is None


@pytest.mark.parametrize("place", ["dock", "map"])
def test_keys_tag_move_and_undo_in_the_dock_and_on_the_map(dock, iface, place):
    dock.setup.start.click()
    assert "temporary" in said(iface)
    widget = dock.page if place == "dock" else iface.canvas
    press(widget, "1", "2", "Return", "2", "Right", "0", "Down", "Left")
    assert tags(dock)[:3] == [("water", "field"), ("field",), ()]
    assert dock.session.current == 4
    assert [count.text() for _, _, count in dock.page.rows._rows] == ["1", "2"]
    assert (dock.page.progress.value(), dock.page.progress.maximum()) == (3, 9)
    press(widget, "Ctrl+Z", "Ctrl+Z")
    assert tags(dock)[:3] == [("water", "field"), None, None]
    assert dock.session.current == 1
    press(widget, "Ctrl+Y", "Up", "Left", "Delete", "9")
    assert tags(dock)[:2] == [None, ("field",)]


def test_buttons_do_the_same_and_show_the_scene(dock, iface):
    dock.setup.start.click()
    rows = dock.page.rows._rows
    rows[1][1].click()
    assert tags(dock)[0] == ("field",)
    assert [button.isChecked() for _, button, _ in rows] == [False, True]
    assert "Scene <b>1</b> of 9: field" in dock.page.where.text()
    dock.page.buttons["next_untagged"].click()
    assert not rows[1][1].isChecked()
    assert "untagged" in dock.page.where.text()
    dock.page.buttons["none"].click()
    assert "none of the classes" in dock.page.where.text()
    box = dock.session.outline().boundingBox()
    assert iface.canvas.extent().contains(box)
    assert dock.view._bands[0].asGeometry().boundingBox() == box


def test_a_click_on_the_map_chooses_a_scene(dock, iface):
    from qgis.core import QgsPointXY
    from qgis.PyQt.QtCore import Qt

    before = iface.canvas.mapTool()
    dock.setup.start.click()
    assert iface.canvas.mapTool() is dock.view.tool
    dock.view.tool.canvasClicked.emit(QgsPointXY(500_050, 4_999_950), Qt.MouseButton.LeftButton)
    assert dock.session.current == 7
    dock.view.tool.canvasClicked.emit(QgsPointXY(0, 0), Qt.MouseButton.LeftButton)
    assert dock.session.current == 7
    dock.act("leave")
    assert iface.canvas.mapTool() is before


@pytest.mark.parametrize("own", [False, True])
def test_a_tool_that_draws_keeps_its_keys(dock, iface, package, own):
    from qgis.gui import QgsMapToolEmitPoint

    class Draw(QgsMapToolEmitPoint):
        def flags(self):
            return self.Flag.EditTool

    dock.setup.start.click()
    draw = (package("gui.draw_tool").DrawTool if own else Draw)(iface.canvas)
    iface.canvas.setMapTool(draw)
    press(iface.canvas, "1", "Delete")
    assert tags(dock)[0] is None
    press(dock.page, "1")
    assert tags(dock)[0] == ("water",)
    dock.page.pick.click()
    press(iface.canvas, "2")
    assert tags(dock)[0] == ("water", "field")
    if own:
        draw.remove()


def test_a_file_keeps_its_own_classes(dock, tmp_path):
    dock.setup.file.setFilePath(str(tmp_path / "scenes.gpkg"))
    dock.setup.start.click()
    dock.act("leave")
    dock.setup.names.setText("another, list")
    dock.setup.opened.emit(str(tmp_path / "scenes.gpkg"))
    assert dock.session.names == ("water", "field")


def test_all_tagged_is_said(dock, iface):
    dock.setup.start.click()
    for _ in range(9):
        dock.act("class:0")
        dock.act("next_untagged")
    assert "All scenes are tagged" in said(iface)
    assert dock.page.progress.value() == 9


def test_save_reload_the_project_and_go_on(dock, iface, project, tmp_path):
    """From a temporary layer to a file, to a saved project, to the same scene with the same classes."""
    dock.setup.start.click()
    press(dock.page, "1", "Return", "2", "Return")
    memory = dock.session.layer.layer.id()
    dock.save_as(str(tmp_path / "scenes.gpkg"))
    assert project.mapLayer(memory) is None
    assert dock.session.current == 2
    press(dock.page, "0")
    assert project.write(str(tmp_path / "p.qgz"))
    project.clear()
    assert dock.session is None
    assert "its tags are in" in said(iface)
    assert project.read(str(tmp_path / "p.qgz"))
    assert dock.setup.known.count() == 1
    dock.setup.resume.click()
    assert tags(dock)[:4] == [("water",), ("field",), (), None]
    assert dock.session.names == ("water", "field")
    assert dock.session.current == 3
    assert (tmp_path / "scenes.classes.json").is_file()
    dock.act("tile")
    path = str(tmp_path / "scenes.gpkg")
    classes = str(tmp_path / "scenes.classes.json")
    (raster,) = (x for x in project.mapLayers().values() if x.name() == "scene")
    assert dock.tiles == [{"TAG_FILE": path, "CLASSES": classes, "SIZE": 32, "INPUT": [raster.id()]}]


def test_a_file_is_opened_once_and_its_classes_are_known(dock, iface, project, tmp_path):
    path = str(tmp_path / "scenes.gpkg")
    dock.setup.file.setFilePath(str(tmp_path / "scenes"))  # without a suffix
    dock.setup.start.click()
    assert dock.session.layer.path == path
    press(dock.page, "2")
    dock.act("leave")
    shown = len(project.mapLayers())
    dock.setup.opened.emit(path)  # open in the project: the same layer goes on
    assert len(project.mapLayers()) == shown
    project.removeMapLayer(dock.session.layer.layer.id())
    Path(tmp_path / "scenes.classes.json").unlink()
    dock.setup.names.setText("")
    dock.setup.opened.emit(path)
    assert dock.session.names == ("field",)  # what the tags themselves tell
    dock.session.add_class("road")
    assert dock.session.names == ("field", "road")
    (tmp_path / "broken.gpkg").write_bytes(b"x")
    dock.setup.opened.emit(str(tmp_path / "broken.gpkg"))
    assert "cannot be read" in said(iface)


def test_the_layer_may_go_while_it_is_tagged(dock, iface, project):
    dock.setup.start.click()
    press(dock.page, "1")
    project.removeMapLayer(dock.session.layer.layer.id())
    assert dock.session is None
    assert "was removed" in said(iface)
    assert dock.view._bands[0].asGeometry().isEmpty()
    press(iface.canvas, "1", "Return")  # nobody listens any more
    dock.setup.start.click()
    assert dock.session is not None


def test_the_raster_may_go_and_the_tags_stay(dock, project):
    dock.setup.start.click()
    (raster,) = (x for x in project.mapLayers().values() if x.name() == "scene")
    project.removeMapLayer(raster.id())
    press(dock.page, "1")
    assert tags(dock)[0] == ("water",)
    dock.act("leave")
    assert not dock.setup.start.isEnabled()


def test_edits_by_hand_are_taken_over(dock):
    dock.setup.start.click()
    layer = dock.session.layer.layer
    dock.session.step(1)
    layer.startEditing()
    layer.changeAttributeValue(dock.session.scenes[0].fid, layer.fields().indexOf("tags"), "field;lake")
    assert layer.commitChanges()
    assert tags(dock)[0] == ("field", "lake")
    assert dock.session.names == ("water", "field", "lake")
    assert dock.session.current == 1


def test_a_raster_without_crs_and_georeference(dock, iface, project, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer

    data = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "plain.tif"), 96, 80, 1)
    data.FlushCache()
    del data
    layer = QgsRasterLayer(str(tmp_path / "plain.tif"), "plain")
    project.addMapLayer(layer)
    dock.setup.raster.setLayer(layer)
    iface.canvas.setDestinationCrs(QgsCoordinateReferenceSystem())
    dock.setup.file.setFilePath(str(tmp_path / "scenes.gpkg"))
    dock.setup.start.click()
    assert not dock.session.layer.layer.crs().isValid()
    box = dock.session.outline().boundingBox()
    assert (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()) == (0, -32, 32, 0)
    assert iface.canvas.extent().contains(box)


def test_confidence_leads_to_the_least_certain_scene(dock, project, raster, wait_for):
    from osgeo import gdal
    from qgis.core import QgsRasterLayer

    path = raster("confidence.tif", bands=1)
    data = gdal.Open(path, gdal.GA_Update)
    rows = b"".join(bytes([250 if y < 48 or x < 64 else 20]) for y in range(80) for x in range(96))
    data.GetRasterBand(1).WriteRaster(0, 0, 96, 80, rows)
    data.FlushCache()
    del data
    layer = QgsRasterLayer(path, "confidence")
    project.addMapLayer(layer)
    dock.setup.start.click()
    assert not dock.page.buttons["least_certain"].isEnabled()
    dock.page.confidence.setLayer(layer)
    project.removeMapLayer(layer.id())  # it may go; what is measured is measured on
    dock.page.confidence.setLayer(None)
    layer = QgsRasterLayer(path, "confidence")
    project.addMapLayer(layer)
    dock.page.confidence.setLayer(layer)
    wait_for(lambda: dock._measuring is None)
    assert dock.page.buttons["least_certain"].isEnabled()
    press(dock.page, "L")
    assert dock.session.current == 8


def test_hidden_it_lets_go_of_the_keys_and_the_map(dock, iface):
    from qgis.PyQt.QtWidgets import QApplication

    dock.setup.start.click()
    dock.hide()
    QApplication.processEvents()
    press(iface.canvas, "1")
    assert tags(dock)[0] is None
    assert dock.view._bands[0].asGeometry().isEmpty()
    dock.show()
    QApplication.processEvents()
    press(iface.canvas, "1")
    assert tags(dock)[0] == ("water",)


def test_the_plugin_may_go_while_scenes_are_tagged(dock, iface, project):
    from qgis.PyQt import sip

    dock.setup.start.click()
    layer = dock.session.layer.layer
    dock.stop()
    sip.delete(dock)
    assert layer.isValid()
    project.removeMapLayer(layer.id())
    press(iface.canvas, "1")
    assert not [i for i in iface.canvas.scene().items() if type(i).__name__ == "QgsRubberBand"]
