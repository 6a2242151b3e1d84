"""Scenes and tags: the store, the grid, the layer, the algorithm, and the way into the engine's tile sets."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tags(package):
    return package("scenes.tags")


@pytest.fixture
def store(tags):
    """A store of five untagged scenes and the list of what it wrote."""
    written = []
    made = tags.TagStore(("water", "field"), [None] * 5, lambda scene, names: written.append((scene, names)))
    return made, written


def test_toggle_counts_undo_and_redo(store):
    tags, written = store
    tags.toggle(0, "field")
    tags.toggle(0, "water")
    tags.set(1, ())
    assert [tags[i] for i in range(3)] == [("water", "field"), (), None]
    assert (tags.tagged, tags.count("water"), tags.count("field")) == (2, 1, 1)
    assert [tags.undo() for _ in range(4)] == [1, 0, 0, None]
    assert [tags[i] for i in range(3)] == [None, None, None]
    assert (tags.tagged, tags.count("water"), tags.can_undo, tags.can_redo) == (0, 0, False, True)
    assert [tags.redo() for _ in range(4)] == [0, 0, 1, None]
    assert (tags[0], tags[1], tags.tagged) == (("water", "field"), (), 2)
    tags.undo()
    tags.toggle(4, "water")  # a new change ends what could be done again
    assert not tags.can_redo
    assert len(written) == 3 + 3 + 3 + 1 + 1


def test_without_its_last_class_a_scene_is_untagged_again(store):
    tags, written = store
    tags.toggle(2, "water")
    tags.toggle(2, "water")
    assert tags[2] is None
    tags.set(2, None)
    assert written == [(2, ("water",)), (2, None)]  # no change, nothing written


def test_what_cannot_be_written_changes_nothing(tags):
    def write(scene, names):
        raise OSError("disk full")

    made = tags.TagStore(("a",), [None, ("a",)], write)
    with pytest.raises(OSError, match="disk full"):
        made.toggle(0, "a")
    assert (made[0], made.tagged, made.count("a"), made.can_undo) == (None, 1, 1, False)


def test_where_to_go_next(store):
    tags, _ = store
    assert tags.next_untagged(4) == 0
    for scene in (0, 1, 3):
        tags.set(scene, ("water",))
    assert [tags.next_untagged(i) for i in range(5)] == [2, 2, 4, 4, 2]
    assert tags.least_certain({0: 0.1, 2: 0.9, 4: 0.5}) == 4
    assert tags.least_certain({0: 0.1}) is None
    tags.set(2, ())
    tags.set(4, ())
    assert tags.next_untagged(0) is None


@pytest.mark.parametrize("names", [None, (), ("a",), ("a", "b c"), ("a;b", "c"), ("[x",), ("ä", "b|c")])
def test_tags_survive_their_text(tags, names):
    assert tags.tags_from_text(tags.tags_to_text(names)) == names


def test_text_of_other_hands(tags):
    assert tags.tags_from_text(" water, field |x;; water") == ("water", "field", "x")
    for broken in ("[", "[1]", "[" * 5000):
        with pytest.raises(tags.TagTextError):
            tags.tags_from_text(broken)


def test_grid_covers_the_raster_with_the_engines_windows(package):
    grid = package("scenes.grid").SceneGrid(80, 96, 32, (500_000.0, 1.0, 0.0, 5_000_000.0, 0.0, -1.0))
    scenes = list(grid.scenes("s"))
    assert (len(grid), grid.shape, len(scenes)) == (9, (3, 3), 9)
    assert [(s.row, s.col) for s in scenes[-3:]] == [(48, 0), (48, 32), (48, 64)]
    last = scenes[-1]
    assert last.name == "s_r48_c64"
    assert last.corners[0] == (500_064, 4_999_952)
    assert last.corners[2] == (500_096, 4_999_920)
    small = package("scenes.grid").SceneGrid(20, 10, 32, (0.0, 1.0, 0.0, 20.0, 0.0, -1.0))
    (only,) = small.scenes("s")
    assert only.corners == ((0, 20), (10, 20), (10, 0), (0, 0))


@pytest.fixture
def clean(qgis_app):
    """The project, empty before and after."""
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield QgsProject.instance()
    QgsProject.instance().clear()


@pytest.fixture
def scheme(package):
    return package("scenes.layer").ClassScheme.from_names(["water", "field", "two; words"])


def grid_layer(package, path, size=32):
    from qgis.core import QgsRasterLayer

    raster = QgsRasterLayer(path, "scene")
    layers = package("scenes.layer")
    return layers.new_scene_layer(layers.grid_of(raster, size), raster.name(), raster.crs())


def test_a_layer_keeps_tags_nothing_and_untagged_apart(package, clean, raster, scheme, tmp_path):
    layers, sessions = package("scenes.layer"), package("scenes.session")
    path = str(tmp_path / "scenes.gpkg")
    layer = layers.save_scenes(grid_layer(package, raster()), path, scheme)
    session = sessions.TagSession(layer, scheme)
    assert (len(session.scenes), session.current, session.layer.size()) == (9, 0, 32)
    session.toggle(0)
    session.toggle(2)
    session.next_untagged()
    session.set_tags(())
    del session, layer
    again = sessions.TagSession(layers.open_scenes(path))
    assert [s.tags for s in again.scenes[:3]] == [("water", "two; words"), (), None]
    assert again.names == scheme.names  # from the file beside it
    assert (again.current, again.store.tagged) == (2, 2)
    assert not list(tmp_path.glob("*.part*"))


def test_steps_through_the_grid(package, clean, raster):
    sessions = package("scenes.session")
    session = sessions.TagSession(grid_layer(package, raster()))
    seen = []
    for move, by in (("step", -1), ("step", 1), ("row_step", 1), ("row_step", 1), ("row_step", 1), ("row_step", -1)):
        getattr(session, move)(by)
        seen.append(session.current)
    assert seen == [0, 1, 4, 7, 7, 4]
    assert session.find(500_033.0, 4_999_999.0) == 1
    assert session.find(500_033.0, 4_999_951.0) == 7  # two scenes overlap: the one that begins last
    assert session.find(0.0, 0.0) is None
    session.add_class("road")
    session.toggle(0)
    assert session.tags == ("road",)
    session.step(1)
    assert session.undo()
    assert (session.current, session.tags) == (4, None)


def test_a_feature_that_is_gone_is_said(package, clean, raster, scheme):
    layers, sessions = package("scenes.layer"), package("scenes.session")
    layer = grid_layer(package, raster())
    session = sessions.TagSession(layer, scheme)
    layer.dataProvider().deleteFeatures([session.scenes[0].fid])
    with pytest.raises(layers.SceneLayerError, match="cannot be written"):
        session.toggle(0)
    assert session.store[0] is None


def test_layers_that_are_none_of_scenes_are_refused(package, clean, tmp_path):
    from qgis.core import QgsVectorLayer

    layers = package("scenes.layer")
    for uri in ("Point?field=tags:string", "Polygon?field=name:string", "Polygon?field=tags:integer"):
        with pytest.raises(layers.SceneLayerError, match="no layer of scenes"):
            layers.SceneLayer(QgsVectorLayer(uri, "x", "memory"))
    (tmp_path / "x.gpkg").write_bytes(b"no")
    for name, words in (("x.gpkg", "cannot be read"), ("y.gpkg", "does not exist")):
        with pytest.raises(layers.SceneLayerError, match=words):
            layers.open_scenes(str(tmp_path / name))


def test_a_file_that_the_project_shows_is_not_replaced(package, clean, raster, scheme, tmp_path):
    layers, path = package("scenes.layer"), str(tmp_path / "scenes.gpkg")
    clean.addMapLayer(layers.save_scenes(grid_layer(package, raster()), path, scheme))
    with pytest.raises(layers.SceneLayerError, match="open in the project"):
        layers.save_scenes(grid_layer(package, raster()), path, scheme)
    with pytest.raises(layers.SceneLayerError, match="cannot be written"):
        layers.save_scenes(grid_layer(package, raster()), str(tmp_path / "no" / "s.gpkg"), scheme)


def test_certainty_is_the_mean_of_the_confidence_raster(package, clean, raster, tmp_path):
    from osgeo import gdal
    from qgis.core import QgsRasterLayer

    path = raster("confidence.tif", bands=1)
    data = gdal.Open(path, gdal.GA_Update)
    data.GetRasterBand(1).SetNoDataValue(0)
    rows = b"".join(bytes([0 if x < 32 else 100 if x < 64 else 200]) for y in range(80) for x in range(96))
    data.GetRasterBand(1).WriteRaster(0, 0, 96, 80, rows)
    data.FlushCache()
    del data
    session = package("scenes.session").TagSession(grid_layer(package, raster()))
    boxes = session.open_boxes()
    measure = package("scenes.certainty").scene_certainty
    found = dict(measure(QgsRasterLayer(path, "c"), boxes, session.layer.layer.crs()))
    assert [found[i] for i in range(3)] == [None, pytest.approx(100), pytest.approx(200)]
    session.certainty = {i: v for i, v in found.items() if v is not None}
    assert session.least_certain()
    assert session.current == 1
    session.least_certain()
    assert session.current == 4  # the first was left untagged: not again before the others


def test_the_algorithm_makes_the_same_grid(qgis_run, package, clean, raster, tmp_path):
    from qgis.core import QgsVectorLayer

    outputs, _, _ = qgis_run("scene_grid", {"INPUT": raster(), "SIZE": 32, "OUTPUT": str(tmp_path / "grid.gpkg")})
    assert outputs["COUNT"] == 9
    made = QgsVectorLayer(outputs["OUTPUT"], "grid", "ogr")
    expected = grid_layer(package, raster())
    assert [f.geometry().asWkt() for f in made.getFeatures()] == [f.geometry().asWkt() for f in expected.getFeatures()]
    assert made.crs() == expected.crs()
    session = package("scenes.session").TagSession(made)
    assert (len(session.scenes), session.store.tagged, session.layer.size()) == (9, 0, 32)


TILES = """
import json, sys
from pathlib import Path
from wsss_geo.tileset.index import read_tileset
tiles = read_tileset(Path(sys.argv[1])).tiles
print(json.dumps({t: list(n) if g else None for t, n, g in zip(tiles.tile_id, tiles.tags, tiles.tagged)}))
"""


@pytest.mark.parametrize("crs", ["EPSG:32632", None])
def test_tags_go_into_the_engines_tile_set_and_no_others(package, clean, raster, engine_python, tmp_path, crs):
    """Through the command line, while QGIS has the file open; 80 rows in scenes of 32: the last row is shifted."""
    from osgeo import gdal
    from qgis.core import QgsVectorLayer

    layers, sessions = package("scenes.layer"), package("scenes.session")
    scene = raster()
    if crs is None:
        gdal.Translate(str(tmp_path / "plain.png"), scene, format="PNG")
        Path(f"{tmp_path}/plain.png.aux.xml").unlink(missing_ok=True)
        scene = str(tmp_path / "plain.png")
    scheme = layers.ClassScheme.from_names(["background", "water", "field"])
    path = str(tmp_path / "scenes.gpkg")
    layer = layers.save_scenes(grid_layer(package, scene), path, scheme)
    clean.addMapLayer(layer)
    session = sessions.TagSession(layer, scheme)
    assert session.names == ("water", "field")  # the background is no tag
    for place, tags in ((0, ("water",)), (4, ()), (7, ("water", "field")), (8, ("field",))):
        session.go(place)
        session.set_tags(tags)
    assert isinstance(layer, QgsVectorLayer)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ["tile", scene, "--tags", path, "--size", "32", "--val", "0", "--out", str(tmp_path / "tiles")]
    command = [engine_python, "-c", "from wsss_geo.cli import main; main()", *words]
    command += ["--classes", str(layers.classes_path(path))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    read = [engine_python, "-c", TILES, str(tmp_path / "tiles")]
    found = json.loads(subprocess.run(read, env=environment, capture_output=True, check=True).stdout)
    stem = Path(scene).stem
    assert {tile: tags for tile, tags in found.items() if tags is not None} == {
        f"{stem}_r0_c0": ["water"],
        f"{stem}_r32_c32": [],
        f"{stem}_r48_c32": ["water", "field"],
        f"{stem}_r48_c64": ["field"],
    }
    assert len(found) == 9
