"""One headless QGIS with its Processing and an empty profile, into which the packaged plugin is put."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAS_QGIS = importlib.util.find_spec("qgis") is not None and importlib.util.find_spec("qgis.core") is not None
ENGINE = next(
    (p for p in (os.environ.get("WSSS_GEO_PYTHON", ""), str(ROOT / ".venv/bin/python")) if p and Path(p).exists()), ""
)

if not HAS_QGIS:
    collect_ignore_glob = ["test_*.py"]
else:
    # Before anything of Qt is loaded: no window, and nothing of the user's settings.
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    SCRATCH = tempfile.TemporaryDirectory(prefix="wsss_geo_qgis_")
    os.environ.update(HOME=SCRATCH.name, XDG_RUNTIME_DIR=SCRATCH.name, QGIS_CUSTOM_CONFIG_PATH=SCRATCH.name)
    os.environ.pop("WSSS_GEO_PYTHON", None)


def load_tool():
    """The packaging tool as a module."""
    spec = importlib.util.spec_from_file_location("package_plugin", ROOT / "tools/package_plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tool():
    """The packaging tool."""
    return load_tool()


@pytest.fixture(scope="session")
def qgis_app():
    """QGIS without a window, with Processing."""
    from qgis.core import QgsApplication

    app = QgsApplication([], True, SCRATCH.name)
    app.initQgis()
    sys.path.append(str(Path(QgsApplication.pkgDataPath()) / "python/plugins"))
    from processing.core.Processing import Processing

    Processing.initialize()
    yield app
    Processing.deinitialize()
    app.exitQgis()


@pytest.fixture(scope="session")
def plugin_folder(qgis_app, tool):
    """The packaged plugin, in the plugins' folder of the profile, importable as QGIS imports it."""
    folder = tool.write_folder(Path(SCRATCH.name) / "python/plugins")
    sys.path.append(str(folder.parent))
    return folder


@pytest.fixture(scope="session")
def package(plugin_folder):
    """``package("worker")`` is the module ``wsss_geo_segment.qgis_plugin.worker``."""
    return lambda name: importlib.import_module(f"{plugin_folder.name}.qgis_plugin.{name}")


@pytest.fixture(scope="module")
def provider(package):
    """The provider, registered for the tests of one file."""
    from qgis.core import QgsApplication

    made = package("provider").WsssGeoProvider()
    assert QgsApplication.processingRegistry().addProvider(made)
    yield made
    with contextlib.suppress(RuntimeError):
        QgsApplication.processingRegistry().removeProvider(made)


@pytest.fixture(autouse=True)
def no_engine_chosen(request):
    """Every test starts with no engine named anywhere."""
    if "qgis_app" not in request.fixturenames and "package" not in request.fixturenames:
        yield
        return
    from qgis.core import QgsSettings

    QgsSettings().remove("wsss_geo")
    yield
    QgsSettings().remove("wsss_geo")


@pytest.fixture(autouse=True)
def no_fault_in_slots(monkeypatch):
    """An exception in a slot fails the test; without a hook Qt would end the process."""
    faults = []
    monkeypatch.setattr(sys, "excepthook", lambda *fault: faults.append("".join(traceback.format_exception(*fault))))
    yield
    assert not faults, faults[0]


@pytest.fixture
def fake_engine(package, tmp_path, monkeypatch):
    """Put the fake engine in place of the real one; its behaviour is what the returned function is called with."""
    locate = package("engine.locate")
    fake = Path(__file__).with_name("fake_engine")

    def behave(name):
        monkeypatch.setenv("FAKE_BEHAVIOUR", name)
        monkeypatch.setenv("FAKE_NOTES", str(tmp_path / "notes"))

    engine = locate.Engine(sys.executable, "a test")
    for module in ("algorithms.base", "algorithms.selftest", "plugin"):
        monkeypatch.setattr(package(module), "find_engine", lambda: engine)
    monkeypatch.setattr(locate, "package_root", lambda: fake)
    behave.notes = tmp_path / "notes"
    return behave


@pytest.fixture(scope="session")
def engine_python():
    """The engine's Python; a test that needs it is skipped where there is none."""
    if not ENGINE:
        pytest.skip("no engine: set WSSS_GEO_PYTHON or make .venv")
    return ENGINE


@pytest.fixture
def real_engine(engine_python, monkeypatch):
    """The real engine, by its environment variable."""
    monkeypatch.setenv("WSSS_GEO_PYTHON", engine_python)
    return engine_python


