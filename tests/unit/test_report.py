"""Reports: what they count, what they show, and that no name can become markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

import wsss_geo
from hearing import Hearing
from wsss_geo.classes import ClassScheme, LandCoverClass
from wsss_geo.errors import InputError, UsageError
from wsss_geo.progress import Progress
from wsss_geo.raster.cog import mask_writer, score_writer
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import GeoGrid, describe
from wsss_geo.reporting import figures
from wsss_geo.reporting.charts import ticks
from wsss_geo.reporting.markup import element
from wsss_geo.reporting.survey import Scenes, Survey, least_certain, scene_classes, survey

HOSTILE = "<img src=x onerror=alert(1)>\"'&</style><script>alert(2)</script>"
SCHEME = ClassScheme((LandCoverClass(0, "water", "#2b6cb0"), LandCoverClass(7, HOSTILE, "#c53030")))


class Page(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


def check_harmless(text):
    """Nothing runs, nothing is fetched."""
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith("data:image/")
    assert page.tags.count("style") == 1
    assert "url(" not in text
    assert "http" not in text.replace("http-equiv", "")
    return page


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, tiny_scene):
    """A mask of 150 x 210 px with a hole and its confidence, on the grid of the tiny scene's corner."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(5)
    mask = np.kron(rng.choice(np.array([0, 7], np.uint8), (15, 21)), np.ones((10, 10), np.uint8))
    mask[40:60, 30:90] = 255
    sure = rng.integers(1, 256, mask.shape).astype(np.uint8)
    sure[40:50, 30:90] = 0
    grid = describe(str(tiny_scene / "scene.tif")).grid.part(0, 0, *mask.shape)
    whole = Window(0, 0, *mask.shape)
    with mask_writer(folder / "m.tif", grid, SCHEME) as file:
        file.write(whole, mask)
    with score_writer(folder / "c.tif", grid, ["confidence"], nodata=0) as file:
        file.write(whole, sure)
    return folder, mask, sure


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=40))
def test_text_and_attributes_come_back_as_they_were(text):
    page = Page(element("p", text, title=text, class_="x"))
    assert page.tags == ["p"]
    assert page.text == text
    assert page.attributes == [("title", text), ("class", "x")]


def test_only_what_element_returns_is_markup():
    assert element("p", "<b>", element("b", "&"), None, ["x", 3]) == "<p>&lt;b&gt;<b>&amp;</b>x3</p>"
    assert element("img", src='"') == '<img src="&quot;">'
    assert "\x00" not in element("p", "\x00\x1b")


def test_a_survey_counts_every_pixel_once(drawn):
    folder, mask, sure = drawn
    found = survey(str(folder / "m.tif"), str(folder / "c.tif"), 32, Progress())
    for value in (0, 7):
        assert found.by_class()[value] == pytest.approx((mask == value).sum() * 0.25, rel=5e-3)
        expected = (1 - sure[mask == value] / 255).sum() * 0.25
        assert found.doubtful()[value] == pytest.approx(expected, rel=5e-3)
    assert found.by_class().sum() == pytest.approx((mask != 255).sum() * 0.25, rel=5e-3)
    assert found.areas[255, 1:].sum() == pytest.approx(((mask == 255) & (sure > 0)).sum() * 0.25, rel=5e-3)
    assert found.confidence == pytest.approx(sure[mask != 255].mean() / 255, rel=1e-4)


@pytest.mark.parametrize("side", [8, 32, 64, 1000])
def test_scenes_are_means_over_their_pixels(drawn, side, monkeypatch):
    folder, mask, sure = drawn
    monkeypatch.setattr("wsss_geo.reporting.survey._STRIP_PIXELS", 210 * 70)  # several strips
    scenes = survey(str(folder / "m.tif"), str(folder / "c.tif"), side, Progress()).scenes
    for row in range(scenes.confidence.shape[0]):
        for col in range(scenes.confidence.shape[1]):
            part = np.s_[row * side : (row + 1) * side, col * side : (col + 1) * side]
            seen = mask[part] != 255
            assert scenes.covered[row, col] == pytest.approx(seen.sum() / side**2)
            if seen.any():
                assert scenes.confidence[row, col] == pytest.approx(sure[part][seen].mean() / 255)
    assert scene_classes(str(folder / "m.tif"), 1000, 0, 0) == sorted((0, 7), key=lambda v: -(mask == v).sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9), st.integers(0, 12))
