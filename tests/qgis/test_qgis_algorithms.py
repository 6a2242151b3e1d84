"""The algorithms as QGIS sees them: listed, described, refusing early, failing well, cancelled cleanly."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest

IDS = {"segment", "find_similar", "scene_grid", "tile", "train", "train_few_shot"}
IDS |= {"evaluate", "vectorize", "selftest"}


@pytest.fixture
def refusal(provider):
    """The reason why an algorithm refuses its parameters; None if it does not."""
    from qgis.core import QgsProcessingContext, QgsProject

    def call(name, parameters):
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        ok, reason = provider.algorithm(name).create().checkParameterValues(parameters, context)
        return None if ok else reason

    return call


def segment_parameters(raster, model, folder, **more):
    return {
        "INPUT": raster,
        "MODEL": model,
        "OUTPUT": str(folder / "cover.tif"),
        "POLYGONS": None,
        "REPORT": str(folder / "r.html"),
        **more,
    }


@pytest.fixture
def a_file(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"not a model")
    return str(path)


def test_all_algorithms_are_listed_and_described(provider):
    assert {a.name() for a in provider.algorithms()} == IDS
    for a in provider.algorithms():
        assert a.shortDescription().endswith(".")
        assert len(a.shortHelpString()) > len(a.shortDescription())
        assert len(a.tags()) >= 4
        assert a.helpUrl().startswith("file:")
        page, _, anchor = a.helpUrl()[len("file://") :].partition("#")
        assert f'id="{anchor}"' in Path(page).read_text()
        assert not a.icon().isNull()
        assert a.flags() & a.Flag.FlagCanCancel
        assert not a.flags() & a.Flag.FlagNoThreading


def test_labels_are_sentence_case_without_colon(provider):
    for a in provider.algorithms():
        for p in a.parameterDefinitions():
            assert p.description()[:1].isupper(), (a.name(), p.name())
            assert not p.description().endswith(":")
            assert p.name() == p.name().upper()


def test_every_field_of_a_job_is_a_parameter_or_placed(provider, package):
    classes = {"segment": "Segment", "find_similar": "FindSimilar", "tile": "Tile", "train": "Train"}
    for name, cls in {**classes, "train_few_shot": "TrainFewShot", "evaluate": "Evaluate"}.items():
        kind = getattr(package(f"algorithms.{name}"), cls)
        fields = {f.name for f in dataclasses.fields(kind.JOB)}
        parameters = {p.name().lower() for p in provider.algorithm(name).parameterDefinitions()}
        assert set(kind.PLACED) <= fields
        assert fields - set(kind.PLACED) - set(kind.HIDDEN) <= parameters


def test_limits_and_choices_come_from_the_job(provider):
    overlap = provider.algorithm("segment").parameterDefinition("OVERLAP")
    assert (overlap.minimum(), overlap.maximum(), overlap.defaultValue()) == (0.0, 0.9, 0.25)
    assert overlap.flags() & overlap.Flag.FlagAdvanced
    assert provider.algorithm("segment").parameterDefinition("SCORES").options() == ["decoder", "cam", "both"]
    assert provider.algorithm("segment").parameterDefinition("WINDOW").flags() & overlap.Flag.FlagOptional


def test_without_an_engine_all_are_listed_and_say_what_to_do(provider):
    assert provider.algorithm("scene_grid").canExecute() == (True, "")
    for a in provider.algorithms():
        if a.name() == "scene_grid":
            continue
        ok, reason = a.canExecute()
        assert not ok
        assert "Choose Engine" in reason


def test_running_without_an_engine_says_so_too(qgis_run, raster, a_file, tmp_path):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException, match="none is set up"):
        qgis_run("segment", segment_parameters(raster(), a_file, tmp_path))


def test_a_layer_that_is_no_file_is_refused(refusal, a_file, tmp_path):
    from qgis.core import QgsProject, QgsRasterLayer

    layer = QgsRasterLayer("type=xyz&url=file:///nowhere/{z}/{x}/{y}.png&zmax=3&zmin=0", "tiles", "wms")
    assert layer.isValid()
    QgsProject.instance().addMapLayer(layer)
    reason = refusal("vectorize", {"INPUT": layer.id(), "OUTPUT": str(tmp_path / "areas.gpkg")})
    where = refusal("segment", segment_parameters(layer.id(), a_file, tmp_path))
    QgsProject.instance().removeMapLayer(layer.id())
    assert "“tiles” is served by “wms”" in reason
    assert "Save As" in reason
    assert "choose the extent to fetch" in where


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"BANDS": "1,2,9"}, "bands 1 to 3"),
        ({"BANDS": "red"}, "not a list of whole numbers"),
        ({"EXTENT": "0,1,0,1 [EPSG:32632]"}, "does not touch layer “scene”"),
        ({"OVERLAP": 0.95}, "OVERLAP"),
        ({"INPUT": "/nowhere.tif"}, "/nowhere.tif not found"),
        ({"MODEL": ""}, "MODEL"),
        ({"SCORES": "best"}, "SCORES"),
    ],
)
def test_bad_parameters_are_refused_in_words(refusal, raster, a_file, tmp_path, more, words):
    reason = refusal("segment", {**segment_parameters(raster(), a_file, tmp_path), **more})
    assert words in reason


def test_evaluate_refuses_half_a_comparison(refusal, raster):
    assert "Give model and tile set" in refusal("evaluate", {"PREDICTION": raster()})
    assert refusal("evaluate", {"PREDICTION": raster("p.tif"), "REFERENCE": raster("r.tif")}) is None


def test_tags_from_two_places_are_refused(refusal, raster, tmp_path):
    layer = tmp_path / "tags.geojson"
    layer.write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"class":"water"},'
        '"geometry":{"type":"Point","coordinates":[9,45]}}]}'
    )
    both = {"INPUT": [raster()], "TAG_LAYER": str(layer), "TAG_FILE": str(layer), "OUTPUT": str(tmp_path / "t")}
    assert "keep one of them" in refusal("tile", both)
    assert "field with the class" in refusal("tile", {**both, "TAG_FILE": None})
    assert refusal("tile", {**both, "TAG_FILE": None, "FIELD": "class"}) is None


def test_scales_are_read_as_numbers(provider, package):
    from qgis.core import QgsProcessingContext, QgsProcessingException

    settings, jobs = package("algorithms.settings"), package("algorithms.segment").PredictJob
    fields = [f for f in dataclasses.fields(jobs) if f.name == "scales"]
    segment, context = provider.algorithm("segment"), QgsProcessingContext()
    assert settings.setting_values(segment, fields, {"SCALES": "0.75; 1,1.25"}, context) == {"scales": [0.75, 1, 1.25]}
    with pytest.raises(QgsProcessingException, match="list of numbers"):
        settings.setting_values(segment, fields, {"SCALES": "half"}, context)


def test_mappings_are_read_as_names_and_values(provider, package):
    from qgis.core import QgsProcessingContext, QgsProcessingException

    settings, jobs = package("algorithms.settings"), package("algorithms.train").TrainJob
    fields = [f for f in dataclasses.fields(jobs) if f.name == "settings"]
    train, context = provider.algorithm("train"), QgsProcessingContext()

    def read(text):
        return settings.setting_values(train, fields, {"SETTINGS": text}, context)["settings"]

    assert read("a=1, b = 2.5\nc=true,d=x y") == {"a": 1, "b": 2.5, "c": True, "d": "x y"}
    with pytest.raises(QgsProcessingException, match="not name=value"):
        read("a")


@pytest.fixture
def handed(fake_engine, monkeypatch, package):
    """The jobs that the engine would have been handed."""
    seen = []
    monkeypatch.setattr(package("worker"), "run_worker", lambda python, job, *_: seen.append(job))
    return seen


@pytest.mark.parametrize("name", ["train", "train_few_shot"])
def test_beside_a_recipe_only_what_was_changed_is_handed_over(qgis_run, handed, tmp_path, name):
    """The form has a value for everything, which would overrule the whole recipe."""
    (tmp_path / "r.yaml").write_text("steps: 7\nbatch_size: 3\n")
    given = {"INPUT": str(tmp_path), "OUTPUT": str(tmp_path / "run"), "RECIPE": str(tmp_path / "r.yaml"), "SEED": 5}
    qgis_run(name, given)
    job = {k: v for k, v in handed[0].items() if k not in ("command", "tiles", "out")}
    assert job == {"recipe": given["RECIPE"], "seed": 5}


def test_a_few_shot_model_takes_the_backbone_of_its_weights(qgis_run, handed, refusal, tmp_path):
    def weights(name, key, card):
        head = json.dumps({"__metadata__": {key: json.dumps(card)}}).encode()
        (tmp_path / name).write_bytes(len(head).to_bytes(8, "little") + head)
        return {"INPUT": str(tmp_path), "OUTPUT": str(tmp_path / "run"), "WEIGHTS": str(tmp_path / name)}

    def taken(given):
        job = handed[-1] if qgis_run("train_few_shot", given) and handed else {}
        return job.get("backbone"), job.get("backbone_args")

    arguments = {"depth": 2, "widths": [8, 8]}
    model = weights("m.safetensors", "wsss_geo", {"network": {"backbone": "mevt", "backbone_args": arguments}})
    assert taken(model) == ("mevt", arguments)
    assert taken({**model, "BACKBONE": "vit_a"}) == ("vit_a", None)
    assert taken({**model, "BACKBONE_ARGS": "depth=3"}) == (None, {"depth": 3})
    other = weights("b.safetensors", "wsss_geo_backbone", {"backbone": "vit_b", "arguments": {}})
    assert taken(other) == ("vit_b", None)
    (tmp_path / "plain.pth").write_bytes(b"PK\3\4 what torch writes")
    assert taken({**other, "WEIGHTS": str(tmp_path / "plain.pth")}) == (None, None)
    assert "damaged" in refusal("train_few_shot", weights("x.safetensors", "wsss_geo", {"network": []}))
    assert "cannot be read" in refusal("train_few_shot", {**other, "WEIGHTS": str(tmp_path / "none.pth")})


def test_a_backbone_that_knows_nothing_is_warned_of(qgis_run, handed, tmp_path):
    given = {"INPUT": str(tmp_path), "OUTPUT": str(tmp_path / "run")}
    _, _, feedback = qgis_run("train_few_shot", given)
    assert "random weights" in feedback.textLog()
    _, _, feedback = qgis_run("train_few_shot", {**given, "PRETRAINED": True})
    assert "random weights" not in feedback.textLog()


def test_failure_is_the_engines_sentence_and_loads_nothing(
    qgis_run, run_as_task, fake_engine, raster, a_file, tmp_path
):
    from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsProject

    fake_engine("fail")
    with pytest.raises(QgsProcessingException, match=r"scene\.tif: has no band 7; choose bands 1 to 3"):
        qgis_run("segment", segment_parameters(raster(), a_file, tmp_path))
    # A killed worker, through the task that QGIS itself uses, with outputs that were to be loaded.
    fake_engine("killed")
    outcome = run_as_task("segment", segment_parameters(raster(), a_file, tmp_path), QgsProcessingContext(),
                          QgsProcessingFeedback(False), QgsProject.instance())  # fmt: skip
    assert outcome == (False, {}, [])


def test_cancel_from_the_dialog_takes_a_second_and_leaves_nothing(run_as_task, fake_engine, raster, a_file, tmp_path):
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    fake_engine("sleep")
    feedback, cancelled = QgsProcessingFeedback(False), []

    def cancel():
        if not cancelled and fake_engine.notes.exists() and len(fake_engine.notes.read_text().split()) == 2:
            cancelled.append(time.monotonic())
            feedback.cancel()

    parameters = segment_parameters(raster(), a_file, tmp_path)
    _, results, to_load = run_as_task(
        "segment", parameters, QgsProcessingContext(), feedback, QgsProject.instance(), cancel
    )
    assert time.monotonic() - cancelled[0] < 1.0
    assert (results, to_load) == ({}, [])
    assert not (tmp_path / "cover.tif").exists()
    for pid in map(int, fake_engine.notes.read_text().split()):
        state = Path(f"/proc/{pid}/stat")
        assert not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_result_of_another_version_is_an_error_not_a_crash(qgis_run, fake_engine, raster, a_file, tmp_path):
    from qgis.core import QgsProcessingException

    fake_engine("good")
    with pytest.raises(QgsProcessingException, match="another version"):
        qgis_run("segment", segment_parameters(raster(), a_file, tmp_path))


def test_relative_paths_are_seen_from_here(qgis_run, fake_engine, raster, a_file, tmp_path, monkeypatch, package):
    seen = []
    monkeypatch.setattr(package("worker"), "run_worker", lambda python, job, *_: seen.append(job))
    monkeypatch.chdir(tmp_path)
    outputs, _, _ = qgis_run("segment", {**segment_parameters(raster(), os.path.basename(a_file), tmp_path)})
    assert outputs == {}
    assert seen[0]["model"] == a_file
    assert os.path.isabs(seen[0]["out"])


def test_extent_becomes_the_layers_crs(qgis_run, fake_engine, raster, a_file, tmp_path, monkeypatch, package):
    seen = []
    monkeypatch.setattr(package("worker"), "run_worker", lambda python, job, *_: seen.append(job))
    box = "9.0001,9.0006,45.1531,45.1535 [EPSG:4326]"
    qgis_run("segment", segment_parameters(raster(), a_file, tmp_path, EXTENT=box))
    west, south, east, north = map(float, seen[0]["aoi"].split(","))
    assert 500_000 < west < east < 500_096
    assert 4_999_900 < south < north < 5_000_010


def test_selected_polygons_alone_are_the_area(qgis_run, fake_engine, raster, a_file, tmp_path, monkeypatch, package):
    from qgis.core import (
        QgsFeature,
        QgsGeometry,
        QgsProcessingFeatureSourceDefinition,
        QgsProject,
        QgsRectangle,
        QgsVectorLayer,
    )

    seen = []
    monkeypatch.setattr(package("worker"), "run_worker", lambda python, job, *_: seen.append(job))
    layer = QgsVectorLayer("Polygon?crs=EPSG:32632", "areas", "memory")
    for west in (500_000, 500_050):
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 4_999_950, west + 20, 4_999_990)))
        layer.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(layer)
    layer.selectByIds([next(iter(layer.allFeatureIds()))])
    only = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    qgis_run("segment", segment_parameters(raster(), a_file, tmp_path, AOI=only))
    written = QgsVectorLayer(seen[0]["aoi"], "written", "ogr")
    assert written.featureCount() == 1
    assert written.crs().authid() == "EPSG:32632"
    QgsProject.instance().removeMapLayer(layer.id())


def test_the_model_used_last_is_remembered(qgis_run, fake_engine, raster, a_file, tmp_path, monkeypatch, package):
    from qgis.core import QgsSettings

    monkeypatch.setattr(package("worker"), "run_worker", lambda *_: None)
    qgis_run("segment", segment_parameters(raster(), a_file, tmp_path))
    assert QgsSettings().value("wsss_geo/last_model") == a_file
