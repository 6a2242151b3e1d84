"""Readers of the aerial data sets, on small look-alikes of their official folders with the traps in them."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from wsss_geo import api
from wsss_geo.errors import InputError, UsageError
from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog import CATALOG, deepglobe, isaid, isprs, loveda, potsdam, vaihingen
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset

RNG = np.random.default_rng(0)


class Heard(Progress):
    """Keeps what was said."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, kind, fields):
        self.said.append((kind, fields.get("message", "")))

    def of(self, kind):
        return "\n".join(m for k, m in self.said if k == kind)


def picture(path, height, width, **more):
    """A random RGB picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(1, 255, (height, width, 3), dtype=np.uint8)).save(path, **more)


def rgb(color):
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def painted(path, blocks, height, width, ground="#000000", swap=False, noise=0):
    """A colour mask: ``blocks`` are (colour, rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.empty((height, width, 3), np.uint8)
    mask[:] = rgb(ground)
    for color, rows, cols in blocks:
        mask[rows, cols] = rgb(color)
    if noise:
        off = RNG.integers(0, noise, mask.shape)
        mask = np.where(mask > 127, mask - off, mask + off)
    Image.fromarray((mask[..., ::-1] if swap else mask).astype(np.uint8)).save(path)


def numbered(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array, np.uint8), "P" if palette else "L")
    if palette:
        image.putpalette(palette)
    image.save(path)


def geotiff(path, array, x=360_000.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=array.shape[0], height=array.shape[1], width=array.shape[2], dtype=array.dtype,
        crs="EPSG:32633", transform=from_origin(x, 5_800_000.0, 0.05, 0.05), photometric="RGB",
    ) as file:  # fmt: skip
        file.write(array)


def make(name, folder, out, heard=None, **more):
    """Tile the data set; returns its tile set and the rows by tile id."""
    api.tile(folder, dataset=name, out=out, report=heard or Heard(), **more)
    tileset = read_tileset(out)
    return tileset, tileset.tiles.set_index("tile_id")


def mask_of(tileset, tile_id):
    """Names by pixel of the mask of one tile; None where it is unlabelled."""
    rows = tileset.tiles[tileset.tiles["tile_id"] == tile_id]
    item = TileDataset(tileset, rows, with_masks=True)[0]["mask"].numpy()
    names = np.array([*tileset.scheme.names, *[None] * (256 - len(tileset.scheme))], dtype=object)
    return names[item]


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
    heard = Heard()
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
    assert "1 images of test/ have no masks" in heard.of("info")
    assert "3 of the 1869 scenes" in heard.of("warn")
    assert "colour or value" not in heard.of("warn")


def test_colours_that_are_no_class_are_unlabelled_and_told(isaid_folder, tmp_path):
    path = isaid_folder / "train/Semantic_masks/images/images/P0001_instance_color_RGB.png"
    painted(path, [("#ffffff", slice(0, 32), slice(0, 24)), (COLOR["ship"], slice(32, 64), slice(0, 32))], 64, 96)
    heard = Heard()
    tileset, rows = make("isaid", isaid_folder, tmp_path / "t", heard, size=32)
    assert set(mask_of(tileset, "P0001_r0_c0")[:, :24].ravel()) == {None}
    assert not rows.loc["P0001_r0_c0"].tagged  # mostly unlabelled
    assert list(rows.loc["P0001_r32_c0"].tags) == ["ship"]
    assert "4.17% of the mask pixels have a colour or value that is none of the classes" in heard.of("warn")


def test_isaid_tag_rule_is_a_share_or_any_pixel(isaid_folder, tmp_path):
    heard = Heard()
    _, strict = make("isaid", isaid_folder, tmp_path / "a", heard, size=32, min_area=0.01)
    assert list(strict.loc["P0001_r0_c0"].tags) == []
    told = "6 tags, of classes that cover at least 0.01 of their tile; from the first pixel on they would be 9"
    assert told in heard.of("info")
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


