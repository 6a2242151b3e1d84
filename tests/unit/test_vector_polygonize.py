"""Laws of polygons from masks."""

import itertools

import numpy as np
import pandas
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import rasterize
from scipy import ndimage

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.vector import Outlining, polygonize, polygonize_bands, polygonize_stream
from wsss_geo.vector import areas as areas_module
from wsss_geo.vector.coverage import COLUMNS

MASKS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.sampled_from([0, 1, 2, 255])
)
TRANSFORM = Affine(2, 0, 500_000, 0, -2, 5_000_000)
SCHEME = ClassScheme.from_names(["water", "Wald & Flur", "道路"])


def regions(mask, connectivity=4):
    structure = None if connectivity == 4 else np.ones((3, 3))
    return sum(ndimage.label(mask == v, structure)[1] for v in np.unique(mask) if v != 255)


def raster_of(frame, shape, transform):
    if frame.empty:
        return np.full(shape, 255, np.uint8)
    pairs = zip(frame.geometry, frame["class_id"], strict=True)
    return rasterize(pairs, shape, fill=255, transform=transform, dtype="uint8")


def check_coverage(frame, mask, transform=TRANSFORM):
    polygons = frame.geometry.values
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    np.testing.assert_array_equal(raster_of(frame, mask.shape, transform), mask)
    pixel = abs(transform.determinant)
    assert shapely.area(polygons).sum() == pytest.approx(pixel * (mask != 255).sum())


@settings(deadline=None, max_examples=300)
@given(MASKS)
def test_polygons_are_the_regions(mask):
    frame = polygonize(mask, TRANSFORM)
    check_coverage(frame, mask)
    assert len(frame) == regions(mask)
    assert (shapely.get_type_id(frame.geometry.values) == 3).all()


@settings(deadline=None, max_examples=100)
@given(MASKS)
def test_corners_join_under_8_connectivity(mask):
    frame = polygonize(mask, TRANSFORM, connectivity=8)
    check_coverage(frame, mask)
    assert len(frame) == regions(mask, 8)


@settings(deadline=None, max_examples=50)
@given(MASKS, st.data())
def test_bands_change_nothing(mask, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(mask)))) | {0, len(mask)})
    confidence = np.linspace(0, 1, mask.size).reshape(mask.shape)
    bands = [(mask[a:b], confidence[a:b]) for a, b in itertools.pairwise(cuts)]
    for smallest in (0, 3):
        joined = polygonize_bands(lambda: bands, mask.shape[1], Outlining(TRANSFORM, 32631, min_area_px=smallest))
        whole = polygonize(mask, TRANSFORM, 32631, confidence=confidence, min_area_px=smallest)
        assert joined.equals(whole)


def in_order(frame):
    return frame.assign(wkb=shapely.to_wkb(shapely.normalize(frame.geometry.values))).sort_values(
        "wkb", ignore_index=True
    )


@settings(deadline=None, max_examples=150)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 7)), elements=st.sampled_from([0, 1, 2, 255])),
    st.integers(1, 3),
    st.integers(0, 60),
    st.sampled_from([0, 3]),
)
def test_regions_that_come_early_are_the_same(mask, step, corners, smallest):
    confidence = np.linspace(0, 1, mask.size).reshape(mask.shape)
    bands = [(mask[a : a + step], confidence[a : a + step]) for a in range(0, len(mask), step)]
    frames = list(
        polygonize_stream(
            lambda: bands, mask.shape[1], Outlining(TRANSFORM, 32631, SCHEME, min_area_px=smallest), corners
        )
    )
    whole = polygonize(mask, TRANSFORM, 32631, SCHEME, confidence, min_area_px=smallest)
    joined = in_order(pandas.concat(frames, ignore_index=True))
    assert sum(map(len, frames)) == len(whole)
    expected = in_order(whole)
    for column in ("class_id", "class", "source", "model", "wkb"):
        assert joined[column].tolist() == expected[column].tolist()
    np.testing.assert_allclose(joined["area_m2"], expected["area_m2"])
    np.testing.assert_allclose(joined["conf"], expected["conf"])


