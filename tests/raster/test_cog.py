"""Writing cloud optimised GeoTIFFs."""

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.errors import RasterioIOError

from wsss_geo.classes import ClassScheme, LandCoverClass
from wsss_geo.errors import EnvironmentFault, InputError, UsageError
from wsss_geo.raster.cog import RasterWriter, mask_writer, read_scheme, score_writer
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import GeoGrid
from wsss_geo.raster.reader import RasterReader, describe

UTM = CRS.from_epsg(32633)
ROOT = Path(__file__).parents[2]
ROTATED = Affine(0.4, 0.3, 500000, 0.3, -0.4, 5000000)
CLASSES = ClassScheme(
    (
        LandCoverClass(0, "water", "#0000ff"),
        LandCoverClass(3, "wood & scrub", "#00aa00"),
        LandCoverClass(1, "Hütte", "#ff0000"),
    ),
    "surrogate:water",
)


def write_bands(writer, array, heights):
    """Write ``array`` in row bands of the given heights, used in turn."""
    row, turn, total = 0, 0, array.shape[-2]
    while row < total:
        height = min(heights[turn % len(heights)], total - row)
        writer.write(Window(row, 0, height, array.shape[-1]), array[..., row : row + height, :])
        row, turn = row + height, turn + 1


def mask_of(height, width, seed=0):
    return np.random.default_rng(seed).choice(np.array([0, 1, 3, 255], np.uint8), (height, width))


@given(st.integers(1, 1100), st.integers(1, 600), st.lists(st.integers(1, 700), min_size=1, max_size=4))
@settings(max_examples=12, deadline=None)
def test_what_is_written_is_read_in_any_banding(tmp_path_factory, height, width, heights):
    folder = tmp_path_factory.mktemp("cog")
    mask = mask_of(height, width)
    grid = GeoGrid(height, width, ROTATED, UTM)
    for name, bands in (("a.tif", heights), ("b.tif", [height])):
        with mask_writer(folder / name, grid, CLASSES) as writer:
            write_bands(writer, mask, bands)
    with rasterio.open(folder / "a.tif") as result:
        np.testing.assert_array_equal(result.read(1), mask)
        assert result.transform.almost_equals(ROTATED)
        assert result.crs == UTM
    assert (folder / "a.tif").read_bytes() == (folder / "b.tif").read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["a.tif", "a.tif.aux.xml", "b.tif", "b.tif.aux.xml"]


@pytest.fixture
def mask_file(tmp_path):
    path = tmp_path / "cover.tif"
    with mask_writer(path, GeoGrid(1200, 900, ROTATED, UTM), CLASSES, {"model": "abc", "run": "42"}) as writer:
        write_bands(writer, mask_of(1200, 900), [384])
    return path


def test_mask_profile(mask_file):
    with rasterio.open(mask_file) as result:
        assert result.profile["dtype"] == "uint8"
        assert result.nodata == 255
        assert result.block_shapes == [(512, 512)]
        assert result.overviews(1)
        assert result.colormap(1)[3] == (0, 170, 0, 255)
        assert result.tags()["WSSS_GEO_MODEL"] == "abc"
        assert result.tags()["WSSS_GEO_RUN"] == "42"
        assert result.tags()["TIFFTAG_SOFTWARE"].startswith("wsss-geo")
        assert result.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert read_scheme(mask_file) == CLASSES
    names = [c.text or "" for c in ElementTree.parse(f"{mask_file}.aux.xml").iter("Category")]
    assert names == ["water", "Hütte", "", "wood & scrub"]


def test_it_is_a_valid_cog(mask_file):
    cogeo = pytest.importorskip("rio_cogeo.cogeo")
    valid, errors, warnings = cogeo.cog_validate(mask_file, strict=True)
    assert (valid, errors, warnings) == (True, [], [])


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="no gdalinfo")
def test_gdalinfo_shows_the_category_names(mask_file):
    shown = subprocess.run(["gdalinfo", str(mask_file)], capture_output=True, text=True, check=True).stdout
    assert "1: Hütte" in shown
    assert "3: wood & scrub" in shown


def test_scores(tmp_path):
    scores = np.random.default_rng(0).integers(0, 256, (3, 70, 40), dtype=np.uint8)
    with score_writer(tmp_path / "cam.tif", GeoGrid(70, 40, ROTATED, UTM), ["a", "b", "c"]) as writer:
        write_bands(writer, scores, [33])
    with rasterio.open(tmp_path / "cam.tif") as result:
        np.testing.assert_array_equal(result.read(), scores)
        assert result.descriptions == ("a", "b", "c")
        assert result.scales == pytest.approx((1 / 255,) * 3)
        assert result.nodata is None
    with score_writer(tmp_path / "confidence.tif", GeoGrid(70, 40, ROTATED, UTM), ["confidence"], nodata=0) as writer:
        write_bands(writer, scores[0], [70])
    valid = RasterReader(tmp_path / "confidence.tif").read(Window(0, 0, 70, 40)).valid
    np.testing.assert_array_equal(valid, scores[0] != 0)
    assert read_scheme(tmp_path / "cam.tif") is None


