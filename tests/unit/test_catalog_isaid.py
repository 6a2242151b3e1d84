"""The reader of iSAID, on a small look-alike of its folder with the traps in it."""

from __future__ import annotations

import pytest

from hearing import Hearing
from look_alikes import make, mask_of, painted, picture
from wsss_geo import api
from wsss_geo.errors import InputError
from wsss_geo.tileset.catalog import isaid

COLOR = isaid.COLORS


@pytest.fixture
def isaid_folder(tmp_path):
    """Two training scenes (one mask in BGR), a validation scene, a test image without mask, instance masks as bait."""
    root = tmp_path / "iSAID"
    for split, scene in (("train", "P0001"), ("train", "P0002"), ("val", "P0003")):
        picture(root / split / "images" / "images" / f"{scene}.png", 64, 96)
        blocks = [
            (COLOR["ship"], slice(0, 2), slice(0, 2)),  # 4 px of a tile of 1024
            (COLOR["baseball diamond"], slice(32, 64), slice(32, 64)),
            (COLOR["ground track field"], slice(32, 64), slice(64, 96)),
        ]
        masks = root / split / "Semantic_masks" / "images" / "images"
        painted(masks / f"{scene}_instance_color_RGB.png", blocks, 64, 96, swap=scene == "P0002")
        bait = root / split / "Instance_masks" / "images" / "images" / f"{scene}_instance_id_RGB.png"
        painted(bait, [("#123456", slice(0, 64), slice(0, 96))], 64, 96)
    picture(root / "test" / "images" / "P0009.png", 32, 32)
    return root


def test_isaid_official(isaid_folder, tmp_path):
    heard = Hearing()
    tileset, rows = make("isaid", isaid_folder, tmp_path / "t", heard, size=32)
    assert tileset.scheme.background == "explicit"
    assert len(tileset.scheme) == 16
    assert tileset.scheme.names[3] == "baseball diamond"
    assert len(rows) == 3 * 6
    assert rows.groupby("scene_id")["split"].unique().map(list).to_dict() == {
        "P0001": ["train"], "P0002": ["train"], "P0003": ["val"],
    }  # fmt: skip
    for scene in ("P0001", "P0002"):  # the second has its mask in BGR
        assert list(rows.loc[f"{scene}_r0_c0"].tags) == ["ship"]
        assert list(rows.loc[f"{scene}_r32_c32"].tags) == ["baseball diamond"]
        assert list(rows.loc[f"{scene}_r32_c64"].tags) == ["ground track field"]
        assert list(rows.loc[f"{scene}_r0_c64"].tags) == []
        assert rows.loc[f"{scene}_r0_c64"].tagged
        assert (mask_of(tileset, f"{scene}_r32_c64") == "ground track field").all()
        assert (mask_of(tileset, f"{scene}_r0_c0")[:2, :2] == "ship").all()
    row = rows.loc["P0003_r32_c64"]
    assert (row.row_off, row.col_off, row.height, row.width) == (32, 64, 32, 32)
    assert "1 images of test/ have no masks" in heard.said("info")
    assert "3 of the 1869 scenes" in heard.said("warn")
    assert "colour or value" not in heard.said("warn")


def test_colours_that_are_no_class_are_unlabelled_and_told(isaid_folder, tmp_path):
    path = isaid_folder / "train/Semantic_masks/images/images/P0001_instance_color_RGB.png"
    painted(path, [("#ffffff", slice(0, 32), slice(0, 24)), (COLOR["ship"], slice(32, 64), slice(0, 32))], 64, 96)
    heard = Hearing()
    tileset, rows = make("isaid", isaid_folder, tmp_path / "t", heard, size=32)
    assert set(mask_of(tileset, "P0001_r0_c0")[:, :24].ravel()) == {None}
    assert not rows.loc["P0001_r0_c0"].tagged  # mostly unlabelled
    assert list(rows.loc["P0001_r32_c0"].tags) == ["ship"]
    assert "4.17% of the mask pixels have a colour or value that is none of the classes" in heard.said("warn")


def test_isaid_tag_rule_is_a_share_or_any_pixel(isaid_folder, tmp_path):
    heard = Hearing()
    _, strict = make("isaid", isaid_folder, tmp_path / "a", heard, size=32, min_area=0.01)
    assert list(strict.loc["P0001_r0_c0"].tags) == []
    told = "6 tags, of classes that cover at least 0.01 of their tile; from the first pixel on they would be 9"
    assert told in heard.said("info")
    _, loose = make("isaid", isaid_folder, tmp_path / "b", size=32, protocol="ctfa")
    assert list(loose.loc["P0001_r0_c0"].tags) == ["ship"]


