"""Loading, the button, and unloading without a trace."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "qgis_plugin").rglob("*.py"))


@pytest.fixture
def plugin(plugin_folder, iface):
    made = importlib.import_module(plugin_folder.name).classFactory(iface)
    made.initGui()
    yield made
    made.unload()


def action(iface, name):
    return next(a for _, a in iface.menu if a.objectName() == f"wsss_geo_{name}")


def ids():
    from qgis.core import QgsApplication

    return [p.id() for p in QgsApplication.processingRegistry().providers()]


def test_load_unload_and_again_leave_nothing(plugin_folder, iface):
    from qgis.PyQt.QtCore import QCoreApplication, QEvent

    factory = importlib.import_module(plugin_folder.name).classFactory
    before = ids()
    for _ in range(3):
        plugin = factory(iface)
        plugin.initGui()
        assert ids() == [*before, "wsss_geo"]
        assert len(iface.menu) == 11
        assert len(iface.toolbar) == 3
        names = [a.objectName() for _, a in iface.menu]
        assert all(n.startswith("wsss_geo_") for n in names)
        assert len(set(names)) == 11
        assert len(iface.pages) == 1
        plugin.unload()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        assert ids() == before
        assert (iface.menu, iface.toolbar, iface.pages) == ([], [], [])
        assert not [c for c in iface.window.children() if c.objectName().startswith("wsss_geo")]
        plugin.unload()  # twice does no harm


def test_the_buttons_open_docks_that_unloading_takes_away(plugin, iface, raster):
    from qgis.core import QgsProject, QgsRasterLayer
    from qgis.PyQt.QtCore import QCoreApplication, QEvent
    from qgis.PyQt.QtWidgets import QDockWidget

    other, iface.layer = QgsRasterLayer(raster("a.tif"), "a"), QgsRasterLayer(raster("b.tif"), "b")
    QgsProject.instance().addMapLayers([other, iface.layer])
    iface.window.show()
    for button in (*iface.toolbar, *iface.toolbar):
        button.trigger()
    docks = {d.objectName(): d for d in iface.window.findChildren(QDockWidget)}
    assert docks.keys() == {"wsss_geo_segment_dock", "wsss_geo_tag_dock", "wsss_geo_similar_dock"}
    assert docks["wsss_geo_segment_dock"].form.raster.currentLayer() is iface.layer
    assert docks["wsss_geo_similar_dock"].form.raster.currentLayer() is iface.layer
    assert docks["wsss_geo_tag_dock"].setup.raster.currentLayer() is iface.layer
    del docks
    plugin.unload()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert iface.window.findChildren(QDockWidget) == []
    QgsProject.instance().clear()


def test_without_an_engine_the_dialog_says_why(plugin, iface):
    action(iface, "segment_dialog").trigger()
    assert "Choose Engine" in iface.bar.currentItem().text()


def test_the_menu_opens_the_dialog_with_layer_and_last_model(plugin, iface, raster, monkeypatch):
    """With a stand-in for the dialog, which needs QGIS's window; tests/gui opens the real one."""
    import processing
    from qgis.core import QgsProject, QgsRasterLayer, QgsSettings
    from qgis.PyQt.QtWidgets import QWidget

    opened = []
    module = importlib.import_module(type(plugin).__module__)
    monkeypatch.setattr(module, "find_engine", lambda: None)
    monkeypatch.setattr(processing, "createAlgorithmDialog", lambda *words: opened.append(words) or QWidget())
    iface.layer = QgsRasterLayer(raster(), "scene")
    QgsProject.instance().addMapLayer(iface.layer)
    QgsSettings().setValue("wsss_geo/last_model", "/models/m.safetensors")
    action(iface, "segment_dialog").trigger()
    assert opened == [("wsss_geo:segment", {"INPUT": iface.layer.id(), "MODEL": "/models/m.safetensors"})]
    (dialog,) = plugin._dialogs
    assert dialog.isVisible()
    dialog.close()
    action(iface, "segment_dialog").trigger()
    (dialog,) = plugin._dialogs  # the closed one is forgotten
    plugin.unload()
    assert not dialog.isVisible()
    QgsProject.instance().clear()


def test_a_wrong_engine_is_refused_and_a_right_one_kept(plugin, iface, tmp_path, monkeypatch):
    from qgis.core import QgsSettings
    from qgis.PyQt.QtWidgets import QFileDialog

    wrong = tmp_path / "python"
    wrong.write_text("x")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(wrong), ""))
    plugin.choose_engine()
    assert QgsSettings().value("wsss_geo/python") is None
    assert "cannot be started" in iface.bar.currentItem().text()
    module = importlib.import_module(type(plugin).__module__)
    monkeypatch.setattr(module, "check_python", lambda python: "")
    plugin.choose_engine()
    assert QgsSettings().value("wsss_geo/python") == str(wrong)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_qgis_side_imports_standard_library_qgis_and_itself_alone(path):
    allowed = {*sys.stdlib_module_names, "qgis", "processing", "osgeo"}
    foreign = [i for i in imports(path) if not i.startswith(".") and i.split(".")[0] not in allowed]
    assert foreign == []
    if path.name == "probe.py":
        assert not [i for i in imports(path) if i.startswith(("qgis", "."))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_enums_are_scoped_and_qt_comes_by_qgis(path):
    """Qt 6 knows ``Qt.GlobalColor.red`` alone, and neither PyQt5 nor ``exec_``."""
    import qgis.core
    import qgis.PyQt.QtCore
    import qgis.PyQt.QtGui
    import qgis.PyQt.QtWidgets

    text = path.read_text("utf-8")
    assert "PyQt5" not in text
    assert "exec_(" not in text
    places = (qgis.core, qgis.PyQt.QtCore, qgis.PyQt.QtGui, qgis.PyQt.QtWidgets)
    flat = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = next((getattr(m, node.value.id) for m in places if hasattr(m, node.value.id)), None)
            value = getattr(owner, node.attr, None)
            if isinstance(value, int) and not isinstance(value, bool) and node.attr != "QGIS_VERSION_INT":
                flat.append(f"{node.value.id}.{node.attr}")
    assert flat == []


FRESH = """
import sys, time
from unittest.mock import MagicMock
from qgis.core import QgsApplication
from qgis.PyQt.QtWidgets import QMainWindow
sys.path.insert(0, sys.argv[1])
app = QgsApplication([], True)
app.initQgis()
window, iface = QMainWindow(), MagicMock()
iface.mainWindow.return_value = window
before, clocks = set(sys.modules), (time.perf_counter, time.process_time)
started = [clock() for clock in clocks]
import wsss_geo_segment
plugin = wsss_geo_segment.classFactory(iface)
plugin.initGui()
took = [clock() - start for clock, start in zip(clocks, started)]
new = {m.split('.')[0] for m in set(sys.modules) - before}
assert 'wsss_geo_segment' in new
assert not new & {'torch', 'rasterio', 'numpy', 'wsss_geo', 'qgis_plugin'}, new
plugin.unload()
print(*took)
"""


def test_a_fresh_process_loads_it_quickly_and_nothing_of_the_engine(plugin_folder):
    command = [sys.executable, "-c", FRESH, str(plugin_folder.parent)]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    wall, processor = map(float, done.stdout.split()[-2:])
    print(f"plugin loaded in {wall:.3f} s, {processor:.3f} s of the processor")
    assert processor < 0.3  # the machine may be busy


def test_a_second_copy_of_the_plugin_does_no_harm(plugin, plugin_folder, iface):
    again = importlib.import_module(plugin_folder.name).classFactory(iface)
    again.initGui()
    again.unload()
    assert "wsss_geo" in ids()
