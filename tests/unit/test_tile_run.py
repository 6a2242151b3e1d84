"""The tile job end to end, on rasters made here."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import Point, box

from hearing import Hearing
from wsss_geo.classes import ClassScheme, write_classes
from wsss_geo.errors import InputError, UsageError
from wsss_geo.jobs import TileJob
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import COLUMNS, read_tileset
from wsss_geo.tiling.run import run

NAMES = ["field", "water"]
TRANSFORM = from_origin(600000, 5400000, 0.5, 0.5)


def write_raster(path, array, crs="EPSG:32633", transform=TRANSFORM, **more):
    array = array if array.ndim == 3 else array[None]
    more.setdefault("driver", "GTiff")
    with rasterio.open(
        path, "w", height=array.shape[1], width=array.shape[2], count=array.shape[0], dtype=array.dtype, crs=crs,
        transform=transform, **more,
    ) as file:  # fmt: skip
        file.write(array)
    return path


@pytest.fixture
def scene(tmp_path):
    """256 x 320 px RGB; the left 128 columns are water (id 7), the rest field (id 3)."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(1, 256, (3, 256, 320), dtype=np.uint8)
    mask = np.full((256, 320), 3, np.uint8)
    mask[:, :128] = 7
    write_raster(tmp_path / "scene.tif", pixels)
    write_raster(tmp_path / "truth.tif", mask)
    classes = [{"id": 3, "name": "field", "color": "#00ff00"}, {"id": 7, "name": "water", "color": "#0000ff"}]
    write_classes(ClassScheme.from_json(classes), tmp_path / "classes.json")
    return tmp_path


def tile(folder, tags=None, heard=None, **more):
    more.setdefault("rasters", [str(folder / "scene.tif")])
    more.setdefault("size", 64)
    tags = str(folder / tags) if tags else None
    return run(TileJob(tags=tags, out=str(folder / "tiles"), **more), heard)


