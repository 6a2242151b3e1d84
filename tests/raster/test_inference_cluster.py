"""Many processes share a prediction: Dask workers and shards give the bytes that one process gives."""

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

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from hearing import Hearing
from small_model import CARD, write_model
from wsss_geo.errors import Cancelled, EnvironmentFault, InputError, UsageError
from wsss_geo.inference import run
from wsss_geo.inference.band_order import card_of
from wsss_geo.inference.sharing import Shard, describe_bands, parts_of, split, within
from wsss_geo.jobs import PredictJob, ShardResult
from wsss_geo.nn.model_file import build_network, save_model
from wsss_geo.progress import Progress

psutil = pytest.importorskip("psutil", reason="comes with the extra wsss-geo[cluster]")
ROOT = Path(__file__).parents[2]
BANDS = 12


class Report(Hearing):
    """Calls ``action`` once, when some of the raster is computed and nothing delivered."""

    def __init__(self, action=None):
        super().__init__()
        self.action = action

    def emit(self, kind, fields):
        super().emit(kind, fields)
        if self.action and kind == "progress" and fields["stage"] == "predict" and fields["done"] > 0:
            action, self.action = self.action, None
            action()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Folder with scene.tif (twelve bands, some of it without data), a model and the outputs of one process."""
    folder = tmp_path_factory.mktemp("cluster")
    coarse = torch.from_numpy(np.random.default_rng(5).random((1, 3, 200, 6), np.float32))
    pixels = torch.nn.functional.interpolate(coarse, size=(BANDS * 512 - 100, 100), mode="bicubic")[0]
    pixels = (pixels.clamp(0, 1) * 255).to(torch.uint8).numpy()
    pixels[:, 2000:2700] = 0
    profile = {
        "driver": "GTiff", "height": pixels.shape[1], "width": pixels.shape[2], "count": 3, "dtype": "uint8",
        "nodata": 0, "crs": "EPSG:32632", "transform": from_origin(600000, 5400000, 0.5, 0.5), "tiled": True,
        "blockxsize": 128, "blockysize": 128,
    }  # fmt: skip
    with rasterio.open(folder / "scene.tif", "w", **profile) as file:
        file.write(pixels)
    write_model(folder / "m.safetensors")
    run.run(job(folder, "whole"), Progress())
    with rasterio.open(folder / "whole.tif") as file:
        assert len(np.unique(file.read(1))) > 2
    return folder


def job(folder, name, **options):
    return PredictJob(
        (str(folder / "scene.tif"),), str(folder / "m.safetensors"), str(folder / f"{name}.tif"),
        confidence=str(folder / f"{name}_confidence.tif"), cam=str(folder / f"{name}_cam.tif"), device="cpu", **options,
    )  # fmt: skip


def digests(folder, name):
    files = (folder / f"{name}{end}.tif" for end in ("", "_confidence", "_cam"))
    return [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir() if ".part" in p.name or p.name.endswith(".work"))


def spawned():
    """Worker processes that this one has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_bands_are_shared_out_without_gap_or_overlap():
    for bands in (0, 1, 2, 5, 15, 33, 200):
        for sharers in (1, 2, 3, 8):
            runs = split(bands, sharers)
            assert [b for r in runs for b in r] == list(range(bands))
            assert len(runs) == min(bands, sharers) or len(runs) % sharers == 0
            assert bands < 2 or max(map(len, runs)) - min(map(len, runs)) <= 1
            for before in (0, 1, 7):
                parts = [r for i in range(sharers) for r in parts_of(Shard(i + 1, sharers), bands, before)]
                assert sorted(parts, key=lambda r: r.start) == runs
    assert len(split(200, 2)) == 12
    assert within([range(2, 9), range(12, 20)], [range(4), range(8, 15)]) == [range(2, 4), range(8, 9), range(12, 15)]
    assert describe_bands([range(0, 3), range(5, 6)]) == "bands 1 to 3 and 6"
    assert [card_of(name, 4) for name in (0, 5, "7")] == [0, 1, 3]
    assert 0 <= card_of("tcp://10.0.0.1:1234", 4) < 4