@pytest.fixture
def potsdam_folder(tmp_path):
    """Three training areas (one faulty, one off-colour), a test area; three band sets; float elevation as bait."""
    root = tmp_path / "Potsdam"
    for n, area in enumerate(("2_10", "4_12", "6_7", "2_13")):
        bands = RNG.integers(1, 255, (4, 80, 80), dtype=np.uint8)
        x = 360_000.0 + 10 * n
        geotiff(root / "2_Ortho_RGB" / f"top_potsdam_{area}_RGB.tif", bands[:3], x)
        geotiff(root / "3_Ortho_IRRG" / f"top_potsdam_{area}_IRRG.tif", bands[[3, 0, 1]], x)
        geotiff(root / "4_Ortho_RGBIR" / f"top_potsdam_{area}_RGBIR.tif", bands, x)
        row, column = area.split("_")
        height = RNG.random((1, 80, 80)).astype(np.float32)
        with rasterio.open(
            _made(root / "1_DSM" / f"dsm_potsdam_0{row}_{column:0>2}.tif"), "w", driver="GTiff", count=1, height=80,
            width=80, dtype="float32",
        ) as file:  # fmt: skip
            file.write(height)
        label = np.zeros((3, 80, 80), np.uint8)
        label[:] = 255  # impervious surface
        for color, rows, cols in (
            ("building", slice(0, 32), slice(0, 32)),
            ("car", slice(0, 4), slice(40, 44)),
            ("clutter", slice(32, 64), slice(0, 32)),
        ):
            label[:, rows, cols] = np.array(rgb(isprs.COLORS[color]), np.uint8)[:, None, None]
        if area == "6_7":
            label = np.where(label == 255, 252, label).astype(np.uint8)
        geotiff(root / "5_Labels_all" / f"top_potsdam_{area}_label.tif", label, x)
        label[:, 30:34] = 0
        geotiff(root / "5_Labels_all_noBoundary" / f"top_potsdam_{area}_label_noBoundary.tif", label, x)
    return root


def _made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_potsdam_official(potsdam_folder, tmp_path):
    heard = Heard()
    tileset, rows = make("potsdam", potsdam_folder, tmp_path / "t", heard, size=32, val=0.0)
    assert tileset.scheme.names == ("impervious surface", "building", "low vegetation", "tree", "car")
    assert tileset.scheme.background == "none"
    assert tileset.band_names == ("near infrared", "red", "green")
    assert tileset.gsd == pytest.approx(0.05, rel=0.01)
    assert len(rows) == 4 * 9  # the last row and column are shifted inward
    assert set(rows[rows["split"] == "test"]["scene_id"]) == {"2_13"}
    assert set(rows[rows["split"] == "train"]["scene_id"]) == {"2_10", "4_12", "6_7"}
    for area in ("2_10", "6_7"):  # the second is a few grey values off
        assert list(rows.loc[f"{area}_r0_c0"].tags) == ["building"]
        assert list(rows.loc[f"{area}_r0_c32"].tags) == ["impervious surface", "car"]
        assert not rows.loc[f"{area}_r32_c0"].tagged  # clutter is unlabelled
        mask = mask_of(tileset, f"{area}_r0_c32")
        assert (mask[:4, 8:12] == "car").all()
        assert (mask[4:] == "impervious surface").all()
        assert set(mask_of(tileset, f"{area}_r32_c0").ravel()) == {None}
    with rasterio.open(potsdam_folder / "3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif") as file:
        window = file.read()[:, 48:80, 32:64]
    item = TileDataset(tileset, tileset.tiles[tileset.tiles.tile_id == "2_10_r48_c32"])[0]
    np.testing.assert_allclose(item["image01"].numpy(), window / 255, atol=1e-6)
    assert "4 of the 38 scenes" in heard.of("warn")
    assert "colour or value" not in heard.of("warn")


