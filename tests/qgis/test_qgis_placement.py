"""Results lie on what they were made of, also where QGIS draws a raster otherwise than its rows run."""

from __future__ import annotations

import json
import math

import pytest

ROTATED = (500_000.0, 1.6, 1.2, 5_000_000.0, 1.2, -1.6)  # pixels of 2 m, turned by 36.9 degrees


@pytest.fixture
def picture(qgis_app, tmp_path):
    """Write a raster of bytes, dark but for a bright block of columns 40 to 59, rows 10 to 29."""
    from osgeo import gdal, osr

    def write(name, place=None, epsg=None, width=96, height=80, points=False):
        path = str(tmp_path / name)
        driver = gdal.GetDriverByName("GTiff" if name.endswith(".tif") else "MEM")
        data = driver.Create("" if name.endswith(".png") else path, width, height, 3, gdal.GDT_Byte)
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(epsg or 32632)
        if place:
            data.SetGeoTransform(place)
        if points:
            corners = [(0, 0), (width, 0), (0, height)]
            data.SetGCPs([gdal.GCP(5e5 + x, 5e6 - y, 0, x, y) for x, y in corners], reference.ExportToWkt())
        elif epsg:
            data.SetProjection(reference.ExportToWkt())
        bright = bytes(40) + b"\xe6" * 20 + bytes(width - 60)
        for band in (1, 2, 3):
            rows = b"".join(bright if 10 <= y < 30 else bytes(width) for y in range(height))
            data.GetRasterBand(band).WriteRaster(0, 0, width, height, rows)
        if name.endswith(".png"):
            gdal.GetDriverByName("PNG").CreateCopy(path, data)
        data = None
        return path

    return write


def layer_of(path):
    from qgis.core import QgsRasterLayer

    made = QgsRasterLayer(path, "picture")
    assert made.isValid()
    return made


def read(path):
    """Size and bytes of band 1."""
    from osgeo import gdal

    data = gdal.Open(path)
    return (data.RasterXSize, data.RasterYSize), bytes(data.GetRasterBand(1).ReadRaster())


PLACES = [
    ("rotated.tif", ROTATED, 32632),
    ("north_down.tif", (500_000.0, 2.0, 0.0, 5_000_000.0, 0.0, 2.0), 32632),
    ("mirrored.tif", (500_000.0, -2.0, 0.0, 5_000_000.0, 0.0, -2.0), 32632),
    ("north_up.tif", (500_000.0, 2.0, 0.0, 5_000_000.0, 0.0, -2.0), 32632),
    ("rotated_no_crs.tif", ROTATED, None),
    ("plain.tif", None, None),
    ("plain.png", None, None),
    ("plain_with_crs.tif", None, 32632),
]


@pytest.mark.parametrize("case", PLACES, ids=lambda c: c[0])
def test_the_grid_is_the_files_where_the_layer_is_drawn(package, picture, case):
    """Pixels are found where QGIS draws them: it shows the bright block in the box of its window."""
    from qgis.core import QgsPointXY, QgsRectangle

    module = package("pixel_grid")
    layer = layer_of(picture(*case))
    grid = module.pixel_grid(layer)
    assert (grid.width, grid.height, grid.by_points) == (96, 80, False)
    assert grid.plain == (case[1] is None)
    # QGIS 3.44 turns the extent of a raster mirrored from east to west inside out, and draws nothing of it.
    drawn = layer.extent().xMinimum() < layer.extent().xMaximum()
    assert drawn or case[0] == "mirrored.tif"
    for column, row, value in ((45.5, 12.5, 230), (58.5, 28.5, 230), (41.5, 35.5, 0), (20.5, 12.5, 0)):
        x, y, *_ = grid.box_of(column, row, 0, 0)
        assert not drawn or layer.dataProvider().sample(QgsPointXY(x, y), 1) == (value, True)
    box = grid.box_of(40, 10, 20, 20)
    left, top, width, height = grid.window(QgsRectangle(*box))
    assert left <= 40 < 60 <= left + width
    assert top <= 10 < 30 <= top + height
    if not grid.turned:
        assert (left, top, width, height) == (40, 10, 20, 20)
        corners = {(x, y) for x in (left, left + width) for y in (top, top + height)}
        assert len(corners) == 4