def test_shards_in_any_order_then_finish(scene, tmp_path):
    report = Report()
    results = [run.run(job(scene, "shards", shard=f"{i}/3"), report) for i in (3, 1)]
    assert all(isinstance(r, ShardResult) for r in results)
    assert sum(r.bands for r in results) == results[-1].finished == 8
    assert not (scene / "shards.tif").exists()
    with pytest.raises(InputError, match=r"bands 5 to 8 of 12 are missing; run --shard 2/3"):
        run.run(job(scene, "shards", finish=True), Progress())
    with pytest.raises(InputError, match="begun with another options"):
        run.run(job(scene, "shards", shard="2/3", overlap=0.5), Progress())
    last = run.run(job(scene, "shards", shard="2/3"), report)
    assert last.finished == last.total == BANDS
    assert "--finish" in report.said("info")
    result = run.run(job(scene, "shards", finish=True), Progress())
    assert digests(scene, "shards") == digests(scene, "whole")
    assert result.windows == run_windows(scene)
    assert leftovers(scene) == []


def run_windows(folder):
    return json.loads((folder / "whole.tif.json").read_text())["result"]["windows"]


def test_a_shard_goes_on_where_it_was_and_another_process_may_end_it_all(scene):
    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        run.run(job(scene, "halves", shard="1/2"), Report(stop))
    work = scene / "halves.tif.work"
    assert not [p for p in work.iterdir() if ".part" in p.name]
    with pytest.raises(InputError, match="are missing"):
        run.run(job(scene, "halves", finish=True), Progress())
    run.run(job(scene, "halves", shard="2/2"), Progress())
    run.run(job(scene, "halves"), Progress())
    assert digests(scene, "halves") == digests(scene, "whole")
    assert leftovers(scene) == []


def test_finish_needs_shards_and_notices_damage(scene):
    with pytest.raises(InputError, match="holds no work"):
        run.run(job(scene, "damaged", finish=True), Progress())
    run.run(job(scene, "damaged", shard="1/1"), Progress())
    (scene / "damaged.tif.work" / "band_000004").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="band 5 of 12 are missing"):
        run.run(job(scene, "damaged", finish=True), Progress())
    run.run(job(scene, "damaged", shard="1/1"), Progress())
    run.run(job(scene, "damaged", finish=True), Progress())
    assert digests(scene, "damaged") == digests(scene, "whole")


def test_shards_of_several_rasters(scene, tmp_path):
    for name in ("a", "b"):
        os.link(scene / "scene.tif", tmp_path / f"{name}.tif")
    both = {"rasters": (str(tmp_path / "a.tif"), str(tmp_path / "b.tif")), "model": str(scene / "m.safetensors")}
    for i in (2, 1):
        run.run(PredictJob(**both, out=str(tmp_path / "out"), shard=f"{i}/2"), Progress())
    run.run(PredictJob(**both, out=str(tmp_path / "out"), finish=True), Progress())
    with rasterio.open(scene / "whole.tif") as whole:
        expected = whole.read(1)
    for name in ("a", "b"):
        with rasterio.open(tmp_path / "out" / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"overlap": 0.8, "batch_size": 3},
        {"refine": "par", "threshold": 0.35},
        {"aoi": "600005,5399500,600040,5399900"},
        {"model": "gsd.safetensors", "polygons": "p.gpkg"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_way_to_predict_can_be_cut_into_parts(scene, tmp_path, options):
    with rasterio.open(scene / "scene.tif") as file:
        profile, pixels = file.profile, file.read(window=rasterio.windows.Window(0, 0, 100, 1300))
    with rasterio.open(tmp_path / "scene.tif", "w", **(profile | {"height": 1300})) as file:
        file.write(pixels)
    save_model(tmp_path / "gsd.safetensors", build_network(CARD), dataclasses.replace(CARD, gsd=0.81))
    os.link(scene / "m.safetensors", tmp_path / "m.safetensors")
    paths = {k: str(tmp_path / options[k]) for k in ("model", "polygons") if k in options}
    wanted = {"model": str(tmp_path / "m.safetensors"), "device": "cpu", **options, **paths}

    def outcome(name, **more):
        fields = {**wanted, **more, "out": str(tmp_path / f"{name}.tif"), "confidence": str(tmp_path / f"{name}c.tif")}
        return run.run(PredictJob((str(tmp_path / "scene.tif"),), **fields), Progress())

    whole = outcome("whole")
    for part in ("3/3", "1/3", "2/3"):
        assert outcome("parts", shard=part).bands == 1
    joined = outcome("parts", finish=True)
    assert (joined.windows, joined.area_m2) == (whole.windows, whole.area_m2)
    for end in (".tif", "c.tif"):
        assert (tmp_path / f"parts{end}").read_bytes() == (tmp_path / f"whole{end}").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        {"shard": "0/2"},
        {"shard": "3/2"},
        {"shard": "x"},
        {"shard": "1/2", "finish": True},
        {"workers": 2, "shard": "1/2"},
        {"mosaic": "first", "shard": "1/2"},
    ],
)
def test_wrong_ways_to_share_are_refused(scene, options):
    with pytest.raises(UsageError):
        job(scene, "wrong", **options)


