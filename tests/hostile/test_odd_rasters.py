"""Rasters that are odd, damaged or lie about themselves, through the commands that read them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

HERE = from_origin(500_000.0, 5_400_000.0, 0.5, 0.5)
ROTATED = Affine(0.3, 0.4, 500_000.0, 0.4, -0.3, 5_400_000.0)


def pixels(height=70, width=90, dtype=np.uint8, bands=3):
    return np.random.default_rng(5).integers(1, 120, (bands, height, width)).astype(dtype)


def spoilt(dtype=np.float32):
    """Pixels of which single ones are no numbers."""
    array = pixels(dtype=dtype)
    array[0, 3, 5], array[1, 7, 50], array[2, 60, 80] = np.nan, np.inf, -np.inf
    return array


def only(value, dtype, bands=3):
    return np.full((bands, 70, 90), value, dtype)


def filled(kind):
    """How a raster is written: array and options of ``write_tiff``."""
    return {
        "one pixel": (pixels(1, 1), {}),
        "one row": (pixels(1, 300), {}),
        "one column": (pixels(300, 1), {}),
        "nodata only": (only(0, np.uint8), {"nodata": 0}),
        "NaN only": (only(np.nan, np.float32), {}),
        "some NaN and Inf": (spoilt(), {}),
        "NaN as nodata": (spoilt(), {"nodata": float("nan")}),
        "nodata that no pixel can hold": (pixels(dtype=np.float64), {"nodata": -1.7e308}),
        "largest floats": (only(3e38, np.float32), {}),
        "floats beyond float32": (only(1e300, np.float64), {}),
        "int64": (only(2**60, np.int64), {}),
        "uint32": (only(2**32 - 1, np.uint32), {}),
        "int8": (only(-5, np.int8), {}),
        "no georeference": (pixels(), {"crs": None, "transform": Affine.identity()}),
        "CRS without place": (pixels(), {"transform": Affine.identity()}),
        "south up": (pixels(), {"transform": Affine(0.5, 0, 500_000.0, 0, 0.5, 5_400_000.0)}),
        "rotated": (pixels(), {"transform": ROTATED}),
        "sheared flat": (pixels(), {"transform": Affine(0.5, 0.5, 500_000.0, 0.5, 0.5, 5_400_000.0)}),
        "place is NaN": (pixels(), {"transform": Affine(float("nan"), 0, 500_000.0, 0, -0.5, 5_400_000.0)}),
        "place is infinite": (pixels(), {"transform": Affine(0.5, 0, float("inf"), 0, -0.5, 5_400_000.0)}),
        "pixels of 1e300 m": (pixels(), {"transform": Affine(1e300, 0, 500_000.0, 0, -1e300, 5_400_000.0)}),
        "pixels of 1e-300 m": (pixels(), {"transform": Affine(1e-300, 0, 500_000.0, 0, -1e-300, 5_400_000.0)}),
        "beyond the poles": (pixels(), {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 500, 0, -1e-5, 300)}),
        "around the pole": (pixels(), {"crs": "EPSG:3031", "transform": Affine(0.5, 0, -20, 0, -0.5, 20)}),
        "pixels of 100 km": (pixels(), {"crs": "EPSG:3031", "transform": Affine(1e5, 0, -32e5, 0, -1e5, 32e5)}),
        "local CRS": (pixels(), {"crs": 'LOCAL_CS["arbitrary",UNIT["metre",1]]'}),
        "geocentric CRS": (pixels(), {"crs": "EPSG:4978"}),
        "compound CRS": (pixels(), {"crs": "EPSG:7415"}),
    }[kind]


#: Of these, a mask must come; of others, it may. None: the pixels have no place, so the grid is that of the pixels.
FILLED = {
    "one pixel": True, "one row": True, "one column": True, "nodata only": True, "NaN only": True,
    "some NaN and Inf": True, "NaN as nodata": True, "nodata that no pixel can hold": True, "largest floats": True,
    "floats beyond float32": True, "int64": True, "uint32": True, "int8": True, "no georeference": None,
    "CRS without place": None, "south up": True, "rotated": True, "sheared flat": None, "place is NaN": None,
    "place is infinite": None, "pixels of 1e300 m": None, "pixels of 1e-300 m": None, "beyond the poles": False,
    "around the pole": True, "pixels of 100 km": False, "local CRS": True, "geocentric CRS": False,
    "compound CRS": True,
}  # fmt: skip


@pytest.fixture
def places(tmp_path):
    """A folder for the input and one for what comes out."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return tmp_path / "in", tmp_path / "out"