def test_isaid_ctfa_tests_on_the_official_validation_scenes_and_validates_on_other_scenes(isaid_folder, tmp_path):
    job = api.build_job(
        "tile", {"rasters": [str(isaid_folder)], "out": "t", "dataset": "isaid", "protocol": "ctfa", "val": 0.3}
    )
    assert (job.size, job.min_area, job.val, job.seed) == (512, 0.0, 0.3, 42)
    _, rows = make("isaid", isaid_folder, tmp_path / "t", protocol="ctfa", size=32, val=0.5)
    split = rows.groupby("scene_id")["split"].unique()
    assert list(split["P0003"]) == ["test"]
    assert sorted([*split["P0001"], *split["P0002"]]) == ["train", "val"]


def test_isaid_ctfa_draws_no_more_tiles_than_published(isaid_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(isaid, "CTFA_TILES", {"train": 4, "val": 2, "test": 3})
    _, rows = make("isaid", isaid_folder, tmp_path / "t", protocol="ctfa", size=32, val=0.5)
    assert rows["split"].value_counts().to_dict() == {"train": 4, "test": 3, "val": 2}


def test_isaid_patches_and_lists(tmp_path):
    root = tmp_path / "patches"
    patches = {"P0001_0": "train", "P0001_7": "train", "P0002_3": "train", "P0005_0_512_0_512": "val"}
    for patch, split in patches.items():
        picture(root / split / "images" / f"{patch}.png", 32, 32)
        painted(
            root / split / "images" / f"{patch}_instance_color_RGB.png", [(COLOR["plane"], slice(9), slice(9))], 32, 32
        )
    _, rows = make("isaid", root, tmp_path / "t", size=32)
    assert rows["scene_id"].to_dict() == {
        "P0001_0_r0_c0": "P0001", "P0001_7_r0_c0": "P0001", "P0002_3_r0_c0": "P0002",
        "P0005_0_512_0_512_r0_c0": "P0005",
    }  # fmt: skip
    (root / "train.txt").write_text("P0001_0\nP0002_3\n")
    (root / "val.txt").write_text("P0001_7\n")  # the published lists put patches of one scene into both
    (root / "test.txt").write_text("P0005_0_512_0_512\n")
    _, rows = make("isaid", root, tmp_path / "u", size=32, protocol="ctfa", val=0.5)
    assert len(rows) == 4
    assert (rows.groupby("scene_id")["split"].nunique() == 1).all()
    assert rows.loc["P0005_0_512_0_512_r0_c0"].split == "test"
    (root / "train.txt").write_text("P0001_0\nP0777_3\n")
    with pytest.raises(InputError, match=r"1 of 4 patches of its lists are not there \(first: P0777_3\)"):
        make("isaid", root, tmp_path / "v", protocol="ctfa")


def test_isaid_scene_in_two_splits_is_refused(isaid_folder, tmp_path):
    for place in ("images/images/P0001.png", "Semantic_masks/images/images/P0001_instance_color_RGB.png"):
        source, target = isaid_folder / "train" / place, isaid_folder / "val" / place
        target.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="scene P0001 is in train and in val"):
        make("isaid", isaid_folder, tmp_path / "t")
    (isaid_folder / "val" / "images/images/P0001.png").rename(isaid_folder / "val" / "images/images/P0001_1.png")
    masks = isaid_folder / "val" / "Semantic_masks/images/images"
    (masks / "P0001_instance_color_RGB.png").rename(masks / "P0001_1_instance_color_RGB.png")
    with pytest.raises(InputError, match="scene P0001 is in train and in val"):
        make("isaid", isaid_folder, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_isaid_with_an_id_twice(isaid_folder, tmp_path):
    source = isaid_folder / "train" / "images/images/P0001.png"
    copy = isaid_folder / "train" / "part2" / source.name
    copy.parent.mkdir()
    copy.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match=r"P0001.png: has the same id P0001 as .*P0001.png; remove one of them"):
        make("isaid", isaid_folder, tmp_path / "t")


def test_isaid_half_extracted_or_missing(isaid_folder, tmp_path):
    (isaid_folder / "train/Semantic_masks/images/images/P0002_instance_color_RGB.png").unlink()
    with pytest.raises(InputError, match=r"1 of 2 images of train have no mask \(first: P0002.png\); extract"):
        make("isaid", isaid_folder, tmp_path / "t")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "part1.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no labelled iSAID image; expected train/ .* extract part1.zip first"):
        make("isaid", empty, tmp_path / "t")
    with pytest.raises(InputError, match="no such folder"):
        make("isaid", tmp_path / "nowhere", tmp_path / "t")
