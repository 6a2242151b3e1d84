"""Few-shot segmentation as jobs: episodes, training, scores, the search in a raster, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from safetensors.torch import load_file, save_file

import wsss_geo
from hearing import Hearing
from wsss_geo import api
from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.fewshot.episodes import EpisodeDataset, EpisodeSampler, class_pixels, make_pool
from wsss_geo.fewshot.score import overlap, summary
from wsss_geo.fewshot.support import view_windows
from wsss_geo.info import describe_path
from wsss_geo.jobs import FewShotTestJob
from wsss_geo.nn.encoder import timm_model
from wsss_geo.nn.fewshot_file import load_few_shot, save_few_shot
from wsss_geo.progress import Progress
from wsss_geo.raster.info import GeoGrid
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset

MEVT = {"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1], "fusion": 16, "stride": 4}
TRAIN = {
    "backbone": "mevt", "backbone_args": MEVT, "steps": 40, "batch_size": 4, "shots": 2, "learning_rate": 5e-3,
    "settings": {"width": 16, "parts": 2, "regions": 2, "layers": 1}, "device": "cpu", "precision": "float32",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Land:
    """A scene of 512 x 512 px at 0.5 m, its truth and its tile set with masks, and a model of another kind."""

    scene: Path
    truth: Path
    tiles: Path
    model: Path


@pytest.fixture(scope="module")
def land(tiny, tmp_path_factory, write_tiff):
    """Squares of field, wood and roof, and in the lower third of water as well; no data at the right edge."""
    folder = tmp_path_factory.mktemp("land")
    rng = np.random.default_rng(3)
    kinds = rng.integers(1, 4, (16, 16))
    kinds[11:] = rng.integers(0, 4, (5, 16))
    truth = np.kron(np.array([3, 5, 9, 11], np.uint8)[kinds], np.ones((32, 32), np.uint8))
    truth[:, 506:] = 255
    colours = np.zeros((256, 3), np.float64)
    colours[[3, 5, 9, 11, 255]] = (40, 60, 150), (190, 170, 60), (40, 110, 50), (180, 60, 50), (120, 120, 120)
    scene = np.clip(colours[truth] + rng.normal(0, 12, (512, 512, 3)), 1, 255)
    write_tiff(folder / "scene.tif", scene.astype(np.uint8).transpose(2, 0, 1))
    write_tiff(folder / "truth.tif", truth, nodata=255)
    names = {3: "water", 5: "field", 9: "wood", 11: "roof"}
    (folder / "classes.json").write_text(json.dumps([{"id": i, "name": n} for i, n in names.items()]))
    wsss_geo.tile(
        folder / "scene.tif", tags=folder / "truth.tif", classes=folder / "classes.json", size=64, val=0.0,
        scene_block=64, out=folder / "tiles",
    )  # fmt: skip
    return Land(folder / "scene.tif", folder / "truth.tif", folder / "tiles", tiny.model)


@pytest.fixture(scope="module")
def model(land, tmp_path_factory):
    """A model trained on episodes of field, wood and roof; water is held."""
    out = tmp_path_factory.mktemp("fewshot") / "run"
    return api.few_shot_train(land.tiles, out=out, held="water", **TRAIN)


@pytest.fixture(scope="module")
def tiles(land):
    return TileDataset(read_tileset(land.tiles), "train", with_masks=True)


def polygons(path, truth, value, count=3, shrink=2.0):
    """Squares of 32 px of one class, a little smaller, as a layer."""
    with rasterio.open(truth) as file:
        ids, transform, crs = file.read(1), file.transform, file.crs
    found = []
    for row, col in np.argwhere(ids[::32, ::32] == value)[:count] * 32:
        corners = [transform * (col, row), transform * (col + 32, row + 32)]
        box = shapely.box(corners[0][0], corners[1][1], corners[1][0], corners[0][1])
        found.append(box.buffer(-shrink, join_style="mitre"))
    geopandas.GeoDataFrame(geometry=found, crs=crs).to_file(path)
    return path


def test_training_never_sees_a_held_class(tiles):
    scheme = tiles.tileset.scheme
    held = scheme.names.index("water")
    pixels = class_pixels(tiles, Progress())
    assert pixels[:, held].any()
    pool = make_pool(pixels, scheme, ("field", "wood", "roof"), ("water",), 40, 2, "tiles")
    assert 0 < pool.tiles < len(tiles)
    episodes = EpisodeDataset(tiles, pool, 0, absent=0.3)
    absent = 0
    for number in range(60):
        episode = episodes.episode(number, 2)
        assert episode.position != held
        assert not pixels[[episode.query, *episode.examples], held].any()
        assert len({episode.query, *episode.examples}) == 3
        assert (pixels[list(episode.examples), episode.position] >= 40).all()
        absent += int(pixels[episode.query, episode.position] == 0)
    assert 5 < absent < 35


def test_episodes_follow_from_seed_and_number_alone(tiles):
    pool = make_pool(class_pixels(tiles, Progress()), tiles.tileset.scheme, ("field",), (), 40, 2, "tiles")
    first, again = (EpisodeDataset(tiles, pool, 7, turned=True)[3, 2] for _ in range(2))
    assert all(torch.equal(torch.as_tensor(first[k]), torch.as_tensor(again[k])) for k in first)
    assert (first["masks"] == 1).any()
    assert first["query"].shape == (3, 64, 64)
    assert first["images"].shape == (2, 3, 64, 64)
    keys = list(EpisodeSampler(2, 20, 5, 0))
    assert {shots for batch in keys for _, shots in batch} == {1, 5}
    assert keys[4][0][0] == 8
    later = EpisodeSampler(2, 20, 5, 0)
    later.start = 15
    assert list(later) == keys[15:]


def test_too_few_tiles_are_refused(tiles):
    pixels = class_pixels(tiles, Progress())
    with pytest.raises(InputError, match="no 501 tiles"):
        make_pool(pixels, tiles.tileset.scheme, ("field",), (), 40, 500, "tiles")


def test_overlap_and_summary_count_by_hand():
    logits = torch.tensor([[[[0.0, 0.0, 0.0]], [[1.0, 1.0, -1.0]]]])
    assert overlap(logits, torch.tensor([[[1, 0, 1]]])) == [(1, 3)]
    assert overlap(logits, torch.tensor([[[1, 255, 255]]])) == [(1, 1)]
    counts = np.zeros((2, 1, 3, 2, 2), np.int64)
    counts[:, 0, :, 0] = [1, 2]
    counts[0, 0, :, 1] = [1, 4]
    counts[1, 0, :, 1] = [3, 4]
    job = FewShotTestJob("m", "t", shots=(1,), episodes=4, runs=2)
    found = summary(counts, [0, 1], ["a", "b"], job)
    assert found.miou["1-shot"]["dsmf"] == pytest.approx((0.5 + (0.25 + 0.75) / 2) / 2)
    assert found.deviation["1-shot"]["dsmf"] == pytest.approx(0.125)
    assert found.iou["b"]["1-shot"]["panet"] == pytest.approx(0.5)


def test_training_leaves_a_model_and_is_not_done_twice(model, land):
    assert (model.seen, model.held) == (("field", "wood", "roof"), ("water",))
    assert {"segment", "scales", "panet", "panet_align", "loss"} == set(model.losses)
    described = describe_path(model.model)
    assert (described["kind"], described["held"]) == ("few-shot model", ("water",))
    record = json.loads(Path(f"{model.model}.json").read_text())
    assert record["result"]["episodes"] == 160
    heard = Hearing()
    again = api.few_shot_train(land.tiles, out=model.run, held="water", **TRAIN, report=heard)
    assert again.model == model.model
    assert "finished already" in heard.said()


def test_an_interrupted_training_ends_with_the_same_weights(land, tmp_path):
    class PowerCut(Progress):
        def emit(self, kind, fields):
            if kind == "progress" and fields["stage"] == "train" and fields["done"] > 4:
                raise RuntimeError("power cut")

    given = {**TRAIN, "steps": 6, "check_every": 2, "batch_size": 1}
    whole = api.few_shot_train(land.tiles, out=tmp_path / "whole", **given)
    with pytest.raises(RuntimeError, match="power cut"):
        api.few_shot_train(land.tiles, out=tmp_path / "cut", report=PowerCut(), **given)
    cut = api.few_shot_train(land.tiles, out=tmp_path / "cut", **given)
    first, second = load_file(whole.model), load_file(cut.model)
    assert all(torch.equal(first[n], second[n]) for n in first)


def test_held_class_is_found_above_chance(model, land, tmp_path):
    given = {"tiles": land.tiles, "split": "all", "episodes": 12, "shots": (1, 2), "runs": 2, "device": "cpu"}
    found = api.few_shot_test(model.model, **given, out=tmp_path / "scores.json")
    assert found.classes == ("water",)
    assert json.loads((tmp_path / "scores.json").read_text())["miou"] == found.miou
    assert found.miou["2-shot"]["dsmf"] > 0.6  # all pixels called water: about a third
    heard = Hearing()
    api.few_shot_test(model.model, **{**given, "episodes": 2, "runs": 1}, classes="wood", report=heard)
    assert "was trained on episodes of wood" in heard.said()


def test_search_finds_what_a_few_polygons_show(model, land, tmp_path):
    support = polygons(tmp_path / "examples.gpkg", land.truth, 3)
    out = tmp_path / "rare.tif"
    result = api.few_shot(
        support=support, support_raster=land.scene, query=land.scene, model=model.model, out=out,
        polygons=tmp_path / "rare.shp", confidence=tmp_path / "sure.tif", name="pond", device="cpu",
    )  # fmt: skip
    with rasterio.open(out) as file, rasterio.open(land.truth) as truth:
        mask, ids = file.read(1), truth.read(1)
        assert (file.crs, file.transform, file.nodata) == (truth.crs, truth.transform, 255)
        assert "wsss-geo fewshot " in file.tags()["WSSS_GEO_COMMAND"]
    valid = mask != 255
    both = ((mask == 1) & (ids == 3)).sum()
    assert both / (valid & ((mask == 1) | (ids == 3))).sum() > 0.4  # everything called water: 0.09
    frame = geopandas.read_file(tmp_path / "rare.shp")
    assert set(frame["class"]) == {"pond"}
    assert len(frame) == result.polygon_count > 0
    assert frame["area_m2"].sum() == pytest.approx(result.area_m2, rel=0.02)
    assert (result.drawn, result.share) == (3, pytest.approx((mask == 1).sum() / valid.sum()))
    assert json.loads((tmp_path / "rare.tif.json").read_text())["command"].startswith("wsss-geo fewshot ")
    assert not [p for p in tmp_path.iterdir() if ".part" in p.name or p.name.endswith(".work")]


def test_search_of_another_resolution_and_of_one_example(model, land, tmp_path, write_tiff):
    with rasterio.open(land.scene) as file:
        fine = file.read().repeat(2, axis=1).repeat(2, axis=2)
    query = write_tiff(tmp_path / "fine.tif", fine, pixel=0.25)
    heard = Hearing()
    api.few_shot(
        support=polygons(tmp_path / "one.gpkg", land.truth, 3, 1), support_raster=land.scene, query=query,
        model=model.model, out=tmp_path / "out.tif", device="cpu", report=heard,
    )  # fmt: skip
    assert "one polygon, a single example" in heard.said()
    assert "m instead of 0.2" in heard.said()
    with rasterio.open(tmp_path / "out.tif") as file, rasterio.open(land.truth) as truth:
        mask, ids = file.read(1)[::2, ::2], truth.read(1)
    assert ((mask == 1) & (ids == 3)).sum() / ((mask == 1) | (ids == 3)).sum() > 0.3  # everything called water: 0.09


@pytest.fixture
def without_scale(model, tmp_path):
    """The model as of tiles whose resolution nobody knows."""
    loaded = load_few_shot(model.model)
    save_few_shot(tmp_path / "no_scale.safetensors", loaded.network, dataclasses.replace(loaded.card, gsd=None))
    return tmp_path / "no_scale.safetensors"


def test_a_model_without_scale_searches_at_that_of_the_examples(without_scale, land, tmp_path, write_tiff):
    with rasterio.open(land.scene) as file:
        fine = file.read().repeat(2, axis=1).repeat(2, axis=2)
    query = write_tiff(tmp_path / "fine.tif", fine, pixel=0.25)
    usual = {
        "support": polygons(tmp_path / "s.gpkg", land.truth, 3), "support_raster": land.scene, "model": without_scale,
        "device": "cpu",
    }  # fmt: skip
    masks, said = {}, {}
    for name, raster, change in (("own", land.scene, {}), ("fine", query, {}), ("as_is", query, {"resample": False})):
        heard = Hearing()
        api.few_shot(query=raster, out=tmp_path / f"{name}_out.tif", report=heard, **usual, **change)
        said[name] = heard.said()
        with rasterio.open(tmp_path / f"{name}_out.tif") as file:
            masks[name] = file.read(1)
    assert (masks["fine"][::2, ::2] == masks["own"]).mean() > 0.995
    assert (masks["as_is"][::2, ::2] == masks["own"]).mean() < 0.995
    assert re.search(r"fine\.tif: searched at the 0\.500\d m of the examples", said["fine"])
    assert re.search(r"of 0\.25\d* m, the examples of 0\.500\d m, and both are read as they are", said["as_is"])
    assert "searched at" not in said["own"]


def test_other_values_are_told(model, land, tmp_path, write_tiff):
    with rasterio.open(land.scene) as file:
        pixels = file.read()
    usual = {
        "support": polygons(tmp_path / "s.gpkg", land.truth, 3), "support_raster": land.scene, "model": model.model,
        "out": tmp_path / "out.tif", "device": "cpu",
    }  # fmt: skip
    said = {}
    for name, changed in (
        ("same", pixels[:, :256]), ("bright", pixels // 8 + 223), ("deep", pixels.astype(np.uint16) * 40),
    ):  # fmt: skip
        heard = Hearing()
        api.few_shot(query=write_tiff(tmp_path / f"{name}.tif", changed), report=heard, **usual)
        said[name] = heard.said()
    assert "draw examples in imagery like" not in said["same"]
    assert "holds uint8" not in said["same"]
    assert "bright.tif: channel 1 is " in said["bright"]
    assert "deep.tif: holds uint16, " in said["deep"]
    assert "with the examples uint8" in said["deep"]
    assert "deep.tif: channel 1 is " in said["deep"]


def test_a_convnext_with_weights_of_ones_own_serves_as_well(land, tmp_path):
    shape = {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}
    whole = timm_model("convnext_atto", False, shape)
    save_file(whole.state_dict(), tmp_path / "own.safetensors")
    small = {**TRAIN, "steps": 2, "backbone": "convnext_atto", "backbone_args": shape}
    made = api.few_shot_train(land.tiles, out=tmp_path / "run", weights=tmp_path / "own.safetensors", **small)
    kept = load_few_shot(made.model).network.backbone.encoder.state_dict()
    assert torch.equal(kept["stages_3.blocks.0.mlp.fc1.weight"], whole.stages[3].blocks[0].mlp.fc1.weight)
    found = api.few_shot(
        support=polygons(tmp_path / "s.gpkg", land.truth, 3), support_raster=land.scene, query=land.scene,
        model=made.model, out=tmp_path / "out.tif", device="cpu",
    )  # fmt: skip
    assert found.windows > 0
    with pytest.raises(ModelError, match=r"(do|does) not fit this resnet10t"):
        api.few_shot_train(land.tiles, out=tmp_path / "no", weights=tmp_path / "own.safetensors",
                           **{**small, "backbone": "resnet10t", "backbone_args": {}})  # fmt: skip


def test_what_cannot_be_searched_is_refused(model, land, tmp_path, command, write_tiff):
    support = polygons(tmp_path / "s.gpkg", land.truth, 3)
    far = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)], crs=32632)
    far.to_file(tmp_path / "far.gpkg")
    bare = geopandas.GeoDataFrame(geometry=[shapely.box(500_125.5, 5_399_900, 500_127.5, 5_399_950)], crs=32632)
    bare.to_file(tmp_path / "bare.gpkg")
    with rasterio.open(land.scene) as file:
        hidden = file.read()
    hidden[:, :, 250:] = 0
    hidden_scene = write_tiff(tmp_path / "hidden.tif", hidden, nodata=0)
    points = geopandas.GeoDataFrame(geometry=[shapely.Point(1, 1)], crs=32632)
    points.to_file(tmp_path / "points.gpkg")
    grey = write_tiff(tmp_path / "grey.tif", np.ones((40, 40), np.uint8))
    plain = tmp_path / "plain.safetensors"
    plain.write_bytes(b"no model")
    out = tmp_path / "out.tif"
    usual = {"support": support, "support-raster": land.scene, "query": land.scene, "model": model.model, "out": out}
    for change, code, said in (
        ({"support": tmp_path / "far.gpkg"}, 3, "no polygon overlaps"),
        ({"support": tmp_path / "bare.gpkg", "support-raster": hidden_scene}, 3, "no pixel"),
        ({"support": tmp_path / "points.gpkg"}, 3, "holds no polygon"),
        ({"support": tmp_path / "none.gpkg"}, 3, "no such file"),
        ({"support": plain}, 3, "cannot be read"),
        ({"query": grey}, 3, "3 are needed"),
        ({"query": tmp_path / "none.tif"}, 3, "none.tif"),
        ({"model": land.model}, 5, "is no few-shot model"),
        ({"model": plain}, 5, "not a readable model"),
        ({"model": tmp_path / "none.safetensors"}, 3, "no such model file"),
        ({"name": "other"}, 2, "cannot be told"),
        ({"out": land.scene}, 2, "is an input"),
        ({"window": 2}, 2, "--window"),
    ):
        words = [w for k, v in {**usual, **change}.items() for w in (f"--{k}", v)]
        done = command("fewshot", *words)
        assert (done.code, said in done.err) == (code, True), (change, done)
        assert done.err.count("\n") <= 4
    assert not out.exists()
    assert command("predict", land.scene, "--model", model.model, "--out", out).code == 5


def test_what_cannot_be_trained_is_refused(land, model, tmp_path):
    def train(**change):
        return api.few_shot_train(land.tiles, out=tmp_path / "run", **{**TRAIN, **change})

    with pytest.raises(UsageError, match="'lake' is no class"):
        train(held="lake")
    with pytest.raises(UsageError, match="no class is left"):
        train(held="water,field,wood,roof")
    with pytest.raises(UsageError, match="not known to timm"):
        train(backbone="resnot", backbone_args={})
    with pytest.raises(ModelError, match=r"vit_tiny_patch16_224.*do not fit this mevt"):
        train(weights=land.model)
    with pytest.raises(UsageError, match="absent"):
        train(settings={"absent": 2})
    with pytest.raises(UsageError, match="correction"):
        train(settings={"correction": 1.5})
    with pytest.raises(UsageError, match="unknown"):
        train(settings={"no_such": 2})
    assert not (tmp_path / "run").exists()
    with pytest.raises(ModelError, match="no few-shot model"):
        api.few_shot_test(land.model, tiles=land.tiles)
    assert "few_shot" in wsss_geo.__all__


def test_views_show_many_polygons_and_the_edge_of_large_ones():
    grid = GeoGrid(500, 400, rasterio.Affine(2, 0, 1000, 0, -2, 9000), None)
    near = [shapely.box(1100 + 20 * i, 8800, 1110 + 20 * i, 8810) for i in range(3)]
    far = shapely.box(1780, 8010, 1790, 8020)
    windows = view_windows(np.array([*near, far]), grid, 64, 10)
    assert len(windows) == 2
    assert windows[1].row_end <= 500
    assert windows[1].col_end <= 400
    large = shapely.box(1000, 8000, 1700, 9000)  # all rows, columns 0 to 350
    window = view_windows(np.array([large]), grid, 64, 10)[0]
    assert window.row_off < 500
    assert window.col_off < 350 < window.col_end or window.row_off == 0
    assert len(view_windows(np.array([*near, far]), grid, 64, 1)) == 1
