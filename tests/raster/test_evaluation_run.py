"""The evaluate job from file to file."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.warp
import torch
from PIL import Image
from rasterio.transform import Affine, from_origin
from shapely.geometry import box

from hearing import Hearing
from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.evaluation import compare
from wsss_geo.evaluation.run import run
from wsss_geo.evaluation.tiles import classify
from wsss_geo.jobs import EvaluateJob
from wsss_geo.progress import Progress
from wsss_geo.raster.cog import mask_writer
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import GeoGrid

WATER_FIELD = ClassScheme.from_names(["water", "field"])


def write(path, array, origin=(600_000.0, 5_400_000.0), pixel=1.0, crs="EPSG:32632", **more):
    more.setdefault("transform", from_origin(*origin, pixel, pixel))
    height, width = array.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=array.dtype, crs=crs, **more
    ) as file:
        file.write(array, 1)
    return str(path)


def write_mask(path, array, scheme, transform=None):
    """As prediction writes it, with the names of its classes inside."""
    transform = transform or from_origin(600_000, 5_400_000, 1, 1)
    grid = GeoGrid(*array.shape, transform, rasterio.CRS.from_epsg(32632))
    with mask_writer(path, grid, scheme) as writer:
        writer.write(Window(0, 0, *array.shape), array)
    return str(path)


def evaluate(report=None, **fields):
    return run(EvaluateJob(**fields), report or Progress())


@pytest.fixture
def halves(tmp_path):
    """Prediction of 20 x 20 px with names: left water, right field, two rows of nodata."""
    values = np.zeros((20, 20), np.uint8)
    values[:, 10:] = 1
    values[18:] = 255
    return write_mask(tmp_path / "cover.tif", values, WATER_FIELD), values


def test_mask_against_mask_of_other_ids_by_name(tmp_path, halves):
    mask, values = halves
    scheme = ClassScheme.from_json([{"id": 4, "name": "field"}, {"id": 8, "name": "water"}])
    reference = np.where(values == 0, 8, 4).astype(np.uint8)
    reference[:, 0] = 4
    found = evaluate(prediction=mask, reference=write_mask(tmp_path / "truth.tif", reference, scheme))
    assert found.classes == ("water", "field")
    assert found.confusion == ((9 * 18, 0), (18, 180))
    assert found.iou["water"] == pytest.approx(0.9)
    assert found.pixels == 360  # the two rows without prediction do not count


def test_reference_without_names_means_what_the_mask_means(tmp_path, halves):
    mask, values = halves
    found = evaluate(prediction=mask, reference=write(tmp_path / "truth.tif", values, nodata=255))
    assert (found.miou, found.accuracy) == (1.0, 1.0)


def test_reference_on_another_grid_is_warped_nearest(tmp_path, halves):
    """Half the resolution, shifted extent: only the overlap counts, and fill is no class."""
    mask, _ = halves
    coarse = np.zeros((20, 20), np.uint8)
    coarse[:, 15:] = 1
    path = write(tmp_path / "truth.tif", coarse, origin=(599_980.0, 5_400_010.0), pixel=2.0)
    found = evaluate(prediction=mask, reference=path)
    assert found.pixels == 360
    assert found.miou == 1.0
    beside = write(tmp_path / "beside.tif", coarse, origin=(599_980.0 + 30, 5_400_010.0), pixel=2.0)
    assert evaluate(prediction=mask, reference=beside).pixels == 180


def test_reference_in_another_crs(tmp_path, halves):
    mask, _ = halves
    with rasterio.open(mask) as file:
        left, bottom, right, top = rasterio.warp.transform_bounds(file.crs, "EPSG:4326", *file.bounds, densify_pts=21)
    fine = np.zeros((400, 400), np.uint8)
    fine[:, 200:] = 1
    transform = Affine.translation(left, top) * Affine.scale((right - left) / 400, -(top - bottom) / 400)
    path = write(tmp_path / "truth.tif", fine, crs="EPSG:4326", transform=transform)
    assert evaluate(prediction=mask, reference=path).accuracy > 0.97


def test_polygons_in_another_crs_and_on_a_rotated_grid(tmp_path):
    turn = Affine.translation(600_000, 5_400_000) * Affine.rotation(30) * Affine.scale(1, -1)
    values = np.zeros((20, 20), np.uint8)
    values[:, 10:] = 1
    mask = write_mask(tmp_path / "cover.tif", values, WATER_FIELD, turn)
    to_map = [turn.a, turn.b, turn.d, turn.e, turn.c, turn.f]
    shapes = geopandas.GeoSeries([box(0, 0, 10, 20), box(10, 0, 20, 15)]).affine_transform(to_map)
    frame = geopandas.GeoDataFrame({"label": ["Water", "field"]}, geometry=shapes, crs="EPSG:32632")
    for name in ("truth.gpkg", "truth.geojson", "truth.parquet"):
        written = frame.to_crs(4326)
        written.to_parquet(tmp_path / name) if name.endswith("parquet") else written.to_file(tmp_path / name)
        found = evaluate(prediction=mask, reference=str(tmp_path / name))
        assert found.confusion == ((200, 0), (0, 150)), name


def test_later_polygons_lie_on_top_and_ids_serve_as_names(tmp_path, halves):
    mask, _ = halves
    shapes = [box(600_000, 5_399_980, 600_020, 5_400_000), box(600_010, 5_399_980, 600_020, 5_400_000)]
    frame = geopandas.GeoDataFrame({"code": [0, 1]}, geometry=shapes, crs="EPSG:32632")
    frame.to_file(tmp_path / "truth.shp")
    found = evaluate(prediction=mask, reference=str(tmp_path / "truth.shp"), field="code")
    assert found.confusion == ((180, 0), (0, 180))


def test_unknown_reference_classes_are_left_out_and_said(tmp_path, halves):
    mask, _ = halves
    scheme = ClassScheme.from_names(["water", "snow"])
    reference = np.zeros((20, 20), np.uint8)
    reference[:, 15:] = 1
    heard = Hearing()
    found = evaluate(heard, prediction=mask, reference=write_mask(tmp_path / "truth.tif", reference, scheme))
    assert found.confusion == ((180, 90), (0, 0))
    assert found.iou == {"water": pytest.approx(180 / 270), "field": None}
    assert any("snow" in m and "25.0%" in m for m in heard.said("warn").splitlines())


def test_strips_do_not_matter(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    mask = write(tmp_path / "cover.tif", rng.integers(0, 4, (300, 70), dtype=np.uint8), blockysize=4)
    truth = write(tmp_path / "truth.tif", rng.integers(0, 4, (300, 70), dtype=np.uint8))
    whole = evaluate(prediction=mask, reference=truth)
    monkeypatch.setattr(compare, "_STRIP_PIXELS", 700)
    monkeypatch.setattr(compare, "_PICTURE_SIDE", 64)
    out = tmp_path / "out"
    again = evaluate(prediction=mask, reference=truth, out=str(out))
    assert again.confusion == whole.confusion
    assert sum(map(sum, whole.confusion)) == 300 * 70


def test_figures_and_record(tmp_path, halves):
    mask, values = halves
    truth = write(tmp_path / "truth.tif", values, nodata=255)
    out = tmp_path / "scores"
    found = evaluate(prediction=mask, reference=truth, out=str(out))
    assert sorted(p.name for p in out.iterdir()) == ["comparison.png", "confusion.png", "metrics.json"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["miou"] == found.miou == 1.0
    assert metrics["labelled_pixels_without_prediction"] == 0
    for name in ("comparison.png", "confusion.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 150
            assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 20
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["command"].startswith("wsss-geo evaluate --prediction")
    assert record["result"]["pixels"] == 360


@pytest.mark.parametrize("split", ["train", "all"])
def test_model_on_tiles(tiny, tmp_path, split):
    found = evaluate(model=str(tiny.model), tiles=str(tiny.tiles), split=split, device="cpu", out=str(tmp_path / "out"))
    assert found.classes == ("water", "field", "wood")
    assert 0 <= found.miou <= 1
    assert found.pixels == sum(map(sum, found.confusion))
    with Image.open(tmp_path / "out" / "comparison.png") as picture:
        assert picture.size[1] > picture.size[0] / 2


def test_tags_let_only_their_classes_compete(tiny):
    """The confusion with tags has no class that a tile is not tagged with, so it cannot be worse than chance of two."""
    fields = {"model": str(tiny.model), "tiles": str(tiny.tiles), "split": "all", "device": "cpu"}
    without = evaluate(**fields)
    assert evaluate(**fields, with_tags=True).accuracy > without.accuracy
    for scores in ("cam", "both"):
        assert evaluate(**fields, with_tags=True, scores=scores).pixels > 0


def test_pixels_are_decided_after_upsampling():
    """Two tokens of 8 px whose scores cross half-way: the border lies where the interpolated scores are equal."""

    class Ramp:
        multiple = patch = 8
        mean = torch.zeros(1, 3, 1, 1)

        def predict(self, image, scores, with_cam):
            maps = torch.tensor([[1.0, 0.4], [0.0, 0.6]])
            return maps[None, :, None, :].expand(len(image), 2, 1, 2), None

    image, valid = torch.zeros(1, 3, 8, 13), torch.ones(1, 8, 13, dtype=torch.bool)
    found = classify(Ramp(), image, valid)
    assert found.shape == (1, 8, 13)
    # centres: token 0 at 4 px, token 1 at 12 px; equal where the first falls from 1 to 0.5: 4 + 8 * 5/6 = 10.7
    assert found[0, 0].tolist() == [0] * 11 + [1] * 2
    only = torch.tensor([[False, True]])
    assert (classify(Ramp(), image, valid, allowed=only) == 1).all()


def test_model_on_raster_with_reference(tiny, tmp_path):
    out = tmp_path / "out"
    fields = {"model": str(tiny.model), "raster": str(tiny.scene), "reference": str(tiny.truth), "device": "cpu"}
    found = evaluate(**fields, classes=str(tiny.classes), out=str(out))
    assert found.pixels == 250 * 256
    assert sorted(p.name for p in out.iterdir()) == ["comparison.png", "confusion.png", "metrics.json"]


def test_a_raster_is_segmented_as_predict_would(tiny, tmp_path):
    """What averages and refines changes the mask, and to the very mask that predict writes with the same options."""
    import wsss_geo

    options = {"flips": True, "rotations": True, "scales": (0.5, 1.0), "refine": "par", "device": "cpu"}
    wsss_geo.predict(tiny.scene, model=tiny.model, out=tmp_path / "mask.tif", **options)
    found = evaluate(model=str(tiny.model), raster=str(tiny.scene), reference=str(tmp_path / "mask.tif"), **options)
    assert found.accuracy == 1
    plain = evaluate(model=str(tiny.model), raster=str(tiny.scene), reference=str(tmp_path / "mask.tif"))
    assert plain.accuracy < 1
    for option, value in options.items():
        if option != "device":
            with pytest.raises(UsageError, match="are for a raster"):
                EvaluateJob(model=str(tiny.model), tiles="tiles", **{option: value}).check()


def test_refusals(tiny, tmp_path, halves):
    mask, values = halves
    elsewhere = write(tmp_path / "far.tif", values, origin=(700_000.0, 5_000_000.0))
    strange = ClassScheme.from_names(["lava", "ash"])
    truth = write_mask(tmp_path / "lava.tif", values, strange)
    floats = write(tmp_path / "floats.tif", values.astype(np.float32))
    nowhere = write(tmp_path / "nowhere.tif", np.zeros((7, 9), np.uint8), crs=None)
    (tmp_path / "text.tif").write_text("no raster")
    (tmp_path / "text.geojson").write_text("no polygons")
    cases = [
        (elsewhere, "labels no pixel"),
        (truth, "no class in common"),
        (floats, "type float32"),
        (nowhere, "no CRS"),
        (tmp_path / "text.tif", "not a raster"),
        (tmp_path / "text.geojson", "cannot be read as a vector layer"),
        (tmp_path / "missing.tif", "no such reference"),
        (tiny.scene, "has 3 bands"),
    ]
    for reference, sentence in cases:
        with pytest.raises(InputError, match=sentence) as caught:
            evaluate(prediction=mask, reference=str(reference))
        assert str(reference) in str(caught.value)
    frame = geopandas.GeoDataFrame({"area": [1]}, geometry=[box(600_000, 5_399_980, 600_020, 5_400_000)], crs=32632)
    frame.to_file(tmp_path / "nameless.gpkg")
    with pytest.raises(InputError, match="no attribute for the class; it has area; name one with --field"):
        evaluate(prediction=mask, reference=str(tmp_path / "nameless.gpkg"))
    with pytest.raises(UsageError, match="only tiles have tags"):
        evaluate(prediction=mask, reference=mask, with_tags=True)


def test_refusals_of_tile_sets(tiny, tmp_path):
    import wsss_geo

    tags = tmp_path / "tags.csv"
    tags.write_text("path,tags\nscene.tif,water;field\n")
    wsss_geo.tile(tiny.scene, tags=tags, size=64, val=0, out=tmp_path / "plain")
    with pytest.raises(InputError, match=r"no tile in its test split \(train has 16\)"):
        evaluate(model=str(tiny.model), tiles=str(tmp_path / "plain"))
    with pytest.raises(InputError, match="no tile of split all has a mask"):
        evaluate(model=str(tiny.model), tiles=str(tmp_path / "plain"), split="all")
    wsss_geo.tile(tiny.scene, tags=tiny.truth, classes=tiny.classes, size=64, val=0, bands=[1, 2], out=tmp_path / "two")
    with pytest.raises(ModelError, match="needs 3 bands"):
        evaluate(model=str(tiny.model), tiles=str(tmp_path / "two"), split="all")
