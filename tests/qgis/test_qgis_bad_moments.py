"""What may happen at a bad moment: full disk, no memory, a project or plugin that goes, cancel at any time.

Each ends with one sentence or in peace; no process and no partial file is left, and nothing half made is loaded.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from pathlib import Path

import pytest

#: Seconds within which a cancel must have ended everything, however busy the machine is.
BOUND = 10.0


@pytest.fixture
def project(qgis_app):
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def card_only(tmp_path):
    """A model with a card and no weights."""
    card = {"classes": [{"id": 0, "name": "water", "color": "#0000ff"}, {"id": 1, "name": "b", "color": "#00ff00"}],
            "background": "none", "bands": ["red", "green", "blue"], "gsd": 1.0, "tile_size": 96,
            "method": "aerial"}  # fmt: skip
    head = json.dumps({"__metadata__": {"wsss_geo": json.dumps(card)}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head)
    return str(path)


@pytest.fixture
def parameters(raster, card_only, tmp_path):
    def make(**more):
        (tmp_path / "out").mkdir(exist_ok=True)
        return {"INPUT": raster(), "MODEL": card_only, "OUTPUT": str(tmp_path / "out/cover.tif"), "POLYGONS": None,
                "CONFIDENCE": str(tmp_path / "out/sure.tif"), "REPORT": None, **more}  # fmt: skip

    return make


def processes(behave):
    return [int(p) for p in behave.notes.read_text().split()] if behave.notes.exists() else []


def alive(process):
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def left(tmp_path):
    return sorted(p.name for p in (tmp_path / "out").iterdir())


# -- memory and disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("out_of_memory", "out of memory (4 GB asked for); lower --batch-size"),
        ("disk_full", "no space left on the disk; free some space"),
        ("killed", "killed by signal 9, most often for lack of memory"),
    ],
)
def test_no_memory_and_no_disk_are_one_sentence(qgis_run, fake_engine, parameters, behaviour, words, tmp_path):
    from qgis.core import QgsProcessingException

    fake_engine(behaviour)
    with pytest.raises(QgsProcessingException) as caught:
        qgis_run("segment", parameters())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/wsss_geo_x/job.json")


def test_a_full_disk_on_this_side_is_one_sentence(qgis_run, fake_engine, parameters, monkeypatch, tmp_path):
    from qgis.core import QgsProcessingException

    fake_engine("segmented")
    fake_engine.notes.with_name("go").touch()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryDirectory", full)
        with pytest.raises(QgsProcessingException, match="disk is full"):
            qgis_run("segment", parameters())
    with monkeypatch.context() as patch:  # the job file
        patch.setattr(Path, "write_text", full)
        with pytest.raises(QgsProcessingException, match="disk is full"):
            qgis_run("segment", parameters())
    with pytest.raises(QgsProcessingException, match=r"report\.part\.html cannot be written \(No such file"):
        qgis_run("segment", parameters(REPORT=str(tmp_path / "no/such/report.html")))


@pytest.fixture
def dock(package, provider, iface, project, raster, card_only, tmp_path):
    from qgis.core import QgsRasterLayer
    from qgis.PyQt import sip

    layer = QgsRasterLayer(raster(), "scene")
    project.addMapLayer(layer)
    made = package("gui.segment_dock").SegmentDock(iface, lambda given: None)
    (tmp_path / "out").mkdir()
    made.form.choose(layer)
    made.form.folder.setFilePath(str(tmp_path / "out"))
    made.form.model.setFilePath(card_only)
    made.form.polygons.setChecked(False)
    yield made
    if not sip.isdeleted(made):
        made.stop()
        sip.delete(made)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [("out_of_memory", "out of memory"), ("disk_full", "no space left"), ("killed", "killed by signal 9")],
)
def test_the_dock_says_it_and_is_ready_again(dock, iface, fake_engine, project, wait_for, behaviour, words):
    fake_engine(behaviour)
    dock.run_button.click()
    wait_for(lambda: dock.run is None)
    assert words in iface.bar.currentItem().text()
    assert words in dock.status.text()
    assert dock.run_button.isEnabled()
    assert len(project.mapLayers()) == 1


def test_results_that_cannot_be_shown_are_said(dock, iface, fake_engine, wait_for, monkeypatch, package):
    fake_engine("segmented")
    monkeypatch.setattr(package("gui.results"), "confident_layer", full)
    fake_engine.notes.with_name("go").touch()
    dock.run_button.click()
    wait_for(lambda: dock.run is None)
    assert "disk is full" in iface.bar.currentItem().text()
    assert dock.layers == []


# -- files that are open ----------------------------------------------------------------------------------------


def test_an_output_that_is_open_in_the_project_is_refused(provider, project, raster, polygons, parameters, tmp_path):
    from qgis.core import (
        QgsProcessingContext,
        QgsProcessingOutputLayerDefinition,
        QgsProcessingUtils,
        QgsRasterLayer,
        QgsVectorFileWriter,
        QgsVectorLayer,
    )

    given = parameters()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    mask = QgsRasterLayer(raster("out/cover.tif"), "old mask")
    options = QgsVectorFileWriter.SaveVectorOptions()
    gpkg = str(tmp_path / "out/areas.gpkg")
    QgsVectorFileWriter.writeAsVectorFormatV3(polygons(), gpkg, project.transformContext(), options)
    areas = QgsVectorLayer(f"{gpkg}|layername=areas", "old areas", "ogr")
    assert areas.isValid()
    project.addMapLayers([mask, areas])
    context = QgsProcessingContext()
    context.setProject(project)

    def refusal(name, **more):
        ok, reason = provider.algorithm(name).create().checkParameterValues({**given, **more}, context)
        return "" if ok else reason

    assert "is open in the project as layer “old mask”; choose another name" in refusal("segment")
    through_link = str(tmp_path / "link/cover.tif")
    assert "“old mask”" in refusal("segment", OUTPUT=QgsProcessingOutputLayerDefinition(through_link, project))
    new = str(tmp_path / "out/new.tif")
    assert "“old areas”" in refusal("segment", OUTPUT=new, POLYGONS=gpkg)
    assert "“old areas”" in refusal("vectorize", OUTPUT=gpkg, CONFIDENCE=None)
    assert refusal("segment", OUTPUT=new, POLYGONS=QgsProcessingUtils.generateTempFilename("p.gpkg")) == ""
    assert refusal("segment", OUTPUT="TEMPORARY_OUTPUT") == ""
    assert list(context.layersToLoadOnCompletion()) == []
    project.removeMapLayer(mask.id())
    assert refusal("segment") == ""


# -- layers, projects and plugins that go -----------------------------------------------------------------------


@pytest.fixture
def halfway(fake_engine, run_as_task):
    """Run in a task as the toolbox does; ``act`` is called once in the middle, then the engine goes on."""
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    def call(name, parameters, act):
        fake_engine("segmented")
        feedback, acted = QgsProcessingFeedback(False), []

        def then():
            if not acted and processes(fake_engine):
                acted.append(True)
                act(feedback)
                fake_engine.notes.with_name("go").touch()

        context = QgsProcessingContext()
        outcome = run_as_task(name, parameters, context, feedback, QgsProject.instance(), then)
        assert acted
        assert not any(map(alive, processes(fake_engine)))
        return outcome, context, feedback

    return call


def test_the_layer_may_go_while_an_algorithm_runs(halfway, show_results, project, parameters, tmp_path):
    from qgis.core import QgsRasterLayer

    given = parameters()
    layer = QgsRasterLayer(given["INPUT"], "scene")
    project.addMapLayer(layer)
    (ok, results, to_load), context, feedback = halfway(
        "segment", {**given, "INPUT": layer.id()}, lambda _: project.removeAllMapLayers()
    )
    assert ok
    assert len(to_load) == 2
    assert show_results("segment", context, feedback, results)
    assert {x.name() for x in project.mapLayers().values()} == {"scene: Mask", "scene: Confidence"}


def test_the_project_may_close_while_an_algorithm_runs(halfway, show_results, project, parameters, tmp_path):
    """As with QGIS's own algorithms the result goes to the project that is open when it comes."""
    from qgis.core import QgsRasterLayer

    given = parameters()
    layer = QgsRasterLayer(given["INPUT"], "scene")
    project.addMapLayer(layer)
    (ok, results, _), context, feedback = halfway("segment", {**given, "INPUT": layer.id()}, lambda _: project.clear())
    assert ok
    assert show_results("segment", context, feedback, results)
    assert left(tmp_path) == ["cover.tif", "sure.tif"]


