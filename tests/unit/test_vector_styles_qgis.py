"""The styles, read by the oldest QGIS that is supported."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio

from wsss_geo.classes import ClassScheme, LandCoverClass
from wsss_geo.vector import polygonize, write_polygons
from wsss_geo.vector.styles import raster_qml

SCHEME = ClassScheme(
    (
        LandCoverClass(0, "water", "#2b6cb0"),
        LandCoverClass(3, 'Äcker & <"wild">', "#d69e2e"),
        LandCoverClass(9, "林", "#010203"),
    )
)

PROGRAM = """
import json, sys
from qgis.core import QgsApplication, QgsRasterLayer, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
folder = sys.argv[1]
def categories(layer):
    return [[c.value(), c.label(), c.symbol().color().name(), c.symbol().color().alpha()]
            for c in layer.renderer().categories()]
out = {}
for name in ("cover.shp", "cover.gpkg"):  # the style beside it, or within, is found by itself
    layer = QgsVectorLayer(folder + "/" + name, "x", "ogr")
    out[name] = [layer.isValid(), layer.featureCount(), categories(layer), layer.renderer().classAttribute()]
layer = QgsVectorLayer(folder + "/cover.shp", "x", "ogr")
message, ok = layer.loadSldStyle(folder + "/cover.sld")
rules = layer.renderer().rootRule().children()
out["sld"] = [ok, [[r.label(), r.filterExpression(), r.symbol().color().name()] for r in rules]]
raster = QgsRasterLayer(folder + "/mask.tif", "m")
message, ok = raster.loadNamedStyle(folder + "/style.qml")
out["raster"] = [ok, raster.renderer().type(),
                 [[c.value, c.label, c.color.name()] for c in raster.renderer().classes()]]
print("RESULT" + json.dumps(out))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    probe = subprocess.run(
        ["/usr/bin/env", "PYTHONPATH=", "/usr/bin/python3", "-c", "import qgis.core"], capture_output=True
    )
    if probe.returncode:
        pytest.skip("QGIS is not installed for /usr/bin/python3")
    folder: Path = tmp_path_factory.mktemp("styles")
    mask = np.array([[0, 0, 3], [9, 3, 3]], np.uint8)
    frame = polygonize(mask, (1, 0, 5e5, 0, -1, 5e6), 32631, SCHEME)
    write_polygons(frame, folder / "cover.shp", SCHEME)
    write_polygons(frame, folder / "cover.gpkg", SCHEME)
    with rasterio.open(folder / "mask.tif", "w", driver="GTiff", width=3, height=2, count=1, dtype="uint8") as dataset:
        dataset.write(mask, 1)
    (folder / "style.qml").write_text(raster_qml(SCHEME), encoding="utf-8")
    done = subprocess.run(
        ["/usr/bin/python3", "-c", PROGRAM, str(folder)], capture_output=True, text=True, timeout=120,
        env={"QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, done.stderr
    return json.loads(lines[0][len("RESULT") :])


@pytest.mark.parametrize("name", ["cover.shp", "cover.gpkg"])
def test_polygons_open_in_class_colours(seen, name):
    expected = [[c.name, c.name, c.color, 153] for c in SCHEME.classes]
    assert seen[name] == [True, 3, expected, "class"]


def test_sld_has_one_rule_a_class(seen):
    expected = [[c.name, f"class = '{c.name}'", c.color] for c in SCHEME.classes]
    ok, rules = seen["sld"]
    assert ok
    assert [[label, text.replace('"class"', "class"), color] for label, text, color in rules] == expected


def test_mask_opens_with_its_palette(seen):
    assert seen["raster"] == [True, "paletted", [[c.id, c.name, c.color] for c in SCHEME.classes]]
