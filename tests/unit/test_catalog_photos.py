"""Readers of VOC 2012, COCO 2014, EuroSAT and UC Merced, on small look-alikes of their official folders."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wsss_geo import api
from wsss_geo.errors import InputError, UsageError
from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog import class_folders, coco_shapes, voc2012
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset

RNG = np.random.default_rng(0)


def picture(path, height, width, grey=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if grey else (height, width, 3)
    Image.fromarray(RNG.integers(1, 255, shape, dtype=np.uint8)).save(path)


def make(name, folder, out, **more):
    api.tile(folder, dataset=name, out=out, report=Progress(), **more)
    tileset = read_tileset(out)
    return tileset, tileset.tiles.set_index("tile_id")


def item_of(tileset, tile_id, masks=True):
    return TileDataset(tileset, tileset.tiles[tileset.tiles["tile_id"] == tile_id], with_masks=masks)[0]


def annotated(path, *names):
    objects = "".join(f"<object><part><name>head</name></part><name>{n}</name></object>" for n in names)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>x</filename>{objects}</annotation>")


@pytest.fixture
def voc(tmp_path):
    """Two training images, one more only in the augmented list (grey mask), and one to validate on."""
    home = tmp_path / "VOCdevkit" / "VOC2012"
    for name in ("2007_000032", "2007_000039", "2008_000008", "2007_000033"):
        picture(home / "JPEGImages" / f"{name}.jpg", 30, 50)
    mask = np.zeros((30, 50), np.uint8)
    mask[:10], mask[10:12] = 15, 255
    # The palette puts colours of other classes at the values: only the values count.
    palette = [v for i in range(256) for v in bytes.fromhex(voc2012.palette((i + 1) % 256)[1:])]
    for name in ("2007_000032", "2007_000039", "2007_000033"):
        image = Image.fromarray(mask, "P")
        image.putpalette(palette)
        (home / "SegmentationClass").mkdir(exist_ok=True)
        image.save(home / "SegmentationClass" / f"{name}.png")
    (home / "SegmentationClassAug").mkdir()
    Image.fromarray(np.full((30, 50), 8, np.uint8)).save(home / "SegmentationClassAug" / "2008_000008.png")
    annotated(home / "Annotations" / "2007_000032.xml", "person", "dog")
    annotated(home / "Annotations" / "2008_000008.xml", "cat", "cat")
    lists = home / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n2007_000039\n")
    (lists / "val.txt").write_text("2007_000033\n")
    names = ("2007_000032", "2007_000039", "2008_000008")
    (lists / "train_aug.txt").write_text("".join(f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n" for n in names))
    return home


def test_voc(voc, tmp_path):
    tileset, rows = make("voc2012", voc.parents[1], tmp_path / "t")
    assert len(tileset.scheme) == 21
    assert tileset.scheme.background == "explicit"
    assert tileset.scheme.by_name("aeroplane").color == "#800000"
    assert tileset.scheme.by_name("tvmonitor").color == "#004080"
    assert rows["split"].to_dict() == {
        "2007_000032_r0_c0": "train", "2007_000039_r0_c0": "train", "2008_000008_r0_c0": "train",
        "2007_000033_r0_c0": "val",
    }  # fmt: skip
    tags = {i: list(t) for i, t in rows["tags"].items()}
    assert tags["2007_000032_r0_c0"] == ["dog", "person"]  # the objects, not the mask
    assert tags["2007_000039_r0_c0"] == ["person"]  # no annotation: the mask
    assert tags["2008_000008_r0_c0"] == ["cat"]
    row = rows.loc["2007_000033_r0_c0"]
    assert (row.row_off, row.col_off, row.height, row.width, row.scene_id) == (0, 0, 30, 50, "2007_000033")
    mask = item_of(tileset, "2007_000033_r0_c0")["mask"].numpy()
    assert [mask[r, 0] for r in (0, 10, 12)] == [15, 255, 0]
    assert (item_of(tileset, "2008_000008_r0_c0")["mask"][:30] == 8).all()
    _, plain = make("voc2012", voc, tmp_path / "u", variant="plain")
    assert set(plain.index) == {"2007_000032_r0_c0", "2007_000039_r0_c0", "2007_000033_r0_c0"}


def test_voc_images_whose_tags_are_of_the_whole_are_not_cut(voc, tmp_path):
    with pytest.raises(UsageError, match=r"32 px would cut .*, whose tags speak of it whole; use 50"):
        make("voc2012", voc, tmp_path / "t", size=32)


def test_voc_says_what_is_missing_or_mixed_up(voc, tmp_path):
    lists = voc / "ImageSets" / "Segmentation"
    (lists / "val.txt").write_text("2007_000033\n2008_000008\n")
    with pytest.raises(InputError, match="scene 2008_000008 is in train and in val"):
        make("voc2012", voc, tmp_path / "t")
    (lists / "train_aug.txt").unlink()
    with pytest.raises(InputError, match=r"holds no list of augmented training images; expected train_aug.txt"):
        make("voc2012", voc, tmp_path / "t", variant="aug")
    (voc / "JPEGImages" / "2007_000039.jpg").unlink()
    with pytest.raises(InputError, match=r"2007_000039.jpg: is in the list of train but not there"):
        make("voc2012", voc, tmp_path / "t")
    with pytest.raises(InputError, match="holds no folder JPEGImages; expected VOCdevkit/VOC2012"):
        make("voc2012", lists, tmp_path / "t")
    (voc / "Annotations" / "2007_000032.xml").write_text("<annotation>")
    with pytest.raises(InputError, match=r"2007_000032.xml: is damaged"):
        make("voc2012", voc, tmp_path / "t")


def packed(runs):
    """COCO's compressed runs, written as its description says."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_packed_runs_are_unpacked(runs):
    assert coco_shapes.unpack_runs(packed(runs)) == runs