def test_windows_of_a_turned_raster_are_those_around_the_box(package, picture):
    from qgis.core import QgsRectangle

    grid = package("pixel_grid").pixel_grid(layer_of(picture("rotated.tif", ROTATED, 32632)))
    x, y, *_ = grid.box_of(50, 20, 0, 0)
    left, top, width, height = grid.window(QgsRectangle(x - 5, y - 5, x + 5, y + 5))
    reach = math.ceil(5 * (0.8 + 0.6) / 2)  # half a diagonal of the box, in pixels of 2 m
    assert (left, top) == (50 - reach, 20 - reach)
    assert (width, height) == (2 * reach, 2 * reach)
    assert grid.window(QgsRectangle(0, 0, 1, 1))[2] < 1


def test_rasters_placed_by_points_are_refused(package, picture):
    layer = layer_of(picture("points.tif", points=True))
    assert "warp it first" in package("algorithms.sources").raster_refusal(layer)


@pytest.mark.parametrize("case", PLACES, ids=lambda c: c[0])
def test_scenes_are_squares_of_the_files_pixels(package, picture, case):
    """As the engine cuts them, also where QGIS draws the rows otherwise."""
    layer = layer_of(picture(*case))
    scenes = package("scenes.layer")
    made = scenes.new_scene_layer(scenes.grid_of(layer, 32), "picture", layer.crs())
    assert made.featureCount() == 9
    grid = package("pixel_grid").pixel_grid(layer)
    for feature in made.getFeatures():
        west, south, east, north = grid.box_of(feature["col"], feature["row"], 32, 32)
        box = feature.geometry().boundingBox()
        found = box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
        assert found == pytest.approx((west, south, east, north))
        assert feature.geometry().area() == pytest.approx(32 * 32 * (1 if grid.plain else 4))


def polygon_box(path, where=""):
    from qgis.core import QgsVectorLayer

    layer = QgsVectorLayer(path, "polygons", "ogr")
    assert layer.isValid()
    layer.setSubsetString(where)
    return layer.extent()


@pytest.fixture
def mask(picture, tmp_path):
    """Write a mask of class 1 where the picture is bright, 0 elsewhere, without a name for either."""
    from osgeo import gdal

    def write(name, place=None, epsg=None):
        path = picture(name, place, epsg)
        bright = tmp_path / f"mask_{name}"
        gdal.Translate(str(bright), path, bandList=[1], scaleParams=[[0, 230, 0, 1]], format="GTiff")
        return str(bright)

    return write


@pytest.mark.parametrize(("case", "suffix"), [(PLACES[0], "gpkg"), (PLACES[5], "shp")], ids=lambda c: c[0])
def test_polygons_lie_on_the_mask(package, qgis_run, real_engine, mask, tmp_path, case, suffix):
    layer = layer_of(mask(*case))
    grid = package("pixel_grid").pixel_grid(layer)
    outputs, _, _ = qgis_run("vectorize", {"INPUT": layer.source(), "OUTPUT": str(tmp_path / f"polygons.{suffix}")})
    assert outputs["POLYGON_COUNT"] == 2
    box = polygon_box(outputs["OUTPUT"], '"class_id" = 1')
    found = box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
    assert found == pytest.approx(grid.box_of(40, 10, 20, 20), abs=1e-3)


@pytest.mark.parametrize("case", PLACES, ids=lambda c: c[0])
def test_what_the_engine_is_asked_for(package, provider, picture, tmp_path, case):
    """A whole raster, a part of it, and the box that is wanted, in the coordinates in which the engine sees it."""
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject, QgsRectangle

    layer = layer_of(picture(*case))
    grid = package("pixel_grid").pixel_grid(layer)
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    box = QgsRectangle(*grid.box_of(40, 10, 20, 20))

    def asked(**more):
        algorithm = provider.algorithm("segment").create()
        parameters = {"INPUT": layer.source(), "MODEL": "m.safetensors", **more}
        found = algorithm.sources(parameters, context, QgsProcessingFeedback())
        return found["rasters"][0], found.get("aoi")

    whole, nothing = asked()
    assert nothing is None
    assert whole == (f"vrt://{layer.source()}?a_ullr=0,0,96,-80" if grid.plain else layer.source())
    exact = ",".join(repr(v) for v in (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()))
    assert asked(EXTENT=box) == (whole, exact)
    part, wanted = asked(EXTENT=box, CLIP=True)
    assert wanted == (exact if grid.turned else None)
    left, top, width, height = grid.window(box)
    assert f"srcwin={left},{top},{width},{height}" in part
    assert part.endswith("&a_ullr=40,-10,60,-30") == grid.plain


