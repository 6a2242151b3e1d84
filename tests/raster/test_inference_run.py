"""The predict job from file to file, with small models of known answer."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from rasterio.crs import CRS

from hearing import Hearing
from wsss_geo.classes import ClassScheme
from wsss_geo.errors import EnvironmentFault, InputError, UsageError
from wsss_geo.inference import compute, run
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel, ModelCard
from wsss_geo.progress import Progress
from wsss_geo.raster.info import GeoGrid
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.pixel_areas import pixel_areas

SCHEME = ClassScheme.from_names(["red", "green", "blue"])
CARD = ModelCard(
    "test",
    {},
    SCHEME,
    ("red", "green", "blue"),
    Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (1.0,) * 3),
    None,
    64,
)
TURNED = Affine.translation(600000, 5400000) * Affine.rotation(20) * Affine.scale(0.5, -0.5)
UTM = CRS.from_epsg(32632)


class Colours:
    """Class scores are the mean colours of the token; ``delay`` seconds a batch."""

    patch = multiple = 8
    delay = 0.0

    def predict(self, image01, scores="decoder", with_cam=False):
        time.sleep(self.delay)
        maps = torch.nn.functional.avg_pool2d(image01, self.patch)
        return maps, maps if with_cam else None


@pytest.fixture
def model(monkeypatch, tmp_path):
    """A model file that is loaded as ``Colours``; set ``model.card`` to change the card."""
    path = tmp_path / "colours.safetensors"
    path.write_bytes(b"weights")
    held = type("Held", (), {"path": str(path), "card": CARD, "network": Colours()})()
    monkeypatch.setattr(run, "load_model", lambda *_: LoadedModel(held.network, held.card, "0" * 64))
    return held


def picture(height, width, seed=0):
    """Coloured fields with soft borders, uint8 [3, H, W]."""
    coarse = np.random.default_rng(seed).random((1, 3, height // 40 + 2, width // 40 + 2), np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(height, width), mode="bicubic")
    return (smooth[0].clamp(0, 1) * 255).to(torch.uint8).numpy()


def write(path, pixels, transform=TURNED, crs=UTM, **options):
    profile = {
        "driver": "GTiff", "height": pixels.shape[1], "width": pixels.shape[2], "count": len(pixels),
        "dtype": pixels.dtype, "transform": transform, "crs": crs, "tiled": True, "blockxsize": 128, "blockysize": 128,
    }  # fmt: skip
    with rasterio.open(path, "w", **(profile | options)) as file:
        file.write(pixels)
    return str(path)


def job(model, raster, out, **options):
    return PredictJob((raster,) if isinstance(raster, str) else raster, model.path, str(out), device="cpu", **options)


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def leftovers(folder):
    return [p.name for p in Path(folder).rglob("*") if ".part" in p.name or p.name.endswith(".work")]


def test_all_outputs_of_a_turned_raster(model, tmp_path):
    pixels = picture(700, 530)
    pixels[:, :100, :90] = 0
    raster = write(tmp_path / "scene.tif", pixels, nodata=0)
    out = tmp_path / "cover.tif"
    report = Hearing()
    result = run.run(
        job(model, raster, out, confidence=str(tmp_path / "c.tif"), cam=str(tmp_path / "cam.tif"),
            polygons=str(tmp_path / "p.gpkg")),
        report,
    )  # fmt: skip
    with rasterio.open(out) as mask, rasterio.open(tmp_path / "c.tif") as confidence:
        assert (mask.crs, mask.transform, mask.shape, mask.nodata) == (UTM, TURNED, (700, 530), 255)
        assert mask.colormap(1)[1][:3] == SCHEME.classes[1].rgb
        labels, shares = mask.read(1), confidence.read(1)
        assert confidence.scales == (1 / 255,)
        assert confidence.nodata == 0
    valid = ~(pixels == 0).all(axis=0)
    np.testing.assert_array_equal(labels == 255, ~valid)
    np.testing.assert_array_equal(shares == 0, ~valid)
    order = np.sort(pixels.astype(int), axis=0)
    clear = valid & (order[2] - order[1] > 60)
    assert (labels[clear] == pixels.argmax(axis=0)[clear]).mean() > 0.99
    with rasterio.open(tmp_path / "cam.tif") as cam:
        assert cam.shape == (-(-700 // 8), -(-530 // 8))
        assert cam.descriptions == SCHEME.taggable
        assert cam.transform.almost_equals(TURNED * Affine.scale(8))
    frame = geopandas.read_file(tmp_path / "p.gpkg", layer="p")
    assert set(frame["source"]) == {"scene.tif"}
    assert set(frame["model"]) == {"colours"}
    assert len(frame) == result.polygon_count
    for name, area in result.area_m2.items():
        assert area == pytest.approx(frame.loc[frame["class"] == name, "area_m2"].sum(), rel=1e-3)
    assert sum(result.share.values()) == pytest.approx(1)
    assert result.valid_share == pytest.approx(valid.mean())
    record = json.loads((tmp_path / "cover.tif.json").read_text())
    assert record["job"]["out"] == str(out)
    assert record["result"]["windows"] == result.windows > 0
    assert (tmp_path / "cover.qml").exists()
    assert "memory" in report.said()
    assert not leftovers(tmp_path)


def test_resampled_raster_keeps_its_own_grid(model, tmp_path):
    pixels = picture(400, 333)
    pixels[:, 17:23, 40:41] = 0
    raster = write(tmp_path / "scene.tif", pixels, nodata=0)
    model.card = dataclasses.replace(CARD, gsd=0.81)
    report = Hearing()
    run.run(job(model, raster, tmp_path / "a.tif"), report)
    assert "instead of" in report.said()
    labels = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(labels == 255, (pixels == 0).all(axis=0))
    run.run(job(model, raster, tmp_path / "b.tif", resample=False), report)
    assert (labels == read(tmp_path / "b.tif")).mean() > 0.9


def test_area_of_interest(model, tmp_path):
    pixels = picture(500, 500)
    raster = write(tmp_path / "scene.tif", pixels, Affine(0.5, 0, 600000, 0, -0.5, 5400000))
    full = run.run(job(model, raster, tmp_path / "full.tif"), Progress())
    box = shapely.box(600060, 5399850, 600110, 5399900)
    layer = tmp_path / "area.gpkg"
    geopandas.GeoDataFrame(geometry=[box], crs=UTM).to_crs(4326).to_file(layer)
    expected = np.full((500, 500), 255)
    expected[200:300, 120:220] = read(tmp_path / "full.tif")[200:300, 120:220]
    for aoi in ("600060,5399850,600110,5399900", str(layer)):
        part = run.run(job(model, raster, tmp_path / "part.tif", aoi=aoi), Progress())
        assert 0 < part.windows < full.windows
        assert (read(tmp_path / "part.tif") != expected).sum() <= (0 if aoi != str(layer) else 4)
    for wrong, error in (
        ("1,2,3,x", UsageError),
        ("5,5,1,1", UsageError),
        ("0,0,1,1", InputError),
        ("no.shp", InputError),
    ):
        with pytest.raises(error):
            run.run(job(model, raster, tmp_path / "wrong.tif", aoi=wrong), Progress())
    assert not (tmp_path / "wrong.tif").exists()


def test_several_rasters_go_into_a_folder(model, tmp_path):
    rasters = tuple(write(tmp_path / f"s{i}.tif", picture(90 + i, 70, i)) for i in range(2))
    result = run.run(job(model, rasters, tmp_path / "out", polygons=str(tmp_path / "all.parquet")), Progress())
    assert [read(tmp_path / "out" / f"s{i}.tif").shape for i in range(2)] == [(90, 70), (91, 70)]
    frame = geopandas.read_parquet(tmp_path / "all.parquet")
    assert set(frame["source"]) == {"s0.tif", "s1.tif"}
    assert result.polygon_count == len(frame)
    with pytest.raises(UsageError, match="folder"):
        run.run(job(model, rasters, tmp_path / "one.tif"), Progress())


def test_raster_without_georeference(model, tmp_path):
    raster = write(tmp_path / "plain.tif", picture(60, 70), Affine.identity(), None)
    report = Hearing()
    result = run.run(job(model, raster, tmp_path / "m.tif"), report)
    assert "pixel" in report.said()
    assert sum(result.area_m2.values()) == 60 * 70


def test_raster_without_data(model, tmp_path):
    raster = write(tmp_path / "empty.tif", np.zeros((3, 300, 200), np.uint8), nodata=0)
    result = run.run(job(model, raster, tmp_path / "m.tif", polygons=str(tmp_path / "m.shp")), Progress())
    assert (read(tmp_path / "m.tif") == 255).all()
    assert (result.windows, result.valid_share, result.polygon_count) == (0, 0, 0)


def test_outputs_never_replace_inputs(model, tmp_path):
    raster = write(tmp_path / "scene.tif", picture(60, 60))
    mask = tmp_path / "m.tif"
    twice, foreign = {"cam": str(mask)}, {"polygons": "p.txt"}
    wrong = [(raster, {}), (mask, {"confidence": raster}), (tmp_path / "m.png", {}), (mask, twice), (mask, foreign)]
    for out, options in wrong:
        with pytest.raises(UsageError):
            run.run(job(model, raster, out, **options), Progress())
    with pytest.raises(InputError):
        run.run(job(model, raster, tmp_path / "none" / "m.tif"), Progress())


class Stopped(Hearing):
    """Calls ``action`` once half of the raster is done."""

    def __init__(self, action):
        super().__init__()
        self.action = action

    def emit(self, kind, fields):
        super().emit(kind, fields)
        if kind == "progress" and fields["done"] > fields["total"] / 2:
            self.action()


def test_ctrl_c_leaves_nothing(model, tmp_path):
    raster = write(tmp_path / "scene.tif", picture(2000, 100))
    before = sorted(tmp_path.iterdir())

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(job(model, raster, tmp_path / "m.tif", confidence=str(tmp_path / "c.tif")), Stopped(interrupt))
    assert sorted(tmp_path.iterdir()) == before


def test_input_that_changes_is_noticed(model, tmp_path):
    raster = write(tmp_path / "scene.tif", picture(2000, 100))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="changed"):
        run.run(job(model, raster, tmp_path / "m.tif"), Stopped(lambda: os.utime(raster, (1, 1))))
    assert sorted(tmp_path.iterdir()) == before


def test_full_disk_is_said_before_and_survived(model, tmp_path, monkeypatch):
    raster = write(tmp_path / "scene.tif", picture(2000, 100))
    usage = type("Usage", (), {"free": 1 << 10})
    with monkeypatch.context() as patch:
        patch.setattr("wsss_geo.streaming.estimate.shutil.disk_usage", lambda _: usage)
        with pytest.raises(EnvironmentFault, match="free on this disk"):
            run.run(job(model, raster, tmp_path / "m.tif"), Progress())
    assert not leftovers(tmp_path)
    run.run(job(model, raster, tmp_path / "whole.tif"), Progress())

    def fill():
        raise EnvironmentFault("disk full", "free some")

    with pytest.raises(EnvironmentFault):
        run.run(job(model, raster, tmp_path / "m.tif"), Stopped(fill))
    assert leftovers(tmp_path) == ["m.tif.work"]
    report = Hearing()
    run.run(job(model, raster, tmp_path / "m.tif"), report)
    assert "going on" in report.said()
    assert (tmp_path / "m.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not leftovers(tmp_path)


PROGRAM = """
import sys
sys.path[:0] = {places!r}
import test_inference_run as t
network = t.Colours()
network.delay = {delay}
t.run.load_model = lambda *_: t.LoadedModel(network, t.CARD, "0" * 64)
t.run.run(t.PredictJob(**{job!r}), t.Progress())
"""


def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(model, tmp_path):
    raster = write(tmp_path / "scene.tif", picture(3000, 150))
    options = {"confidence": str(tmp_path / "c.tif"), "cam": str(tmp_path / "cam.tif"), "batch_size": 2}
    outputs = [tmp_path / name for name in ("m.tif", "c.tif", "cam.tif")]
    wanted = job(model, raster, outputs[0], **options)
    run.run(wanted, Progress())
    whole = [hashlib.sha256(p.read_bytes()).digest() for p in outputs]
    for path in outputs:
        path.unlink()
    fields = {k: v for k, v in wanted.to_json().items() if k != "command"}
    here = Path(__file__)
    places = [str(p) for p in (here.parent, here.parents[1] / "support", here.parents[2])]
    program = PROGRAM.format(places=places, delay=0.04, job=fields)
    most = []
    for share in (0.15, 0.5, 0.85):
        process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            bands = len(list((tmp_path / "m.tif.work").glob("band_*")))
            if bands >= share * 6:
                break
            time.sleep(0.005)
        most.append(bands)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not outputs[0].exists()
    assert most == sorted(most)
    report = Hearing()
    result = run.run(wanted, report)
    assert "going on" in report.said()
    assert [hashlib.sha256(p.read_bytes()).digest() for p in outputs] == whole
    assert result.windows == json.loads((tmp_path / "m.tif.json").read_text())["result"]["windows"]
    assert not leftovers(tmp_path)


def test_other_options_or_damage_start_afresh(model, tmp_path, monkeypatch):
    raster = write(tmp_path / "scene.tif", picture(3000, 60))
    run.run(job(model, raster, tmp_path / "whole.tif", threshold=0.4), Progress())

    def fill():
        raise EnvironmentFault("disk full", "free some")

    def begin(**options):
        with pytest.raises(EnvironmentFault):
            run.run(job(model, raster, tmp_path / "m.tif", **options), Stopped(fill))

    begin(threshold=0.3)
    report = Hearing()
    run.run(job(model, raster, tmp_path / "m.tif", threshold=0.4), report)
    assert "starting afresh" in report.said()
    assert "going on" not in report.said()
    assert read(tmp_path / "m.tif").tobytes() == read(tmp_path / "whole.tif").tobytes()
    for damage in (b"", b"nonsense"):
        begin(threshold=0.4)
        work = tmp_path / "m.tif.work"
        (work / "band_000001").write_bytes(damage)
        with (work / "manifest.jsonl").open("a") as file:
            file.write('{"band": 99, "pix')
        run.run(job(model, raster, tmp_path / "m.tif", threshold=0.4), Progress())
        assert (tmp_path / "m.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.parametrize(
    ("crs", "transform", "area"),
    [
        (UTM, Affine(0.5, 0, 500000, 0, -0.5, 5400000), 0.25 / 0.9996**2),
        (CRS.from_epsg(4326), Affine(0.001, 0, 10, 0, -0.001, 60), 55.80 * 111.41),
        (CRS.from_epsg(3857), Affine(1, 0, 0, 0, -1, 8399737.889818355), 0.25 * 1.00252 * 1.00084),
        (None, Affine(3, 0, 0, 0, -3, 0), 1.0),
    ],
)
def test_pixels_have_their_size_on_the_ellipsoid(crs, transform, area):
    found = pixel_areas(GeoGrid(200, 100, transform, crs), 0, 200)
    assert found.shape == (200,)
    assert found[0] == pytest.approx(area, rel=5e-4)
    steps = np.diff(found)
    assert (steps > 0).all() if crs is not None and crs.is_geographic else np.abs(steps).max() <= 1e-5 * area


def test_engine_number_is_part_of_the_key(model, tmp_path, monkeypatch):
    raster = write(tmp_path / "scene.tif", picture(3000, 60))

    def fill():
        raise EnvironmentFault("disk full", "free some")

    with pytest.raises(EnvironmentFault):
        run.run(job(model, raster, tmp_path / "m.tif"), Stopped(fill))
    monkeypatch.setattr(compute, "_ENGINE", -1)
    report = Hearing()
    run.run(job(model, raster, tmp_path / "m.tif"), report)
    assert "another program" in report.said()