def test_runs_go_down_the_columns():
    expected = np.array([[0, 1, 0], [1, 0, 0]], bool)
    np.testing.assert_array_equal(coco_shapes.run_mask(np.array([1, 2, 3]), (2, 3)), expected)


@pytest.fixture
def coco(tmp_path):
    """Category ids with gaps; polygons, a crowd (packed and plain), overlap, an image without objects, a grey one."""
    root = tmp_path / "coco"
    categories = [{"id": i, "name": n} for i, n in ((90, "toothbrush"), (1, "person"), (13, "stop sign"))]
    crowd = [12 * 20 + 0, 12 * 5, 12 * 15]  # columns 20..24 of 40

    def note(image, category, shape, area):
        return {"image_id": image, "category_id": category, "segmentation": shape, "area": area, "iscrowd": 0}

    square = [[0, 0, 10, 0, 10, 10, 0, 10]]
    small = [[2, 2, 6, 2, 6, 6, 2, 6], [30, 0, 34, 0, 34, 4, 30, 4]]
    notes = {
        "train": [
            note(9, 90, small, 32), note(9, 1, square, 100),
            note(9, 13, {"counts": packed(crowd), "size": [12, 40]}, 60), note(30, 13, square, 100),
        ],
        "val": [note(42, 90, {"counts": crowd, "size": [12, 40]}, 60)],
    }  # fmt: skip
    for split, numbers in (("train", (9, 25, 30)), ("val", (42,))):
        images = []
        for number in numbers:
            name = f"COCO_{split}2014_{number:012}.jpg"
            picture(root / f"{split}2014" / name, 12, 40, grey=number == 9)
            images.append({"id": number, "file_name": name, "height": 12, "width": 40})
        (root / "annotations").mkdir(exist_ok=True)
        data = {"info": {}, "images": images, "annotations": notes[split], "categories": categories}
        (root / "annotations" / f"instances_{split}2014.json").write_text(json.dumps(data))
    return root


@pytest.mark.parametrize("materialize", [False, True])
def test_coco(coco, tmp_path, materialize):
    tileset, rows = make("coco2014", coco, tmp_path / "t", materialize=materialize)
    assert tileset.scheme.names == ("background", "person", "stop sign", "toothbrush")
    assert tileset.scheme.ids == (0, 1, 2, 3)
    first, none, last = (f"COCO_{s}2014_{n:012}_r0_c0" for s, n in (("train", 9), ("train", 25), ("val", 42)))
    assert list(rows.loc[first].tags) == ["person", "stop sign", "toothbrush"]
    assert list(rows.loc[none].tags) == []
    assert rows.loc[none].tagged
    assert rows["split"].value_counts().to_dict() == {"train": 3, "val": 1}
    item = item_of(tileset, first)
    mask = item["mask"].numpy()[:12, :40]
    expected = np.zeros((12, 40), int)
    expected[:10, :10], expected[2:6, 2:6], expected[:4, 30:34] = 1, 3, 3
    expected[:, 20:25] = 2
    np.testing.assert_array_equal(mask, expected)
    assert item["image01"].shape[0] == 3  # a grey photograph gives its band three times
    assert (item["image01"][0] == item["image01"][2]).all()
    assert (item_of(tileset, none)["mask"].numpy()[:12, :40] == 0).all()
    assert (item_of(tileset, last)["mask"].numpy()[:12, 20:25] == 3).all()
    if materialize:
        assert not (tmp_path / "t" / "masks").exists()
    else:
        assert rows.loc[first]["mask"] == "masks/COCO_train2014_000000000009.png"
        assert rows.loc[first]["source"] == "../coco/train2014/COCO_train2014_000000000009.jpg"