def test_without_crs(tmp_path):
    for name, transform in (("a.tif", Affine.identity()), ("b.tif", Affine(2, 0, 10, 0, -2, 20))):
        with mask_writer(tmp_path / name, GeoGrid(5, 5, transform, None), CLASSES) as writer:
            write_bands(writer, mask_of(5, 5), [5])
        info = describe(str(tmp_path / name))
        assert info.crs is None
        assert info.transform == transform


def test_a_new_file_drops_the_sidecar_of_the_old_one(tmp_path):
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><Metadata/></PAMDataset>")
    with score_writer(tmp_path / "a.tif", GeoGrid(5, 5, ROTATED, UTM), ["x"]) as writer:
        write_bands(writer, mask_of(5, 5), [5])
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_run_leaves_the_old_file_and_nothing_else(mask_file, error):
    before = {p.name: p.read_bytes() for p in mask_file.parent.iterdir()}

    def fail():
        with mask_writer(mask_file, GeoGrid(1200, 900, ROTATED, UTM), CLASSES) as writer:
            write_bands(writer, mask_of(600, 900, 1), [200])
            raise error

    with pytest.raises(error):
        fail()
    assert {p.name: p.read_bytes() for p in mask_file.parent.iterdir()} == before


def test_rows_must_come_whole_and_in_order(tmp_path):
    grid = GeoGrid(10, 8, ROTATED, UTM)
    bad = [
        (Window(1, 0, 2, 8), (2, 8)),
        (Window(0, 1, 2, 7), (2, 7)),
        (Window(0, 0, 11, 8), (11, 8)),
        (Window(0, 0, 2, 8), (3, 8)),
    ]
    for window, shape in bad:
        with pytest.raises(UsageError), mask_writer(tmp_path / "a.tif", grid, CLASSES) as writer:
            writer.write(window, np.zeros(shape, np.uint8))
    with pytest.raises(UsageError, match="4 of 10"), mask_writer(tmp_path / "a.tif", grid, CLASSES) as writer:
        writer.write(Window(0, 0, 4, 8), np.zeros((4, 8), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_is_a_fault_of_the_environment(tmp_path, monkeypatch):
    class Failing:
        def write(self, *args, **kwargs):
            raise RasterioIOError("Write failed")

        def close(self):
            raise RasterioIOError("Write failed")

    usage = shutil.disk_usage(tmp_path)
    for free, words in ((0, "no space left"), (1 << 40, "cannot be written")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        writer = RasterWriter(tmp_path / "a.tif", GeoGrid(4, 4, ROTATED, UTM), ["x"])
        writer._dataset.close()
        writer._dataset = Failing()
        with pytest.raises(EnvironmentFault, match=words), writer:
            writer.write(Window(0, 0, 4, 4), np.zeros((4, 4), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="folder"):
        mask_writer(tmp_path / "none" / "a.tif", GeoGrid(4, 4, ROTATED, UTM), CLASSES)


def test_damaged_classes(mask_file):
    with rasterio.open(mask_file, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as result:
        result.update_tags(WSSS_GEO_CLASSES="[{]")
    with pytest.raises(InputError, match=r"classes\.json"):
        read_scheme(mask_file)


def _mounts(mount):
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode == 0


def test_a_full_disk(tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    code = (
        "import numpy as np, sys\n"
        "from affine import Affine\n"
        "from wsss_geo.raster.cog import score_writer\n"
        "from wsss_geo.raster.info import GeoGrid\n"
        "from wsss_geo.raster.grid import Window\n"
        "from wsss_geo.errors import EnvironmentFault\n"
        "noise = np.random.default_rng(0).integers(0, 256, (2048, int(sys.argv[2])), dtype=np.uint8)\n"
        "try:\n"
        "    with score_writer(sys.argv[1] + '/a.tif', GeoGrid(*noise.shape, Affine.identity(), None), ['x']) as w:\n"
        "        w.write(Window(0, 0, *noise.shape), noise)\n"
        "except EnvironmentFault as fault:\n"
        "    print('FAULT', fault)\n"
    )
    (tmp_path / "code.py").write_text(code)
    mount = f"mount -t tmpfs -o size=3m none {full}"
    if not _mounts(mount):
        pytest.skip("no file system can be mounted here")
    for width in (1024, 4096):  # full while the COG is made, full while rows are written
        command = f"{mount} && PYTHONPATH={ROOT} {sys.executable} {tmp_path / 'code.py'} {full} {width} && ls -A {full}"
        shown = subprocess.run(
            ["unshare", "-rm", "sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert shown.stdout.startswith("FAULT"), shown
        assert "no space left" in shown.stdout
        assert len(shown.stdout.splitlines()) == 1