def test_potsdam_validation_is_dealt_from_the_training_areas(potsdam_folder, tmp_path):
    _, rows = make("potsdam", potsdam_folder, tmp_path / "t", size=32, val=0.3)
    split = rows.groupby("scene_id")["split"].unique().map(list)
    assert split["2_13"] == ["test"]
    assert sorted(s for a in ("2_10", "4_12", "6_7") for s in split[a]) == ["train", "train", "val"]


def test_potsdam_ctfa(potsdam_folder, tmp_path):
    job = api.build_job("tile", {"rasters": ["p"], "out": "t", "dataset": "potsdam", "protocol": "ctfa"})
    assert (job.size, job.min_area, job.val) == (512, 0.0, 0.0)
    tileset, rows = make("potsdam", potsdam_folder, tmp_path / "t", size=32, protocol="ctfa")
    assert tileset.scheme.names[-1] == "clutter"
    assert tileset.scheme.background == "surrogate:impervious surface"
    assert len(tileset.scheme.taggable) == 5
    assert set(rows["scene_id"]) == {"2_10", "6_7", "2_13"}  # 4_12 is left out
    assert sorted({(r.row_off, r.col_off) for r in rows.itertuples()}) == [(r, c) for r in (0, 32) for c in (0, 32)]
    assert list(rows.loc["2_10_r32_c0"].tags) == ["clutter"]
    assert list(rows.loc["2_10_r0_c32"].tags) == ["car"]


def test_potsdam_ctfa_means_infrared(potsdam_folder, tmp_path):
    for path in potsdam_folder.glob("3_Ortho_IRRG/*"):
        path.unlink()
    tileset, _ = make("potsdam", potsdam_folder, tmp_path / "t", size=64)
    assert tileset.band_names == ("red", "green", "blue")
    with pytest.raises(InputError, match="holds no IRRG orthophoto"):
        make("potsdam", potsdam_folder, tmp_path / "t", protocol="ctfa")


@pytest.mark.parametrize(("variant", "bands"), [("rgb", [0, 1, 2]), ("rgbir", [0, 1, 2, 3]), ("irrg", [3, 0, 1])])
def test_potsdam_variants(potsdam_folder, tmp_path, variant, bands):
    tileset, _ = make("potsdam", potsdam_folder, tmp_path / "t", size=64, variant=variant)
    with rasterio.open(potsdam_folder / "4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif") as file:
        pixels = file.read()[bands, :64, :64]
    item = TileDataset(tileset, tileset.tiles[tileset.tiles.tile_id == "2_10_r0_c0"])[0]
    np.testing.assert_allclose(item["image01"].numpy(), pixels / 255, atol=1e-6)
    assert len(tileset.band_names) == len(bands)
    assert item["valid"].all()


def test_potsdam_infrared_marked_as_alpha_is_refused(potsdam_folder, tmp_path):
    path = potsdam_folder / "4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif"
    with rasterio.open(path, "w", driver="GTiff", count=4, height=80, width=80, dtype="uint8", photometric="RGB",
                       alpha="YES") as file:  # fmt: skip
        file.write(np.ones((4, 80, 80), np.uint8))
    with pytest.raises(InputError, match=r"infrared band marked as transparency \(alpha\); clear that with gdal_edit"):
        make("potsdam", potsdam_folder, tmp_path / "t", variant="rgbir")


def test_potsdam_without_test_labels_and_with_borders_left_out(potsdam_folder, tmp_path):
    for path in potsdam_folder.glob("5_Labels_all/*"):
        path.unlink()
    (potsdam_folder / "5_Labels_all_noBoundary" / "top_potsdam_2_13_label_noBoundary.tif").unlink()
    heard = Heard()
    tileset, rows = make("potsdam", potsdam_folder, tmp_path / "t", heard, size=32, val=0.0)
    assert set(rows["split"]) == {"train"}
    assert "1 test areas have no labels" in heard.of("info")
    mask = mask_of(tileset, "2_10_r0_c32")
    assert (mask[30:] == None).all()  # noqa: E711 - element by element
    assert (mask[4:30] == "impervious surface").all()
    assert "colour or value" not in heard.of("warn")