def test_least_certain_scenes_do_not_touch(seed, rows, cols, most):
    rng = np.random.default_rng(seed)
    confidence = rng.random((rows, cols))
    covered = rng.choice([0.0, 0.6, 1.0], (rows, cols))
    confidence[covered == 0] = np.nan
    found = least_certain(Scenes(32, confidence, covered), most)
    assert len(found) <= most
    values = [confidence[p] for p in found]
    assert values == sorted(values)
    assert all(max(abs(a - c), abs(b - d)) > 1 for i, (a, b) in enumerate(found) for c, d in found[:i])
    if most and (covered > 0.5).any():
        assert values[0] == confidence[covered > 0.5].min()


def counted(*classes):
    """A survey of classes 0, 1, ..., each with an area and the confidence 0..255 that all of it has."""
    areas = np.zeros((256, 256))
    for value, (area, sure) in enumerate(classes):
        areas[value, sure] = area
    return Survey(GeoGrid(1, 1, Affine.identity(), None), areas, None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 255)), min_size=1, max_size=8))
def test_the_range_holds_the_area_and_no_more_than_there_is(classes):
    found = counted(*classes)
    low, high = found.ranges(None)
    area = found.by_class()
    assert (low <= area + 1e-6).all()
    assert (high >= area - 1e-6).all()
    assert (high <= area.sum() + 1e-6).all()
    for end in counted(*((a, 255) for a, _ in classes)).ranges(None):
        np.testing.assert_allclose(end, area)


def test_what_leaves_some_classes_is_what_enters_others():
    found = counted((60.0, 204), (30.0, 204), (10.0, 255))  # a fifth of the first two is expected to be wrong
    low, high = (end[:3] for end in found.ranges(None))
    assert (high - [60, 30, 10]).sum() == pytest.approx(([60, 30, 10] - low).sum())
    assert high[2] - 10 == pytest.approx(12 * 10 / 40 + 6 * 10 / 70)


def test_the_range_knows_where_the_doubt_goes_if_all_probabilities_were_summed():
    found, expected = counted((60.0, 204), (30.0, 204), (10.0, 255), (5.0, 51)), np.full(256, np.nan)
    expected[:3] = 54, 41, 10  # the class in doubt is always the second; the last class is no class of the model
    low, high = (end[:4] for end in found.ranges(expected))
    assert low[:3] == pytest.approx([48, 24, 10])
    assert high[:3] == pytest.approx([66, 47, 10])
    assert np.isnan([low[3], high[3]]).all()
    assert (low[:3] <= expected[:3]).all()
    assert (expected[:3] <= high[:3]).all()


def test_a_report_tells_what_is_known_and_runs_nothing(drawn, tmp_path):
    folder, *_ = drawn
    out = tmp_path / "r.html"
    found = wsss_geo.write_report(
        folder / "m.tif", out=out, confidence=folder / "c.tif", title=HOSTILE, scene=16, scenes=4
    )
    page = check_harmless(out.read_text(encoding="utf-8"))
    assert HOSTILE in page.text
    assert found.scenes == 4
    assert found.bytes == out.stat().st_size
    assert found.confidence == pytest.approx(0.5, abs=0.02)
    assert "EPSG:32632" in page.text
    assert "x,y,tags" in page.text
    assert "Without a class, since less sure than the threshold" in page.text
    assert "The model of this map is not known" in page.text


