"""The dock Segment Layer: card, preview, results, threshold, and what may go wrong meanwhile."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest


@pytest.fixture
def project(qgis_app):
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def dock(package, provider, iface, project, raster, tmp_path):
    """The dock in a window, with a raster in the project; ``dock.dialogs`` are the parameters of dialogs asked for."""
    from qgis.core import QgsRasterLayer
    from qgis.PyQt import sip
    from qgis.PyQt.QtCore import Qt

    layer = QgsRasterLayer(raster(), "scene")
    project.addMapLayer(layer)
    iface.canvas.setDestinationCrs(layer.crs())
    iface.window.resize(900, 700)
    dialogs = []
    made = package("gui.segment_dock").SegmentDock(iface, dialogs.append)
    made.dialogs = dialogs
    iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, made)
    iface.window.show()
    iface.canvas.setExtent(layer.extent())
    (tmp_path / "out").mkdir()
    made.form.folder.setFilePath(str(tmp_path / "out"))
    yield made
    if not sip.isdeleted(made):
        made.stop()
        sip.delete(made)


@pytest.fixture
def card_only(tmp_path):
    """A model file with a card and no weights: enough for the form, too little for the engine."""
    card = {
        "format": 1,
        "method": "aerial",
        "classes": [{"id": 0, "name": "water", "color": "#0000ff"}, {"id": 3, "name": "a <b>", "color": "#00ff00"}],
        "background": "none",
        "bands": ["red", "green", "blue"],
        "gsd": 0.5,
        "tile_size": 96,
        "scores": {"score": 0.88},
        "tag_counts": {"water": 1200, "a <b>": 34},
    }
    return write_model(tmp_path / "card.safetensors", {"__metadata__": {"wsss_geo": json.dumps(card)}})


def write_model(path, head):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return str(path)


def said(iface):
    item = iface.bar.currentItem()
    return item.text() if item else ""


def names(project):
    """Layers as the tree shows them, top first: (name, visible, group)."""
    nodes = project.layerTreeRoot().findLayers()
    return [(n.name(), n.itemVisibilityChecked(), n.parent().name()) for n in nodes]


def test_the_card_is_shown(dock, card_only):
    dock.form.model.setFilePath(card_only)
    text = dock.form.card.text()
    for words in ("water", "a&nbsp;&lt;b&gt;", "#00ff00", "3 bands: red, green, blue", "0.5 m", "1,234 tags", "0.88"):
        assert words in text
    dock.more_button.click()
    assert dock.dialogs == [{"INPUT": dock.form.raster.currentLayer().id(), "MODEL": card_only}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no model"),
        (b"\xff" * 100, "is no model"),
        (b"\x02\0\0\0\0\0\0\0{}", "is no model"),
        ({"__metadata__": {"wsss_geo": "[" * 9999}}, "card in"),
        ({"__metadata__": {"wsss_geo": '{"classes": []}'}}, "card in"),
        ({"__metadata__": {"wsss_geo": "null"}}, "card in"),
    ],
)
def test_what_is_no_model_is_said_at_once(dock, iface, tmp_path, content, words):
    path = tmp_path / "m.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_model(path, content)
    dock.form.model.setFilePath(str(path))
    assert words in dock.form.card.text()
    dock.run_button.click()
    assert words in said(iface)
    assert dock.run is None


def test_a_form_that_cannot_run_says_why(dock, iface, project, card_only, tmp_path):
    from qgis.core import QgsRectangle, QgsVectorLayer

    form = dock.form
    dock.run_button.click()
    assert "Choose a model" in said(iface)
    form.model.setFilePath(str(tmp_path / "none.safetensors"))
    dock.run_button.click()
    assert "cannot be read" in said(iface)
    form.model.setFilePath(card_only)
    dock.run_button.click()
    assert "none is set up" in said(iface)  # the engine
    form.folder.setFilePath("/nowhere/at/all")
    dock.run_button.click()
    assert "does not exist" in said(iface)
    form.extent.setCurrentIndex(2)
    dock.run_button.click()
    assert "layer of polygons" in said(iface)
    area = QgsVectorLayer("Polygon?crs=EPSG:32632", "area", "memory")
    project.addMapLayer(area)
    form.area.setLayer(area)
    form.selected.setChecked(True)
    dock.run_button.click()
    assert "Nothing is selected" in said(iface)
    iface.canvas.setExtent(QgsRectangle(0, 0, 10, 10))
    dock.preview_button.click()
    assert "zoom to the layer" in said(iface)
    project.removeAllMapLayers()
    dock.run_button.click()
    assert "Add a raster layer" in said(iface)
    assert dock.run is None


def test_too_much_for_a_preview_asks_to_zoom_in(dock, iface, card_only, package, monkeypatch):
    dock.form.model.setFilePath(card_only)
    monkeypatch.setattr(package("gui.segment_form"), "MOST_PREVIEW_PIXELS", 1000)
    dock.preview_button.click()
    assert "7,680 pixels" in said(iface)
    assert "zoom in" in said(iface)


def test_windows_of_a_layer(package, qgis_app, raster):
    from qgis.core import QgsRasterLayer, QgsRectangle

    sources, grids = package("algorithms.sources"), package("pixel_grid")
    layer = QgsRasterLayer(raster(origin=(100.0, 200.0), pixel=0.5), "x")
    grid = grids.pixel_grid(layer)
    assert grid.window(layer.extent()) == (0, 0, 96, 80)
    assert grid.window(QgsRectangle(101.2, 198.9, 103, 199.5)) == (2, 1, 4, 2)
    assert sources.engine_raster(layer) == layer.source()
    assert sources.engine_box(QgsRectangle(101.5, 198, 103, 199.5)) == "101.5,198.0,103.0,199.5"
    assert sources.window_path(layer, QgsRectangle(0, 0, 9, 9)) == ""
    path = sources.window_path(layer, QgsRectangle(101.2, 198.9, 103, 199.5))
    assert path == f"vrt://{layer.source()}?srcwin=2,1,4,2"


def test_a_raster_without_georeference_is_placed_where_qgis_draws_it(package, qgis_app, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsRasterLayer, QgsRectangle

    data = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "plain.tif"), 96, 80, 1)
    data.FlushCache()
    del data
    layer = QgsRasterLayer(str(tmp_path / "plain.tif"), "plain")
    sources = package("algorithms.sources")
    assert sources.engine_raster(layer) == f"vrt://{layer.source()}?a_ullr=0,0,96,-80"
    assert package("pixel_grid").pixel_grid(layer).window(QgsRectangle(10, -30, 20, -5)) == (10, 5, 10, 25)
    part = sources.window_path(layer, QgsRectangle(10, -30, 20, -5))
    assert part == f"vrt://{layer.source()}?srcwin=10,5,10,25&a_ullr=10,-5,20,-30"


@pytest.fixture
def results(qgis_app, tmp_path):
    """Mask and confidence as the engine writes them, 4 x 2 pixels of classes 0 and 3; one pixel nodata."""
    from osgeo import gdal, osr

    def write(name, rows, nodata, scale=None, names=None):
        path = str(tmp_path / name)
        data = gdal.GetDriverByName("GTiff").Create(path, 4, 2, 1, gdal.GDT_Byte)
        data.SetGeoTransform((500_000, 1, 0, 5_000_000, 0, -1))
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(32632)
        data.SetProjection(reference.ExportToWkt())
        band = data.GetRasterBand(1)
        band.SetNoDataValue(nodata)
        if scale:
            band.SetScale(scale)
        if names:
            table = gdal.ColorTable()
            for value in names:
                table.SetColorEntry(value, (0, 0, 255, 255) if value == 0 else (0, 255, 0, 255))
            band.SetColorTable(table)
            band.SetCategoryNames([names.get(i, "") for i in range(4)])
        band.WriteRaster(0, 0, 4, 2, bytes(rows))  # GDAL 3.10 takes no colours once there are pixels
        data.FlushCache()
        return path

    mask = write("mask.tif", [0, 0, 3, 3, 3, 0, 255, 0], 255, names={0: "water", 3: "field"})
    return mask, write("confidence.tif", [255, 100, 128, 60, 200, 1, 0, 127], 0, scale=1 / 255)


def drawn(layer):
    """What of the 4 x 2 pixels is drawn: blue, green or nothing."""
    from qgis.core import QgsMapRendererSequentialJob, QgsMapSettings
    from qgis.PyQt.QtCore import QSize
    from qgis.PyQt.QtGui import QColor

    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(40, 20))
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    picture = job.renderedImage()
    colors = [picture.pixelColor(10 * x + 5, 10 * y + 5) for y in range(2) for x in range(4)]
    return "".join("." if c.alpha() == 0 else "b" if c.blue() > c.green() else "g" for c in colors)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "bbgggb.b"), (0.5, "b.g.g..."), (1.0, "b......."), (0.4, "b.g.g..b")]
)
def test_the_threshold_acts_on_each_pixel_while_drawing(package, results, tmp_path, share, expected):
    from qgis.core import QgsRasterLayer

    confident, styling = package("confident"), package("styling")
    mask = QgsRasterLayer(results[0], "mask")
    styling.style_mask(mask)
    layer = confident.confident_layer(mask, results[1], str(tmp_path / "c.vrt"), "c")
    assert layer.isValid()
    assert layer.extent() == mask.extent()
    before = Path(tmp_path / "c.vrt").read_bytes()
    confident.set_threshold(layer, share)
    assert drawn(layer) == expected
    assert (tmp_path / "c.vrt").read_bytes() == before
    confident.set_threshold(layer, 0.0)
    assert drawn(layer) == "bbgggb.b"


def test_the_threshold_hides_polygons_by_their_mean(package, qgis_app):
    from qgis.core import (
        QgsCategorizedSymbolRenderer,
        QgsFeature,
        QgsFillSymbol,
        QgsGeometry,
        QgsRectangle,
        QgsRendererCategory,
        QgsVectorLayer,
    )

    layer = QgsVectorLayer("Polygon?crs=EPSG:32632&field=class:string&field=conf:double", "p", "memory")
    for at, (name, conf) in enumerate((("water", 0.9), ("field", 0.4), ("field", 0.6), ("water", 0.1))):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([name, conf])
        west = 500_000 + at
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 4_999_998, west + 1, 5_000_000)))
        layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    looks = {"water": "0,0,255,255", "field": "0,255,0,255"}
    categories = [
        QgsRendererCategory(n, QgsFillSymbol.createSimple({"color": c, "outline_style": "no"}), n)
        for n, c in looks.items()
    ]
    layer.setRenderer(QgsCategorizedSymbolRenderer("class", categories))
    set_threshold = package("confident").set_threshold
    for share, expected in ((0.0, "bggb"), (0.5, "b.g."), (1.0, "...."), (0.0, "bggb")):
        set_threshold(layer, share)
        assert drawn(layer) == expected * 2


def test_preview_then_run_with_results_grouped_and_styled(dock, iface, project, real_engine, model, wait_for, tmp_path):
    from qgis.core import QgsRectangle

    dock.form.model.setFilePath(model)
    iface.canvas.setExtent(QgsRectangle(500_010, 4_999_930, 500_074, 4_999_994))
    dock.preview_button.click()
    assert dock.run is not None
    assert not dock.form.isEnabled()
    dock.run_button.click()  # one at a time
    wait_for(lambda: dock.run is None)
    assert names(project) == [("scene: Preview", True, "scene"), ("scene", True, "")]
    preview = project.mapLayer(dock.layers[0])
    assert 60 < preview.width() < 97
    assert 60 < preview.height() <= 80
    assert "Hectares" in dock.areas.text()
    dock.slider.setValue(50)
    wait_for(lambda: len(preview.dataProvider().userNoDataValues(1)) > 1)
    dock.run_button.click()
    wait_for(lambda: dock.run is None)
    assert names(project) == [
        ("scene: Polygons", True, "scene"),
        ("scene: Mask by confidence", False, "scene"),
        ("scene: Mask", False, "scene"),
        ("scene: Confidence", False, "scene"),
        ("scene", True, ""),
    ]
    layers = [project.mapLayer(x) for x in dock.layers]
    kinds = ["categorizedSymbol", "singlebandpseudocolor", "paletted", "singlebandgray"]
    assert [x.renderer().type() for x in layers] == kinds
    suffixes = ("polygons.gpkg", "mask.vrt", "mask.tif", "confidence.tif", "report.html")
    assert {f"scene_{s}" for s in suffixes} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert "Hectares" in (tmp_path / "out/scene_report.html").read_text("utf-8")


def test_outputs_get_names_that_nothing_has(package, qgis_app, tmp_path):
    """So a file that is open in the project, or an older result, is never written over."""
    paths = package("gui.results").output_paths
    first = paths("Ort/2024: a", str(tmp_path), True)
    assert {Path(p).name for p in first.values()} == {
        f"Ort_2024_a_{s}" for s in ("mask.tif", "confidence.tif", "polygons.gpkg", "report.html")
    }
    Path(first["REPORT"]).touch()
    second = paths("Ort/2024: a", str(tmp_path), False)
    assert Path(second["OUTPUT"]).name == "Ort_2024_a_2_mask.tif"
    assert "POLYGONS" not in second
    assert os.path.dirname(paths("a", "", False)["OUTPUT"]) != os.path.dirname(paths("a", "", False)["OUTPUT"])


def start(dock, fake_engine, card, behaviour, wait_for):
    fake_engine(behaviour)
    dock.form.model.setFilePath(card)
    dock.run_button.click()
    assert dock.run is not None
    if behaviour == "sleep":
        wait_for(lambda: fake_engine.notes.exists() and len(fake_engine.notes.read_text().split()) == 2)
        return [int(p) for p in fake_engine.notes.read_text().split()]
    return []


def gone(processes):
    def alive(process):
        try:
            os.kill(process, 0)
            return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return False

    return not any(map(alive, processes))


def test_a_failure_is_the_engines_sentence(dock, iface, fake_engine, card_only, wait_for, project):
    start(dock, fake_engine, card_only, "fail", wait_for)
    wait_for(lambda: dock.run is None)
    assert "has no band 7" in said(iface)
    assert "has no band 7" in dock.status.text()
    assert names(project) == [("scene", True, "")]
    assert dock.form.isEnabled()


def test_cancel_ends_at_once_and_leaves_nothing(dock, fake_engine, card_only, wait_for, project):
    processes = start(dock, fake_engine, card_only, "sleep", wait_for)
    asked = time.monotonic()
    dock.cancel_button.click()
    wait_for(lambda: dock.run is None)
    limit = 1.0 if os.getloadavg()[0] < os.cpu_count() else 8.0
    assert time.monotonic() - asked < limit
    assert dock.status.text() == "Cancelled."
    assert gone(processes)
    assert names(project) == [("scene", True, "")]


def test_the_layer_may_go_while_it_runs(dock, fake_engine, card_only, wait_for, project):
    processes = start(dock, fake_engine, card_only, "sleep", wait_for)
    project.removeAllMapLayers()
    assert dock.run is not None  # the file is still there: the results will come
    dock.cancel_button.click()
    wait_for(lambda: dock.run is None)
    assert gone(processes)


def test_results_of_a_layer_that_has_gone_are_shown_all_the_same(package, project, results):
    load = package("gui.results").load_results
    load("not_there", "scene", {"OUTPUT": results[0], "CONFIDENCE": results[1]}, False)
    assert [n[::2] for n in names(project)] == [
        ("scene: Mask by confidence", "scene"),
        ("scene: Mask", "scene"),
        ("scene: Confidence", "scene"),
    ]


def test_closing_the_project_ends_the_run(dock, fake_engine, card_only, wait_for, project):
    processes = start(dock, fake_engine, card_only, "sleep", wait_for)
    project.clear()
    assert dock.run is None
    assert "project was closed" in dock.status.text()
    wait_for(lambda: gone(processes))
    assert names(project) == []


def test_unloading_the_plugin_ends_the_run(dock, fake_engine, card_only, wait_for, package):
    from qgis.PyQt import sip

    processes = start(dock, fake_engine, card_only, "sleep", wait_for)
    dock.stop()
    sip.delete(dock)
    assert gone(processes)
    wait_for(lambda: not package("gui.algorithm_run")._running)


def test_a_layer_without_crs_is_previewed(dock, iface, project, real_engine, model, wait_for, tmp_path):
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
    dock.form.model.setFilePath(model)
    dock.preview_button.click()
    wait_for(lambda: dock.run is None)
    (preview,) = (project.mapLayer(x) for x in dock.layers)
    assert preview.extent() == layer.extent()
    mask = preview.source().replace(".vrt", ".tif")
    assert QgsRasterLayer(mask, "mask").extent() == layer.extent()
    assert "Pixels" in dock.areas.text()
