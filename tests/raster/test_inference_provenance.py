"""Where a prediction comes from: tags in its rasters, STAC items with what the published schemas require."""

from __future__ import annotations

import datetime
import json
import re

import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from wsss_geo.inference import run
from wsss_geo.jobs import PredictJob
from wsss_geo.progress import Progress

ITEM = {"type", "stac_version", "stac_extensions", "id", "geometry", "properties", "links", "assets"}
MODEL = {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"}
MODEL_INPUT, MODEL_OUTPUT = {"name", "bands", "input"}, {"name", "tasks", "result"}
ARRAY = {"shape", "dim_order", "data_type"}
CLASS_V1 = {"value", "description"}
DATA_TYPES = {"uint8", "float32"}


def check_item(item):
    """The item schema of STAC 1.0.0: required members, types, and a bbox wherever there is a geometry."""
    assert item.keys() >= ITEM
    assert (item["type"], item["stac_version"]) == ("Feature", "1.0.0")
    assert all(re.fullmatch(r"https://stac-extensions\.github\.io/[a-z-]+/v[\d.]+/schema\.json", e)
               for e in item["stac_extensions"])  # fmt: skip
    datetime.datetime.fromisoformat(item["properties"]["datetime"])
    if item["geometry"] is None:
        assert "bbox" not in item
    else:
        shape = shapely.geometry.shape(item["geometry"])
        assert shape.is_valid
        assert shape.exterior.is_ccw
        assert item["bbox"] == pytest.approx(shape.bounds)
    assert all(link.keys() >= {"rel", "href"} for link in item["links"])
    assert item["assets"]
    for asset in item["assets"].values():
        assert isinstance(asset["href"], str)
        assert isinstance(asset["roles"], list)
    used = {name.split(":")[0] for part in (item["properties"], *item["assets"].values()) for name in part}
    declared = {e.split("/")[3] for e in item["stac_extensions"]}
    names = {"proj": "projection"}
    extensions = {"proj", "raster", "classification", "processing", "mlm", "file"}
    assert {names.get(n, n) for n in used & extensions} <= declared


def check_classes(classes):
    for one in classes:
        assert one.keys() >= CLASS_V1
        assert isinstance(one["value"], int)
        assert re.fullmatch(r"[0-9A-Za-z-_]+", one["name"])
        assert re.fullmatch(r"[0-9A-F]{6}", one["color_hint"])


def predict(tiny, out, **options):
    job = PredictJob((str(options.pop("raster", tiny.scene)),), str(tiny.model), str(out), device="cpu", **options)
    return run.run(job, Progress())


def test_rasters_carry_model_input_and_command(tiny, tmp_path):
    predict(tiny, tmp_path / "m.tif", confidence=str(tmp_path / "c.tif"), cam=str(tmp_path / "k.tif"), threshold=0.2)
    for name in ("m", "c", "k"):
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            tags = file.tags()
        assert tags["TIFFTAG_SOFTWARE"].startswith("wsss-geo ")
        assert re.fullmatch(r"[0-9a-f]{64}", tags["WSSS_GEO_MODEL"])
        assert tags["WSSS_GEO_INPUT"] == "scene.tif"
        assert tags["WSSS_GEO_COMMAND"] == (
            "wsss-geo predict scene.tif --model model.safetensors --out mask.tif --threshold 0.2"
        )


def test_tags_do_not_depend_on_names_of_outputs_nor_on_who_did_the_work(tiny, tmp_path):
    predict(tiny, tmp_path / "a.tif", threads=1)
    predict(tiny, tmp_path / "b.tif", shard="1/1")
    predict(tiny, tmp_path / "b.tif", finish=True, stac=True)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_prediction_as_stac_item(tiny, tmp_path):
    result = predict(
        tiny, tmp_path / "m.tif", stac=True, confidence=str(tmp_path / "c.tif"), cam=str(tmp_path / "k.tif"),
        polygons=str(tmp_path / "p.gpkg"),
    )  # fmt: skip
    item = json.loads((tmp_path / "m.stac.json").read_text())
    check_item(item)
    properties, assets = item["properties"], item["assets"]
    assert properties["proj:epsg"] == 32632
    assert properties["proj:shape"] == [256, 256]
    assert properties["proj:transform"] == [0.5, 0, 500_000, 0, -0.5, 5_400_000]
    assert properties["processing:software"]["wsss-geo"]
    assert properties["processing:lineage"].startswith("wsss-geo predict ")
    assert item["bbox"] == pytest.approx([9.0, 48.752, 9.00175, 48.7533], abs=2e-3)
    assert set(assets) == {"mask", "record", "confidence", "cam", "polygons"}
    for asset in assets.values():
        assert (tmp_path / asset["href"]).exists()
        assert all(band["data_type"] in DATA_TYPES for band in asset.get("raster:bands", []))
    check_classes(assets["mask"]["raster:bands"][0]["classification:classes"])
    assert [b["name"] for b in assets["cam"]["raster:bands"]] == list(result.share)
    source = next(link["href"] for link in item["links"] if link["rel"] == "derived_from")
    assert (tmp_path / source).resolve() == tiny.scene.resolve()


def test_raster_without_crs_and_one_with_its_time(tiny, tmp_path, write_tiff):
    import numpy as np

    plain = write_tiff(tmp_path / "plain.tif", np.full((3, 64, 64), 90, np.uint8), crs=None,
                       transform=from_origin(0, 0, 1, 1))  # fmt: skip
    with rasterio.open(plain, "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2024:06:01 10:20:30")
    predict(tiny, tmp_path / "m.tif", raster=plain, stac=True)
    item = json.loads((tmp_path / "m.stac.json").read_text())
    check_item(item)
    assert item["geometry"] is None
    assert item["properties"]["proj:epsg"] is None
    assert item["properties"]["datetime"] == "2024-06-01T10:20:30Z"


def test_model_as_stac_item(tiny, tmp_path, command):
    out = tmp_path / "model.json"
    assert command("info", tiny.model, "--stac", out).code == 0
    item = json.loads(out.read_text())
    check_item(item)
    properties, (asset,) = item["properties"], item["assets"].values()
    assert properties.keys() >= MODEL
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert properties["mlm:tasks"] == ["semantic-segmentation"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["mlm:framework_version"])
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", name) for name in properties["mlm:hyperparameters"])
    (given,), (made,) = properties["mlm:input"], properties["mlm:output"]
    assert given.keys() >= MODEL_INPUT
    assert made.keys() >= MODEL_OUTPUT
    for array in (given["input"], made["result"]):
        assert array.keys() >= ARRAY
        assert len(array["shape"]) == len(array["dim_order"]) == 4
        assert array["data_type"] in DATA_TYPES
    assert len(given["value_scaling"]) == len(given["bands"])
    assert all(v.keys() == {"type", "minimum", "maximum"} for v in given["value_scaling"])
    assert [b["name"] for b in asset["raster:bands"]] == given["bands"]
    check_classes(made["classification:classes"])
    assert "mlm:model" in asset["roles"]
    assert asset["mlm:artifact_type"]
    assert asset["file:checksum"] == "1220" + properties["wsss_geo:sha256"]
    assert (tmp_path / asset["href"]).resolve() == tiny.model.resolve()
    assert command("info", tiny.scene, "--stac", tmp_path / "no.json").code == 5
    assert not (tmp_path / "no.json").exists()