def table(folder, text, name="tags.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def tags_of(folder):
    tiles = read_tileset(folder / "tiles").tiles
    return {t: list(n) for t, n, tagged in zip(tiles.tile_id, tiles.tags, tiles.tagged, strict=True) if tagged}


def test_masks_give_tags_masks_and_a_whole_tile_set(scene):
    result = tile(scene, "truth.tif", classes=str(scene / "classes.json"), test=0.2)
    assert result.counts == {"field": 12, "water": 8}
    assert result.cooccurrence == ((12, 0), (0, 8))
    assert sum(result.splits.values()) == result.total == result.tagged == 20
    assert min(result.splits.values()) > 0
    tileset = read_tileset(scene / "tiles")
    assert tuple(tileset.tiles.columns) == COLUMNS
    assert set(tileset.tiles.source) == {"../scene.tif"}
    assert set(tileset.tiles["mask"]) == {"../truth.tif"}
    assert tileset.gsd == pytest.approx(0.5, rel=1e-2)
    assert tileset.normalisation.low == (0, 0, 0)
    assert tileset.normalisation.high == (255, 255, 255)
    first = tileset.tiles.set_index("tile_id").geometry["scene_r0_c0"]
    assert first.covers(geopandas.GeoSeries([Point(600016, 5399984)], crs=32633).to_crs(4326)[0])
    assert (scene / "tiles" / "preview.png").stat().st_size > 1000
    record = json.loads((scene / "tiles.json").read_text())
    assert record["command"].startswith("wsss-geo tile")
    assert not list(scene.glob("*.part*"))


def test_dataset_reads_what_the_raster_holds(scene):
    tile(scene, "truth.tif", classes=str(scene / "classes.json"))
    tileset = read_tileset(scene / "tiles")
    dataset = TileDataset(tileset, "all", with_masks=True)
    with rasterio.open(scene / "scene.tif") as file:
        pixels = file.read()
    for row, item in zip(tileset.tiles.itertuples(), (dataset[i] for i in range(len(dataset))), strict=True):
        window = pixels[:, row.row_off : row.row_off + 64, row.col_off : row.col_off + 64]
        np.testing.assert_allclose(item["image01"].numpy(), window / 255, atol=1e-6)
        assert item["valid"].all()
        assert item["tags"].tolist() == [float("field" in row.tags), float("water" in row.tags)]
        expected = 1 if row.col_off < 128 else 0
        assert (item["mask"] == expected).all()


def test_materialized_set_stands_alone(scene):
    tile(scene, "truth.tif", classes=str(scene / "classes.json"))
    before = [TileDataset(read_tileset(scene / "tiles"), "all", with_masks=True)[i] for i in range(20)]
    tile(scene, "truth.tif", classes=str(scene / "classes.json"), materialize=True)
    (scene / "scene.tif").unlink()
    (scene / "truth.tif").unlink()
    (scene / "tiles").rename(scene / "moved")
    dataset = TileDataset(read_tileset(scene / "moved"), "all", with_masks=True)
    for i, item in enumerate(before):
        assert dataset[i]["image01"].equal(item["image01"])
        assert dataset[i]["mask"].equal(item["mask"])


def test_smaller_images_are_padded_and_nodata_dropped(tmp_path):
    pixels = np.full((3, 40, 100), 9, np.uint8)
    pixels[:, :, :64] = 0
    pixels[:, 0, 0] = 5
    write_raster(tmp_path / "scene.tif", pixels, nodata=0)
    heard = Hearing()
    result = tile(tmp_path, heard=heard)
    assert result.total == 1  # 40 x 64 at column 0 is nodata, at column 36 it is half valid
    assert "nodata" in heard.said()
    dataset = TileDataset(read_tileset(tmp_path / "tiles"), "train")
    item = dataset[0]
    assert item["image01"].shape == (3, 64, 64)
    assert not item["valid"][40:].any()
    assert item["valid"].sum() == 40 * 36
    assert (item["image01"][:, ~item["valid"]] == 0).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "tile_id,tags\nscene_r0_c0,water;field\nscene_r64_c64,field\n",
            {"scene_r0_c0": NAMES, "scene_r64_c64": ["field"]},
        ),
        (b"\xef\xbb\xbftile_id;tags\r\nscene_r0_c0;water, field\r\n", {"scene_r0_c0": NAMES}),
        ('tile_id\ttags\nscene_r0_c0\t["water", "field"]\n', {"scene_r0_c0": NAMES}),
        ("tile_id,tags\nscene_r0_c0,water,field\n", {"scene_r0_c0": NAMES}),
        ("tile_id,water,field\nscene_r0_c0,1,1\nscene_r0_c64,0,1\n", {"scene_r0_c0": NAMES, "scene_r0_c64": ["field"]}),
        (
            "x,y,tags\n600001,5399999,water\n600031.9,5399999,field\n600032,5399999,field\n",
            {"scene_r0_c0": NAMES, "scene_r0_c64": ["field"]},
        ),
        (
            "tile_id,tags\nscene_r0_c0,water\nscene_r0_c64,\nscene_r0_c128,field\n",
            {"scene_r0_c0": ["water"], "scene_r0_c128": ["field"]},
        ),
    ],
)
def test_tables(scene, text, expected):
    tile(scene, table(scene, text), val=0.0)
    assert tags_of(scene) == expected


