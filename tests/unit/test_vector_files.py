"""Polygon files: what is written can be read back, and nothing half written stays."""

import gc
import json
import sqlite3
import weakref
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas
import pyarrow.parquet
import pytest
import shapely

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.vector import SUFFIXES, files, polygonize, write_polygons

SCHEME = ClassScheme.from_names(["Gewässer", "a & <b>", "道路"])
MASK = np.array([[0, 0, 1, 1], [2, 0, 1, 255], [2, 2, 0, 0]], np.uint8)


def cover(crs=32633, **options):
    options = {"confidence": np.full(MASK.shape, 0.25), "source": "süd.tif", "model": "m1", **options}
    return polygonize(MASK, (30, 5, 4e5, 5, -30, 5.2e6), crs, SCHEME, **options)


def in_order(frame):
    """A FlatGeobuf keeps its own order."""
    points = shapely.get_coordinates(frame.centroid.values).round()
    return frame.iloc[np.lexsort((points[:, 0], points[:, 1]))].reset_index(drop=True)


def read(path):
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, layer=path.stem)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("connectivity", [4, 8])
def test_round_trip(tmp_path, suffix, connectivity):
    frame = cover(connectivity=connectivity)
    path = tmp_path / f"Landbedeckung süd{suffix}"
    written = write_polygons(frame, path, SCHEME)
    assert sorted(written) == sorted(tmp_path.iterdir())
    found = read(path)
    if suffix == ".geojson":
        assert found.crs.to_epsg() == 4326
        found = found.to_crs(frame.crs)
    assert found.crs.equals(frame.crs) or found.crs.to_epsg() == 32633
    frame, found = in_order(frame), in_order(found)
    for column in ("class_id", "class", "source", "model"):
        assert found[column].tolist() == frame[column].tolist()
    np.testing.assert_allclose(found["area_m2"], frame["area_m2"], rtol=1e-9)
    np.testing.assert_allclose(found["conf"], 0.25)
    assert shapely.area(shapely.symmetric_difference(found.geometry.values, frame.geometry.values)).max() < 1


def frames_of(count):
    """Far apart, so that every frame is of its own."""
    for i in range(count):
        yield polygonize(MASK, (30, 5, 4e5 + 1000 * i, 5, -30, 5.2e6), 32633, SCHEME, source=f"{i}.tif")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_become_one_file(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    seen = []
    write_polygons(frames_of(4), path, lambda: seen.append(True) or SCHEME)
    assert seen == [True]
    found = read(path).to_crs(32633)
    expected = pandas.concat(frames_of(4), ignore_index=True)
    assert sorted(found["source"]) == sorted(expected["source"])
    np.testing.assert_allclose(found.total_bounds, expected.total_bounds, atol=0.01)
    assert path.with_suffix(".qml").exists()
    if suffix == ".parquet":
        about = json.loads(pyarrow.parquet.read_metadata(path).metadata[b"geo"])
        np.testing.assert_allclose(about["columns"]["geometry"]["bbox"], expected.total_bounds)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".geojson"])
def test_frames_do_not_pile_up(tmp_path, suffix):
    alive = []

    def watched():
        for frame in frames_of(12):
            alive.append(weakref.ref(frame))
            yield frame
            del frame
            gc.collect()
            assert sum(r() is not None for r in alive) <= 3

    gc.freeze()  # what is there already need not be looked at twelve times
    try:
        write_polygons(watched(), tmp_path / f"x{suffix}")
    finally:
        gc.unfreeze()
    assert len(alive) == 12


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("mask.tif", "was cut off")])
def test_what_the_frames_raise_comes_through(tmp_path, suffix, error):
    def failing():
        yield from frames_of(2)
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_polygons(failing(), tmp_path / f"x{suffix}", SCHEME)
    assert not list(tmp_path.iterdir())