def test_names_of_files_and_records_are_no_markup_either(drawn, tmp_path):
    folder, *_ = drawn
    name = "<b onclick=x>&\"'.tif"
    for end, old in (("", "m.tif"), (".aux.xml", "m.tif.aux.xml")):
        (tmp_path / f"{name}{end}").write_bytes((folder / old).read_bytes())
    record = {
        "job": {"rasters": [HOSTILE]}, "command": HOSTILE, "finished": HOSTILE, "versions": {HOSTILE: HOSTILE},
        "inputs": [{"path": HOSTILE, "bytes": 5000}], "seconds": {HOSTILE: 3.0}, "result": {"confidence": HOSTILE},
        "model": {"path": HOSTILE},
    }  # fmt: skip
    (tmp_path / f"{name}.json").write_text(json.dumps(record))
    wsss_geo.write_report(tmp_path / name, out=tmp_path / "r.html")
    page = check_harmless((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert name in page.text
    assert page.text.count(HOSTILE) >= 5
    assert "4.9 KiB" in page.text


@pytest.mark.parametrize(
    "record",
    ["", "[]", "{", "3", '{"job": 3, "command": 4, "inputs": {"a": 1}, "seconds": [1], "result": 5, "model": []}',
     '{"job": {"rasters": 5}, "inputs": [3, {"path": null, "bytes": "x"}], "seconds": {"a": "b"}, "versions": 2}',
     '{"model": {"path": "\\u0000"}, "result": {"confidence": ["x"]}, "job": {"rasters": []}}',
     '{"result": {"expected_m2": {"water": [], "field": 1e999}}}', '{"result": {"expected_m2": [3]}}'],
)  # fmt: skip
def test_a_damaged_record_does_no_harm(drawn, tmp_path, record):
    folder, *_ = drawn
    (tmp_path / "m.tif").write_bytes((folder / "m.tif").read_bytes())
    (tmp_path / "m.tif.json").write_text(record)
    wsss_geo.write_report(tmp_path / "m.tif", out=tmp_path / "r.html")
    check_harmless((tmp_path / "r.html").read_text(encoding="utf-8"))


def test_a_map_and_its_training_make_one_page(tiny, tmp_path):
    mask = tmp_path / "m.tif"
    wsss_geo.predict(tiny.scene, model=tiny.model, out=mask, confidence=tmp_path / "c.tif", device="cpu")
    found = wsss_geo.write_report(mask, out=tmp_path / "r.html", scene=32)
    page = check_harmless((tmp_path / "r.html").read_text(encoding="utf-8"))
    for part in ("Map", "Area", "Confidence", "Tag next", "Training", "Model", "Provenance"):
        assert part in page.words
    assert "wsss-geo predict" in page.text
    assert {"Expected", "Range"} <= set(page.words)
    assert page.tags.count("img") == 3 + found.scenes + 1  # image, map, confidence; scenes; preview
    assert found.error is not None
    (tmp_path / "moved").mkdir()
    for path in (mask, tmp_path / "m.tif.json", tmp_path / "c.tif"):
        path.rename(tmp_path / "moved" / path.name)
    again = wsss_geo.write_report(tmp_path / "moved" / "m.tif", out=tmp_path / "r.html", scene=32)
    assert again.confidence == found.confidence


def test_expected_areas_are_of_all_probabilities_and_of_this_mask(tiny, tmp_path):
    mask, sure = tmp_path / "m.tif", tmp_path / "c.tif"
    options = {"model": tiny.model, "confidence": sure, "device": "cpu"}
    plain = wsss_geo.predict(tiny.scene, out=mask, **options)
    assert plain.expected_m2.keys() == plain.area_m2.keys()
    assert sum(plain.expected_m2.values()) == pytest.approx(sum(plain.area_m2.values()), rel=1e-3)
    assert wsss_geo.predict(tiny.scene, model=tiny.model, out=tmp_path / "n.tif", device="cpu").expected_m2 is None
    refined = wsss_geo.predict(
        tiny.scene, out=tmp_path / "r.tif", refine="par", **options | {"confidence": tmp_path / "d.tif"}
    )
    assert sum(refined.expected_m2.values()) == pytest.approx(sum(refined.area_m2.values()), rel=1e-2)
    record = json.loads((tmp_path / "m.tif.json").read_text())
    told = record["result"]["expected_m2"]
    assert told == pytest.approx(plain.expected_m2)
    told[max(told, key=told.get)] *= 2  # of another mask
    (tmp_path / "m.tif.json").write_text(json.dumps(record))
    wsss_geo.write_report(mask, out=tmp_path / "p.html", scene=32)
    page = check_harmless((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert "Expected" not in page.words
    assert "in proportion to their areas" in page.text


def test_unsure_pixels_count_towards_what_is_expected_of_the_classes(tiny, tmp_path):
    options = {"model": tiny.model, "device": "cpu"}
    plain = wsss_geo.predict(tiny.scene, out=tmp_path / "m.tif", confidence=tmp_path / "c.tif", **options)
    unsure = wsss_geo.predict(
        tiny.scene, out=tmp_path / "u.tif", confidence=tmp_path / "v.tif", threshold=0.9, unsure=True, **options
    )
    assert unsure.area_m2["unsure"] > 0
    assert unsure.expected_m2 == pytest.approx(plain.expected_m2)
    wsss_geo.write_report(tmp_path / "u.tif", out=tmp_path / "r.html", scene=32)
    page = check_harmless((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert {"Expected", "unsure", "\u2013"} <= set(page.words)


def test_a_model_that_has_changed_since_is_left_out(tiny, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(tiny.model.read_bytes())
    wsss_geo.predict(tiny.scene, model=model, out=tmp_path / "m.tif", device="cpu")
    model.write_bytes(model.read_bytes() + b" ")
    heard = Hearing()
    wsss_geo.write_report(tmp_path / "m.tif", out=tmp_path / "r.html", report=heard)
    assert "no longer the model" in heard.said("warn")
    assert "no confidence raster" in heard.said("warn")
    page = check_harmless((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "Model" not in page.words
    assert "Range" not in page.words


def test_a_run_folder_and_a_model_have_reports_too(tiny, tmp_path):
    run = tiny.model.parent
    wsss_geo.write_report(run, out=tmp_path / "run.html")
    page = check_harmless((tmp_path / "run.html").read_text(encoding="utf-8"))
    assert {"Training", "Model", "Provenance"} <= set(page.words)
    assert "calibration error" in page.text
    alone = tmp_path / "model.safetensors"
    alone.write_bytes(tiny.model.read_bytes())
    wsss_geo.write_report(alone, out=tmp_path / "model.html")
    page = check_harmless((tmp_path / "model.html").read_text(encoding="utf-8"))
    assert "Model" in page.words
    assert "Training" not in page.words


def test_what_cannot_be_reported_is_refused(drawn, tiny, tmp_path):
    folder, *_ = drawn
    with pytest.raises(UsageError, match="no name of a page"):
        wsss_geo.write_report(folder / "m.tif", out=tmp_path / "r.pdf")
    with pytest.raises(InputError, match="no such file"):
        wsss_geo.write_report(folder / "gone.tif", out=tmp_path / "r.html")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        wsss_geo.write_report(folder, out=tmp_path / "r.html")
    with pytest.raises(InputError, match="is no mask"):
        wsss_geo.write_report(tiny.scene, out=tmp_path / "r.html")
    with pytest.raises(InputError, match="grid of the mask"):
        wsss_geo.write_report(folder / "m.tif", confidence=tiny.truth, out=tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "text"), [(5, "5 m²"), (12_345, "1.23 ha"), (3_456_789, "345.7 ha"), (2.5e8, "250.0 km²")]
)
def test_areas_come_in_the_unit_that_fits(value, text):
    assert figures.area(value) == text


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low, span):
    found = ticks(low, low + span)
    assert len(found) <= 8
    assert all(low - span * 1e-6 <= v <= low + span * (1 + 1e-6) for v in found)
