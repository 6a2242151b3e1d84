"""Find similar: what it refuses, what the engine makes of it, drawing on the map, and the dock."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


@pytest.fixture
def project(qgis_app):
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def card_only(tmp_path):
    """A few-shot model with a card and no weights: enough to be set up with, too little for the engine."""
    card = {"format": 1, "bands": ["red", "green", "blue"], "gsd": 0.5, "tile_size": 96, "seen": ["a <b>", "water"]}
    return write_model(tmp_path / "few.safetensors", {"__metadata__": {"wsss_geo_fewshot": json.dumps(card)}})


def write_model(path, head):
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return str(path)


def wanted(layer, examples, model, folder, **more):
    return {
        "INPUT": layer,
        "EXAMPLES": examples,
        "MODEL": model,
        "NAME": "roofs",
        "DEVICE": "cpu",
        "OUTPUT": str(folder / "found.tif"),
        "POLYGONS": str(folder / "found.gpkg"),
        "CONFIDENCE": str(folder / "sure.tif"),
        "REPORT": str(folder / "report.html"),
        **more,
    }


@pytest.fixture
def refusal(provider, project):
    from qgis.core import QgsProcessingContext

    def call(parameters):
        context = QgsProcessingContext()
        context.setProject(project)
        ok, reason = provider.algorithm("find_similar").create().checkParameterValues(parameters, context)
        return "" if ok else reason

    return call


def test_bad_examples_are_refused_in_a_sentence(refusal, raster, polygons, card_only, tmp_path):
    from qgis.core import QgsProcessingFeatureSourceDefinition

    scene, good = raster(), polygons()
    selected = QgsProcessingFeatureSourceDefinition(good.id(), True)
    cases = [
        (scene, good.id(), ""),
        (scene, polygons((), name="none").id(), "“none” holds no polygon"),
        (scene, selected, "holds no polygon"),  # nothing is selected
        (scene, polygons(((0, 0, 9, 9),), name="far").id(), "No polygon of “far” lies in layer “scene”"),
        (scene, polygons(((9, 45, 9.1, 45.1),), "EPSG:4326", "near").id(), "No polygon of “near” lies in"),
        (scene, polygons(((9.0001, 45.1531, 9.0006, 45.1535),), "EPSG:4326", "in").id(), ""),
        (scene, polygons(crs="", name="placeless").id(), "Layer “placeless” has no CRS, but “scene” has one"),
    ]
    for layer, examples, words in cases:
        said = refusal(wanted(layer, examples, card_only, tmp_path))
        assert words in said
        assert bool(said) == bool(words)
        assert "\n" not in said


def test_layers_and_models_of_another_kind_are_refused(refusal, project, raster, polygons, model, card_only, tmp_path):
    from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer

    examples = polygons().id()
    plain = QgsRasterLayer(raster("plain.tif"), "plain")
    plain.setCrs(QgsCoordinateReferenceSystem())
    project.addMapLayer(plain)
    scene = raster()
    cases = [
        (plain.id(), {}, "Layer “plain” has no CRS, but “examples” has one"),
        (plain.id(), {"EXAMPLE_RASTER": scene}, ""),
        (scene, {"MODEL": model}, "is no few-shot model"),
        (scene, {"MODEL": "/nowhere.safetensors"}, "cannot be read"),
        (scene, {"BANDS": "1,2,7"}, "bands 1 to 3"),
        (scene, {"EXTENT": "0,1,0,1 [EPSG:32632]"}, "does not touch"),
        (scene, {"NAME": ""}, "NAME"),
    ]
    for layer, more, words in cases:
        said = refusal({**wanted(layer, examples, card_only, tmp_path), **more})
        assert words in said
        assert bool(said) == bool(words)


def test_the_engine_finds_and_the_result_is_styled(
    run_as_task, show_results, real_engine, raster, polygons, few_shot_model, project, tmp_path
):
    from osgeo import gdal
    from qgis.core import (
        QgsProcessingContext,
        QgsProcessingFeatureSourceDefinition,
        QgsProcessingFeedback,
        QgsVectorLayer,
    )

    scene = raster()
    layer = polygons(((500_010, 4_999_950, 500_030, 4_999_980), (500_060, 4_999_930, 500_080, 4_999_940)))
    layer.selectByIds(sorted(layer.allFeatureIds())[:1])
    context, feedback = QgsProcessingContext(), QgsProcessingFeedback(False)
    parameters = wanted(scene, QgsProcessingFeatureSourceDefinition(layer.id(), True), few_shot_model, tmp_path)
    ok, results, to_load = run_as_task("find_similar", parameters, context, feedback, project)
    assert ok, feedback.textLog()
    assert "wsss-geo fewshot" in feedback.textLog()
    assert set(to_load) == {results[n] for n in ("OUTPUT", "POLYGONS", "CONFIDENCE")}
    mask = gdal.Open(results["OUTPUT"])
    assert (mask.RasterXSize, mask.RasterYSize) == (96, 80)
    (area,) = json.loads(results["AREAS"]).values()
    assert results["SHARE"] == pytest.approx(area / (96 * 80), rel=0.01)
    found = QgsVectorLayer(results["POLYGONS"], "p", "ogr")
    assert found.featureCount() == results["POLYGON_COUNT"]
    assert {f["class"] for f in found.getFeatures()} <= {"roofs"}
    assert "roofs" in (tmp_path / "report.html").read_text("utf-8")
    assert not list(tmp_path.rglob("*.part*"))
    record = json.loads((tmp_path / "found.tif.json").read_text("utf-8"))
    assert record["result"]["drawn"] == 1  # the selected one alone
    assert show_results("find_similar", context, feedback, results)
    shown = {x.name(): x for x in project.mapLayers().values()}
    assert [c.label for c in shown["scene: roofs, Mask"].renderer().classes()] == ["roofs"]  # the rest is not drawn
    assert shown["scene: roofs, Polygons"].renderer().type() == "categorizedSymbol"


def test_a_raster_of_other_bands_is_one_sentence(qgis_run, real_engine, raster, polygons, few_shot_model, tmp_path):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        qgis_run("find_similar", wanted(raster("gray.tif", bands=1), polygons().id(), few_shot_model, tmp_path))
    assert "band" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("found*"))


# -- the dock ---------------------------------------------------------------------------------------------------


@pytest.fixture
def dock(package, provider, iface, project, raster, tmp_path):
    """The dock in a window, with a raster in the project and on the map."""
    from qgis.core import QgsRasterLayer
    from qgis.PyQt import sip
    from qgis.PyQt.QtCore import Qt

    layer = QgsRasterLayer(raster(), "scene")
    project.addMapLayer(layer)
    iface.canvas.setDestinationCrs(layer.crs())
    iface.window.resize(900, 700)
    made = package("gui.similar_dock").SimilarDock(iface, lambda given: None)
    iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, made)
    iface.window.show()
    iface.canvas.setExtent(layer.extent())
    made.form.choose(layer)
    (tmp_path / "out").mkdir()
    made.form.folder.setFilePath(str(tmp_path / "out"))
    yield made
    if not sip.isdeleted(made):
        made.stop()
        sip.delete(made)


def said(iface):
    item = iface.bar.currentItem()
    return item.text() if item else ""


def draw(canvas, corners):
    """Click at map coordinates, then the right button."""
    from qgis.core import QgsPointXY
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    for x, y in corners:
        place = canvas.getCoordinateTransform().transform(QgsPointXY(x, y)).toQPointF().toPoint()
        QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.RightButton, pos=place)


SQUARE = ((500_020, 4_999_940), (500_050, 4_999_940), (500_050, 4_999_970), (500_020, 4_999_970))


def test_polygons_are_drawn_on_the_map(dock, iface, project):
    from qgis.core import QgsProject
    from qgis.PyQt.QtCore import Qt
    from qgis.PyQt.QtTest import QTest

    form, canvas = dock.form, iface.canvas
    assert form.examples.currentLayer() is None
    form.draw_button.click()
    assert canvas.mapTool() is form.tool
    draw(canvas, SQUARE)
    layer = form.examples.currentLayer()
    assert layer.crs().authid() == "EPSG:32632"
    assert layer.featureCount() == 1
    (feature,) = layer.getFeatures()
    assert feature.geometry().area() == pytest.approx(900, rel=0.1)
    draw(canvas, SQUARE[:2])  # two corners are no polygon
    assert layer.featureCount() == 1
    for x, y in SQUARE[:2]:
        place = canvas.getCoordinateTransform().transform(x, y).toQPointF().toPoint()
        QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    draw(canvas, SQUARE[1:])  # three, after what was begun was dropped
    assert layer.featureCount() == 2
    form.back_button.click()
    assert layer.featureCount() == 1
    form.back_button.click()
    assert not form.back_button.isEnabled()
    QgsProject.instance().removeMapLayer(layer.id())
    draw(canvas, SQUARE)  # into a layer of its own
    assert form.examples.currentLayer().featureCount() == 1
    form.draw_button.click()
    assert canvas.mapTool() is not form.tool


def test_what_is_drawn_reaches_the_crs_of_the_raster(dock, iface):
    from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsProject

    degrees = QgsCoordinateReferenceSystem("EPSG:4326")
    layer = dock.form.raster.currentLayer()
    there = QgsCoordinateTransform(layer.crs(), degrees, QgsProject.instance())
    iface.canvas.setDestinationCrs(degrees)
    iface.canvas.setExtent(there.transformBoundingBox(layer.extent()))
    dock.form.draw_button.click()
    draw(iface.canvas, [(p.x(), p.y()) for p in (there.transform(x, y) for x, y in SQUARE)])
    examples = dock.form.examples.currentLayer()
    assert examples.crs() == layer.crs()
    assert layer.extent().contains(examples.extent())


def test_a_form_that_cannot_run_says_why(dock, iface, project, card_only, polygons):
    form = dock.form
    dock.run_button.click()
    assert "Choose a few-shot model" in said(iface)
    form.model.setFilePath(card_only)
    assert "a &lt;b&gt;, water" in form.card.text()
    dock.run_button.click()
    assert "Draw polygons around a few examples" in said(iface)
    form.examples.setLayer(polygons())
    form.chosen.setChecked(True)
    dock.run_button.click()
    assert "Nothing is selected" in said(iface)
    form.chosen.setChecked(False)
    form.name.setText("  ")
    dock.run_button.click()
    assert "a name" in said(iface)
    form.name.setText("roofs")
    dock.run_button.click()
    assert "none is set up" in said(iface)  # the engine
    assert dock.run is None


def test_drawn_examples_to_a_styled_group(dock, iface, project, real_engine, few_shot_model, wait_for, tmp_path):
    form = dock.form
    form.draw_button.click()
    draw(iface.canvas, SQUARE)
    form.model.setFilePath(few_shot_model)
    form.name.setText("roofs")
    dock.run_button.click()
    assert dock.run is not None, said(iface)
    assert iface.canvas.mapTool() is not form.tool
    wait_for(lambda: dock.run is None)
    assert dock.status.text() == "Done.", dock.status.text()
    nodes = project.layerTreeRoot().findLayers()
    names = {(n.name(), n.itemVisibilityChecked(), n.parent().name()) for n in nodes}
    assert {
        ("scene: roofs, Polygons", True, "scene"),
        ("scene: roofs, Mask by confidence", False, "scene"),
        ("scene: roofs, Mask", False, "scene"),
        ("scene: roofs, Confidence", False, "scene"),
    } < names
    confident = project.mapLayer(dock.layers[1])
    hidden = confident.dataProvider().userNoDataValues(1)
    assert [(r.min(), r.max()) for r in hidden] == [(0, 255), (512, 65535)]  # what is not found, and nodata
    assert "roofs" in dock.areas.text()
    assert {"scene_mask.tif", "scene_polygons.gpkg", "scene_report.html"} <= set(os.listdir(tmp_path / "out"))


def test_examples_on_a_raster_without_crs(dock, iface, project, real_engine, few_shot_model, wait_for, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer

    plain = str(tmp_path / "plain.png")
    gdal.Translate(plain, dock.form.raster.currentLayer().source(), format="PNG")
    Path(f"{plain}.aux.xml").unlink(missing_ok=True)
    layer = QgsRasterLayer(plain, "plain")
    layer.setCrs(QgsCoordinateReferenceSystem())
    project.addMapLayer(layer)
    iface.canvas.setDestinationCrs(QgsCoordinateReferenceSystem())
    iface.canvas.setExtent(layer.extent())
    dock.form.choose(layer)
    dock.form.draw_button.click()
    draw(iface.canvas, ((20, -60), (50, -60), (50, -30), (20, -30)))
    assert not dock.form.examples.currentLayer().crs().isValid()
    dock.form.model.setFilePath(few_shot_model)
    dock.form.polygons.setChecked(False)
    dock.run_button.click()
    assert dock.run is not None, said(iface)
    wait_for(lambda: dock.run is None)
    assert dock.status.text() == "Done.", dock.status.text()
    assert project.mapLayer(dock.layers[0]).extent() == layer.extent()
    assert "Pixels" in dock.areas.text()


def test_cancel_and_unloading_leave_no_process_and_no_tool(dock, iface, fake_engine, card_only, wait_for, project):
    from qgis.PyQt import sip

    fake_engine("sleep")
    dock.form.draw_button.click()
    draw(iface.canvas, SQUARE)
    dock.form.model.setFilePath(card_only)
    for end in (dock.cancel_button.click, dock.stop):
        fake_engine.notes.unlink(missing_ok=True)
        dock.run_button.click()
        wait_for(lambda: fake_engine.notes.exists() and len(fake_engine.notes.read_text().split()) == 2)
        processes = [int(p) for p in fake_engine.notes.read_text().split()]
        end()
        wait_for(lambda: dock.run is None)
        assert not [p for p in processes if Path(f"/proc/{p}/cmdline").exists() and alive(p)]
    sip.delete(dock)
    assert iface.canvas.mapTool() is None or type(iface.canvas.mapTool()).__name__ != "DrawTool"


def alive(process):
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
