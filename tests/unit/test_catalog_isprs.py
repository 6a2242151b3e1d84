"""The readers of Potsdam and Vaihingen, on small look-alikes of their folders with the traps in them."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from hearing import Hearing
from look_alikes import RNG, geotiff, make, mask_of, rgb
from wsss_geo import api
from wsss_geo.errors import InputError, UsageError
from wsss_geo.tileset.catalog import isprs, potsdam, vaihingen
from wsss_geo.tileset.dataset import TileDataset


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
    heard = Hearing()
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
    assert "4 of the 38 scenes" in heard.said("warn")
    assert "colour or value" not in heard.said("warn")


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
    heard = Hearing()
    tileset, rows = make("potsdam", potsdam_folder, tmp_path / "t", heard, size=32, val=0.0)
    assert set(rows["split"]) == {"train"}
    assert "1 test areas have no labels" in heard.said("info")
    mask = mask_of(tileset, "2_10_r0_c32")
    assert (mask[30:] == None).all()  # noqa: E711 - element by element
    assert (mask[4:30] == "impervious surface").all()
    assert "colour or value" not in heard.said("warn")


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


HOME = "ISPRS_semantic_labeling_Vaihingen"


@pytest.fixture
def unpacked(tmp_path):
    """Vaihingen as its archives unpack: three training areas for participants, all four complete, both also eroded."""
    root = tmp_path / "Vaihingen"
    tree, car = (np.array(rgb(isprs.COLORS[name]), np.uint8)[:, None, None] for name in ("tree", "car"))
    for area in (1, 3, 5, 2):
        at, name = 10.0 * area, f"top_mosaic_09cm_area{area}"
        geotiff(root / HOME / "top" / f"{name}.tif", RNG.integers(1, 255, (3, 32, 32), dtype=np.uint8), at)
        label = np.broadcast_to(tree, (3, 32, 32)).copy()
        label[:, 16:] = car
        bare = label.copy()
        bare[:, 14:18] = 0
        for folder, there in (("ground_truth_COMPLETE", True), ("ground_truth_for_participants", area != 2)):
            whole = root / HOME / "gts_for_participants" if "part" in folder else root / f"{HOME}_{folder}"
            if there:
                geotiff(whole / f"{name}.tif", label, at)
                eroded = f"{HOME}_{folder.replace('truth_', 'truth_eroded_')}"
                geotiff(root / eroded / f"{name}_noBoundary.tif", bare, at)
    return root


@pytest.mark.parametrize(
    ("variant", "border"), [(None, {"tree", "car"}), ("full", {"tree", "car"}), ("eroded", {None})]
)
def test_vaihingen_under_the_names_of_its_archives(unpacked, tmp_path, variant, border):
    tileset, rows = make("vaihingen", unpacked, tmp_path / "t", size=32, val=0.0, variant=variant)
    assert rows["split"].to_dict() == {
        "area1_r0_c0": "train", "area3_r0_c0": "train", "area5_r0_c0": "train", "area2_r0_c0": "test",
    }  # fmt: skip
    mask = mask_of(tileset, "area2_r0_c0")
    assert set(mask[14:18].ravel()) == border
    assert (mask[:14] == "tree").all()
    assert (mask[18:] == "car").all()
    assert tileset.band_names == ("near infrared", "red", "green")


def test_vaihingen_with_what_participants_got_alone(unpacked, tmp_path):
    for folder in unpacked.glob("*COMPLETE"):
        folder.rename(tmp_path / folder.name)
    heard = Hearing()
    _, rows = make("vaihingen", unpacked, tmp_path / "t", heard, size=32, val=0.0)
    assert set(rows["split"]) == {"train"}
    assert "1 test areas have no labels" in heard.said("info")
    _, bare = make("vaihingen", unpacked, tmp_path / "u", size=32, val=0.0, variant="eroded")
    assert bare.index.tolist() == rows.index.tolist()
    for path in unpacked.rglob("*_noBoundary.tif"):
        path.unlink()
    with pytest.raises(InputError, match=r"holds no eroded label; expected files top_mosaic_09cm_area1_noBoundary.tif"):
        make("vaihingen", unpacked, tmp_path / "v", variant="eroded")
    with pytest.raises(UsageError, match="vaihingen: has no variant 'bare'; choose full, eroded"):
        make("vaihingen", unpacked, tmp_path / "v", variant="bare")


@pytest.mark.parametrize("place", [f"{HOME}/top", f"{HOME}_ground_truth_COMPLETE"])
def test_vaihingen_with_an_area_twice_is_refused(unpacked, tmp_path, place):
    source = unpacked / place / "top_mosaic_09cm_area3.tif"
    target = _made(unpacked / "again" / place / source.name)
    target.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match=rf"{source.name}: has the same id area3 as .*; remove one of them"):
        make("vaihingen", unpacked, tmp_path / "t")


def test_potsdam_labels_of_participants_lie_beside_the_complete_ones(potsdam_folder, tmp_path):
    for area in ("2_10", "6_7"):
        source = potsdam_folder / "5_Labels_all" / f"top_potsdam_{area}_label.tif"
        _made(potsdam_folder / "5_Labels_for_participants" / source.name).write_bytes(source.read_bytes())
    _, rows = make("potsdam", potsdam_folder, tmp_path / "t", size=80, val=0.0)
    assert len(rows) == 4
    source = potsdam_folder / "3_Ortho_IRRG/top_potsdam_6_7_IRRG.tif"
    _made(potsdam_folder / "old" / source.name).write_bytes(source.read_bytes())
    with pytest.raises(InputError, match=r"old/top_potsdam_6_7_IRRG.tif: has the same id 6_7 as .*; remove one of"):
        make("potsdam", potsdam_folder, tmp_path / "u")


def test_official_isprs_lists_are_whole_and_disjoint():
    assert (len(set(potsdam.TRAIN)), len(set(potsdam.TEST))) == (24, 14)
    assert not set(potsdam.TRAIN) & set(potsdam.TEST)
    assert (len(set(vaihingen.TRAIN)), len(set(vaihingen.TEST))) == (16, 17)
    assert not set(vaihingen.TRAIN) & set(vaihingen.TEST)
