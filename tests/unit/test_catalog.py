"""The catalogue as a whole: names, defaults, what does not go together, and the way from a command to an item."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss_geo import api
from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.jobs import DATASETS, PROTOCOLS, TileJob
from wsss_geo.raster.grid import Window
from wsss_geo.tileset.catalog import CATALOG, defaults_of
from wsss_geo.tileset.catalog.base import Scene, check_scenes
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import COLUMNS, read_tileset
from wsss_geo.tileset.masks import UNKNOWN, MaskCoding, MaskReader

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_jobs_and_catalogue_name_the_same():
    assert tuple(CATALOG) == DATASETS
    assert {p for d in CATALOG.values() for p in d.protocols} == set(PROTOCOLS)


@pytest.mark.parametrize("name", DATASETS)
def test_defaults_make_a_job_that_options_overrule(name):
    for protocol in CATALOG[name].protocols:
        given = {"rasters": ["folder"], "out": "tiles", "dataset": name, "protocol": protocol}
        job = api.build_job("tile", given)
        for field, value in defaults_of(name, protocol).items():
            assert getattr(job, field) == value
        assert api.build_job("tile", {**given, "size": 96, "min_area": 0.5}).size == 96
        written = api.build_job("tile", {**given, "size": 256})
        assert "--size 256" in written.command_line()  # the default of the job, not of the data set
        assert api.build_job("tile", written.to_json()) == written


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"protocol": "ctfa"}, "tile.protocol: speaks of a data set, but none is named; name one with --dataset"),
        ({"variant": "rgb"}, "tile.variant: speaks of a data set"),
        ({"dataset": "imagenet"}, "tile.dataset: 'imagenet' is unknown; choose one of coco2014"),
        ({"dataset": "isaid", "rasters": ("a", "b")}, "a data set is one folder; give the folder of isaid alone"),
        ({"dataset": "isaid", "tags": "t.csv"}, "tile.tags: the data set isaid brings its own; leave it out"),
        ({"dataset": "isaid", "classes": "c.json"}, "tile.classes: the data set isaid brings its own"),
        ({"dataset": "isaid", "scene_block": 0}, "tile.scene_block: the data set isaid brings its own"),
    ],
)
def test_what_does_not_go_together(fields, sentence):
    with pytest.raises(UsageError) as caught:
        TileJob(**{"rasters": ("a",), "out": "tiles", **fields})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"dataset": "vaihingen", "protocol": "ctfa"}, "vaihingen: has no protocol ctfa; choose official or clutter"),
        ({"dataset": "isaid", "variant": "rgb"}, "isaid: has no variant 'rgb'; leave --variant out"),
    ],
)
def test_protocols_and_variants_belong_to_data_sets(tmp_path, fields, sentence):
    with pytest.raises(UsageError) as caught:
        api.tile(tmp_path, out=tmp_path / "tiles", **fields)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_an_empty_folder_is_refused_in_one_sentence(tmp_path, name, command):
    (tmp_path / "data").mkdir()
    done = command("tile", tmp_path / "data", "--dataset", name, "--out", tmp_path / "tiles")
    assert done.code == 3
    assert "expected" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


parents = st.sampled_from(["a", "b", "c"])
splits = st.sampled_from([None, "val", "test"])


@given(st.lists(st.tuples(parents, splits), max_size=8))
def test_no_parent_scene_may_be_in_two_splits(pairs):
    scenes = tuple(Scene(Path(f"{i}.png"), str(i), p, s) for i, (p, s) in enumerate(pairs))
    if len(set(pairs)) == len({p for p, _ in pairs}):
        check_scenes(Path("root"), scenes)
    else:
        with pytest.raises(InputError, match="so that scores would mean nothing"):
            check_scenes(Path("root"), scenes)


names = st.sampled_from(["one", "two", None])
colors = st.integers(0, (1 << 24) - 1).map(lambda v: f"#{v:06x}")


@given(st.dictionaries(st.integers(0, 255), names), st.dictionaries(colors, names), st.booleans())
def test_codings_survive_json(values, found, binary):
    coding = MaskCoding(values, found, binary)
    assert MaskCoding.from_json(json.loads(json.dumps(coding.to_json()))) == coding


def test_a_coding_says_what_values_and_colours_mean(tmp_path):
    scheme = ClassScheme.from_names(["one", "two"])
    coding = MaskCoding({7: "two", 9: None}, {"#ff0000": "one", "#000000": None, "#0000ff": "two"}, binary=True)
    Image.fromarray(np.array([[7, 9, 1, 255]], np.uint8)).save(tmp_path / "ids.png")
    shades = np.array([[[200, 100, 0], [127, 0, 90], [0, 128, 0], [9, 9, 128]]], np.uint8)
    Image.fromarray(shades).save(tmp_path / "colors.png")
    indexed = Image.fromarray(np.array([[1, 2, 3, 0]], np.uint8), "P")
    indexed.putpalette([3, 3, 200, 200, 100, 0, 127, 0, 90, 0, 128, 0])
    indexed.save(tmp_path / "palette.png")
    expected = {"ids": [1, IGNORE, UNKNOWN, IGNORE], "colors": [0, IGNORE, UNKNOWN, 1]}
    expected["palette"] = expected["colors"]
    for name, positions in expected.items():
        with MaskReader(tmp_path / f"{name}.png", scheme, coding=coding) as reader:
            assert reader.read(Window(0, 0, 1, 4)).tolist() == [positions]
    by_value = MaskCoding({7: "two"}, {})
    with pytest.raises(InputError, match="is a colour picture; masks of this data set have one band of ids"):
        MaskReader(tmp_path / "colors.png", scheme, coding=by_value)


def test_from_the_command_to_an_item_with_its_mask(tmp_path, command):
    """LoveDA's folders: tile, read, and look at what training and evaluation see."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    mask = np.full((40, 40), 6, np.uint8)
    mask[:10] = 0
    for split, number in (("Train", 3), ("Val", 2600)):
        for kind, array in (("images_png", pixels), ("masks_png", mask)):
            folder = tmp_path / "LoveDA" / split / "Rural" / kind
            folder.mkdir(parents=True)
            Image.fromarray(array).save(folder / f"{number}.png")
    out = tmp_path / "tiles"
    done = command("tile", tmp_path / "LoveDA", "--dataset", "loveda", "--out", out, "--size", 24)
    assert done.code == 0, done.err
    tileset = read_tileset(out)
    assert tuple(tileset.tiles.columns) == COLUMNS
    assert len(tileset.of_split("train")) == len(tileset.of_split("val")) == 4
    assert list(tileset.tiles["tile_id"][:4]) == [f"rural_3_r{r}_c{c}" for r in (0, 16) for c in (0, 16)]
    item = TileDataset(tileset, "val", with_masks=True)[1]
    np.testing.assert_allclose(item["image01"].numpy(), pixels[:24, 16:40].transpose(2, 0, 1) / 255, atol=1e-6)
    assert (item["mask"][:10] == IGNORE).all()
    assert (item["mask"][10:] == tileset.scheme.names.index("forest")).all()
    assert item["tags"].tolist() == [float(n == "forest") for n in tileset.scheme.taggable]
    record = json.loads((tmp_path / "tiles.json").read_text())
    assert "--dataset loveda" in record["command"]
    assert "--min-area 0.001" in record["command"]


@pytest.mark.skipif(not (SHARED / "eurosat").is_dir(), reason="needs the EuroSAT pictures in ../shared/data/eurosat")
def test_eurosat_itself(tmp_path):
    few = tmp_path / "EuroSAT"
    for folder in sorted(p for p in (SHARED / "eurosat").iterdir() if p.is_dir()):
        (few / folder.name).mkdir(parents=True)
        for picture in sorted(folder.glob("*.jpg"))[:5]:
            (few / folder.name / picture.name).symlink_to(picture)
    result = api.tile(few, dataset="eurosat", out=tmp_path / "tiles", val=0.2, test=0.2)
    assert result.counts == dict.fromkeys(CATALOG["eurosat"].read(few, "official", None).scheme.names, 5)
    assert result.splits == {"train": 30, "val": 10, "test": 10}