def test_coco_masks_that_are_there_are_used(coco, tmp_path):
    for split, number in (("train", 9), ("train", 25), ("train", 30), ("val", 42)):
        folder = coco / "SegmentationClass" / f"{split}2014"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number:012}.png" if number == 9 else f"COCO_{split}2014_{number:012}.png"
        Image.fromarray(np.full((12, 40), 255 if number == 9 else 2, np.uint8)).save(folder / name)
    tileset, rows = make("coco2014", coco, tmp_path / "t")
    assert not (tmp_path / "t" / "masks").exists()
    assert (item_of(tileset, "COCO_train2014_000000000009_r0_c0")["mask"] == 255).all()
    assert list(rows.loc["COCO_train2014_000000000009_r0_c0"].tags) == ["person", "stop sign", "toothbrush"]


def test_coco_says_what_is_missing_or_damaged(coco, tmp_path):
    (coco / "train2014" / "COCO_train2014_000000000025.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 3 images of instances_train2014.json are not there \(first: COCO"):
        make("coco2014", coco, tmp_path / "t")
    notes = coco / "annotations" / "instances_train2014.json"
    notes.write_text(notes.read_text()[:-200])
    with pytest.raises(InputError, match="is damaged or no COCO annotation"):
        make("coco2014", coco, tmp_path / "t")
    with pytest.raises(InputError, match=r"holds no instances; expected annotations/instances_train2014.json"):
        make("coco2014", coco / "val2014", tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("name", ["eurosat", "ucmerced"])
def test_class_folders(tmp_path, name):
    classes = class_folders.EUROSAT_CLASSES if name == "eurosat" else class_folders.UC_MERCED_CLASSES
    side, suffix = (64, "jpg") if name == "eurosat" else (256, "tif")
    root = tmp_path / "data" / "2750"
    for kind in classes[:3]:
        for number in range(4):
            picture(root / kind / f"{kind}{number:02}.{suffix}", side - (number == 3), side)
    picture(tmp_path / "data" / "examples" / "not_a_class.jpg", 9, 9)
    tileset, rows = make(name, root.parent, tmp_path / "t", val=0.2, test=0.2)
    assert tileset.scheme.names == classes
    assert tileset.scheme.background == "none"
    assert len(rows) == 12
    assert all(list(tags) == [tile[: -len("00_r0_c0")]] for tile, tags in rows["tags"].items())
    assert set(rows["split"]) == {"train", "val", "test"}
    assert (rows["scene_id"] == rows.index.str.removesuffix("_r0_c0")).all()
    with pytest.raises(InputError, match="expected folders named after the classes"):
        make(name, tmp_path / "data" / "examples", tmp_path / "u")


def test_eurosat_of_13_bands(tmp_path):
    for kind in class_folders.EUROSAT_CLASSES[:4]:
        path = tmp_path / "data" / kind / f"{kind}_1.tif"
        path.parent.mkdir(parents=True)
        with rasterio.open(path, "w", driver="GTiff", count=13, height=64, width=64, dtype="uint16") as file:
            file.write(RNG.integers(0, 4000, (13, 64, 64), dtype=np.uint16))
    tileset, _ = make("eurosat", tmp_path / "data", tmp_path / "t")
    assert len(tileset.bands) == 13
    picture(tmp_path / "data" / "River" / "River_1.jpg", 64, 64)
    tileset, rows = make("eurosat", tmp_path / "data", tmp_path / "u")
    assert len(rows) == 1
    assert len(tileset.bands) == 3
    tileset, _ = make("eurosat", tmp_path / "data", tmp_path / "v", variant="ms")
    assert len(tileset.bands) == 13
