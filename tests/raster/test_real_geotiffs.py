"""Real rasters of many kinds: each is described and read, or refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.raster.bands import match_bands
from wsss_geo.raster.cog import mask_writer
from wsss_geo.raster.grid import Window
from wsss_geo.raster.reader import RasterReader, describe

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "geotiffs"
FILES = sorted(FOLDER.glob("*.tif"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no rasters in {FOLDER}")

REFUSED = {"sentinel1_slc_complex_gcps.tif": "complex", "corrupt_jpeg_cog_epsg3857.tif": "cannot be read"}
NOT_REFERENCED = {
    "sentinel1_uint16_gcps_only.tif": "ground control points only",
    "uint16_rpc.tif": "camera model (RPC) only",
    "derived_large_rgb_5450x6184_nocrs.tif": "no georeference",
}
GSD = {
    "drone_rgba_2cm_utm33n.tif": 0.02, "umbra_sar_rotated_utm59s.tif": 0.5942, "mars_rgb_nonearth_crs.tif": 5.0,
    "neon_rgb_10cm_utm17n.tif": 0.1, "hls_10band_float32_utm14n.tif": 30, "world_cog_36000x18000_epsg4326.tif": 1113,
    "spacenet_pan_uint16_utm16n.tif": 0.5, "multiband_float64_epsg4326.tif": 7.73, "jpeg_cog_epsg3857.tif": 0.4723,
    "uint16_cog_dateline_utm60n.tif": 100,
}  # fmt: skip
#: Share of valid pixels of the whole raster.
VALID = {
    "landsat_rgb_uint8_nodata0_utm18n.tif": (0.6, 0.7), "landsat_rgba_alpha_utm18n.tif": (0.6, 0.7),
    "landsat_rgba_uint8_utm20n.tif": (0.4, 0.6), "rgb_webp_epsg3857.tif": (1, 1), "oam_rgb_10cm_epsg3395.tif": (1, 1),
    "sentinel1_uint16_gcps_only.tif": (1, 1), "ortho_rgb_15cm_internal_mask_utm13n.tif": (0.5, 0.999),
}  # fmt: skip


def ids(path):
    return path.stem


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_described_and_read_or_refused(path):
    def read():
        info = describe(str(path))
        with RasterReader(path) as reader:
            far = (reader.height - 100, reader.width - 100)
            for row, col in [(0, 0), (reader.height // 2, reader.width // 2), far, (-50, -50)]:
                tile = reader.read(Window(row, col, 200, 200))
                assert tile.pixels.shape == (len(info.image_bands), 200, 200)
                assert tile.pixels.dtype.name in ("uint8", "uint16", "int16", "float32")
                assert not tile.pixels[:, ~tile.valid].any()
            assert not tile.valid[:50].any()
            assert not tile.valid[:, :50].any()
        return info

    if path.name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[path.name]) as caught:
            read()
        assert path.name in str(caught.value)
        return
    info = read()
    assert info.georeference == NOT_REFERENCED.get(path.name, "affine")
    assert (info.gsd is None) == (path.name in NOT_REFERENCED)
    if path.name in GSD:
        assert info.gsd == pytest.approx(GSD[path.name], rel=0.01)


@pytest.mark.parametrize("path", [p for p in FILES if p.name not in REFUSED], ids=ids)
def test_resampled_window_is_part_of_the_whole(path):
    info = describe(str(path))
    if info.gsd is None:
        pytest.skip("no ground sample distance")
    side = min(info.height, info.width)
    with RasterReader(path, gsd=info.gsd * side / 90.5) as reader:
        whole = reader.read(Window(0, 0, reader.height, reader.width))
        part = reader.read(Window(31, 17, 40, 50))
        np.testing.assert_array_equal(part.pixels, whole.pixels[:, 31:71, 17:67])
        np.testing.assert_array_equal(part.valid, whole.valid[31:71, 17:67])
        native = RasterReader(path)
        if info.height * info.width < 2e6:
            share = native.read(Window(0, 0, native.height, native.width)).valid.mean()
            assert whole.valid.mean() == pytest.approx(share, abs=0.03)
            low, high = VALID.get(path.name, (0.2, 1))
            assert low <= share <= high


@pytest.mark.parametrize("path", [p for p in FILES if p.name not in REFUSED], ids=ids)
def test_a_mask_on_its_grid_keeps_crs_and_rotation(path, tmp_path):
    info = describe(str(path))
    grid = info.grid.part(3, 5, 40, 30)
    with mask_writer(tmp_path / "mask.tif", grid, ClassScheme.from_names(["a", "b"])) as writer:
        writer.write(Window(0, 0, 40, 30), np.ones((40, 30), np.uint8))
    written = describe(str(tmp_path / "mask.tif"))
    assert written.crs == info.crs
    np.testing.assert_allclose(written.transform[:6], grid.transform[:6], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("naip_4band_utm14n_2010.tif", (1, 2, 3)),
        ("sentinel2_l1c_13band_int16_epsg4326.tif", (4, 3, 2)),
        ("rgba_alpha_and_nodata_epsg3857.tif", (1, 2, 3)),
        ("paletted_laea.tif", (1,)),
    ],
)
def test_bands(name, bands):
    match = match_bands(describe(str(FOLDER / name)), ("red", "green", "blue"))
    assert match.bands == bands
    assert match.palette == name.startswith("paletted")
    assert ("order" in match.how) == name.startswith("naip")


def test_a_pan_image_does_not_fit_an_rgb_model():
    with pytest.raises(InputError, match="--bands"):
        match_bands(describe(str(FOLDER / "spacenet_pan_uint16_utm16n.tif")), ("red", "green", "blue"))
