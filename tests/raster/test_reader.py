"""Laws of reading: windows, validity, resampling, failures."""

import pickle
import threading

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp, Resampling

from wsss_geo.errors import InputError
from wsss_geo.raster.grid import Window
from wsss_geo.raster.reader import RasterReader, describe

ROTATED = Affine(0.4, 0.3, 500000, 0.3, -0.4, 5000000)  # pixels of 0.5 m


def write(path, pixels, crs="EPSG:32633", transform=ROTATED, mask=None, colors=None, overviews=(), **options):
    """Write ``pixels`` [C, H, W] as a GeoTIFF and return its path."""
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path, "w", crs=crs, transform=transform, **profile, **options) as out:
            out.write(pixels)
            if colors:
                out.colorinterp = [ColorInterp[c] for c in colors]
            if mask is not None:
                out.write_mask(mask)
        if overviews:
            with rasterio.open(path, "r+") as out:
                out.build_overviews(overviews, Resampling.average)
    return str(path)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A rotated 0.5 m raster of 3 x 97 x 71 random pixels with a nodata collar and overviews."""
    pixels = np.random.default_rng(1).integers(1, 256, (3, 97, 71)).astype(np.uint8)
    pixels[:, :20, :13] = 0
    folder = tmp_path_factory.mktemp("scene")
    return write(folder / "scene.tif", pixels, nodata=0, tiled=True, blockxsize=16, blockysize=16, overviews=[2, 4])


windows = st.builds(Window, st.integers(-40, 120), st.integers(-40, 120), st.integers(1, 60), st.integers(1, 60))


@pytest.mark.parametrize("gsd", [None, 0.2, 0.35, 0.55, 0.8, 1.0, 1.7, 2.6, 5.0])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(window=windows)
def test_a_window_equals_the_same_part_of_the_whole(scene, gsd, window):
    with RasterReader(scene, gsd=gsd) as reader:
        whole = reader.read(Window(0, 0, reader.height, reader.width))
        tile = reader.read(window)
        inside = window.clipped(reader.height, reader.width)
        rows, cols = inside.relative_to(window).slices
        assert tile.pixels.shape == (3, window.height, window.width)
        if inside.is_empty:
            assert not tile.valid.any()
            assert not tile.pixels.any()
            return
        np.testing.assert_array_equal(tile.pixels[:, rows, cols], whole.pixels[(slice(None), *inside.slices)])
        np.testing.assert_array_equal(tile.valid[rows, cols], whole.valid[inside.slices])
        assert tile.valid.sum() == whole.valid[inside.slices].sum()
        assert not tile.pixels[:, ~tile.valid].any()


@pytest.mark.parametrize("gsd", [0.2, 0.8, 1.7, 5.0])
def test_resampled_grid_covers_the_same_ground(scene, gsd):
    info = describe(scene)
    assert info.gsd == pytest.approx(0.5, rel=2e-3)
    reader = RasterReader(scene, gsd=gsd)
    for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = reader.transform * (corner[0] * reader.width, corner[1] * reader.height)
        expected = info.transform * (corner[0] * info.width, corner[1] * info.height)
        assert (x, y) == pytest.approx(expected)
    assert reader.height == round(97 * info.gsd / gsd)
    assert reader.crs == info.crs


def test_a_gsd_close_to_the_own_one_changes_nothing(scene):
    assert not RasterReader(scene, gsd=0.515).resampled
    assert RasterReader(scene, gsd=0.6).resampled


def test_shrinking_averages_valid_pixels_only(tmp_path):
    pixels = np.arange(1, 17, dtype=np.uint8).reshape(1, 4, 4)
    pixels[0, 0, 0] = 0  # block 0: 2, 5, 6 left
    pixels[0, :2, 2:] = [[0, 0], [0, 8]]  # block 1: one valid pixel of four
    path = write(tmp_path / "a.tif", pixels, nodata=0)
    tile = RasterReader(path, gsd=1.0).read(Window(0, 0, 2, 2))
    assert tile.valid.tolist() == [[True, False], [True, True]]
    assert tile.pixels[0].tolist() == [[4, 0], [12, 14]]  # 11.5 and 13.5 round to even


def test_enlarging_a_ramp_stays_a_ramp(tmp_path):
    pixels = np.broadcast_to(np.arange(10, dtype=np.float32) * 8, (1, 10, 10)).copy()
    reader = RasterReader(write(tmp_path / "a.tif", pixels), gsd=describe(str(tmp_path / "a.tif")).gsd / 2)
    row = reader.read(Window(0, 0, 20, 20)).pixels[0, 7]
    np.testing.assert_allclose(row[1:-1], np.arange(18) * 4 + 2, rtol=1e-6)


@given(value=st.integers(1, 255), size=st.tuples(st.integers(1, 9), st.integers(1, 9)), factor=st.floats(0.2, 12))
@settings(max_examples=25, deadline=None)
def test_a_constant_raster_stays_constant(tmp_path_factory, value, size, factor):
    path = write(tmp_path_factory.mktemp("constant") / "a.tif", np.full((1, *size), value, np.uint8))
    reader = RasterReader(path, gsd=describe(path).gsd * factor)
    tile = reader.read(Window(0, 0, reader.height, reader.width))
    assert tile.valid.all()
    assert (tile.pixels == value).all()


def test_a_far_coarser_grid_reads_an_overview_at_least_twice_as_fine(scene):
    with RasterReader(scene, gsd=4.0) as reader, rasterio.open(scene, overview_level=1) as overview:
        tile = reader.read(Window(6, 6, 2, 2))
        expected = overview.read()[:, 12:16, 12:16].reshape(3, 2, 2, 2, 2).mean((2, 4))
        assert np.abs(tile.pixels - expected).max() < 40  # the grids differ by part of a pixel
        assert RasterReader(scene, gsd=1.9)._overview is None
        assert RasterReader(scene, gsd=2.0)._overview == 0
        assert RasterReader(scene, gsd=4.0)._overview == 1


def test_nodata_hides_a_pixel_when_all_chosen_bands_hold_it(tmp_path):
    pixels = np.array([[[0, 0, 5]], [[0, 7, 5]]], np.int16)
    path = write(tmp_path / "a.tif", pixels, nodata=0)
    assert RasterReader(path).read(Window(0, 0, 1, 3)).valid.tolist() == [[False, True, True]]
    assert RasterReader(path, [1]).read(Window(0, 0, 1, 3)).valid.tolist() == [[False, False, True]]


def test_nan_nodata_nan_and_infinity(tmp_path):
    pixels = np.array([[[np.nan, 1, np.inf, -9999]], [[1, 1, 1, -9999]]], np.float64)
    for nodata, last in ((np.nan, True), (-9999, False)):
        path = write(tmp_path / f"{nodata}.tif", pixels, nodata=nodata)
        tile = RasterReader(path).read(Window(0, 0, 1, 4))
        assert tile.pixels.dtype == np.float32
        assert tile.valid.tolist() == [[False, True, False, last]]
        assert np.isfinite(tile.pixels).all()


def test_nodata_that_the_type_cannot_hold(tmp_path):
    path = write(tmp_path / "a.tif", np.full((1, 2, 2), 241, np.uint8), nodata=1)
    vrt = tmp_path / "a.vrt"
    with rasterio.open(path) as source:
        rasterio.shutil.copy(source, vrt, driver="VRT")
    vrt.write_text(vrt.read_text().replace("<NoDataValue>1<", "<NoDataValue>-9999<"))
    assert RasterReader(vrt).read(Window(0, 0, 2, 2)).valid.all()


@pytest.mark.parametrize("gsd", [None, 1.0])
def test_alpha_and_mask_hide_pixels(tmp_path, gsd):
    hidden = np.zeros((8, 8), bool)
    hidden[:4, :2] = True
    shown = np.where(hidden, 0, 255).astype(np.uint8)
    rgba = np.concatenate([np.full((3, 8, 8), 90, np.uint8), shown[None]])
    with_alpha = write(tmp_path / "alpha.tif", rgba, colors=["red", "green", "blue", "alpha"])
    with_mask = write(tmp_path / "mask.tif", rgba[:3], mask=shown)
    for path in (with_alpha, with_mask):
        reader = RasterReader(path, gsd=gsd)
        tile = reader.read(Window(0, 0, reader.height, reader.width))
        step = 1 if gsd is None else 2
        assert tile.pixels.shape[0] == 3
        np.testing.assert_array_equal(tile.valid, ~hidden[::step, ::step])
        assert (tile.pixels[:, tile.valid] == 90).all()


def test_the_alpha_band_is_no_image_band(tmp_path):
    path = write(tmp_path / "a.tif", np.ones((4, 2, 2), np.uint8), colors=["red", "green", "blue", "alpha"])
    assert RasterReader(path).bands == (1, 2, 3)
    with pytest.raises(InputError, match="alpha"):
        RasterReader(path, [1, 2, 4])


def test_a_palette_is_expanded_on_request(tmp_path):
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "height": 1, "width": 3, "count": 1, "dtype": "uint8", "nodata": 2}
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.array([[[0, 1, 2]]], np.uint8))
        out.write_colormap(1, {0: (9, 8, 7, 255), 1: (1, 2, 3, 255), 2: (5, 5, 5, 255)})
    tile = RasterReader(path, palette=True).read(Window(0, 0, 1, 3))
    assert tile.pixels[:, 0].T.tolist() == [[9, 8, 7], [1, 2, 3], [0, 0, 0]]
    assert tile.valid.tolist() == [[True, True, False]]
    assert RasterReader(path).read(Window(0, 0, 1, 3)).pixels.tolist() == [[[0, 1, 0]]]


def test_readers_are_shared_between_threads_and_pickled(scene):
    with RasterReader(scene) as reader:
        whole = reader.read(Window(0, 0, 97, 71)).pixels
        found = {}

        def read(row):
            for _ in range(20):
                found[row] = reader.read(Window(row, 0, 10, 71)).pixels

        threads = [threading.Thread(target=read, args=(row,)) for row in range(0, 80, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for row, pixels in found.items():
            np.testing.assert_array_equal(pixels, whole[:, row : row + 10])
        copy = pickle.loads(pickle.dumps(reader))
        np.testing.assert_array_equal(copy.read(Window(0, 0, 97, 71)).pixels, whole)


def test_without_georeference_the_own_grid_is_read(tmp_path):
    path = write(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), crs=None, transform=Affine.identity())
    info = describe(path)
    assert (info.crs, info.gsd, info.georeference) == (None, None, "no georeference")
    assert not RasterReader(path, gsd=7.0).resampled


@pytest.mark.parametrize(
    ("crs", "transform", "gsd"),
    [
        ("EPSG:4326", Affine(1e-5, 0, 10, 0, -1e-5, 60), (1e-5 * 111412 * 0.5 * 1e-5 * 111412) ** 0.5),
        ("EPSG:3857", Affine(1, 0, 0, 0, -1, 8399737.9), 0.5),  # 60 degrees north
        ("EPSG:2263", Affine(1, 0, 980000, 0, -1, 200000), 0.3048),  # feet
        ('LOCAL_CS["site",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]', Affine(2, 0, 0, 0, -2, 9), 2.0),
    ],
)
def test_ground_sample_distance(tmp_path, crs, transform, gsd):
    path = write(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), crs=crs, transform=transform)
    assert describe(path).gsd == pytest.approx(gsd, rel=5e-3)


def test_what_is_no_raster(tmp_path):
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "empty.tif").touch()
    for name, words in [("none.tif", "no such file"), ("text.tif", "GDAL"), ("empty.tif", "is empty"), (".", "folder")]:
        with pytest.raises(InputError, match=words):
            describe(str(tmp_path / name))
    with pytest.raises(InputError, match="complex"):
        describe(write(tmp_path / "complex.tif", np.ones((1, 2, 2), np.complex64)))


def test_bands_that_do_not_exist(scene):
    for bands in ([4], [0], []):
        with pytest.raises(InputError, match="--bands"):
            RasterReader(scene, bands)


@pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd", "jpeg", "none"])
def test_a_truncated_file_is_told(tmp_path, compress):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 256, 256), dtype=np.uint8)
    path = tmp_path / "a.tif"
    write(path, pixels, compress=compress, tiled=True, blockxsize=64, blockysize=64)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.tif"), RasterReader(path) as reader:
        reader.read(Window(0, 0, 256, 256))
