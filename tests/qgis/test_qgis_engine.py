"""With the real engine, in its own Python: the whole way from a layer to styled results."""

from __future__ import annotations

import json
import os
import subprocess
import time
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def parameters(raster, model, tmp_path):
    """A function that makes parameters of segment for a raster."""

    def make(**more):
        return {
            "INPUT": raster(),
            "MODEL": model,
            "DEVICE": "cpu",
            "OUTPUT": str(tmp_path / "cover.tif"),
            "POLYGONS": str(tmp_path / "areas.gpkg"),
            "CONFIDENCE": str(tmp_path / "confidence.tif"),
            "CAM": str(tmp_path / "cam.tif"),
            "REPORT": str(tmp_path / "report.html"),
            **more,
        }

    return make


def nothing_half(folder):
    return not [p for p in folder.rglob("*") if ".part" in p.name]


def test_the_engine_passes_its_own_test(qgis_run, real_engine, tmp_path):
    outputs, _, _ = qgis_run("selftest", {"REPORT": str(tmp_path / "report.html")})
    versions = json.loads(outputs["VERSIONS"])
    assert {"python", "torch", "rasterio", "geopandas"} <= versions.keys()
    assert "cpu" in json.loads(outputs["DEVICES"])
    assert outputs["POLYGON_COUNT"] == 2
    assert versions["torch"] in (tmp_path / "report.html").read_text("utf-8")


def test_segment_makes_all_outputs_on_the_grid_of_the_input(qgis_run, real_engine, parameters, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsVectorLayer

    outputs, _, _ = qgis_run("segment", parameters())
    source, mask = gdal.Open(str(tmp_path / "scene.tif")), gdal.Open(outputs["OUTPUT"])
    assert (mask.RasterXSize, mask.RasterYSize) == (source.RasterXSize, source.RasterYSize)
    assert mask.GetGeoTransform() == source.GetGeoTransform()
    assert mask.GetSpatialRef().IsSame(source.GetSpatialRef())
    areas = json.loads(outputs["AREAS"])
    assert outputs["VALID_SHARE"] == 1.0
    assert sum(areas.values()) == pytest.approx(96 * 80, rel=0.01)
    polygons = QgsVectorLayer(outputs["POLYGONS"], "p", "ogr")
    assert polygons.featureCount() == outputs["POLYGON_COUNT"] > 0
    assert {"class_id", "class", "area_m2", "conf"} <= set(polygons.fields().names())
    assert {f["class"] for f in polygons.getFeatures()} == {name for name, area in areas.items() if area > 0}
    assert gdal.Open(outputs["CONFIDENCE"]).RasterCount == 1
    assert gdal.Open(outputs["CAM"]).RasterCount >= 1
    text = (tmp_path / "report.html").read_text("utf-8")
    assert all(name in text for name in areas)
    assert nothing_half(tmp_path)


def test_results_are_loaded_named_and_styled(run_as_task, show_results, real_engine, parameters, tmp_path):
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    # One stem for mask and polygons: their style files would have the same name.
    wanted = parameters(OUTPUT=str(tmp_path / "cover.tif"), POLYGONS=str(tmp_path / "cover.gpkg"))
    context, feedback, project = QgsProcessingContext(), QgsProcessingFeedback(False), QgsProject.instance()
    ok, results, to_load = run_as_task("segment", wanted, context, feedback, project)
    assert ok, feedback.textLog()
    assert set(to_load) == {results[n] for n in ("OUTPUT", "POLYGONS", "CONFIDENCE", "CAM")}
    assert show_results("segment", context, feedback, results)
    layers = {layer.name(): layer for layer in project.mapLayers().values()}
    names = json.loads(results["AREAS"]).keys()
    mask = layers["scene: Mask"].renderer()
    assert mask.type() == "paletted"
    assert {c.label for c in mask.classes()} == set(names)
    polygons = layers["scene: Polygons"].renderer()
    assert polygons.type() == "categorizedSymbol"
    assert {c.label() for c in polygons.categories() if c.label()} == set(names)
    colours = {c.label: c.color.name() for c in mask.classes()}
    assert {c.label(): c.symbol().color().name() for c in polygons.categories() if c.label()} == colours
    gray = layers["scene: Confidence"].renderer().contrastEnhancement()
    assert (gray.minimumValue(), gray.maximumValue()) == (0, pytest.approx(1))  # as QGIS scales it
    project.clear()


def test_an_extent_limits_the_result(qgis_run, real_engine, parameters):
    box = "500010,500042,4999930,4999962 [EPSG:32632]"
    outputs, _, _ = qgis_run("segment", parameters(EXTENT=box, POLYGONS=None, CONFIDENCE=None, CAM=None))
    assert sum(json.loads(outputs["AREAS"]).values()) == pytest.approx(32 * 32, rel=0.02)
    assert "POLYGONS" not in outputs


def test_a_raster_in_degrees_has_true_areas(qgis_run, real_engine, parameters, raster):
    degree = 1 / 111_320
    path = raster("degrees.tif", origin=(9.0, 0.0), pixel=degree, epsg=4326)
    outputs, _, _ = qgis_run("segment", parameters(INPUT=path, CONFIDENCE=None, CAM=None))
    assert sum(json.loads(outputs["AREAS"]).values()) == pytest.approx(96 * 80, rel=0.02)


def test_too_few_bands_is_one_sentence_with_the_way_out(qgis_run, real_engine, parameters, raster, tmp_path):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as caught:
        qgis_run("segment", parameters(INPUT=raster("gray.tif", bands=1)))
    assert "band" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "cover.tif").exists()