def test_regions_come_early_and_leave_memory():
    mask = (np.indices((400, 300)).sum(0) // 3 % 2 + 2 * (np.indices((400, 300))[0] // 5 % 2)).astype(np.uint8)
    mask[:, 0] = 9  # stays open to the end
    bands = [(mask[a : a + 10], None) for a in range(0, 400, 10)]
    frames = list(polygonize_stream(lambda: bands, 300, Outlining(TRANSFORM), 5000))
    whole = polygonize(mask, TRANSFORM)
    assert len(frames) > 10
    assert max(map(len, frames)) < len(whole) / 5
    assert sum(map(len, frames)) == len(whole)
    assert len(frames[-1][frames[-1]["class_id"] == 9]) == 1
    one = list(polygonize_stream(lambda: bands, 300, Outlining(TRANSFORM, simplify_px=1), 5000))
    assert len(one) == 1


@settings(deadline=None, max_examples=120)
@given(MASKS, st.integers(2, 12), st.sampled_from([4, 8]))
def test_sieve(mask, smallest, connectivity):
    frame = polygonize(mask, TRANSFORM, min_area_px=smallest, connectivity=connectivity)
    sieved = raster_of(frame, mask.shape, TRANSFORM)
    check_coverage(frame, sieved)
    np.testing.assert_array_equal(sieved == 255, mask == 255)
    assert set(np.unique(sieved)) <= set(np.unique(mask))
    structure = None if connectivity == 4 else np.ones((3, 3))
    for value in set(np.unique(mask)) - {255}:
        labels, count = ndimage.label(mask == value, structure)
        for i in range(1, count + 1):
            if (labels == i).sum() >= smallest:  # large regions keep their value
                assert (sieved[labels == i] == value).all()
    for value in set(np.unique(sieved)) - {255}:
        labels, count = ndimage.label(sieved == value)
        for i in range(1, count + 1):
            region = labels == i
            if connectivity == 4 and region.sum() < smallest:  # only nodata around it
                ring = ndimage.binary_dilation(region) & ~region
                assert (sieved[ring] == 255).all()


def test_sieve_prefers_the_longest_border():
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 7, 2, 2], [2, 2, 2, 2, 2], [2, 2, 2, 2, 2]], np.uint8)
    frame = polygonize(mask, TRANSFORM, min_area_px=2)
    expected = mask.copy()
    expected[1, 2] = 1  # two sides with 1 (above, left), two with 2 (right, below): 2 is larger
    expected[1, 2] = 2
    np.testing.assert_array_equal(raster_of(frame, mask.shape, TRANSFORM), expected)
    mask[1, 3] = 1
    expected = mask.copy()
    expected[1, 2] = 1
    np.testing.assert_array_equal(
        raster_of(polygonize(mask, TRANSFORM, min_area_px=2), mask.shape, TRANSFORM), expected
    )


@settings(deadline=None, max_examples=100)
@given(MASKS)
def test_rotated_rasters(mask):
    transform = Affine.translation(500_000, 5_000_000) * Affine.rotation(31) * Affine.scale(2, -2)
    check_coverage(polygonize(mask, transform), mask, transform)


def test_simplified_borders_stay_shared():
    rng = np.random.default_rng(3)
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal((160, 120)), 4) for _ in range(4)])
    mask = fields.argmax(0).astype(np.uint8)
    mask[60:80, 30:70] = 255
    traced, simplified = polygonize(mask, TRANSFORM), polygonize(mask, TRANSFORM, simplify_px=2)
    polygons = simplified.geometry.values
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    assert len(simplified) == len(traced)
    assert shapely.get_num_coordinates(polygons).sum() < 0.5 * shapely.get_num_coordinates(traced.geometry.values).sum()
    outline = shapely.union_all(traced.geometry.values)
    assert shapely.symmetric_difference(shapely.union_all(polygons), outline).area == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("crs", "transform", "tolerance"),
    [
        ("EPSG:32631", (10, 0, 300_000, 0, -10, 7_000_000), 1e-6),
        ("EPSG:32631", (9, 4, 500_000, 4, -9, 5_000_000), 1e-6),
        ("EPSG:4326", (0.0005, 0, 10, 0, -0.0005, 60), 1e-6),
        ("EPSG:3857", (30, 0, 1e6, 0, -30, 7e6), 1e-6),
        ("EPSG:27572", (30, 0, 6e5, 0, -30, 2.2e6), 1e-6),  # degrees are grads, the meridian is that of Paris
        ("EPSG:3413", (5000, 0, -75_000, 0, -5000, 100_000), 1e-6),  # around the pole
        ("EPSG:4326", (9, 0, -180, 0, -4.5, 90), 1e-6),  # all of the Earth
        ("IAU_2015:30100", (0.01, 0, 20, 0, -0.01, 10), 1e-6),  # the Moon
    ],
)
def test_areas_are_geodesic(crs, transform, tolerance):
    mask = np.random.default_rng(0).integers(0, 3, (40, 40)).astype(np.uint8)
    frame = polygonize(mask, transform, crs)
    system = pyproj.CRS(crs)
    geod, geodetic = system.get_geod(), system.geodetic_crs
    degrees = np.degrees(geodetic.axis_info[0].unit_conversion_factor)
    project = pyproj.Transformer.from_crs(system, geodetic, always_xy=True)

    def to_degrees(xy):
        return np.stack(project.transform(*xy.T), axis=1) * degrees

    expected = [abs(geod.geometry_area_perimeter(shapely.transform(p, to_degrees))[0]) for p in frame.geometry]
    if crs == "EPSG:4326" and transform[0] == 9:  # meridians and parallels are far from geodesics there, as in pyproj
        assert frame["area_m2"].sum() == pytest.approx(sum(expected), rel=1e-9)
    np.testing.assert_allclose(frame["area_m2"], expected, rtol=tolerance)