@pytest.mark.parametrize("case", [PLACES[0], PLACES[6]], ids=lambda c: c[0])
def test_an_extent_is_segmented_where_it_lies(package, qgis_run, real_engine, model, picture, tmp_path, case):
    """Where the results are valid is where the extent is, and polygons, mask and confidence agree on it."""
    from qgis.core import QgsPointXY, QgsRasterLayer, QgsRectangle

    layer = layer_of(picture(*case))
    grid = package("pixel_grid").pixel_grid(layer)
    x, y, *_ = grid.box_of(50, 20, 0, 0)
    side = 16.0 if grid.plain else 32.0
    box = QgsRectangle(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    parameters = {
        "INPUT": layer.source(), "MODEL": model, "EXTENT": box, "CLIP": True, "RESAMPLE": False, "WINDOW": 64,
        "OUTPUT": str(tmp_path / "m.tif"), "POLYGONS": str(tmp_path / "p.gpkg"),
        "CONFIDENCE": str(tmp_path / "c.tif"), "CAM": None, "REPORT": None,
    }  # fmt: skip
    outputs, _, _ = qgis_run("segment", parameters)
    covered = polygon_box(outputs["POLYGONS"])
    found = covered.xMinimum(), covered.yMinimum(), covered.xMaximum(), covered.yMaximum()
    wanted = box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()
    assert found == pytest.approx(wanted, abs=2.9)  # a pixel's diagonal
    mask = QgsRasterLayer(outputs["OUTPUT"], "mask")
    inside, beside = QgsPointXY(x, y), QgsPointXY(x + 1.5 * side, y)
    assert mask.dataProvider().sample(inside, 1)[1]
    assert not mask.dataProvider().sample(beside, 1)[1]
    size, values = read(outputs["OUTPUT"])
    assert size != (96, 80)
    assert sum(v != 255 for v in values) == pytest.approx(256, abs=40)
    own = package("pixel_grid").pixel_grid(mask)
    assert own.place[1:3] + own.place[4:] == pytest.approx(grid.place[1:3] + grid.place[4:])
    assert sum(json.loads(outputs["AREAS"]).values()) == pytest.approx(256 * (1 if grid.plain else 4), rel=0.2)
    confident = package("confident").confident_layer(mask, outputs["CONFIDENCE"], str(tmp_path / "both.vrt"), "both")
    assert confident.isValid()
    assert confident.extent() == mask.extent()
    assert confident.dataProvider().sample(inside, 1)[1]


def test_polygons_drawn_on_a_plain_image_are_the_area_and_the_reference(
    package, qgis_run, real_engine, model, picture, mask, tmp_path
):
    from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsVectorLayer

    drawn = QgsVectorLayer("Polygon?field=class:string", "drawn", "memory")
    feature = QgsFeature(drawn.fields())
    feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(40, -30, 60, -10)))  # around the bright block
    feature.setAttribute("class", "1")
    drawn.dataProvider().addFeature(feature)
    drawn.updateExtents()
    QgsProject.instance().addMapLayer(drawn)
    parameters = {
        "INPUT": picture("plain.png"), "MODEL": model, "AOI": drawn.id(), "RESAMPLE": False, "WINDOW": 64,
        "OUTPUT": str(tmp_path / "m.tif"), "POLYGONS": None, "CONFIDENCE": None, "CAM": None, "REPORT": None,
    }  # fmt: skip
    outputs, _, _ = qgis_run("segment", parameters)
    _, values = read(outputs["OUTPUT"])
    assert [i for i, v in enumerate(values) if v != 255] == [
        row * 96 + column for row in range(10, 30) for column in range(40, 60)
    ]
    scored, _, _ = qgis_run(
        "evaluate",
        {"PREDICTION": mask("plain.tif"), "REFERENCE_POLYGONS": drawn.id(), "FIELD": "class", "REPORT": None},
    )
    assert json.loads(scored["IOU"])["1"] == 1.0
    QgsProject.instance().removeMapLayer(drawn.id())


@pytest.mark.parametrize("case", [PLACES[3], PLACES[5]], ids=lambda c: c[0])
def test_a_raster_is_not_written_over_by_its_own_mask(qgis_run, fake_engine, picture, tmp_path, case):
    from qgis.core import QgsProcessingException, QgsRectangle

    fake_engine("good")
    path, model = picture(*case), tmp_path / "m.safetensors"
    model.touch()
    before = read(path)
    box = layer_of(path).extent()
    box = QgsRectangle(box.xMinimum(), box.yMinimum(), box.xMinimum() + 20, box.yMinimum() + 20)
    parameters = {"INPUT": path, "MODEL": str(model), "EXTENT": box, "CLIP": True, "OUTPUT": path}
    with pytest.raises(QgsProcessingException, match="is an input"):
        qgis_run("segment", parameters)
    assert read(path) == before