# -- cancel -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [None, 0.0, 0.03, 0.06, 0.1, 0.2])
def test_cancel_at_any_moment_leaves_all_or_nothing(
    run_as_task, fake_engine, parameters, project, tmp_path, after, package
):
    """Cancelled before it starts, or so many seconds after the engine did, while it writes its outputs."""
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback

    fake_engine("segmented")
    fake_engine.notes.with_name("go").touch()
    feedback, since, cancelled = QgsProcessingFeedback(False), [], []
    if after is None:
        feedback.cancel()
        cancelled.append(time.monotonic())

    def then():
        if not since and processes(fake_engine):
            since.append(time.monotonic())
        if since and not cancelled and time.monotonic() - since[0] >= after:
            cancelled.append(time.monotonic())
            feedback.cancel()

    _, results, to_load = run_as_task("segment", parameters(), QgsProcessingContext(), feedback, project, then)
    if cancelled:
        assert time.monotonic() - cancelled[0] < BOUND
    assert not any(map(alive, processes(fake_engine)))
    assert not package("worker")._running
    assert not [name for name in left(tmp_path) if ".part" in name]
    if results:  # it was done before it could be cancelled
        assert left(tmp_path) == ["cover.tif", "sure.tif"]
        assert len(to_load) == 2
    else:
        assert to_load == []