def test_shapefile_refuses_as_soon_as_it_is_too_much(tmp_path, monkeypatch):
    taken = []

    def counted():
        for frame in frames_of(1000):
            taken.append(frame)
            yield frame

    monkeypatch.setattr(files, "_SHAPEFILE_BYTES", 3000)
    with pytest.raises(UsageError, match="gpkg"):
        write_polygons(counted(), tmp_path / "x.shp")
    assert len(taken) < 10
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_and_without_crs(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    empty = polygonize(np.full((2, 2), 255, np.uint8), (1, 0, 0, 0, -1, 0))
    write_polygons(empty, path)
    assert len(read(path)) == 0
    write_polygons(cover(crs=None, confidence=None), path)
    found = read(path)
    assert len(found) == len(cover())
    assert found["conf"].isna().all()
    assert found.total_bounds.tolist() == pytest.approx(cover().total_bounds.tolist())


def test_shapefile_has_all_its_parts_and_no_stale_ones(tmp_path):
    path = tmp_path / "cover.shp"
    (tmp_path / "cover.qix").write_bytes(b"index of the file before")
    write_polygons(cover(), path, SCHEME)
    assert {p.suffix for p in tmp_path.iterdir()} == {".shp", ".shx", ".dbf", ".prj", ".cpg", ".qml", ".sld"}
    assert path.with_suffix(".cpg").read_text() == "UTF-8"
    write_polygons(cover(crs=None), path)
    assert not path.with_suffix(".prj").exists()


def test_shapefile_says_what_it_cuts(tmp_path):
    said = []
    write_polygons(cover(source="ü" * 200), tmp_path / "cover.shp", warn=said.append)
    assert len(said) == 1
    assert "source" in said[0]
    assert set(geopandas.read_file(tmp_path / "cover.shp")["source"]) == {"ü" * 127}


def test_shapefile_refuses_two_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_SHAPEFILE_BYTES", 1000)
    with pytest.raises(UsageError, match="gpkg"):
        write_polygons(cover(), tmp_path / "cover.shp")
    assert not list(tmp_path.iterdir())


def test_shapefile_size_is_foreseen(tmp_path, monkeypatch):
    frame = cover()
    path = tmp_path / "cover.shp"
    write_polygons(frame, path)
    largest = max(path.stat().st_size, path.with_suffix(".dbf").stat().st_size)
    monkeypatch.setattr(files, "_SHAPEFILE_BYTES", largest - 1)
    with pytest.raises(UsageError):
        write_polygons(frame, path)


def test_geopackage_carries_its_style(tmp_path):
    write_polygons(cover(), tmp_path / "cover.gpkg", SCHEME)
    with sqlite3.connect(tmp_path / "cover.gpkg") as database:
        rows = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
        column = database.execute("SELECT column_name FROM gpkg_geometry_columns").fetchone()[0]
    assert [r[:3] for r in rows] == [("cover", column, 1)]
    assert rows[0][3] == (tmp_path / "cover.qml").read_text(encoding="utf-8")


def test_geojson_follows_rfc_7946(tmp_path):
    write_polygons(cover(), tmp_path / "cover.geojson")
    data = json.loads((tmp_path / "cover.geojson").read_text(encoding="utf-8"))
    assert "crs" not in data
    for feature in data["features"]:
        outer, *holes = feature["geometry"]["coordinates"]
        assert shapely.LinearRing(outer).is_ccw
        assert not any(shapely.LinearRing(h).is_ccw for h in holes)


def test_other_worlds_have_no_geojson(tmp_path):
    with pytest.raises(UsageError, match="WGS 84"):
        write_polygons(cover(crs="IAU_2015:49910"), tmp_path / "mars.geojson")
    assert not list(tmp_path.iterdir())
    write_polygons(cover(crs="IAU_2015:49910"), tmp_path / "mars.gpkg")


@pytest.mark.parametrize("name", ["cover", "cover.kml", "cover.tif"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.gpkg"):
        write_polygons(cover(), tmp_path / name)


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match="folder"):
        write_polygons(cover(), tmp_path / "no" / "cover.gpkg")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"cover{suffix}"
    write_polygons(cover(), path, SCHEME)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fails_at_the_end(original):
        def write(*args, **options):
            original(*args, **options)
            raise KeyboardInterrupt

        return write

    monkeypatch.setattr(files, "_write", fails_at_the_end(files._write))
    monkeypatch.setattr(files, "write_geoparquet", fails_at_the_end(files.write_geoparquet))
    with pytest.raises(KeyboardInterrupt):
        write_polygons(cover(), path, SCHEME)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_styles_escape_names(tmp_path):
    write_polygons(cover(), tmp_path / "cover.gpkg", SCHEME)
    labels = [c.get("value") for c in ElementTree.parse(tmp_path / "cover.qml").iter("category")]
    assert labels == list(SCHEME.names)
    namespaces = {"ogc": "http://www.opengis.net/ogc"}
    literals = ElementTree.parse(tmp_path / "cover.sld").findall(".//ogc:Literal", namespaces)
    assert [e.text for e in literals] == list(SCHEME.names)