def test_workers_of_this_machine_one_of_them_killed(scene):
    killed = []

    def kill():
        victim = spawned()[0]
        os.kill(victim.pid, signal.SIGKILL)
        killed.append(victim.pid)

    run.run(job(scene, "workers", workers=2), Report(kill))
    assert killed
    assert digests(scene, "workers") == digests(scene, "whole")
    assert leftovers(scene) == []
    assert spawned() == []


def test_cancelling_workers_leaves_nothing(scene):
    before = sorted(scene.iterdir())

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(job(scene, "cancelled", workers=1), Report(interrupt))
    assert sorted(scene.iterdir()) == before
    assert spawned() == []


def test_errors_of_workers_arrive(scene, monkeypatch):
    network = build_network(CARD)
    for weight in network.decoder.parameters():
        weight.data.fill_(3e38)
    save_model(scene / "wild.safetensors", network, CARD)
    wild = PredictJob(
        (str(scene / "scene.tif"),), str(scene / "wild.safetensors"), str(scene / "wild.tif"), workers=1, device="cpu"
    )
    with pytest.raises(Exception, match="not numbers") as caught:
        run.run(wild, Progress())
    assert caught.value.exit_code == 5
    assert leftovers(scene) == []


def test_no_scheduler_no_package(scene, command):
    with pytest.raises(EnvironmentFault, match="no Dask scheduler answers"):
        run.run(job(scene, "nobody", scheduler="tcp://127.0.0.1:9"), Progress())
    with pytest.raises(UsageError, match="no address"):
        run.run(job(scene, "nobody", scheduler="nonsense://x"), Progress())
    code = "import sys; sys.modules['dask.distributed'] = None\nfrom wsss_geo.cli import main; main()"
    words = ["predict", scene / "scene.tif", "--model", scene / "m.safetensors", "--out", scene / "n.tif"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words), "--workers", "2"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 4
    assert 'pip install "wsss-geo[cluster]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and its two workers, as processes of their own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    known = tmp_path / "scheduler.json"
    dask = (
        [sys.executable, "-m", "distributed.cli.dask_scheduler"],
        [sys.executable, "-m", "distributed.cli.dask_worker"],
    )
    options = ["--scheduler-file", str(known), "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment, "cwd": tmp_path}
    started = [subprocess.Popen([*dask[0], "--host", "127.0.0.1", "--port", "0", *options], **quiet)]
    worker = [*dask[1], *options, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
    started += [subprocess.Popen(worker, **quiet) for _ in range(2)]
    deadline = time.monotonic() + 60
    while not known.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield json.loads(known.read_text())["address"], started[1:]
    for process in started:
        process.kill()
        process.wait()


def test_any_cluster_one_worker_killed(scene, cluster):
    address, workers = cluster
    report = Report(workers[0].kill)
    run.run(job(scene, "any", scheduler=address), report)
    assert report.action is None
    assert workers[0].wait(10) == -signal.SIGKILL
    assert digests(scene, "any") == digests(scene, "whole")
    assert leftovers(scene) == []
