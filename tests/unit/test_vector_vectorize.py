"""The vectorize job: a mask raster in, polygons and a record out."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine

from hearing import Hearing
from wsss_geo.classes import ClassScheme, write_classes
from wsss_geo.errors import InputError, UsageError
from wsss_geo.jobs import VectorizeJob
from wsss_geo.raster.mask_classes import read_mask_classes
from wsss_geo.tracing import cam_labels
from wsss_geo.tracing import run as vectorize
from wsss_geo.vector import polygonize

SCHEME = ClassScheme.from_names(["water", "Wald", "道路"])
TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)


def labels(height=70, width=50):
    mask = np.random.default_rng(1).integers(0, 3, (height // 5, width // 5)).repeat(5, 0).repeat(5, 1).astype(np.uint8)
    mask[10:20, 10:30] = 255
    mask[40, 40] = (mask[40, 40] + 1) % 3
    return mask


def save(path, array, nodata=255, crs="EPSG:32633", transform=TRANSFORM, **options):
    bands = array[None] if array.ndim == 2 else array
    with rasterio.open(
        path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands), dtype=array.dtype,
        nodata=nodata, crs=crs, transform=transform, tiled=True, blockxsize=16, blockysize=16, **options,
    ) as dataset:  # fmt: skip
        dataset.write(bands)
    return path


def run(report=None, **fields):
    return vectorize.run(VectorizeJob(**{k: str(v) if k in ("mask", "out", "classes", "confidence") else v
                                         for k, v in fields.items()}), report or Hearing())  # fmt: skip


def test_same_as_polygonize(tmp_path, monkeypatch):
    monkeypatch.setattr(vectorize, "_BAND_PIXELS", 1000)  # many bands
    mask = labels()
    confidence = np.random.default_rng(2).integers(0, 256, mask.shape).astype(np.uint8)
    save(tmp_path / "cover.tif", mask)
    save(tmp_path / "sure.tif", confidence, nodata=None)
    write_classes(SCHEME, tmp_path / "classes.json")
    report = Hearing()
    result = run(
        report, mask=tmp_path / "cover.tif", out=tmp_path / "cover.parquet", classes=tmp_path / "classes.json",
        confidence=tmp_path / "sure.tif", min_area=0.5, simplify=1.0,
    )  # fmt: skip
    found = geopandas.read_parquet(tmp_path / "cover.parquet")
    expected = polygonize(
        mask, TRANSFORM, 32633, SCHEME, confidence, min_area_px=2, simplify_px=1.0, source="cover.tif"
    )
    assert found.drop(columns="geometry").equals(expected.drop(columns="geometry"))
    assert found.geom_equals_exact(expected, 0).all()
    assert result.count == len(expected) < len(polygonize(mask, TRANSFORM))
    assert result.area_m2 == pytest.approx(expected.groupby("class")["area_m2"].sum().to_dict())
    stages = {fields["stage"] for kind, fields in report.heard if kind == "progress"}
    assert stages == {"regions", "tracing"}
    record = json.loads((tmp_path / "cover.parquet.json").read_text(encoding="utf-8"))
    assert record["result"]["count"] == result.count
    assert record["command"].startswith("wsss-geo vectorize")


def test_min_area_is_in_square_metres(tmp_path):
    save(tmp_path / "cover.tif", labels())
    counts = [
        run(mask=tmp_path / "cover.tif", out=tmp_path / "a.gpkg", min_area=a).count for a in (0.25, 0.26, 6.2, 6.3)
    ]
    assert counts[0] == counts[1] + 1  # the lonely pixel has 0.25 m2
    assert counts[1] == counts[2] > counts[3]  # cells have 6.25 m2


def test_masked_pixels_and_other_nodata(tmp_path):
    mask = labels()
    mask[mask == 255] = 9
    save(tmp_path / "cover.tif", mask.astype(np.int16), nodata=9)
    result = run(mask=tmp_path / "cover.tif", out=tmp_path / "a.gpkg")
    found = geopandas.read_file(tmp_path / "a.gpkg", layer="a")
    assert set(found["class_id"]) == {0, 1, 2}
    assert result.count == len(polygonize(labels(), TRANSFORM))


def test_names_from_the_mask(tmp_path):
    path = save(tmp_path / "cover.tif", labels())
    assert read_mask_classes(str(path)) is None
    write_classes(ClassScheme.from_names(["p", "q"]), tmp_path / "classes.json")
    assert read_mask_classes(str(path)).names == ("p", "q")
    (tmp_path / "cover.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><CategoryNames><Category>See &amp; Fluß</Category><Category/>'
        "<Category>rue</Category></CategoryNames></PAMRasterBand></PAMDataset>",
        encoding="utf-8",
    )
    scheme = read_mask_classes(str(path))
    assert (scheme.names, scheme.ids) == (("See & Fluß", "rue"), (0, 2))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(WSSS_GEO_CLASSES=json.dumps(SCHEME.to_json()))
    assert read_mask_classes(str(path)) == SCHEME


def test_colours_of_the_palette(tmp_path):
    path = save(tmp_path / "cover.tif", labels(), photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (1, 2, 3, 255), 1: (4, 5, 6, 255), 2: (7, 8, 9, 255)})
    report = Hearing()
    run(report, mask=path, out=tmp_path / "a.shp")
    assert report.said("warn")
    assert '"1,2,3,153"' in (tmp_path / "a.qml").read_text(encoding="utf-8")
    assert set(geopandas.read_file(tmp_path / "a.shp")["class"]) == {"0", "1", "2"}


def test_without_crs_it_says_so(tmp_path):
    save(tmp_path / "cover.tif", labels(), crs=None, transform=Affine.identity())
    report = Hearing()
    result = run(report, mask=tmp_path / "cover.tif", out=tmp_path / "a.gpkg", min_area=2)
    assert "square units" in report.said("info")
    assert sum(result.area_m2.values()) == (labels() != 255).sum()


@pytest.mark.parametrize(
    ("array", "message"), [(np.zeros((3, 20, 20), np.uint8), "bands"), (np.zeros((20, 20), np.float32), "float32")]
)
def test_what_is_no_mask(tmp_path, array, message):
    save(tmp_path / "cover.tif", array, nodata=None)
    with pytest.raises(InputError, match=message):
        run(mask=tmp_path / "cover.tif", out=tmp_path / "a.gpkg")


def test_what_does_not_fit(tmp_path):
    save(tmp_path / "cover.tif", labels())
    save(tmp_path / "other.tif", labels(60, 50))
    with pytest.raises(InputError, match="grid"):
        run(mask=tmp_path / "cover.tif", out=tmp_path / "a.gpkg", confidence=tmp_path / "other.tif")
    with pytest.raises(InputError, match="no such file"):
        run(mask=tmp_path / "missing.tif", out=tmp_path / "a.gpkg")
    with pytest.raises(UsageError, match="kml"):
        run(mask=tmp_path / "cover.tif", out=tmp_path / "a.kml")
    assert {p.name for p in tmp_path.iterdir()} == {"cover.tif", "other.tif"}


def soft_maps(kind):
    """Activation maps [2, 12, 10] of two classes that meet half way, cold at the upper edge, unknown in a corner."""
    right = np.linspace(0, 1, 10)[None, :].repeat(12, 0)
    maps = np.stack([right, 1 - right])
    maps[:, :3] *= 0.4
    maps[:, 9:, :2] = 0
    return np.rint(maps * 255).astype(np.uint8) if kind == "uint8" else maps.astype(kind)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_polygons_of_activation_maps(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(cam_labels, "_CELLS", 30)  # many bands
    path = save(tmp_path / "cam.tif", soft_maps(kind), nodata=None)
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("道路", "water")
    write_classes(SCHEME, tmp_path / "classes.json")
    result = run(mask=path, out=tmp_path / "cam.gpkg", from_cam=True, threshold=0.45, detail=4)
    found = geopandas.read_file(tmp_path / "cam.gpkg", layer="cam")
    assert set(found["class"]) == {"道路", "water"}
    assert set(found["class_id"]) == {0, 2}
    assert result.count == len(found) == 2
    assert (found["conf"] > 0.45).all()
    west, east = found.set_index("class").loc[["water", "道路"]].total_bounds[[0, 2]]
    assert (west, east) == (500_000, 500_000 + 10 * 0.5)
    road = found.loc[found["class"] == "道路"].total_bounds
    assert road[0] == pytest.approx(500_000 + 5 * 0.5, abs=0.13)  # they meet in the middle, to a quarter of a cell
    assert road[3] < 5_400_000 - 2 * 0.5  # the cold edge is left out
    assert result.area_m2["Wald"] == 0
    low = run(mask=path, out=tmp_path / "low.gpkg", from_cam=True, threshold=0.0, detail=1)
    assert sum(low.area_m2.values()) == pytest.approx((120 - 6) * 0.25, rel=2e-3)


def test_activation_maps_without_names(tmp_path):
    path = save(tmp_path / "cam.tif", soft_maps("uint8"), nodata=None)
    result = run(mask=path, out=tmp_path / "cam.parquet", from_cam=True)
    assert set(result.area_m2) == {"band 1", "band 2"}
    write_classes(SCHEME, tmp_path / "classes.json")
    with pytest.raises(InputError, match="no class of the scheme"):
        run(mask=path, out=tmp_path / "cam.gpkg", from_cam=True)
    with pytest.raises(UsageError, match="confidence"):
        run(mask=path, out=tmp_path / "cam.gpkg", from_cam=True, confidence=path)
    with pytest.raises(UsageError, match="from-cam"):
        run(mask=path, out=tmp_path / "cam.gpkg", threshold=0.7)
    save(tmp_path / "int.tif", soft_maps("uint8").astype(np.int32), nodata=None)
    with pytest.raises(InputError, match="activation maps"):
        run(mask=tmp_path / "int.tif", out=tmp_path / "int.gpkg", from_cam=True)