def test_a_file_that_is_no_model_is_one_sentence(qgis_run, real_engine, parameters, tmp_path):
    from qgis.core import QgsProcessingException

    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"x" * 100)
    with pytest.raises(QgsProcessingException, match=r"broken\.safetensors"):
        qgis_run("segment", parameters(MODEL=str(broken)))


def test_vectorize_a_mask(qgis_run, real_engine, parameters, tmp_path):
    from qgis.core import QgsVectorLayer

    first, _, _ = qgis_run("segment", parameters(POLYGONS=None, CAM=None))
    outputs, _, _ = qgis_run(
        "vectorize",
        {
            "INPUT": first["OUTPUT"],
            "CONFIDENCE": first["CONFIDENCE"],
            "OUTPUT": str(tmp_path / "v.shp"),
            "REPORT": str(tmp_path / "v.html"),
        },
    )
    layer = QgsVectorLayer(outputs["OUTPUT"], "v", "ogr")
    assert layer.featureCount() == outputs["POLYGON_COUNT"] > 0
    assert json.loads(outputs["AREAS"]) == pytest.approx(json.loads(first["AREAS"]), rel=1e-3)


def test_a_killed_worker_is_said_and_leaves_nothing_to_load(run_as_task, real_engine, parameters, package, tmp_path):
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    worker = package("worker")

    def kill():
        for process in list(worker._running):
            process._kill()

    feedback = QgsProcessingFeedback(False)
    outcome = run_as_task("segment", parameters(), QgsProcessingContext(), feedback, QgsProject.instance(), kill)
    assert outcome == (False, {}, [])
    assert "killed by signal 9" in feedback.textLog()
    assert not (tmp_path / "cover.tif").exists()


def test_cancel_of_a_long_run(run_as_task, real_engine, parameters, raster, package, tmp_path):
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    feedback, cancelled = QgsProcessingFeedback(False), []

    def cancel():
        if not cancelled and feedback.progress() > 0:
            cancelled.append(time.monotonic())
            feedback.cancel()

    big = parameters(INPUT=raster("big.tif", width=3000, height=3000), OVERLAP=0.5)
    outcome = run_as_task("segment", big, QgsProcessingContext(), feedback, QgsProject.instance(), cancel)
    assert cancelled, "ended before it could be cancelled"
    # The engine tidies up before it goes, which takes its time where other programs keep the machine busy; at the
    # latest it is killed after its grace. docs/results/qgis.md has the seconds of a quiet machine.
    assert time.monotonic() - cancelled[0] < 10.0
    assert outcome[1:] == ({}, [])
    assert not package("worker")._running
    assert {p.name for p in tmp_path.iterdir() if p.suffix in (".tif", ".gpkg")} == {"big.tif", "scene.tif"}


@pytest.fixture
def qgis_process(tmp_path, tool, real_engine):
    """``qgis_process`` with an empty profile, into which the plugin's zip was unpacked as QGIS does it."""
    program = "/usr/bin/qgis_process.bin"  # the wrapper beside it passes an option that the program rejects
    if not Path(program).exists():
        pytest.skip(f"{program} is not there")
    home = tmp_path / "home"
    with zipfile.ZipFile(tool.write_zip(tmp_path / "plugin.zip")) as archive:
        archive.extractall(home / ".local/share/QGIS/QGIS3/profiles/default/python/plugins")
    environment = {**os.environ, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "WSSS_GEO_PYTHON": real_engine}
    environment.pop("QGIS_CUSTOM_CONFIG_PATH")

    def call(*words):
        return subprocess.run(
            [program, *words], env=environment, capture_output=True, text=True, timeout=500, check=False, cwd=tmp_path
        )

    return call