def check_mask(raster, mask, placed=True):
    """The mask has the grid and CRS of the raster and 255 wherever a band is no number or nothing but nodata."""
    with rasterio.open(raster) as given, rasterio.open(mask) as made:
        assert made.shape == given.shape
        assert made.nodata == 255
        if placed:
            assert made.crs == given.crs
            np.testing.assert_allclose(made.transform[:6], given.transform[:6], rtol=1e-12)
        else:
            assert made.crs is None
        values, bands = made.read(1), given.read()
        bad = ~np.isfinite(bands).all(axis=0) if bands.dtype.kind == "f" else np.zeros(given.shape, bool)
        if given.nodata is not None and np.isfinite(given.nodata):
            bad |= (bands == given.nodata).all(axis=0)
        with np.errstate(over="ignore"):
            bad |= ~np.isfinite(bands.astype(np.float32)).all(axis=0)
        assert (values[bad] == 255).all()
        assert set(np.unique(values[~bad])) <= {3, 5, 9}


@pytest.mark.parametrize("kind", FILLED)
def test_odd_pixels_and_places(tame, tiny, write_tiff, places, kind):
    folder, out = places
    array, options = filled(kind)
    raster = write_tiff(folder / "odd.tif", array, **options)
    must = FILLED[kind]
    polygons = out / "cover.gpkg"
    words = ("predict", raster, "--model", tiny.model, "--out", out / "cover.tif", "--polygons", polygons)
    made = tame(*words, "--cam", out / "cam.tif", code=None if must is False else 0, out=out)
    if made.code == 0:
        check_mask(raster, out / "cover.tif", placed=must is not None)
    tame("info", raster, code=0, out=out)
    tame("tile", raster, "--size", 64, "--out", out / "tiles", out=out)


@pytest.mark.parametrize(
    "name",
    [
        "a b", "it's \"so\"", "Фото 図 é", "two\nlines", "100%20 {0} $HOME; rm -rf #&", "-rf", "a,b", "esc\x1b[31mred",
        "a" * 200,
    ],
)  # fmt: skip
def test_odd_names(tame, command, tiny, write_tiff, places, name):
    folder, out = places
    raster = write_tiff(folder / f"{name}.tif", pixels())
    assert tame("predict", folder, "--model", tiny.model, "--out", out, code=0, out=out).code == 0
    check_mask(raster, out / f"{name}.tif")
    (folder / "tags.csv").write_text(f"x,y,tags\n500010,5399990,{json.dumps('water')}\n")
    words = ("tile", raster.parent, "--tags", folder / "tags.csv", "--size", 32, "--out", out / "tiles")
    tame(*words, code=0, out=out)
    record = json.loads((out / "tiles.json").read_text())
    assert record["result"]["tagged"] == 1
    tame("vectorize", "--out", out / "v.gpkg", out / f"./{name}.tif", code=0, out=out)
    missing = tame("info", folder / f"no {name}.tif", code=3)
    assert missing.err.isprintable() or missing.err[:-1].isprintable()


def truncated(path, keep, **options):
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=300, width=300, dtype="uint8", crs="EPSG:32632", transform=HERE,
        **options,
    ) as file:  # fmt: skip
        file.write(pixels(300, 300))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def virtual(path, width, height, bands=3, band='<VRTRasterBand dataType="Byte" band="{}"/>'):
    listed = "".join(band.replace("{}", str(n + 1)) for n in range(bands))
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000,0.5,0,5400000,0,-0.5</GeoTransform>{listed}</VRTDataset>"
    )


SOURCE = (
    '<VRTRasterBand dataType="Byte" band="{}"><SimpleSource><SourceFilename relativeToVRT="1">NAME</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
)
#: Headers that lie, files that lack something: name of the file and what writes it.
DAMAGED = {
    "half a file": ("odd.tif", lambda p: truncated(p, 0.5, tiled=True, blockxsize=256, blockysize=256)),
    "half a packed file": ("odd.tif", lambda p: truncated(p, 0.5, compress="deflate")),
    "a header alone": ("odd.tif", lambda p: truncated(p, 0.001)),
    "nothing": ("odd.tif", lambda p: p.write_bytes(b"")),
    "noise behind a signature": ("odd.tif", lambda p: p.write_bytes(b"II*\0" + np.random.default_rng(1).bytes(5000))),
    "a folder": ("odd.tif", lambda p: p.mkdir()),
    "a text": ("odd.png", lambda p: p.write_text("no picture")),
    "a picture cut off": ("odd.png", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)),
    "70 000 bands": ("odd.vrt", lambda p: virtual(p, 4, 4, bands=70_000)),
    "2 000 000 000 pixels a side": ("odd.vrt", lambda p: virtual(p, 2_000_000_000, 2_000_000_000)),
    "negative size": ("odd.vrt", lambda p: virtual(p, -5, 10)),
    "no size": ("odd.vrt", lambda p: virtual(p, 0, 0)),
    "no source": ("odd.vrt", lambda p: virtual(p, 64, 64, band=SOURCE.replace("NAME", "gone.tif"))),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_rasters_are_refused_everywhere(tame, tiny, places, kind):
    folder, out = places
    name, make = DAMAGED[kind]
    raster = folder / name
    make(raster)
    if raster.is_dir():
        for words in (("info", raster), ("vectorize", raster, "--out", out / "v.gpkg")):
            tame(*words, code=3, out=out)
    reads_pixels = (
        ("predict", raster, "--model", tiny.model, "--out", out / "cover.tif"),
        ("tile", raster, "--size", 64, "--out", out / "tiles"),
        ("evaluate", "--prediction", tiny.truth, "--reference", raster),
        ("vectorize", raster, "--out", out / "v.gpkg"),
    )
    for words in reads_pixels:
        tame(*words, code=3, out=out)


