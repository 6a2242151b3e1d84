"""Real rasters of many kinds through `tile` and `predict`: a right result, or one sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import settings

from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import describe
from wsss_geo.raster.reader import RasterReader

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "geotiffs"
FILES = sorted(FOLDER.glob("*.tif"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no rasters in {FOLDER}")

REFUSED = {"sentinel1_slc_complex_gcps.tif": "complex", "corrupt_jpeg_cog_epsg3857.tif": "cannot be read"}
#: Nothing of it lies on the Earth, or nowhere at all.
NO_FOOTPRINT = {
    "mars_rgb_nonearth_crs.tif", "sentinel1_uint16_gcps_only.tif", "uint16_rpc.tif",
    "derived_large_rgb_5450x6184_nocrs.tif",
}  # fmt: skip
#: Half on the Earth: the disk that a satellite sees.
HALF = "goes_geostationary_rgb.tif"
#: Of the world only a part is predicted; the whole would take a minute.
AREAS = {"world_cog_36000x18000_epsg4326.tif": "5,45,15,50"}
LARGE = {
    "world_cog_36000x18000_epsg4326.tif", "derived_large_rgb_5450x6184_nocrs.tif",
    "rgb_cog_8448px_allzero_epsg3857.tif", "paletted_cog_7168x8704_epsg3857.tif",
}  # fmt: skip
LONG = settings.default.max_examples > settings.get_profile("default").max_examples


def name(path):
    return path.stem


@pytest.fixture
def model_for(tiny, tmp_path):
    """The small model, trained for a ground sample distance at which a raster is some 250 pixels long."""
    from wsss_geo.nn.model_file import load_model, save_model

    def write(info):
        loaded = load_model(tiny.model)
        gsd = info.gsd * max(info.height, info.width, 250) / 250 if info.gsd else None
        save_model(tmp_path / "m.safetensors", loaded.network, dataclasses.replace(loaded.card, gsd=gsd))
        return tmp_path / "m.safetensors"

    return write


@pytest.mark.parametrize("path", FILES, ids=name)
def test_predicted_or_refused(tame, tiny, model_for, tmp_path, path):
    if path.name in LARGE and not LONG:
        pytest.skip("it takes half a minute, `make fuzz` does it")
    out = tmp_path / "cover.tif"
    if path.name in REFUSED:
        words = ("predict", path, "--model", tiny.model, "--no-resample", "--out", out)
        said = tame(*words, "--bands", "1,1,1" if "slc" in path.name else "1,2,3", code=3).err
        assert REFUSED[path.name] in said
        assert path.name in said
        return
    info = describe(str(path))
    words = ("predict", path, "--model", model_for(info), "--polygons", tmp_path / "cover.gpkg", "--out", out)
    if path.name in AREAS:
        words += ("--aoi", AREAS[path.name])
    if len(info.image_bands) < 3 and info.palette is None:
        assert "--bands 1,1,1" in tame(*words, code=3).err
        words += ("--bands", "1,1,1")
    tame(*words, code=0)
    with rasterio.open(path) as given, rasterio.open(out) as made:
        assert made.shape == given.shape
        assert made.nodata == 255
        assert made.crs == info.crs
        np.testing.assert_allclose(made.transform[:6], info.transform[:6], rtol=1e-12)
        if path.name not in AREAS and info.height * info.width < 5e6:
            bands = (1, 1, 1) if len(info.image_bands) < 3 and info.palette is None else None
            wanted = bands or json.loads((tmp_path / "cover.tif.json").read_text())["job"]["bands"] or _chosen(info)
            with RasterReader(path, wanted, palette=info.palette is not None) as reader:
                valid = reader.read(Window(0, 0, info.height, info.width)).valid
            np.testing.assert_array_equal(made.read(1) != 255, valid)


def _chosen(info):
    from wsss_geo.raster.bands import match_bands

    return match_bands(info, ("red", "green", "blue")).bands


@pytest.mark.parametrize("path", FILES, ids=name)
def test_tiled_or_refused(tame, tmp_path, path):
    out = tmp_path / "tiles"
    if path.name in REFUSED:
        said = tame("tile", path, "--out", out, code=3).err
        assert REFUSED[path.name] in said
        assert path.name in said
        return
    info = describe(str(path))
    coarse = path.name in LARGE and info.gsd is not None and not LONG
    size = min(max(64, max(info.height, info.width) // (80 if coarse else 4)), 4096)
    words = ("tile", path, "--size", size, "--out", out)
    if coarse:
        words += ("--gsd", info.gsd * 20)
    tame(*words, code=0)
    from wsss_geo.tileset.dataset import TileDataset
    from wsss_geo.tileset.index import read_tileset

    tiles = read_tileset(out)
    nowhere = tiles.tiles.geometry.isna()
    assert nowhere.any() == (path.name in NO_FOOTPRINT or path.name == HALF)
    assert nowhere.all() == (path.name in NO_FOOTPRINT)
    assert len(tiles.bands) == (3 if info.palette else len(info.image_bands))
    shrunk = 20 if coarse else 1
    assert (tiles.tiles["row_off"] + tiles.tiles["height"] <= info.height / shrunk + 1).all()
    assert (tiles.tiles["col_off"] + tiles.tiles["width"] <= info.width / shrunk + 1).all()
    item = TileDataset(tiles, tiles.tiles.iloc[:1], cache_bytes=0)[0]
    assert item["valid"].float().mean() >= 0.1
    assert 0 <= float(item["image01"].min()) <= float(item["image01"].max()) <= 1
    if info.gsd is None:
        assert tiles.gsd is None
    else:
        assert tiles.gsd == pytest.approx(info.gsd * shrunk)