@pytest.mark.parametrize(("crs", "step"), [(32631, 3.0), (4326, 3e-5), (3857, 25.0)])
def test_polynomials_are_as_good_as_the_projection(crs, step, monkeypatch):
    mask = np.random.default_rng(0).integers(0, 3, (90, 90)).astype(np.uint8)
    transform = (step, 0, 11.0 if crs == 4326 else 4e5, 0, -step, 50.0 if crs == 4326 else 5e6)
    quick = polygonize(mask, transform, crs)["area_m2"]
    monkeypatch.setattr(areas_module, "_MANY", 10**9)
    exact = polygonize(mask, transform, crs)["area_m2"]
    assert not quick.equals(exact)
    np.testing.assert_allclose(quick, exact, rtol=3e-8)


def test_without_crs_areas_are_plain():
    frame = polygonize(np.array([[1, 1], [2, 255]], np.uint8), Affine(3, 0, 0, 0, 2, 0))
    assert frame.crs is None
    assert frame["area_m2"].tolist() == [12.0, 6.0]


@pytest.mark.parametrize("scale", [1, 255])
def test_confidence_is_the_mean_of_the_pixels(scale):
    mask = np.array([[1, 1, 2], [1, 2, 2], [255, 255, 1]], np.uint8)
    share = np.array([[0.2, 0.4, 1.0], [0.6, 0.2, 0.6], [0.0, 0.0, 0.8]])
    confidence = share if scale == 1 else np.round(share * scale).astype(np.uint8)
    frame = polygonize(mask, TRANSFORM, confidence=confidence)
    np.testing.assert_allclose(frame["conf"], [0.4, 0.6, 0.8], atol=1e-12)
    assert polygonize(mask, TRANSFORM)["conf"].isna().all()
    joined = polygonize(mask, TRANSFORM, confidence=confidence, connectivity=8)
    assert len(joined) == 3


def test_columns():
    frame = polygonize(np.array([[0, 2, 77]], np.uint8), TRANSFORM, "EPSG:32631", SCHEME, source="a.tif", model="m")
    assert tuple(frame.columns) == COLUMNS
    assert frame["class"].tolist() == ["water", "道路", "77"]
    assert frame["class_id"].tolist() == [0, 2, 77]
    assert set(frame["source"]) == {"a.tif"}
    assert set(frame["model"]) == {"m"}
    assert frame.crs.to_epsg() == 32631
    assert polygonize(np.array([[5]]), TRANSFORM)["class"].tolist() == ["5"]


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (0, 0)])
def test_nothing_to_trace(shape):
    frame = polygonize(np.full(shape, 255, np.uint8), TRANSFORM, 32631, SCHEME, min_area_px=5, simplify_px=1)
    assert tuple(frame.columns) == COLUMNS
    assert frame.empty
    assert frame["class_id"].dtype == np.int32
    assert frame["area_m2"].dtype == frame["conf"].dtype == np.float64


def test_any_value_can_be_nodata_or_none():
    mask = np.array([[0, 255], [0, 7]], np.int16)
    assert polygonize(mask, TRANSFORM, nodata=0)["class_id"].tolist() == [255, 7]
    assert polygonize(mask, TRANSFORM, nodata=None)["class_id"].tolist() == [0, 255, 7]
    mask[0, 0] = -9999
    assert polygonize(mask, TRANSFORM, nodata=-9999)["class_id"].tolist() == [255, 0, 7]


@pytest.mark.parametrize(
    ("mask", "options"),
    [
        (np.zeros((2, 2, 2), np.uint8), {}),
        (np.zeros((2, 2)), {}),
        (np.array([[-3]]), {}),
        (np.zeros((2, 2), np.uint8), {"transform": Affine(0, 0, 0, 0, 0, 0)}),
        (np.zeros((2, 2), np.uint8), {"transform": "north"}),
        (np.zeros((2, 2), np.uint8), {"crs": "EPSG:nonsense"}),
        (np.zeros((2, 2), np.uint8), {"connectivity": 6}),
        (np.zeros((2, 2), np.uint8), {"min_area_px": -1}),
        (np.zeros((2, 2), np.uint8), {"simplify_px": float("nan")}),
        (np.zeros((2, 2), np.uint8), {"confidence": np.zeros((2, 3))}),
        (np.zeros((2, 2), np.uint8), {"confidence": np.zeros((2, 2), np.int64)}),
    ],
)
def test_what_does_not_fit_is_refused(mask, options):
    with pytest.raises(UsageError):
        polygonize(mask, **{"transform": TRANSFORM, **options})