def sparse(path, side, bands, **options):
    """A small file that claims to be a large raster; all its pixels are zero."""
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=side, width=side, dtype="uint8", crs="EPSG:32632",
        transform=HERE, SPARSE_OK=True, BIGTIFF="YES", **options,
    ):  # fmt: skip
        pass
    return path


def test_pieces_too_large_to_unpack_are_refused(tame, tiny, places):
    folder, out = places
    bomb = sparse(folder / "bomb.tif", 40_000, 1, compress="deflate", tiled=True, blockxsize=40_000, blockysize=40_000)
    assert bomb.stat().st_size < 1 << 20
    for words in (
        ("tile", bomb, "--out", out / "tiles"),
        ("vectorize", bomb, "--out", out / "v.gpkg"),
        ("predict", bomb, "--bands", "1,1,1", "--model", tiny.model, "--out", out / "cover.tif"),
        ("evaluate", "--prediction", tiny.truth, "--reference", bomb),
        ("info", bomb),
    ):
        assert "too large to unpack" in tame(*words, code=3, out=out).err


def test_tiles_too_many_or_too_thick_are_refused(tame, places):
    folder, out = places
    wide = sparse(folder / "wide.tif", 400_000, 1, tiled=True, blockxsize=8192, blockysize=8192)
    assert "would be cut into" in tame("tile", wide, "--size", 256, "--out", out / "tiles", code=3, out=out).err
    thick = sparse(folder / "thick.tif", 256, 30_000, tiled=True, interleave="band", compress="deflate")
    assert "--bands" in tame("tile", thick, "--size", 256, "--out", out / "tiles", code=3, out=out).err


def test_pixels_far_coarser_than_the_model_are_not_blown_up(tame, tiny, write_tiff, places):
    folder, out = places
    coarse = write_tiff(folder / "coarse.tif", pixels(), pixel=60.0)
    words = ("predict", coarse, "--model", tiny.model, "--out", out / "cover.tif")
    assert "too coarse" in tame(*words, code=3, out=out).err
    tame(*words, "--no-resample", code=0, out=out)
    check_mask(coarse, out / "cover.tif")


def test_a_mosaic_of_different_crs_is_refused(tame, tiny, write_tiff, places):
    folder, out = places
    left = write_tiff(folder / "left.tif", pixels())
    right = write_tiff(folder / "right.tif", pixels(), crs="EPSG:32633")
    words = ("predict", left, right, "--mosaic", "first", "--model", tiny.model, "--out", out / "cover.tif")
    assert "another CRS" in tame(*words, code=3, out=out).err
    tame("tile", left, right, "--size", 64, "--out", out / "tiles", code=0, out=out)


MASKS = {
    "one pixel": (only(3, np.uint8, 1)[:, :1, :1], {}, 0),
    "one row": (only(3, np.uint8, 1)[:, :1], {}, 0),
    "negative ids": (only(-1, np.int16, 1), {}, 3),
    "negative nodata": (only(-1, np.int16, 1), {"nodata": -1}, 0),
    "ids of 2^31": (only(2**31 - 1, np.int32, 1), {}, 0),
    "ids beyond int32": (only(2**60, np.int64, 1), {}, 3),
    "unsigned ids beyond int64": (only(2**64 - 1, np.uint64, 1), {}, 3),
    "nodata only": (only(0, np.uint8, 1), {"nodata": 0}, 0),
    "floats": (only(3, np.float32, 1), {}, 3),
    "three bands": (pixels(), {}, 3),
    "place is NaN": (only(3, np.uint8, 1), {"transform": Affine(float("nan"), 0, 5e5, 0, -0.5, 5.4e6)}, 0),
    "beyond the poles": (only(3, np.uint8, 1), {"crs": "EPSG:4326", "transform": Affine(1, 0, 500, 0, -1, 300)}, None),
    "rotated": (only(3, np.uint8, 1), {"transform": ROTATED}, 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("suffix", ["gpkg", "shp"])
def test_odd_masks(tame, write_tiff, places, kind, suffix):
    folder, out = places
    array, options, code = MASKS[kind]
    mask = write_tiff(folder / "mask.tif", array, **options)
    made = tame("vectorize", mask, "--out", out / f"v.{suffix}", code=code, out=out)
    if made.code == 0:
        import geopandas

        frame = geopandas.read_file(out / f"v.{suffix}")
        hidden = "nodata" in options
        assert len(frame) == (0 if hidden else 1)
    if suffix == "gpkg":
        tame("evaluate", "--prediction", mask, "--reference", mask, out=out)
