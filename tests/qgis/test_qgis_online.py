"""Layers that a server draws, fetched from one on this machine."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

LATITUDE, LONGITUDE = 48.0, 11.0
RADIUS = 6378137.0


@pytest.fixture
def tiles(qgis_app):
    """``tiles(status, seconds)`` starts a server and returns its XYZ layer."""
    from qgis.core import QgsRasterLayer

    servers = []

    def serve(status=200, seconds=0.0):
        command = [sys.executable, str(Path(__file__).with_name("tile_server.py")), str(status), str(seconds)]
        servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        port = servers[-1].stdout.readline().strip()
        url = f"http://127.0.0.1:{port}/%7Bz%7D/%7Bx%7D/%7By%7D.png"
        layer = QgsRasterLayer(f"type=xyz&url={url}&zmin=0&zmax=19", "tiles", "wms")
        assert layer.isValid()
        return layer

    yield serve
    for server in servers:
        server.kill()
        server.communicate()


def mercator(metres):
    """A square of so many metres on the ground in Web Mercator."""
    from qgis.core import QgsRectangle

    x = math.radians(LONGITUDE) * RADIUS
    y = math.log(math.tan(math.pi / 4 + math.radians(LATITUDE) / 2)) * RADIUS
    half = metres / math.cos(math.radians(LATITUDE)) / 2
    return QgsRectangle(x - half, y - half, x + half, y + half)


def context():
    from qgis.core import QgsCoordinateTransformContext

    return QgsCoordinateTransformContext()


def test_pixels_are_metres_on_the_ground_not_map_units(package, tiles):
    part = package("online").online_part(tiles(), mercator(200), 0.5, context())
    assert part.columns == pytest.approx(400, rel=0.005)
    assert part.rows == pytest.approx(400, rel=0.005)
    with pytest.raises(package("online").OnlineError, match="too many to ask a server for"):
        package("online").online_part(tiles(), mercator(20_000), 0.5, context())


def test_what_is_fetched_lies_where_its_tiles_lie(package, tiles, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsProcessingFeedback

    online, path, feedback = package("online"), str(tmp_path / "t.tif"), QgsProcessingFeedback(False)
    part = online.online_part(tiles(), mercator(200), 0.5, context())
    assert online.fetch(part, path, context(), feedback)
    data = gdal.Open(path)
    assert (data.RasterXSize, data.RasterYSize, data.RasterCount) == (part.columns, part.rows, 4)
    assert data.GetSpatialRef().GetAuthorityCode(None) == "3857"
    assert data.GetRasterBand(4).GetColorInterpretation() == gdal.GCI_AlphaBand
    left, step, _, top, _, down = data.GetGeoTransform()
    zooms = set()
    for column, row in ((3, 5), (200, 190), (390, 380)):
        zoom, x, y, alpha = (data.GetRasterBand(b).ReadAsArray(column, row, 1, 1)[0][0] for b in (1, 2, 3, 4))
        count = 2 ** int(zoom)
        size = 2 * math.pi * RADIUS / count
        place = left + (column + 0.5) * step, top + (row + 0.5) * down
        assert x == int((place[0] + math.pi * RADIUS) / size) % 256
        assert y == int((math.pi * RADIUS - place[1]) / size) % 256
        assert alpha == 255
        zooms.add(int(zoom))
    # 0.5 m on the ground is 0.75 units; tiles of zoom 18 have 0.6, of 17 1.2
    assert zooms <= {17, 18}
    assert len(zooms) == 1


def test_a_server_that_draws_nothing_is_told(package, tiles, tmp_path):
    from qgis.core import QgsProcessingFeedback

    online, feedback = package("online"), QgsProcessingFeedback(False)
    part = online.online_part(tiles(404), mercator(60), 0.5, context())
    with pytest.raises(online.OnlineError, match="The server of “tiles” drew nothing here"):
        online.fetch(part, str(tmp_path / "t.tif"), context(), feedback)


def test_cancel_ends_the_fetching_from_a_slow_server(package, tiles, tmp_path):
    """The fetching leaves Python free meanwhile: QGIS's window goes on, and can cancel."""
    from qgis.core import QgsProcessingFeedback

    online, feedback = package("online"), QgsProcessingFeedback(False)
    part = online.online_part(tiles(seconds=20), mercator(200), 0.5, context())
    timer = threading.Timer(0.5, feedback.cancel)
    timer.start()
    started = time.monotonic()
    assert not online.fetch(part, str(tmp_path / "t.tif"), context(), feedback)
    assert time.monotonic() - started < 10
    timer.join()


