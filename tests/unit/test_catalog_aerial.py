"""The readers of DeepGlobe, LoveDA and DLRSD, on small look-alikes of their folders with the traps in them."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from hearing import Hearing
from look_alikes import make, mask_of, numbered, painted, picture, rgb
from wsss_geo import api
from wsss_geo.errors import InputError
from wsss_geo.tileset.catalog import CATALOG, deepglobe, loveda


@pytest.fixture
def deepglobe_folder(tmp_path):
    """Ids that share their first three digits; masks whose channels are a little off; a folder without masks."""
    root = tmp_path / "DeepGlobe"
    for number in ("119", "119001", "119002", "7791", "88571"):
        picture(root / "land-train" / f"{number}_sat.jpg", 48, 48)
        blocks = [(deepglobe.COLORS["water"], slice(0, 24), slice(0, 48)), ("#000000", slice(40, 48), slice(0, 48))]
        ground = deepglobe.COLORS["forest"]
        painted(root / "land-train" / f"{number}_mask.png", blocks, 48, 48, ground=ground, noise=60)
    picture(root / "land-valid" / "500_sat.jpg", 48, 48)
    return root


def test_deepglobe(deepglobe_folder, tmp_path):
    heard = Hearing()
    tileset, rows = make("deepglobe", deepglobe_folder, tmp_path / "t", heard, size=32, test=0.2, val=0.2)
    assert tileset.scheme.names == tuple(deepglobe.COLORS)
    assert len(rows) == 5 * 4  # 48 px are two tiles of 32, the second shifted inward
    assert len(set(rows.index)) == 20
    assert {"119_r16_c0", "119001_r16_c0", "119002_r16_c0"} <= set(rows.index)
    assert list(rows.loc["119001_r0_c0"].tags) == ["forest", "water"]
    mask = mask_of(tileset, "119001_r16_c16")
    assert (mask[:8] == "water").all()
    assert (mask[8:24] == "forest").all()
    assert set(mask[24:].ravel()) == {None}  # unknown
    assert rows.groupby("split")["scene_id"].nunique().to_dict() == {"test": 1, "train": 3, "val": 1}
    assert "1 images without masks are left out" in heard.said("info")
    assert "colour or value" not in heard.said("warn")


def test_deepglobe_ctfa_has_unknown_as_a_class(deepglobe_folder, tmp_path):
    job = api.build_job("tile", {"rasters": ["d"], "out": "t", "dataset": "deepglobe", "protocol": "ctfa"})
    assert (job.size, job.min_area, job.val, job.test) == (512, 0.0, 0.0, 0.182)
    tileset, rows = make("deepglobe", deepglobe_folder, tmp_path / "t", size=32, protocol="ctfa")
    assert tileset.scheme.names[-1] == "unknown"
    assert list(rows.loc["7791_r16_c0"].tags) == ["forest", "water", "unknown"]
    assert (mask_of(tileset, "7791_r16_c0")[24:] == "unknown").all()
    assert set(rows["split"]) == {"train", "test"}


def test_deepglobe_with_an_id_twice(deepglobe_folder, tmp_path):
    for name in ("119_sat.jpg", "119_mask.png"):
        copy = deepglobe_folder / "copy" / name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((deepglobe_folder / "land-train" / name).read_bytes())
    with pytest.raises(InputError, match=r"copy/119_sat.jpg and .*land-train/119_sat.jpg have the same id 119; remove"):
        make("deepglobe", deepglobe_folder, tmp_path / "t")


def test_deepglobe_half_extracted(deepglobe_folder, tmp_path):
    (deepglobe_folder / "land-train" / "7791_mask.png").unlink()
    with pytest.raises(InputError, match=r"1 of 5 images of land-train have no mask \(first: 7791_sat.jpg\)"):
        make("deepglobe", deepglobe_folder, tmp_path / "t")
    with pytest.raises(InputError, match=r"holds no DeepGlobe scene with a mask; expected 119_sat.jpg"):
        make("deepglobe", deepglobe_folder / "land-valid", tmp_path / "t")


@pytest.fixture
def loveda_folder(tmp_path):
    root = tmp_path / "LoveDA"
    for split, area, number in (
        ("Train", "Rural", 0), ("Train", "Urban", 1366), ("Val", "Rural", 2522), ("Val", "Urban", 3514),
        ("Test", "Rural", 4191),
    ):  # fmt: skip
        picture(root / split / area / "images_png" / f"{number}.png", 32, 32)
        if split != "Test":
            mask = np.full((32, 32), 1)
            mask[:8] = 0
            mask[8:16] = 7
            mask[16:17] = 4
            numbered(root / split / area / "masks_png" / f"{number}.png", mask)
    return root


def test_loveda(loveda_folder, tmp_path):
    heard = Hearing()
    tileset, rows = make("loveda", loveda_folder, tmp_path / "t", heard, size=32)
    assert tileset.scheme.names == tuple(loveda.COLORS)
    assert tileset.scheme.ids == (1, 2, 3, 4, 5, 6, 7)
    assert tileset.scheme.background == "explicit"
    assert rows["split"].to_dict() == {
        "rural_0_r0_c0": "train", "urban_1366_r0_c0": "train", "rural_2522_r0_c0": "val", "urban_3514_r0_c0": "val",
    }  # fmt: skip
    assert list(rows.loc["urban_1366_r0_c0"].tags) == ["water", "agriculture"]
    mask = mask_of(tileset, "urban_1366_r0_c0")
    assert [mask[r, 0] for r in (0, 8, 16, 17)] == [None, "agriculture", "water", "background"]
    assert tileset.gsd == 0.3  # the files say nothing of it
    assert "1 images of Test have no masks" in heard.said("info")
    assert "colour or value" not in heard.said("warn")
    _, urban = make("loveda", loveda_folder, tmp_path / "u", size=32, variant="urban")
    assert set(urban.index) == {"urban_1366_r0_c0", "urban_3514_r0_c0"}
    _, none = make("loveda", loveda_folder, tmp_path / "v", size=32, background="none", min_area=0.1)
    assert list(none.loc["urban_1366_r0_c0"].tags) == ["background", "agriculture"]


def test_loveda_half_extracted(loveda_folder, tmp_path):
    (loveda_folder / "Val/Urban/masks_png/3514.png").unlink()
    with pytest.raises(InputError, match="1 of 1 images of val urban have no mask"):
        make("loveda", loveda_folder, tmp_path / "t")
    with pytest.raises(InputError, match=r"holds no labelled LoveDA scene; expected Train/Urban/images_png/0.png"):
        make("loveda", loveda_folder / "Test", tmp_path / "t")


@pytest.mark.parametrize("form", ["ids", "palette", "picture"])
def test_dlrsd(tmp_path, form):
    root = tmp_path / "DLRSD"
    colors = list(CATALOG["dlrsd"].read.__globals__["COLORS"].values())
    for name in ("airplane00", "airplane01", "beach00", "beach01", "beach02"):
        scene = name[:-2]
        side = 30 if name == "beach01" else 32  # a few images are smaller
        picture(root / "Images" / scene / f"{name}.tif", side, side)
        ids = np.full((side, side), 11)
        ids[:4], ids[4:6] = 1, 0
        path = root / "Labels" / scene / f"{name}.png"
        if form == "picture":
            blocks = [(colors[0], slice(0, 4), slice(None)), ("#000000", slice(4, 6), slice(None))]
            painted(path, blocks, side, side, ground=colors[10])
        else:
            # Without meaning, the palette could mislead; here it is the official one, at shifted places.
            palette = [0, 0, 0, *(v for c in colors for v in rgb(c))] if form == "palette" else None
            numbered(path, ids, palette)
    tileset, rows = make("dlrsd", root, tmp_path / "t", val=0.2, test=0.2)
    assert len(tileset.scheme) == 17
    assert tileset.scheme.ids == tuple(range(1, 18))
    assert list(rows.loc["beach01_r0_c0"].tags) == ["airplane", "pavement"]
    assert (rows.loc["beach01_r0_c0"].height, rows.loc["beach00_r0_c0"].height) == (30, 32)
    mask = mask_of(tileset, "airplane00_r0_c0")
    assert [mask[r, 0] for r in (0, 4, 6)] == ["airplane", None, "pavement"]
    assert rows["split"].value_counts().to_dict() == {"train": 3, "val": 1, "test": 1}
    assert (rows["scene_id"] == rows.index.str.removesuffix("_r0_c0")).all()


def test_loveda_with_an_id_twice(loveda_folder, tmp_path):
    source = next((loveda_folder / "Train" / "Urban" / "images_png").iterdir())
    copy = loveda_folder / "Train" / "Urban" / "more" / "images_png" / source.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match=rf"has the same id {source.stem} as .*{source.name}; remove one of them"):
        make("loveda", loveda_folder, tmp_path / "t")


def test_dlrsd_with_an_id_twice(tmp_path):
    for scene, name in (("beach", "beach00"), ("copy", "beach00"), ("beach", "beach01")):
        picture(tmp_path / "DLRSD" / "Images" / scene / f"{name}.tif", 32, 32)
        numbered(tmp_path / "DLRSD" / "Labels" / scene / f"{name}.png", np.full((32, 32), 11))
    with pytest.raises(InputError, match=r"copy/beach00.tif: has the same id beach00 as .*; remove one of them"):
        make("dlrsd", tmp_path / "DLRSD", tmp_path / "t")


def test_a_colour_mask_of_one_band_is_refused(deepglobe_folder, tmp_path):
    numbered(deepglobe_folder / "land-train" / "119_mask.png", np.ones((48, 48)))
    with pytest.raises(InputError, match="one band without colours; masks of this data set are colour pictures"):
        make("deepglobe", deepglobe_folder, tmp_path / "t")


def test_materialised_masks_hold_ids(loveda_folder, tmp_path):
    windows, _ = make("loveda", loveda_folder, tmp_path / "a", size=32)
    chips, rows = make("loveda", loveda_folder, tmp_path / "b", size=32, materialize=True)
    for tile in rows.index:
        assert (mask_of(windows, tile) == mask_of(chips, tile)).all()
    with rasterio.open(tmp_path / "b" / rows.loc["rural_0_r0_c0"]["mask"]) as file:
        assert set(np.unique(file.read(1))) == {1, 4, 7, 255}
