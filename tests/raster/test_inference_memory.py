"""Memory that is allowed is kept to, or refused before the start with the figure that is needed."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from hearing import Hearing
from small_model import CARD as SMALL
from small_model import write_model
from wsss_geo.errors import EnvironmentFault, UsageError
from wsss_geo.inference import run
from wsss_geo.inference.compute import Engine, needed_for, open_task
from wsss_geo.job_fields import parse_bytes
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import load_model
from wsss_geo.progress import Progress
from wsss_geo.streaming.estimate import duration
from wsss_geo.streaming.limits import Limits
from wsss_geo.streaming.predictor import build_predictor
from wsss_geo.streaming.probe import probe

ROOT = Path(__file__).parents[2]
CARD = dataclasses.replace(
    SMALL, tile_size=256,
    network={**SMALL.network, "image_size": 256, "backbone_args": {**SMALL.network["backbone_args"], "patch_size": 16}},
)  # fmt: skip
#: What the process may have, and its address space: libraries reserve much more than they use.
ALLOWED, ADDRESSES = "1200MiB", 3 << 30
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({addresses}, {addresses}))
from pathlib import Path
from wsss_geo.inference import run
from wsss_geo.jobs import PredictJob
from wsss_geo.progress import Progress
run.run(PredictJob(**json.loads(sys.argv[1])), Progress())
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")))
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Folder with wide.tif (60 000 pixels wide) and a small model."""
    folder = tmp_path_factory.mktemp("memory")
    profile = {
        "driver": "GTiff", "height": 700, "width": 60_000, "count": 3, "dtype": "uint8", "crs": "EPSG:32632",
        "transform": from_origin(600000, 5400000, 0.5, 0.5), "tiled": True, "blockxsize": 256, "blockysize": 256,
        "sparse_ok": True,
    }  # fmt: skip
    with rasterio.open(folder / "wide.tif", "w", **profile):
        pass
    write_model(folder / "m.safetensors", CARD)
    return folder


def job(folder, name, **options):
    return PredictJob(
        (str(folder / "wide.tif"),), str(folder / "m.safetensors"), str(folder / f"{name}.tif"), device="cpu", **options
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_a_run_keeps_to_the_memory_that_is_allowed(wide):
    model = load_model(wide / "m.safetensors")
    free = job(wide, "free")
    predictor = build_predictor(model, torch.device("cpu"), free)
    engine = Engine(free, model, predictor, "cpu", probe(model, predictor, free))
    task = open_task(free.rasters[0], engine, Progress())
    task.scene.close()
    assert needed_for(task, engine.cost).memory > parse_bytes("", ALLOWED)  # so something has to become smaller
    fields = {k: v for k, v in job(wide, "m", max_memory=ALLOWED).to_json().items() if k != "command"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    program = PROGRAM.format(addresses=ADDRESSES)
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(fields)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= parse_bytes("", ALLOWED)
    with rasterio.open(wide / "m.tif") as mask:
        assert mask.shape == (700, 60_000)


def test_too_little_memory_is_refused_with_the_figure(wide):
    report = Hearing()
    with pytest.raises(EnvironmentFault, match=r"800 MiB of memory are allowed, at least \d+ MiB are needed") as caught:
        run.run(job(wide, "refused", max_memory="800MiB"), report)
    assert caught.value.exit_code == 4
    assert "--max-memory" in caught.value.hint
    assert not [p for p in wide.iterdir() if "refused" in p.name]


def test_limits_become_smaller_step_by_step():
    steps = list(Limits(8, 4).smaller())
    assert steps[0] == Limits(8, 4)
    assert [s.batch for s in steps] == sorted((s.batch for s in steps), reverse=True)
    assert steps[-1].batch == steps[-1].threads == 1
    assert all(a.strip >= b.strip and a.cache >= b.cache for a, b in itertools.pairwise(steps) if a.batch == b.batch)


def test_amounts_of_memory_and_times():
    assert parse_bytes("x", "1.5GiB") == 3 << 29
    assert parse_bytes("x", "800 MB") == 800_000_000
    assert parse_bytes("x", "512") == 512 << 20
    for wrong in ("", "much", "-1GiB", "0", "1PiB", "1e3MiB"):
        with pytest.raises(UsageError, match="no amount of memory"):
            parse_bytes("predict.max_memory", wrong)
    assert [duration(s) for s in (0.2, 59, 90, 7300)] == ["1 s", "59 s", "2 min", "2.0 h"]
