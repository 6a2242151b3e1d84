"""The plugin is loaded again while one of its algorithms runs; in a file of its own, so that it alone registers it."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import pytest


@pytest.fixture
def project(qgis_app):
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


def processes(behave):
    return [int(p) for p in behave.notes.read_text().split()] if behave.notes.exists() else []


def alive(process):
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_the_plugin_may_be_reloaded_while_an_algorithm_runs(
    plugin_folder, iface, fake_engine, project, raster, tmp_path
):
    from qgis.core import QgsApplication, QgsProcessingAlgRunnerTask, QgsProcessingContext, QgsProcessingFeedback
    from qgis.PyQt.QtCore import QCoreApplication, QEvent

    plugin = importlib.import_module(plugin_folder.name).classFactory(iface)
    plugin.initGui()
    (tmp_path / "m.safetensors").touch()
    (tmp_path / "out").mkdir()
    given = {"INPUT": raster(), "MODEL": str(tmp_path / "m.safetensors"), "OUTPUT": str(tmp_path / "out/cover.tif")}
    fake_engine("sleep")
    algorithm = QgsApplication.processingRegistry().algorithmById("wsss_geo:segment").create()
    context, feedback, outcome = QgsProcessingContext(), QgsProcessingFeedback(False), []
    context.setProject(project)
    task = QgsProcessingAlgRunnerTask(algorithm, given, context, feedback)
    task.executed.connect(lambda ok, results: outcome.append((ok, results)))
    QgsApplication.taskManager().addTask(task)
    deadline = time.monotonic() + 300
    while len(processes(fake_engine)) < 2:
        assert time.monotonic() < deadline
        QgsApplication.processEvents()
    plugin.unload()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    plugin.initGui()
    while not outcome:
        assert time.monotonic() < deadline
        QgsApplication.processEvents()
    assert outcome == [(False, {})]
    assert not any(map(alive, processes(fake_engine)))
    assert not list((tmp_path / "out").iterdir())
    again = QgsApplication.processingRegistry().algorithmById("wsss_geo:segment").create()
    fake_engine("segmented")
    fake_engine.notes.with_name("go").touch()
    results, ok = again.run(given, context, QgsProcessingFeedback(False), {}, False)
    assert ok
    assert Path(results["OUTPUT"]).is_file()
    plugin.unload()