def test_path_tags_images_without_georeference(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_raster(tmp_path / folder / "one.png", np.ones((3, 64, 64), np.uint8), None, None, driver="PNG")
    write_raster(tmp_path / "b" / "two.png", np.ones((3, 64, 64), np.uint8), None, None, driver="PNG")
    rasters = [str(tmp_path / "a"), str(tmp_path / "b")]
    tags = table(tmp_path, "path,tags\na/one.png,water\nb\\one.png,field\ntwo,field|water\n")
    tile(tmp_path, tags, rasters=rasters)
    assert tags_of(tmp_path) == {"a_one_r0_c0": ["water"], "b_one_r0_c0": ["field"], "b_two_r0_c0": NAMES}
    assert read_tileset(tmp_path / "tiles").tiles.geometry.isna().all()
    tags = table(tmp_path, "path,tags\none.png,water\n")
    with pytest.raises(InputError, match="fits 2 images; write more of the folder"):
        tile(tmp_path, tags, rasters=rasters)


def test_folders_are_classes(tmp_path):
    for name in ("Forest", "River"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(10):
            write_raster(
                tmp_path / "set" / name / f"{i}.jpg", np.full((3, 64, 64), 90, np.uint8), None, None, driver="JPEG"
            )
    result = tile(tmp_path, "set", rasters=[str(tmp_path / "set")], val=0.2)
    assert result.counts == {"Forest": 10, "River": 10}
    tiles = read_tileset(tmp_path / "tiles").of_split("val")
    assert sorted(t[0] for t in tiles.tags) == ["Forest"] * 2 + ["River"] * 2


def test_polygons_points_and_scenes(scene):
    water = box(600000, 5399872, 600064, 5400000)  # columns 0..127
    touching = box(600064, 5399999, 600065, 5400000)  # 4 px of the tile at column 128
    frame = geopandas.GeoDataFrame({"kind": ["water", "field"]}, geometry=[water, touching], crs=32633)
    frame.to_crs(4326).to_file(scene / "layer.gpkg")
    with pytest.raises(InputError, match=r"no attribute for the class; it has kind; name one with --field"):
        tile(scene, "layer.gpkg")
    tile(scene, "layer.gpkg", field="kind", val=0.0)
    assert tags_of(scene) == {f"scene_r{r}_c{c}": ["water"] for r in (0, 64, 128, 192) for c in (0, 64)}

    points = geopandas.GeoDataFrame({"label": ["field"]}, geometry=[Point(600100, 5399990)], crs=32633)
    points.to_file(scene / "points.geojson")
    tile(scene, "points.geojson")
    assert tags_of(scene) == {"scene_r0_c192": ["field"]}

    cells = geopandas.GeoDataFrame(
        {"tags": ["water; field", ""]}, geometry=[box(600000, 5399968, 600032, 5400000), water], crs=32633
    )
    cells.to_file(scene / "cells.gpkg")
    tile(scene, "cells.gpkg")
    assert tags_of(scene) == {"scene_r0_c0": NAMES}


def test_scenes_shifted_inward_keep_to_their_own_tiles(scene):
    """Tiles of 100 px on 320 px: the last two overlap by most of their sides."""
    columns = {0: "water", 100: "", 200: "field", 220: None}
    shapes = [box(600000 + c / 2, 5399950, 600050 + c / 2, 5400000) for c in columns]
    frame = geopandas.GeoDataFrame({"tags": list(columns.values())}, geometry=shapes, crs=32633)
    frame.to_file(scene / "cells.gpkg")
    tile(scene, "cells.gpkg", size=100, background="explicit", val=0.0)
    assert tags_of(scene) == {"scene_r0_c0": ["water"], "scene_r0_c100": [], "scene_r0_c200": ["field"]}


@pytest.mark.parametrize("sign", [1, -1])
def test_scenes_of_an_image_without_georeference(tmp_path, sign):
    """Rows count downwards as y here and as -y in QGIS."""
    write_raster(tmp_path / "scene.png", np.ones((3, 128, 128), np.uint8), None, None, driver="PNG")
    sides = [(at, *sorted((at * sign, (at + 64) * sign))) for at in (0, 64)]
    shapes = [box(west, low, west + 64, high) for west, low, high in sides]
    geopandas.GeoDataFrame({"tags": ["water", "field"]}, geometry=shapes).to_file(tmp_path / "cells.gpkg")
    tile(tmp_path, "cells.gpkg", rasters=[str(tmp_path / "scene.png")])
    assert tags_of(tmp_path) == {"scene_r0_c0": ["water"], "scene_r64_c64": ["field"]}


def test_colour_masks_match_by_nearest_folder(tmp_path):
    write_classes(
        ClassScheme.from_json([{"name": "a", "color": "#0a0b0c"}, {"name": "b", "color": "#ff0000"}]),
        tmp_path / "c.json",
    )
    for area, colour in (("east", (10, 11, 12)), ("west", (255, 0, 0))):
        (tmp_path / area / "images").mkdir(parents=True)
        (tmp_path / area / "masks").mkdir()
        write_raster(
            tmp_path / area / "images" / "p.jpg", np.full((3, 64, 64), 90, np.uint8), None, None, driver="JPEG"
        )
        mask = np.empty((3, 64, 64), np.uint8)
        mask[:] = np.array(colour)[:, None, None]
        mask[:, :16] = 1
        write_raster(tmp_path / area / "masks" / "p.png", mask, None, None, driver="PNG")
    heard = Hearing()
    rasters = [str(tmp_path / a / "images") for a in ("east", "west")]
    run(TileJob(rasters, str(tmp_path / "tiles"), str(tmp_path), str(tmp_path / "c.json"), size=64), heard)
    assert tags_of(tmp_path) == {"east_images_p_r0_c0": ["a"], "west_images_p_r0_c0": ["b"]}
    assert "25.00% of the mask pixels" in heard.said("warn")
    item = TileDataset(read_tileset(tmp_path / "tiles"), "all", with_masks=True)[1]
    assert (item["mask"][:16] == 255).all()
    assert (item["mask"][16:] == 1).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "tile_id,tags\nfoo,water\nbar,field\n",
            r"none of its 2 tags fits a tile \(a tag: 'tile_id foo', a tile: 'scene_r0_c0'",
        ),
        ("x,y,tags\n5,6,water\n", r"x lies in 600000\.\.600160, y in 5399872\.\.5400000 \(EPSG:32633\)"),
        ("path,tags\nother.tif,water\n", r"paths are file names like scene\.tif"),
        ("tile_id,tags\nscene_r0_c0,forrest\n", r"unknown class 'forrest' \(1 tile\).* knows field, water"),
        ("a,b\n1,2\n", "names no place"),
        ("", "empty"),
        (b"tile_id,tags\nscene_r0_c0,\xe9t\xe9\n", "not UTF-8 text; save it as CSV UTF-8"),
        ("x,y,tags\n1,north,water\n", "line 2: y 'north' is not a number"),
        ("tile_id,tags\nscene_r0_c0,[1]\n", "line 2: .* is not a JSON list"),
        ("tile_id,tags,note\nscene_r0_c0,a,b,c\n", "line 2 has 4 fields, the header 3"),
        ("tile_id,water\nscene_r0_c0,maybe\n", "'maybe' in column water is neither 0 nor 1"),
    ],
)
def test_bad_tables_are_told_apart(scene, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        tile(scene, table(scene, text), classes=str(scene / "classes.json"))
    assert caught.value.exit_code == 3
    assert not (scene / "tiles").exists()


def test_what_is_only_odd_is_warned_of(scene):
    heard = Hearing()
    tile(scene, table(scene, "tile_id,tags\nscene_r0_c0,water\nfoo,water\n"), heard)
    said = heard.said("warn")
    assert "1 of 2 tags fit no tile (first: tile_id foo)" in said
    assert "only one class is tagged" in said
    assert "too few scenes to hold any out for val" in said


def test_outputs_and_inputs_are_protected(scene):
    (scene / "tiles").mkdir()
    (scene / "tiles" / "precious.txt").write_text("keep")
    with pytest.raises(InputError, match="folder with other things in it"):
        tile(scene)
    (scene / "tiles" / "precious.txt").unlink()
    assert tile(scene).total == 20
    assert tile(scene, size=128, stride=96).total != 20  # a tile set may be made again
    (scene / "empty").mkdir()
    with pytest.raises(InputError, match="no rasters in this folder"):
        tile(scene, rasters=[str(scene / "empty")])
    with pytest.raises(InputError, match="give them with --classes"):
        tile(scene, "truth.tif")
    with pytest.raises(UsageError, match="scene_block"):
        tile(scene, scene_block=32)
    with pytest.raises(InputError, match=r"3 bands, .* has 1"):
        tile(scene, rasters=[str(scene / "truth.tif"), str(scene / "scene.tif")])


def test_failure_leaves_the_old_tile_set(scene, monkeypatch):
    tile(scene)
    before = {p.name: p.read_bytes() for p in (scene / "tiles").iterdir()}

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("wsss_geo.tiling.run.write_preview", fail)
    with pytest.raises(KeyboardInterrupt):
        tile(scene, size=32)
    assert {p.name: p.read_bytes() for p in (scene / "tiles").iterdir()} == before
    assert not list(scene.glob("*.part*"))


@pytest.mark.parametrize("damage", ["index.parquet", "classes.json", "tileset.json"])
def test_damaged_tile_sets_are_refused(scene, damage):
    tile(scene)
    (scene / "tiles" / damage).write_bytes(b"{nonsense")
    with pytest.raises(InputError, match=damage):
        read_tileset(scene / "tiles")
    (scene / "tiles" / damage).unlink()
    with pytest.raises(InputError, match="is not a tile set"):
        read_tileset(scene / "tiles")
    with pytest.raises(InputError, match="no such folder"):
        read_tileset(scene / "nothing")


def test_index_without_a_column_is_refused(scene):
    tile(scene)
    path = scene / "tiles" / "index.parquet"
    geopandas.read_parquet(path).drop(columns="gsd").to_parquet(path)
    with pytest.raises(InputError, match="column gsd missing"):
        read_tileset(scene / "tiles")


@pytest.mark.parametrize("stride", [64, 40, 24])
def test_no_pixel_is_in_two_splits(scene, stride):
    tile(scene, "truth.tif", classes=str(scene / "classes.json"), stride=stride, test=0.2)
    tiles = read_tileset(scene / "tiles").tiles
    seen = np.zeros((3, 256, 320), bool)
    for row in tiles.itertuples():
        layer = ("train", "val", "test").index(row.split)
        seen[layer, row.row_off : row.row_off + 64, row.col_off : row.col_off + 64] = True
    assert seen.sum(axis=0).max() == 1
    assert seen.any(axis=(1, 2)).sum() >= 2
    assert tiles.groupby("scene_id").split.nunique().max() == 1


def test_rasters_of_the_same_ground_stay_together(tmp_path):
    for i in range(9):
        shift = from_origin(600000 + 1000 * (i // 3), 5400000, 0.5, 0.5)
        write_raster(tmp_path / f"{i}.tif", np.full((64, 64), 5 + i, np.uint8), transform=shift)
    tile(tmp_path, rasters=[str(tmp_path)], val=0.4)
    tiles = read_tileset(tmp_path / "tiles").tiles
    assert tiles.groupby("scene_id").size().tolist() == [3, 3, 3]
    assert sorted(tiles.split.value_counts().tolist()) == [3, 6]


def test_percentiles_stretch_other_than_8_bit(tmp_path):
    ramp = np.linspace(100, 1100, 64 * 64).reshape(64, 64).astype(np.uint16)
    write_raster(tmp_path / "scene.tif", ramp)
    tile(tmp_path)
    found = read_tileset(tmp_path / "tiles").normalisation
    assert found.low[0] == pytest.approx(105, abs=8)
    assert found.high[0] == pytest.approx(1095, abs=8)
    assert found.mean[0] == pytest.approx(0.5, abs=0.03)