def test_potsdam_says_what_is_missing(potsdam_folder, tmp_path):
    with pytest.raises(UsageError, match="potsdam: has no variant 'nir'; choose irrg, rgb, rgbir"):
        make("potsdam", potsdam_folder, tmp_path / "t", variant="nir")
    (potsdam_folder / "5_Labels_all" / "top_potsdam_6_7_label.tif").unlink()
    with pytest.raises(InputError, match=r"1 of 4 images of the 38 areas have no mask \(first: top_potsdam_6_7_IRRG"):
        make("potsdam", potsdam_folder, tmp_path / "t")
    (potsdam_folder / "3_Ortho_IRRG" / "top_potsdam_6_7_IRRG.tif").rename(
        potsdam_folder / "3_Ortho_IRRG" / "top_potsdam_9_9_IRRG.tif"
    )
    with pytest.raises(InputError, match="area 9_9 is none of the 38 of the data set"):
        make("potsdam", potsdam_folder, tmp_path / "t")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"holds no RGB orthophoto; expected files top_potsdam_2_10_RGB.tif"):
        make("potsdam", empty, tmp_path / "t")


@pytest.mark.parametrize("protocol", [None, "clutter"])
def test_vaihingen(tmp_path, protocol):
    root = tmp_path / "Vaihingen"
    for area in (1, 3, 5, 2):
        pixels = RNG.integers(1, 255, (3, 64, 40), dtype=np.uint8)
        geotiff(root / "top" / f"top_mosaic_09cm_area{area}.tif", pixels, 10.0 * area)
        label = np.empty((3, 64, 40), np.uint8)
        label[:] = np.array(rgb(isprs.COLORS["tree"]), np.uint8)[:, None, None]
        label[:, :8] = np.array(rgb(isprs.COLORS["clutter"]), np.uint8)[:, None, None]
        geotiff(root / "ISPRS_ground_truth_COMPLETE" / f"top_mosaic_09cm_area{area}.tif", label, 10.0 * area)
    tileset, rows = make("vaihingen", root, tmp_path / "t", size=32, val=0.0, protocol=protocol)
    assert rows.groupby("scene_id")["split"].unique().map(list).to_dict() == {
        "area1": ["train"], "area3": ["train"], "area5": ["train"], "area2": ["test"],
    }  # fmt: skip
    with_clutter = protocol == "clutter"
    assert list(rows.loc["area3_r0_c8"].tags) == (["tree", "clutter"] if with_clutter else ["tree"])
    assert set(mask_of(tileset, "area3_r0_c8")[:8].ravel()) == {"clutter" if with_clutter else None}
    assert len(tileset.scheme) == (6 if with_clutter else 5)
    (root / "ISPRS_ground_truth_COMPLETE" / "top_mosaic_09cm_area3.tif").unlink()
    with pytest.raises(InputError, match=r"have no mask \(first: top_mosaic_09cm_area3.tif\)"):
        make("vaihingen", root, tmp_path / "t")


def test_official_isprs_lists_are_whole_and_disjoint():
    assert (len(set(potsdam.TRAIN)), len(set(potsdam.TEST))) == (24, 14)
    assert not set(potsdam.TRAIN) & set(potsdam.TEST)
    assert (len(set(vaihingen.TRAIN)), len(set(vaihingen.TEST))) == (16, 17)
    assert not set(vaihingen.TRAIN) & set(vaihingen.TEST)


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
    heard = Heard()
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
    assert "1 images without masks are left out" in heard.of("info")
    assert "colour or value" not in heard.of("warn")


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
    heard = Heard()
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
    assert "1 images of Test have no masks" in heard.of("info")
    assert "colour or value" not in heard.of("warn")
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