def test_qgis_process_takes_the_zip_and_segments(qgis_process, parameters, tmp_path):
    enabled = qgis_process("plugins", "enable", "wsss_geo_segment")
    assert enabled.returncode == 0, enabled.stdout + enabled.stderr
    wanted = parameters(CONFIDENCE=None, CAM=None, POLYGONS="areas.fgb")
    words = [f"--{name}={value}" for name, value in wanted.items() if value is not None]
    ran = qgis_process("run", "wsss_geo:segment", *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "AREAS:" in ran.stdout
    assert (tmp_path / "cover.tif").is_file()
    assert (tmp_path / "areas.fgb").is_file()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"x" * 100)
    no_model = [w for w in words if not w.startswith("--MODEL")] + [f"--MODEL={broken}"]
    failed = qgis_process("run", "wsss_geo:segment", *no_model)
    assert failed.returncode != 0
    assert "broken.safetensors" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def test_from_a_layer_of_tags_to_a_scored_mask(qgis_run, real_engine, raster, tmp_path):
    """All that can be done in QGIS without a line of code: tags, tiles, training, segmentation, scores."""
    from osgeo import gdal
    from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsSettings, QgsVectorLayer

    scene = raster("big.tif", width=256, height=256)
    layer = QgsVectorLayer("Polygon?crs=EPSG:32632&field=kind:string(20)", "tags", "memory")
    for kind, west in (("water", 500_000), ("field", 500_128)):
        feature = QgsFeature(layer.fields())
        feature.setAttribute("kind", kind)
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 5_000_000 - 256, west + 128, 5_000_000)))
        layer.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(layer)
    tiles, _, _ = qgis_run(
        "tile",
        {"INPUT": [scene], "TAG_LAYER": layer.id(), "FIELD": "kind", "SIZE": 64, "VAL": 0.25, "SCENE_BLOCK": 64,
         "OUTPUT": str(tmp_path / "tiles"), "REPORT": str(tmp_path / "tiles.html")},
    )  # fmt: skip
    QgsProject.instance().removeMapLayer(layer.id())
    assert tiles["TILES"] == tiles["TAGGED"] == 16
    assert json.loads(tiles["COUNTS"]) == {"water": 8, "field": 8}
    trained, _, _ = qgis_run(
        "train",
        {"INPUT": tiles["OUTPUT"], "OUTPUT": str(tmp_path / "run"), "METHOD": "toco", "STEPS": 2, "BATCH_SIZE": 2,
         "BACKBONE": "vit_tiny_patch16_224", "BACKBONE_ARGS": "patch_size=8, depth=2, embed_dim=32, num_heads=1",
         "SETTINGS": "decoder_width=16", "DEVICE": "cpu", "REPORT": str(tmp_path / "run.html")},
    )  # fmt: skip
    assert Path(trained["MODEL"]).is_file()
    assert QgsSettings().value("wsss_geo/last_model") == trained["MODEL"]
    mask, _, _ = qgis_run(
        "segment",
        {"INPUT": scene, "MODEL": trained["MODEL"], "DEVICE": "cpu", "OUTPUT": str(tmp_path / "mask.tif")},
    )
    assert set(json.loads(mask["AREAS"])) == {"water", "field"}
    scores, _, _ = qgis_run(
        "evaluate",
        {"PREDICTION": mask["OUTPUT"], "REFERENCE": mask["OUTPUT"], "REPORT": str(tmp_path / "scores.html")},
    )
    assert scores["ACCURACY"] == scores["MIOU"] == 1.0
    pixels = gdal.Open(mask["OUTPUT"]).ReadAsArray()
    assert pixels.shape == (256, 256)
    assert "100.0 %" in (tmp_path / "scores.html").read_text("utf-8")


def test_from_a_mask_to_a_few_shot_model(qgis_run, real_engine, model, masked, package, tmp_path):
    """Tiles with masks, a training on the backbone of a model, and what the search then starts with."""
    from qgis.core import QgsSettings

    tiles, _, _ = qgis_run("tile", masked)
    trained, _, feedback = qgis_run(
        "train_few_shot",
        {"INPUT": tiles["OUTPUT"], "OUTPUT": str(tmp_path / "run"), "WEIGHTS": model, "SHOTS": 1, "STEPS": 2,
         "BATCH_SIZE": 1, "SETTINGS": "width=16, parts=2, regions=2, layers=1", "DEVICE": "cpu",
         "REPORT": str(tmp_path / "run.html")},
    )  # fmt: skip
    assert "wsss-geo fewshot-train" in feedback.textLog()
    assert "random weights" not in feedback.textLog()
    card = package("few_shot_card").read_few_shot_card(trained["MODEL"])
    assert (set(card.seen), card.episodes, card.tile_size) == ({"water", "field"}, 2, 64)
    assert card.backbone == package("model_card").backbone_of(model)[0]
    assert QgsSettings().value("wsss_geo/last_few_shot_model") == trained["MODEL"]
    assert set(json.loads(trained["LOSSES"])) >= {"loss"}
    assert "water, field" in (tmp_path / "run.html").read_text("utf-8")
    assert nothing_half(tmp_path)