@pytest.fixture(scope="session")
def model(engine_python, tmp_path_factory):
    """The sample model, or an untrained one of two classes where there is no sample data."""
    sample = ROOT / "sample_data/model.safetensors"
    if sample.is_file():
        return str(sample)
    made = tmp_path_factory.mktemp("model") / "model.safetensors"
    script = Path(__file__).with_name("make_model.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([engine_python, str(script), str(made)], check=True, env=environment, timeout=120)
    return str(made)


@pytest.fixture(scope="session")
def few_shot_model(engine_python, tmp_path_factory):
    """An untrained few-shot model."""
    made = tmp_path_factory.mktemp("few_shot") / "few_shot.safetensors"
    script = Path(__file__).with_name("make_few_shot.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([engine_python, str(script), str(made)], check=True, env=environment, timeout=300)
    return str(made)


@pytest.fixture
def polygons(qgis_app):
    """``polygons(layer CRS, boxes)`` is a layer of rectangles (west, south, east, north), in the project."""
    from qgis.core import (
        QgsCoordinateReferenceSystem,
        QgsFeature,
        QgsGeometry,
        QgsProject,
        QgsRectangle,
        QgsVectorLayer,
    )

    made = []

    def make(boxes=((500_010, 4_999_950, 500_030, 4_999_980),), crs="EPSG:32632", name="examples"):
        layer = QgsVectorLayer("Polygon", name, "memory")
        layer.setCrs(QgsCoordinateReferenceSystem(crs))
        for box in boxes:
            feature = QgsFeature()
            feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(*box)))
            layer.dataProvider().addFeature(feature)
        layer.updateExtents()
        QgsProject.instance().addMapLayer(layer)
        made.append(layer.id())
        return layer

    yield make
    QgsProject.instance().removeMapLayers([x for x in made if QgsProject.instance().mapLayer(x)])


@pytest.fixture
def raster(qgis_app, tmp_path):
    """A raster of 96 x 80 pixels, three bands of bytes, 1 m, UTM 32 north; the function returns its path."""
    from osgeo import gdal, osr

    def write(name="scene.tif", width=96, height=80, bands=3, origin=(500_000.0, 5_000_000.0), pixel=1.0, epsg=32632):
        path = str(tmp_path / name)
        data = gdal.GetDriverByName("GTiff").Create(path, width, height, bands, gdal.GDT_Byte)
        data.SetGeoTransform((origin[0], pixel, 0, origin[1], 0, -pixel))
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(epsg)
        data.SetProjection(reference.ExportToWkt())
        for band in range(1, bands + 1):
            rows = b"".join(bytes((x * band + y * 3) % 256 for x in range(width)) for y in range(height))
            data.GetRasterBand(band).WriteRaster(0, 0, width, height, rows)
            if bands == 3:
                data.GetRasterBand(band).SetColorInterpretation(gdal.GCI_RedBand + band - 1)
        data.FlushCache()
        return path

    return write


@pytest.fixture
def masked(raster, tmp_path):
    """What "Make tile set" takes to make 16 tiles with masks: of water in the west, of fields in the east."""
    from osgeo import gdal

    scene, mask, classes = raster("masked.tif", width=256, height=256), str(tmp_path / "mask.tif"), tmp_path / "c.json"
    data, place = gdal.GetDriverByName("GTiff").Create(mask, 256, 256, 1, gdal.GDT_Byte), gdal.Open(scene)
    data.SetGeoTransform(place.GetGeoTransform())
    data.SetProjection(place.GetProjection())
    data.GetRasterBand(1).WriteRaster(0, 0, 256, 256, (bytes(128) + b"\1" * 128) * 256)
    data.FlushCache()
    classes.write_text('[{"id": 0, "name": "water"}, {"id": 1, "name": "field"}]')
    return {"INPUT": [scene], "TAG_FILE": mask, "CLASSES": str(classes), "SIZE": 64, "OUTPUT": str(tmp_path / "tiles")}


class Feedback:
    """Stands in for a QgsProcessingFeedback where no QGIS is needed; keeps all it hears."""

    def __init__(self, cancel_when=None):
        self.heard = []
        self.cancel_when = cancel_when
        self.cancelled_at = None

    def isCanceled(self):
        if self.cancelled_at is None and self.cancel_when and self.cancel_when():
            self.cancelled_at = time.monotonic()
        return self.cancelled_at is not None

    def __getattr__(self, name):
        return lambda *values: self.heard.append((name, *values))

    def said(self, name):
        return [h[1] for h in self.heard if h[0] == name]