def test_the_algorithm_fetches_the_extent_and_hands_a_file_to_the_engine(
    package, provider, tiles, model, fake_engine, monkeypatch, tmp_path
):
    from osgeo import gdal
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject, QgsReferencedRectangle

    layer = tiles()
    QgsProject.instance().addMapLayer(layer)
    segment = package("algorithms.segment").Segment
    seen = []

    def run_job(self, job, feedback):
        data = gdal.Open(job["rasters"][0])
        seen.append((job["rasters"][0], data.RasterXSize, data.RasterYSize))

    monkeypatch.setattr(segment, "run_job", run_job)
    world = QgsProcessingContext()
    world.setProject(QgsProject.instance())
    parameters = {"INPUT": layer.id(), "MODEL": model, "OUTPUT": str(tmp_path / "m.tif")}
    algorithm = segment().create()
    ok, reason = algorithm.checkParameterValues(parameters, world)
    assert not ok
    assert "choose the extent to fetch" in reason
    parameters["EXTENT"] = QgsReferencedRectangle(mercator(50), layer.crs())
    ok, reason = algorithm.checkParameterValues(parameters, world)
    assert ok, reason
    outputs, done = algorithm.run(parameters, world, QgsProcessingFeedback(False), {}, False)
    assert (outputs, done) == ({}, True)  # as the stand-in of the engine was cancelled
    ((path, width, height),) = seen
    gsd = package("model_card").read_model_card(model).gsd
    assert (width, height) == (pytest.approx(50 / gsd, abs=2), pytest.approx(50 / gsd, abs=2))
    assert not Path(path).exists()
    QgsProject.instance().clear()


def test_the_dock_previews_what_the_map_shows_of_an_online_layer(package, iface, tiles, model):
    from qgis.core import QgsProject
    from qgis.PyQt import sip

    layer = tiles()
    QgsProject.instance().addMapLayer(layer)
    iface.canvas.setDestinationCrs(layer.crs())
    iface.canvas.resize(400, 400)
    module = package("gui.segment_form")
    form = module.SegmentForm(iface.canvas)
    form.choose(layer)
    assert form.layer() is layer
    form.model.setFilePath(model)
    iface.canvas.setExtent(mercator(60))
    assert set(form.preview_parameters()) >= {"INPUT", "MODEL", "EXTENT", "CLIP", "OUTPUT"}
    iface.canvas.setExtent(mercator(4_000))
    with pytest.raises(module.FormError, match="too many"):
        form.preview_parameters()
    sip.delete(form)
    QgsProject.instance().clear()


def test_an_online_layer_is_segmented_by_the_real_engine_in_a_task(run_as_task, real_engine, tiles, model, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject, QgsReferencedRectangle

    layer, project = tiles(), QgsProject.instance()
    project.addMapLayer(layer)
    box = mercator(50)
    parameters = {
        "INPUT": layer.id(),
        "MODEL": model,
        "DEVICE": "cpu",
        "EXTENT": QgsReferencedRectangle(box, layer.crs()),
        "OUTPUT": str(tmp_path / "m.tif"),
        "REPORT": str(tmp_path / "report.html"),
    }
    feedback = QgsProcessingFeedback(False)
    ok, results, _ = run_as_task("segment", parameters, QgsProcessingContext(), feedback, project)
    assert ok, feedback.textLog()
    assert results["VALID_SHARE"] == 1.0
    mask = gdal.Open(results["OUTPUT"])
    left, step, _, top, *_ = mask.GetGeoTransform()
    assert left == pytest.approx(box.xMinimum(), abs=0.01)
    assert top == pytest.approx(box.yMaximum(), abs=0.01)
    assert left + mask.RasterXSize * step == pytest.approx(box.xMaximum(), abs=0.01)
    assert ">tiles<" in (tmp_path / "report.html").read_text("utf-8")
    project.clear()
