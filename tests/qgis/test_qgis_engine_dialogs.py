"""The dialogs about the engine and its models, the page in the options, and what the settings do."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def plugin(plugin_folder, iface):
    made = importlib.import_module(plugin_folder.name).classFactory(iface)
    made.initGui()
    yield made
    made.unload()


def card(**more):
    return {
        "classes": [{"id": 0, "name": "water", "color": "#2b6cb0"}, {"id": 1, "name": "open land", "color": "#276749"}],
        "background": "none",
        "bands": ["red", "green"],
        "method": "aerial",
        "gsd": 0.5,
        "tile_size": 96,
        "scores": {"score": 0.84, "tag_f1": 0.812},
        "tag_counts": {"water": 1200, "open land": 7},
        "area": {"bbox": [10.5, 48.8, 10.6, 48.9]},
        "licence": "CC-BY-4.0",
        "network": {"backbone": "vit_small"},
        "versions": {"wsss-geo": "0.1.0"},
        **more,
    }


def write_model(path, **more):
    """Write the head of a model file; the plugin reads no more."""
    return write_head(path, "wsss_geo", card(**more))


def write_head(path, key, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"__metadata__": {key: json.dumps(data)}}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """A folder of models: one by name, one of a run, one damaged, one half written, one in a hidden folder."""
    write_model(tmp_path / "models/B.safetensors")
    write_model(tmp_path / "models/a run/model.safetensors", gsd=None, scores={}, licence="", area=None)
    write_model(tmp_path / "models/x.part.safetensors")
    write_model(tmp_path / "models/.trash/y.safetensors")
    (tmp_path / "models/0 damaged.safetensors").write_bytes(b"no model")
    return tmp_path / "models"


def test_models_are_listed_by_name_and_what_is_none_comes_last(package, folder):
    found = package("models").list_models(str(folder))
    assert [(m.name, m.card is not None) for m in found] == [("a run", True), ("B", True), ("0 damaged", False)]
    assert "is no model of wsss-geo" in found[-1].problem
    assert package("models").list_models("") == package("models").list_models(str(folder / "none")) == []


def test_a_models_page_tells_classes_colours_and_facts(package, folder):
    run, plain, damaged = package("models").list_models(str(folder))
    text = package("models").model_html(plain)
    for words in ("#2b6cb0", "open&nbsp;land", "aerial", "red, green", "0.5 m", "96 pixels", "CC-BY-4.0", "0.812"):
        assert words in text
    assert "10.5000 to 10.6000° east, 48.8000 to 48.9000° north" in text
    for words in ("1,200", "vit_small", "wsss-geo 0.1.0", "Tags found again in scenes held out", "not calibrated"):
        assert words in text
    assert package("models").model_html(run).count("not given") == 3
    assert "is no model" in package("models").model_html(damaged)


def test_a_models_page_tells_how_good_its_confidence_is(package, tmp_path):
    curves = {"before": [[0.9, 0.8, 0.5], [0.7, 0.7, 0.5]], "after": [[0.8, 0.81, 1.0]]}
    path = write_model(tmp_path / "c.safetensors", calibration={"temperature": 1.7116, "scenes": 1319, **curves})
    (found,) = package("models").list_models(str(tmp_path))
    assert package("models").model_html(found).count("calibrated by 1,319 tagged scenes, temperature 1.71; 1.0 %") == 1
    assert "right, 5.0 % without" in package("models").model_html(found)
    card_module = package("model_card")
    assert "confidence calibrated" in card_module.card_html(card_module.read_model_card(path))
    write_model(tmp_path / "c.safetensors", calibration={"temperature": 1.7})
    assert "damaged" in package("models").list_models(str(tmp_path))[0].problem


FEW_SHOT = {"bands": ["red"], "gsd": 0.5, "tile_size": 96, "seen": ["a <b>", "water"], "held": ["road"],
            "episodes": 600, "network": {"backbone": "mevt"}}  # fmt: skip


def test_the_models_dialog_knows_few_shot_models_too(plugin, iface, package, tmp_path):
    from qgis.core import QgsSettings

    path = write_head(tmp_path / "m/a run/fewshot.safetensors", "wsss_geo_fewshot", FEW_SHOT)
    plugin._engine_menu.show_models()
    dialog = plugin._engine_menu._dialogs["models"]
    dialog.folder.setFilePath(str(tmp_path / "m"))
    assert dialog.list.currentItem().text() == "a run"
    text = dialog.page.toPlainText()
    for words in ("few-shot model, for “Find similar”", "a <b>, water", "road", "600", "mevt", "0.5 m", "96 pixels"):
        assert words in text
    assert dialog.use_button.text() == "Find Similar With It"
    dialog.use_button.click()
    assert QgsSettings().value("wsss_geo/last_few_shot_model") == path
    assert QgsSettings().value("wsss_geo/last_model") is None
    assert plugin._docks["similar"].form.model.filePath() == path


def test_the_models_dialog_hands_the_chosen_one_to_the_segment_dock(plugin, iface, folder):
    from qgis.core import QgsSettings

    QgsSettings().setValue("wsss_geo/model_folder", str(folder))
    QgsSettings().setValue("wsss_geo/last_model", str(folder / "B.safetensors"))
    plugin.show_segment_dock()
    plugin._engine_menu.show_models()
    dialog = plugin._engine_menu._dialogs["models"]
    assert dialog.width() <= 1000
    assert dialog.height() <= 580
    assert dialog.list.currentItem().text() == "B"
    assert "CC-BY-4.0" in dialog.page.toPlainText()
    dialog.list.setCurrentRow(2)
    assert not dialog.use_button.isEnabled()
    dialog.list.setCurrentRow(0)
    dialog.use_button.click()
    run = str(folder / "a run/model.safetensors")
    assert QgsSettings().value("wsss_geo/last_model") == run
    assert plugin._docks["segment"].form.model.filePath() == run
    dialog.folder.setFilePath(str(folder / "none"))
    assert "no models here" in dialog.page.toPlainText()
    assert QgsSettings().value("wsss_geo/model_folder") == str(folder / "none")


def test_the_page_keeps_what_it_shows_and_removes_what_says_nothing(package, plugin, iface, tmp_path):
    from qgis.core import QgsSettings

    (factory,) = iface.pages
    page = factory.createWidget(None)
    assert "none is set up" in page.state.text()
    page.python.setFilePath(str(tmp_path / "gone"))
    assert page.state.text() == "It does not exist."
    page.models.setFilePath("/models")
    page.device.setCurrentText("cuda")
    page.threads.setValue(3)
    page.tracebacks.setChecked(True)
    options = package("options")
    assert options.load_options() == options.Options()  # nothing is kept before OK
    page.apply()
    assert options.load_options() == options.Options(str(tmp_path / "gone"), "/models", "cuda", 3, True)
    assert factory.createWidget(None).options() == options.load_options()
    assert {k for k in QgsSettings().allKeys() if k.startswith("wsss_geo/")} == {
        options.PYTHON, options.MODEL_FOLDER, options.DEVICE, options.THREADS, options.TRACEBACKS,
    }  # fmt: skip
    options.save_options(options.Options())
    assert not [k for k in QgsSettings().allKeys() if k.startswith("wsss_geo/")]
    QgsSettings().setValue(options.THREADS, "many")
    QgsSettings().setValue(options.DEVICE, "abacus")
    assert options.load_options() == options.Options()


def test_the_settings_reach_the_engine(package, fake_engine, feedback):
    options = package("options")
    base = package("algorithms.segment").Segment()
    options.save_options(options.Options(device="cuda", threads=3, tracebacks=True))
    algorithm = base.create()
    assert algorithm.parameterDefinition("DEVICE").defaultValue() == "cuda"
    fake_engine("good")
    found = algorithm.run_job({"command": "x"}, feedback())
    assert found["env"]["OMP_NUM_THREADS"] == "3"
    assert found["words"] == ["--debug"]
    options.save_options(options.Options())
    assert base.create().parameterDefinition("DEVICE").defaultValue() == "auto"
    assert base.run_job({"command": "x"}, feedback())["words"] == []


def test_the_report_tells_versions_paths_and_the_last_error_and_no_home(package, monkeypatch, fake_engine, feedback):
    from qgis.core import Qgis, QgsSettings

    fake_engine("crash")
    worker, environment = package("worker"), package("engine.locate").engine_environment()
    with pytest.raises(worker.WorkerError):
        worker.run_worker(sys.executable, {}, environment, feedback())
    QgsSettings().setValue("wsss_geo/model_folder", str(Path.home() / "models"))
    text = package("diagnose").diagnostics()
    assert f"QGIS {Qgis.QGIS_VERSION}" in text
    assert "Plugin wsss-geo 0.1.0" in text
    assert "none is set up" in text
    assert "RuntimeError: <b>boom</b>" in text
    assert "wsss_geo/model_folder = ~/models" in text
    assert str(Path.home()) not in text


def test_the_diagnostics_dialog_copies_and_tests(package, plugin, iface, monkeypatch):
    """With a stand-in for the test, which takes a while; another file runs it for real."""
    from types import SimpleNamespace

    from qgis.core import QgsApplication

    runs = []

    def start(name, parameters, ended):
        runs.append((name, ended))
        return SimpleNamespace(feedback=SimpleNamespace(error=f"{Path.home()}/x is broken."), abandon=lambda wait: None)

    module = package("gui.diagnostics_dialog")
    monkeypatch.setattr(module, "AlgorithmRun", start)
    plugin._engine_menu.show_diagnostics()
    dialog = plugin._engine_menu._dialogs["diagnostics"]
    assert dialog.width() <= 1000
    assert dialog.height() <= 580
    for outcome in ({"VERSIONS": '{"torch": "2.4"}', "DEVICES": '["cpu", "cuda:0 Card"]'}, None):
        dialog.test_button.click()
        assert not dialog.test_button.isEnabled()
        name, ended = runs.pop()
        ended(outcome)
        assert name == "wsss_geo:selftest"
        assert dialog.test_button.isEnabled()
    dialog.copy_button.click()
    text = QgsApplication.clipboard().text()
    assert "torch 2.4\nDevices: cpu, cuda:0 Card" in text
    assert text.rstrip().endswith("~/x is broken.")
    monkeypatch.undo()
    dialog.test()  # without an engine
    assert "none is set up" in dialog.text.toPlainText().rstrip().splitlines()[-1]


class Installer:
    """Stands in for the set-up, which another file tests for real."""

    def __init__(self, module, outcome):
        self.module, self.outcome, self.seen = module, outcome, []

    def __call__(self, python, source, feedback):
        self.seen.append((python, source))
        feedback.setProgressText("Step 1 of 2")
        feedback.pushCommandInfo("make it")
        feedback.pushConsoleInfo("made")
        while self.outcome == "cancel" and not feedback.isCanceled():
            time.sleep(0.01)
        if self.outcome == "fail":
            raise self.module.SetUpError("The disk is full.", ["no space"])
        return self.outcome if not isinstance(self.outcome, str) else None


@pytest.fixture
def set_up(package, plugin, monkeypatch):
    """The dialog with a stand-in for the work; ``set_up(outcome)`` returns both."""
    pythons = package("engine.pythons")
    module, dialog = package("gui.setup_task"), package("gui.setup_dialog")
    monkeypatch.setattr(dialog, "find_python", lambda: pythons.Python("/usr/bin/python3", "3.12.1"))
    monkeypatch.setattr(dialog, "examine", lambda path: pythons.Python(path, "3.12.1"))

    def show(outcome):
        installer = Installer(module, outcome)
        monkeypatch.setattr(module, "set_up", installer)
        plugin._engine_menu.show_set_up()
        return plugin._engine_menu._dialogs["set_up"], installer

    yield show
    own = package("engine.locate").own_environment()
    shutil.rmtree(own.parent, ignore_errors=True)


def test_the_set_up_shows_its_commands_and_does_nothing_without_consent(package, set_up, tmp_path):
    dialog, installer = set_up("cancel")
    assert dialog.width() <= 1000
    assert dialog.height() <= 580
    lines = dialog.text.toPlainText().splitlines()
    assert len(lines) == 3
    assert "-m venv" in lines[0]
    assert "whl/cpu" in lines[1]
    assert "GB" in dialog.status.text()
    dialog.offline.setChecked(True)
    assert not dialog.start_button.isEnabled()
    dialog.wheels.setFilePath(str(tmp_path))
    assert f"--no-index --find-links {tmp_path}" in dialog.text.toPlainText()
    assert f"pip download --only-binary :all: --dest {tmp_path}" in dialog.text.toPlainText()
    assert dialog.start_button.isEnabled()
    dialog.reject()
    assert not dialog.isVisible()
    assert installer.seen == []


def test_a_set_up_that_ends_well_becomes_the_engine(package, set_up, wait_for):
    from qgis.core import QgsSettings

    record = package("engine.record").Record("0.1.0", "3.12.1", "2030-01-02T03:04:05Z", (), {}, ("cpu",))
    dialog, installer = set_up(record)
    dialog.build.setCurrentIndex(1)
    dialog.start_button.click()
    wait_for(lambda: dialog.task is None)
    assert installer.seen[0][1] == package("engine.steps").Source(build="cu128")
    assert dialog.text.toPlainText().splitlines() == ["$ make it", "made"]
    assert dialog.status.text() == "The engine is ready: Python 3.12.1, cpu."
    own = package("engine.locate").own_environment()
    assert QgsSettings().value("wsss_geo/python") == str(own)
    own.mkdir(parents=True)
    dialog.remove()
    assert not own.exists()
    assert QgsSettings().value("wsss_geo/python") is None


@pytest.mark.parametrize(("outcome", "words"), [("fail", "The disk is full."), ("cancel", "nothing was left behind")])
def test_failure_and_cancel_are_said(set_up, wait_for, outcome, words):
    dialog, _ = set_up(outcome)
    dialog.start_button.click()
    assert not dialog.start_button.isEnabled()
    if outcome == "cancel":
        dialog.reject()  # closing asks it to end first
        assert dialog.isVisible()
    wait_for(lambda: dialog.task is None)
    assert words in dialog.status.text()
    assert dialog.start_button.isEnabled()


def test_unloading_ends_a_set_up(package, plugin, set_up, wait_for):
    dialog, installer = set_up("cancel")
    dialog.start_button.click()
    wait_for(lambda: installer.seen)
    task = dialog.task
    plugin.unload()
    assert task.isCanceled()
    assert task.record is None
    assert package("gui.setup_task")._running <= {task}