@pytest.fixture
def feedback():
    """A function that makes a feedback; its argument tells when to cancel."""
    return Feedback


@pytest.fixture
def qgis_run(provider):
    """Run an algorithm by its id; returns outputs, context, feedback. Raises what the algorithm raises."""
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    def call(name, parameters, feedback=None):
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        feedback = feedback or QgsProcessingFeedback(False)
        algorithm = provider.algorithm(name).create()
        ok, reason = algorithm.checkParameterValues(parameters, context)
        assert ok, reason
        outputs, done = algorithm.run(parameters, context, feedback, {}, False)
        assert done
        return outputs, context, feedback

    return call


@pytest.fixture
def run_as_task(provider):
    """Run an algorithm as the toolbox does, see ``run_task``."""
    return run_task


def run_task(name, parameters, context, feedback, project, then=None):
    """Run as the toolbox does, in a task, with results to be loaded into the project; (ok, outputs, to load)."""
    from qgis.core import QgsApplication, QgsProcessingAlgRunnerTask, QgsProcessingOutputLayerDefinition

    algorithm = QgsApplication.processingRegistry().algorithmById(f"wsss_geo:{name}").create()
    layers = {
        p.name() for p in algorithm.parameterDefinitions() if p.type() in ("rasterDestination", "vectorDestination")
    }
    loaded = {
        k: QgsProcessingOutputLayerDefinition(v, project) if k in layers and v else v for k, v in parameters.items()
    }
    outcome = []
    context.setProject(project)
    task = QgsProcessingAlgRunnerTask(algorithm, loaded, context, feedback)
    task.executed.connect(lambda ok, results: outcome.append((ok, results)))
    QgsApplication.taskManager().addTask(task)
    deadline = time.monotonic() + 500
    while not outcome and time.monotonic() < deadline:
        QgsApplication.processEvents()
        if then:
            then()
        time.sleep(0.01)
    assert outcome, "the task did not end"
    return (*outcome[0], list(context.layersToLoadOnCompletion()))


@pytest.fixture
def show_results(qgis_app):
    """Load what an algorithm has made into the project, as the toolbox does; whether all of it could be loaded."""
    import inspect

    from processing.gui.Postprocessing import handleAlgorithmResults
    from qgis.core import QgsApplication

    # Older ones ask before the results whether to show those that are no layers.
    more = (False,) if "showResults" in inspect.signature(handleAlgorithmResults).parameters else ()

    def show(name, context, feedback, results):
        algorithm = QgsApplication.processingRegistry().algorithmById(f"wsss_geo:{name}")
        return handleAlgorithmResults(algorithm, context, feedback, *more, results)

    return show


class Iface:
    """The part of QgisInterface that the plugin uses, with real widgets."""

    def __init__(self):
        from qgis.gui import QgsMapCanvas, QgsMessageBar
        from qgis.PyQt.QtWidgets import QMainWindow

        self.window, self.bar, self.menu, self.toolbar, self.layer = QMainWindow(), QgsMessageBar(), [], [], None
        self.pages = []
        self.canvas = QgsMapCanvas()
        self.window.setCentralWidget(self.canvas)

    def mainWindow(self):
        return self.window

    def messageBar(self):
        return self.bar

    def mapCanvas(self):
        return self.canvas

    def activeLayer(self):
        return self.layer

    def addDockWidget(self, area, dock):
        self.window.addDockWidget(area, dock)

    def removeDockWidget(self, dock):
        self.window.removeDockWidget(dock)

    def addPluginToRasterMenu(self, menu, action):
        self.menu.append((menu, action))

    def removePluginRasterMenu(self, menu, action):
        self.menu.remove((menu, action))

    def registerOptionsWidgetFactory(self, factory):
        self.pages.append(factory)

    def unregisterOptionsWidgetFactory(self, factory):
        self.pages.remove(factory)

    def addToolBarIcon(self, action):
        self.toolbar.append(action)

    def removeToolBarIcon(self, action):
        if action in self.toolbar:
            self.toolbar.remove(action)


@pytest.fixture
def iface(qgis_app):
    """A window with a map canvas and a message bar, gone before QGIS goes."""
    from qgis.PyQt import sip

    made = Iface()
    yield made
    made.canvas.stopRendering()
    for widget in (made.bar, made.window):
        sip.delete(widget)


@pytest.fixture
def wait_for():
    """``wait_for(condition)`` lets QGIS work until ``condition()``."""
    return _wait_for


def _wait_for(condition, seconds=500):
    from qgis.core import QgsApplication

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        QgsApplication.processEvents()
        time.sleep(0.01)