def test_the_dock_may_be_cancelled_as_soon_as_it_started(dock, fake_engine, project, wait_for):
    fake_engine("sleep")
    for _ in range(3):
        dock.run_button.click()
        dock.cancel_button.click()
        wait_for(lambda: dock.run is None)
        assert dock.status.text() == "Cancelled."
    assert len(project.mapLayers()) == 1
    assert not any(map(alive, processes(fake_engine)))


@pytest.fixture
def long_runs(request, tmp_path, raster, polygons):
    """Parameters of runs of the real engine that would take minutes."""
    (tmp_path / "out").mkdir()

    def segment():
        return {"INPUT": raster("big.tif", width=3000, height=3000), "MODEL": request.getfixturevalue("model"),
                "OVERLAP": 0.5, "DEVICE": "cpu", "OUTPUT": str(tmp_path / "out/cover.tif"),
                "POLYGONS": str(tmp_path / "out/cover.gpkg")}  # fmt: skip

    def find_similar():
        return {"INPUT": raster("big.tif", width=3000, height=3000), "EXAMPLES": polygons().id(), "OVERLAP": 0.8,
                "MODEL": request.getfixturevalue("few_shot_model"), "DEVICE": "cpu",
                "OUTPUT": str(tmp_path / "out/cover.tif"), "POLYGONS": str(tmp_path / "out/cover.gpkg")}  # fmt: skip

    def train():
        from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsVectorLayer

        tags = QgsVectorLayer("Polygon?crs=EPSG:32632&field=kind:string(20)", "tags", "memory")
        for kind, west in (("water", 500_000), ("field", 500_128)):
            feature = QgsFeature(tags.fields())
            feature.setAttribute("kind", kind)
            feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 4_999_744, west + 128, 5_000_000)))
            tags.dataProvider().addFeature(feature)
        QgsProject.instance().addMapLayer(tags)
        tiles, _, _ = request.getfixturevalue("qgis_run")(
            "tile",
            {"INPUT": [raster("t.tif", width=256, height=256)], "TAG_LAYER": tags.id(), "FIELD": "kind", "SIZE": 64,
             "VAL": 0.25, "SCENE_BLOCK": 64, "OUTPUT": str(tmp_path / "tiles")},
        )  # fmt: skip
        return {"INPUT": tiles["OUTPUT"], "OUTPUT": str(tmp_path / "out/run"), "METHOD": "toco", "STEPS": 100_000,
                "BATCH_SIZE": 2, "BACKBONE": "vit_tiny_patch16_224", "SETTINGS": "decoder_width=16", "DEVICE": "cpu",
                "BACKBONE_ARGS": "patch_size=8, depth=2, embed_dim=32, num_heads=1"}  # fmt: skip

    def train_few_shot():
        tiles, _, _ = request.getfixturevalue("qgis_run")("tile", request.getfixturevalue("masked"))
        return {"INPUT": tiles["OUTPUT"], "OUTPUT": str(tmp_path / "out/run"), "SHOTS": 1, "STEPS": 100_000,
                "BATCH_SIZE": 1, "BACKBONE": "vit_tiny_patch16_224", "DEVICE": "cpu",
                "SETTINGS": "width=16, parts=2, regions=2, layers=1",
                "BACKBONE_ARGS": "patch_size=8, depth=2, embed_dim=32, num_heads=1"}  # fmt: skip

    return {"segment": segment, "find_similar": find_similar, "train": train, "train_few_shot": train_few_shot}


@pytest.mark.parametrize("name", ["segment", "find_similar", "train", "train_few_shot"])
def test_cancel_of_the_real_engine_leaves_nothing_running_or_half(
    run_as_task, real_engine, long_runs, project, package, tmp_path, name
):
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback

    given = long_runs[name]()
    feedback, cancelled, seen = QgsProcessingFeedback(False), [], []

    def then():
        if not cancelled and feedback.progress() > 0:
            seen.extend(p._popen.pid for p in package("worker")._running)
            cancelled.append(time.monotonic())
            feedback.cancel()

    _, results, to_load = run_as_task(name, given, QgsProcessingContext(), feedback, project, then)
    assert cancelled, feedback.textLog()
    took = time.monotonic() - cancelled[0]
    print(f"cancel of {name}: {took:.2f} s")
    assert took < BOUND
    assert (results, to_load) == ({}, [])
    assert seen
    assert not any(map(alive, seen))
    assert not [p for p in Path(tmp_path, "out").rglob("*") if ".part" in p.name]
    assert not [p for p in Path(tmp_path, "out").iterdir() if p.suffix in (".tif", ".gpkg", ".safetensors")]
