"""Pixels below the threshold: nodata, or a class of their own, in every output alike."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

import wsss_geo
from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.raster.cog import read_scheme, read_unsure


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.fixture(scope="module")
def maps(tiny, tmp_path_factory):
    """Results and folders of the same prediction, without threshold, and with unsure pixels as nodata and as class."""
    folder = tmp_path_factory.mktemp("unsure")
    wsss_geo.predict(tiny.scene, model=tiny.model, out=folder / "all.tif", confidence=folder / "sure.tif", device="cpu")
    sure = read(folder / "sure.tif")
    threshold = float(np.median(sure[sure > 0])) / 255
    found = {"all": folder / "all.tif", "sure": folder / "sure.tif"}
    for name, unsure in (("nodata", False), ("class", True)):
        found[name] = wsss_geo.predict(
            tiny.scene, model=tiny.model, out=folder / f"{name}.tif", polygons=folder / f"{name}.gpkg", stac=True,
            threshold=threshold, unsure=unsure, device="cpu",
        )  # fmt: skip
    return found


def test_unsure_pixels_are_a_class_where_they_would_be_nodata(maps):
    plain, kept, own = read(maps["all"]), read(maps["nodata"].mask), read(maps["class"].mask)
    hidden = (kept == 255) & (plain != 255)
    assert 0 < hidden.sum() < (plain != 255).sum()
    assert (own[hidden] == 254).all()
    np.testing.assert_array_equal(own[~hidden], kept[~hidden])
    assert (read(maps["sure"])[hidden].max()) <= read(maps["sure"])[(kept != 255)].min()


def test_the_class_is_named_wherever_classes_are(maps):
    mask = maps["class"].mask
    assert read_scheme(mask).names == ("water", "field", "wood", "unsure")
    assert read_scheme(maps["nodata"].mask).names == ("water", "field", "wood")
    with rasterio.open(mask) as file:
        assert file.colormap(1)[254] == (226, 226, 226, 255)
    assert "unsure" in Path(maps["class"].polygons).with_suffix(".qml").read_text()
    item = json.loads(Path(mask).with_suffix(".stac.json").read_text())
    listed = item["assets"]["mask"]["raster:bands"][0]["classification:classes"]
    assert {"value": 254, "name": "unsure", "description": "unsure", "color_hint": "E2E2E2"} in listed
    assert "--unsure" in json.loads(Path(f"{mask}.json").read_text())["command"]


def test_unsure_area_is_counted_with_the_classes(maps):
    mask, result = read(maps["class"].mask), maps["class"]
    assert list(result.share) == ["water", "field", "wood", "unsure"]
    assert result.share["unsure"] == pytest.approx((mask == 254).sum() / (mask != 255).sum())
    assert sum(result.share.values()) == pytest.approx(1)
    assert result.area_m2["unsure"] == pytest.approx((mask == 254).sum() * 0.25, rel=1e-2)
    polygons = geopandas.read_file(result.polygons, layer="class")
    assert set(polygons["class"]) <= {"water", "field", "wood", "unsure"}
    unsure = polygons[polygons["class"] == "unsure"]
    assert unsure["area_m2"].sum() == pytest.approx(result.area_m2["unsure"], rel=1e-3)
    assert unsure["conf"].max() < polygons[polygons["class"] != "unsure"]["conf"].max()


def test_evaluation_counts_unsure_pixels_apart(maps, tiny, tmp_path):
    plain, own, truth = read(maps["all"]), read(maps["class"].mask), read(tiny.truth)
    scores = wsss_geo.evaluate(prediction=maps["class"].mask, reference=tiny.truth, out=tmp_path / "scores")
    compared = (truth != 255) & (own != 255)
    sure = compared & (own != 254)
    assert scores.classes == ("water", "field", "wood")
    assert (scores.pixels, scores.unsure) == (sure.sum(), (compared & ~sure).sum())
    assert scores.coverage == pytest.approx(sure.sum() / compared.sum())
    assert scores.accuracy == pytest.approx((plain == truth)[sure].mean())
    assert np.sum(scores.confusion) == sure.sum()
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert (metrics["unsure_pixels"], metrics["coverage"]) == (scores.unsure, scores.coverage)
    assert wsss_geo.evaluate(prediction=maps["all"], reference=tiny.truth).coverage == 1
    hidden = wsss_geo.evaluate(prediction=maps["nodata"].mask, reference=tiny.truth)
    assert hidden.accuracy == pytest.approx(scores.accuracy)


def test_a_mask_that_is_nowhere_sure_has_no_scores(tiny, tmp_path):
    mask = tmp_path / "m.tif"
    wsss_geo.predict(tiny.scene, model=tiny.model, out=mask, threshold=1.0, unsure=True, device="cpu")
    assert set(np.unique(read(mask))) <= {254, 255}
    with pytest.raises(InputError, match="is unsure wherever the reference has labels"):
        wsss_geo.evaluate(prediction=mask, reference=tiny.truth)


@pytest.mark.parametrize(("text", "value"), [("254", 254), ("0", 0), ("255", None), ("-1", None), ("9" * 5000, None)])
def test_the_value_is_read_from_the_mask_and_from_nothing_else(write_tiff, tmp_path, text, value):
    mask = write_tiff(tmp_path / "m.tif", np.zeros((4, 4), np.uint8))
    assert read_unsure(mask) is None
    with rasterio.open(mask, "r+") as file:
        file.update_tags(WSSS_GEO_UNSURE=text)
    assert read_unsure(mask) == value


def test_unsure_needs_a_threshold(tiny, tmp_path):
    with pytest.raises(UsageError, match="needs a threshold"):
        wsss_geo.predict(tiny.scene, model=tiny.model, out=tmp_path / "m.tif", unsure=True)


def test_the_class_takes_a_free_id_and_name():
    scheme = ClassScheme.from_json([{"id": 254, "name": "unsure"}, {"id": 252, "name": "unsure 2"}])
    added = scheme.with_unsure().classes[-1]
    assert (added.id, added.name) == (253, "unsure 3")
