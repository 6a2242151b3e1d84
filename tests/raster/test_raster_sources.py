"""Which rasters a path, a folder, an address or a STAC item means; several rasters as one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.errors import InputError
from wsss_geo.raster.files import gdal_path
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import describe
from wsss_geo.raster.mosaic import write_mosaic
from wsss_geo.raster.reader import RasterReader
from wsss_geo.raster.sources import list_sources, raster_name

GRID = Affine.translation(600_000, 5_400_000) * Affine.rotation(15) * Affine.scale(0.5, -0.5)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("s3://bucket/a/b.tif", "/vsis3/bucket/a/b.tif"),
        ("S3://bucket/a.tif", "/vsis3/bucket/a.tif"),
        ("gs://bucket/a.tif", "/vsigs/bucket/a.tif"),
        ("az://container/a.tif", "/vsiaz/container/a.tif"),
        ("https://host/a.tif?sig=x%2Fy", "/vsicurl/https://host/a.tif?sig=x%2Fy"),
        ("http://host:80/a.tif", "/vsicurl/http://host:80/a.tif"),
        ("/vsicurl/https://host/a.tif", "/vsicurl/https://host/a.tif"),
        ("folder/s3/a.tif", "folder/s3/a.tif"),
        ("file:///a.tif", "file:///a.tif"),
        ("NETCDF:a.nc:band", "NETCDF:a.nc:band"),
        ("C:/a.tif", "C:/a.tif"),
    ],
)
def test_addresses_are_read_by_ranges(path, name):
    assert gdal_path(path) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/scene.v2.tif", "scene.v2"),
        ("https://host/a/scene%20b.tif?token=a/b.c#x", "scene b"),
        ("s3://bucket/scene.tif", "scene"),
        ("/vsicurl/https://host/scene.tif?x=1", "scene"),
        ("/vsis3/bucket/scene.tif", "scene"),
        ("https://host/", "raster"),
    ],
)
def test_names_come_from_paths(path, name):
    assert raster_name(path) == name


def test_folders_and_doubles(tmp_path):
    for name in ("b.tif", "a.TIF", "c.vrt", "notes.txt", "d.part.tif"):
        (tmp_path / name).touch()
    assert [s.name for s in list_sources([str(tmp_path), "z/e.tif"])] == ["a", "b", "c", "e"]
    with pytest.raises(InputError, match="same name, b"):
        list_sources([str(tmp_path), "z/b.tif"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no raster"):
        list_sources([str(tmp_path / "empty")])


def asset(href, roles=(), media="image/tiff; application=geotiff; profile=cloud-optimized"):
    return {"href": href, "roles": list(roles), "type": media}


def item(name="S2_32/x", **assets):
    return {"type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "assets": assets}


def stac(tmp_path, content):
    path = tmp_path / "item.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_stac_item_gives_its_picture(tmp_path):
    many = item(
        thumbnail=asset("t.jpg", ["thumbnail"], "image/jpeg"),
        visual=asset("./sub/tci.tif", ["visual"]),
        red=asset("r.tif", ["data"]),
        nir=asset("n.tif", ["data"]),
        info=asset("i.xml", ["metadata"], "application/xml"),
    )
    path = stac(tmp_path, many)
    (found,) = list_sources([path])
    assert (found.path, found.name) == (str(tmp_path / "sub" / "tci.tif"), "S2_32_x")
    assert found.title == "S2_32_x"
    assert list_sources([path], "nir")[0].path == str(tmp_path / "n.tif")
    with pytest.raises(InputError, match=r"no asset blue.*visual"):
        list_sources([path], "blue")


@pytest.mark.parametrize(
    ("assets", "path"),
    [
        ({"image": asset("s3://b/i.tif", ["data"]), "mask": asset("m.tif", ["data-mask"])}, "s3://b/i.tif"),
        (
            {"image": asset("https://h/i.tif?sig=1"), "meta": asset("i.json", (), "application/json")},
            "https://h/i.tif?sig=1",
        ),
        ({"image": {"href": "/data/i.TIF"}, "text": {"href": "i.txt"}}, "/data/i.TIF"),
    ],
)
def test_stac_item_with_one_raster(tmp_path, assets, path):
    assert list_sources([stac(tmp_path, item(**assets))])[0].path == path


def test_stac_collections_are_lists_of_items(tmp_path):
    items = [item(f"tile-{i}", image=asset("image.tif", ["data"]) | {"href": f"{i}/image.tif"}) for i in range(3)]
    found = list_sources([stac(tmp_path, {"type": "FeatureCollection", "features": items})])
    assert [s.name for s in found] == ["tile-0", "tile-1", "tile-2"]
    assert found[2].path == str(tmp_path / "2" / "image.tif")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (item(red=asset("r.tif", ["data"]), nir=asset("n.tif", ["data"])), "several rasters: red, nir.*--asset"),
        (item(info=asset("i.xml", ["metadata"], "application/xml")), "no raster"),
        (item(), "no raster"),
        ({"type": "Feature", "geometry": None, "properties": {}}, "no STAC item"),
        ({"type": "FeatureCollection", "features": []}, "holds no STAC item"),
        ({"type": "FeatureCollection", "features": [3]}, "no STAC item"),
        ({"type": "FeatureCollection"}, "no STAC item"),
        (item(image={"href": 3}), "no STAC item"),
        ([], "no STAC item"),
        ("{", "JSON"),
    ],
)
def test_what_is_no_stac_item_is_said(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        list_sources([stac(tmp_path, content)])


def write(path, pixels, transform=GRID, crs="EPSG:32632", mask=None, **options):
    profile = {"driver": "GTiff", "height": pixels.shape[1], "width": pixels.shape[2], "count": len(pixels)}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        path, "w", **profile, dtype=pixels.dtype, transform=transform, crs=crs, tiled=True, blockxsize=16,
        blockysize=16, **options,
    ) as file:  # fmt: skip
        file.write(pixels)
        if mask is not None:
            file.write_mask(mask)
    return str(path)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(["none", "nodata", "alpha", "mask"]), st.sampled_from(["first", "last"]))
def test_mosaic_shows_what_lies_on_top(tmp_path_factory, data, kind, on_top):
    folder = tmp_path_factory.mktemp("mosaic")
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    canvas = np.zeros((3, 70, 80), np.uint8)
    seen = np.zeros((70, 80), bool)
    paths, drawn = [], []
    for i in range(data.draw(st.integers(1, 3))):
        row, col, height, width = (data.draw(st.integers(a, b)) for a, b in ((0, 30), (0, 30), (1, 40), (1, 50)))
        pixels = rng.integers(1, 255, (3, height, width)).astype(np.uint8)
        valid = rng.random((height, width)) < 0.7 if kind != "none" else np.ones((height, width), bool)
        options = {}
        if kind == "nodata":
            value = (0, 255)[i % 2]  # rasters may differ in it
            pixels[:, ~valid] = value
            options["nodata"] = value
        given_pixels = pixels
        if kind == "alpha":
            given_pixels = np.concatenate([pixels, valid[None] * np.uint8(200)])
            options.update(photometric="rgb", alpha="yes")
        mask = valid if kind == "mask" else None
        place = GRID * Affine.translation(col, row)
        paths.append(write(folder / f"{i}.tif", given_pixels, place, mask=mask, **options))
        drawn.append((row, col, pixels, valid))
    for row, col, pixels, valid in drawn if on_top == "last" else drawn[::-1]:
        part = (slice(row, row + valid.shape[0]), slice(col, col + valid.shape[1]))
        canvas[:, *part][:, valid] = pixels[:, valid]
        seen[part] |= valid
    top, left = min(d[0] for d in drawn), min(d[1] for d in drawn)
    bottom, right = (max(d[a] + d[3].shape[a] for d in drawn) for a in (0, 1))
    vrt = write_mosaic(folder / "all.vrt", paths, on_top)
    with RasterReader(vrt) as reader:
        assert reader.info.transform.almost_equals(GRID * Affine.translation(left, top), 1e-9)
        assert (reader.height, reader.width, reader.count) == (bottom - top, right - left, 3)
        assert reader.info.crs.to_epsg() == 32632
        tile = reader.read(Window(0, 0, reader.height, reader.width))
    np.testing.assert_array_equal(tile.valid, seen[top:bottom, left:right])
    np.testing.assert_array_equal(tile.pixels, np.where(seen, canvas, 0)[:, top:bottom, left:right])


def test_mosaic_keeps_what_bands_are(tmp_path):
    pixels = np.ones((4, 20, 20), np.int16)
    path = write(tmp_path / "a.tif", pixels, nodata=-9999)
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("blue", "green", "red", "nir")
    info = describe(str(write_mosaic(tmp_path / "m.vrt", [path])))
    assert info.descriptions[:4] == ("blue", "green", "red", "nir")
    assert info.dtypes[:4] == ("int16",) * 4
    assert info.nodata[:4] == (-9999,) * 4


def test_mosaic_notices_when_a_part_changes(tmp_path):
    paths = [
        write(tmp_path / f"{i}.tif", np.ones((1, 9, 9), np.uint8), GRID * Affine.translation(9 * i, 0)) for i in (0, 1)
    ]
    vrt = write_mosaic(tmp_path / "m.vrt", paths)
    info = describe(str(vrt))
    written = vrt.stat().st_mtime_ns
    assert write_mosaic(tmp_path / "m.vrt", paths).stat().st_mtime_ns == written  # so that a run can go on
    info.check_unchanged()
    write(tmp_path / "1.tif", np.ones((3, 9, 9), np.uint8), GRID * Affine.translation(9, 0))
    with pytest.raises(InputError, match="changed"):
        info.check_unchanged()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"crs": "EPSG:32633"}, "another CRS"),
        ({"transform": GRID * Affine.translation(9.4, 0)}, "pixel grid"),
        ({"transform": GRID * Affine.scale(1.01)}, "pixel grid"),
        ({"transform": GRID * Affine.rotation(1)}, "pixel grid"),
        ({"pixels": np.ones((1, 9, 9), np.uint8)}, "other bands"),
        ({"pixels": np.ones((3, 9, 9), np.uint16)}, "other bands"),
        ({"transform": Affine.identity(), "crs": None}, "cannot be placed"),
        ({"nodata": 0}, "marks missing data by a value"),
    ],
)
def test_rasters_that_do_not_fit_together(tmp_path, other, message):
    pixels = np.ones((4, 9, 9), np.uint8)
    first = write(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes")
    second = write(tmp_path / "b.tif", **{"pixels": pixels[:3], **other})
    with pytest.raises(InputError, match=message):
        write_mosaic(tmp_path / "m.vrt", [first, second])
    assert not (tmp_path / "m.vrt").exists()
