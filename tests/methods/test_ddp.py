"""Data-parallel training: two processes do what one does with their joint batch, and only the first writes."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import wsss_geo
from wsss_geo.classes import ClassScheme
from wsss_geo.errors import WsssGeoError
from wsss_geo.fitting.group import Group, companions, find_group
from wsss_geo.jobs import TrainJob
from wsss_geo.methods import METHODS, settings_from
from wsss_geo.nn.crops import sample_crops
from wsss_geo.nn.network import Network
from wsss_geo.progress import Progress
from wsss_geo.tileset.index import read_tileset
from wsss_geo.training.batches import make_batch
from wsss_geo.training.setup import make_card, make_method, make_settings

ROOT = Path(wsss_geo.__file__).resolve().parents[1]
TINY = {
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 2},
    "device": "cpu",
    "precision": "float32",
}


def given(method, steps=4, **settings):
    settings = {"decoder_width": 16, "dilation": 1, "start": 0.25, "lr": 1e-3, **settings}
    return {"method": method, "steps": steps, "check_every": 2, "seed": 3, "settings": settings, **TINY}


def metrics(folder):
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def start_of(tiles, job):
    """Weights before the first step."""
    tileset = read_tileset(tiles)
    rows = tileset.of_split("train")
    settings = make_settings(job)
    return make_method(job, make_card(job, tileset, rows, settings, tileset.size), settings).product.state_dict()


#: Settings of the run in one process, and what the two processes have instead; terms that must count at the end.
#: Memories are so short that their order matters, and the gates so wide that something enters them in four steps.
METHODS_ALIKE = {
    "aerial": ({"memory": 5, "start": 0.0, "ramp": 1e9}, {}, ("seg",)),
    "toco": ({}, {}, ()),
    "ctfa": ({}, {}, ("joint",)),
    "sfc": ({"bank": 4, "side_width": 16}, {"bank": 2}, ("dw", "ms")),
    "cti": ({"memory": 3, "least": 1}, {}, ("cross",)),
    "stcl": ({"memory": 3, "least": 1, "gate": 0.0, "high": 0.3, "memory_width": 16, "memory_ramp": 0.1}, {}, ("mem",)),
}


@pytest.mark.parametrize("method", METHODS_ALIKE)
def test_two_processes_train_as_one_with_the_joint_batch(tiny, tmp_path, method):
    settings, shared, counting = METHODS_ALIKE[method]
    one = wsss_geo.train(tiny.tiles, out=tmp_path / "one", batch_size=4, **given(method, **settings))
    job = given(method, **{**settings, **shared})
    two = wsss_geo.train(tiny.tiles, out=tmp_path / "two", batch_size=2, devices=2, **job)
    assert not torch.distributed.is_initialized()
    assert "LOCAL_RANK" not in os.environ
    assert two.scores == pytest.approx(one.scores, abs=1e-3)
    alone, together = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [r["step"] for r in together] == [r["step"] for r in alone]
    for theirs, ours in zip(together, alone, strict=True):
        assert theirs == pytest.approx(ours, abs=1e-4)
    largest = {term: max(row.get(term, 0.0) for row in alone) for term in counting}
    assert min(largest.values(), default=1.0) > 1e-3, largest
    single, joint = load_file(one.model), load_file(two.model)
    start = start_of(tiny.tiles, TrainJob(tiles=str(tiny.tiles), out=str(tmp_path), **given(method, **settings)))
    moved = sum(((single[n] - start[n]) ** 2).sum() for n in single) ** 0.5
    apart = sum(((single[n] - joint[n]) ** 2).sum() for n in single) ** 0.5
    assert moved > 0.01
    assert apart < 0.01 * moved, f"{apart:.2e} apart after moving {moved:.2e}"
    assert {p.name for p in (tmp_path / "two").iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}


def by_torchrun(words):
    """The launch file on one machine."""
    return [(["sh", ROOT / "training/launch/torchrun.sh", *words[1:]], {"DEVICES": "2", "PYTHON": sys.executable})]


def by_slurm(words):
    """What srun does on one node: the same command twice, told apart by variables."""
    job = {
        "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "7", "SLURM_NODELIST": "localhost", "MASTER_ADDR": "localhost",
        "SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
    }  # fmt: skip
    command = [sys.executable, "-m", "wsss_geo.cli", *words]
    return [(command, {**job, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}) for rank in range(2)]


@pytest.mark.parametrize("starter", [by_torchrun, by_slurm])
def test_processes_started_from_outside_train_alike(tiny, tmp_path, starter):
    """All run the same command; one of them writes."""
    words = [
        "train", tiny.tiles, "--method", "aerial", "--steps", 2, "--batch-size", 2, "--check-every", 2, "--seed", 3,
        "--backbone", TINY["backbone"], "--device", "cpu", "--precision", "float32", "--out", tmp_path / "run",
        *(w for n, v in TINY["backbone_args"].items() for w in ("--backbone-arg", f"{n}={v}")),
        "--set", "decoder_width=16", "--set", "dilation=1",
    ]  # fmt: skip
    common = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_PORT": str(free_port())}
    with contextlib.ExitStack() as stack:
        started = []
        for command, more in starter(words):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            started.append(subprocess.Popen([*map(str, command)], env={**common, **more}, **quiet))
            stack.callback(started[-1].kill)
        for process in started:
            said = process.communicate(timeout=300)[1]
            assert process.returncode == 0, said[-2000:]
    assert (tmp_path / "run" / "model.safetensors.json").is_file()
    alone = {**given("aerial"), "steps": 2, "settings": {"decoder_width": 16, "dilation": 1}}
    wsss_geo.train(tiny.tiles, out=tmp_path / "one", batch_size=4, **alone)
    for theirs, ours in zip(metrics(tmp_path / "run"), metrics(tmp_path / "one"), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-4)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nobody_waits_for_a_process_that_cannot_join(tmp_path):
    job = TrainJob(tiles=str(tmp_path / "nowhere"), out=str(tmp_path / "run"), devices=2, **TINY)
    with pytest.raises(WsssGeoError, match="process 1 of 2 ended"), companions(job, Group(2)):
        pytest.fail("the group is not whole")
    assert not torch.distributed.is_initialized()


class KillsOthers(Progress):
    """Kills the processes that this one has started, once the training is on its way."""

    def emit(self, kind, fields):
        if kind == "progress" and fields["done"] == 3:
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split():
                os.kill(int(child), signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the other process in /proc")
def test_a_killed_process_ends_the_training_in_a_sentence_and_the_run_resumes(tiny, tmp_path):
    job = {"out": tmp_path / "run", "batch_size": 2, "devices": 2, **given("aerial", steps=6)}
    with pytest.raises(WsssGeoError, match="process 1 of 2 ended"):
        wsss_geo.train(tiny.tiles, report=KillsOthers(), **job)
    assert (tmp_path / "run" / "resume.ckpt").exists()
    wsss_geo.train(tiny.tiles, **job)
    assert [r["step"] for r in metrics(tmp_path / "run")] == [2, 2, 4, 4, 6, 6]


def test_a_process_knows_its_group_by_its_starter():
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1"}
    assert find_group(1, torchrun) == Group(4, 2, 5, "torchrun")
    slurm = {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_JOB_NAME": "train"}
    assert find_group(1, slurm) == Group(4, 2, 3, "slurm")
    assert find_group(2, {**slurm, "SLURM_NTASKS": "1", "SLURM_NNODES": "1"}) == Group(2)
    assert find_group(2, {"LOCAL_RANK": "1"}) == Group(2, 1, 1, "parent")
    assert find_group(2, {}) == Group(2)
    assert not find_group(2, {"LOCAL_RANK": "1"}).leads


def items_of(count):
    generator = torch.Generator().manual_seed(0)
    return {
        "image01": torch.rand(count, 3, 32, 32, generator=generator),
        "valid": torch.ones(count, 32, 32, dtype=torch.bool),
        "tags": torch.ones(count, 2),
    }


def test_each_process_sees_its_rows_of_the_joint_views():
    scheme = ClassScheme.from_names(["a", "b"], "none")
    network = Network(
        TINY["backbone"], classes=2, taggable=2, mean=[0.5] * 3, std=[0.2] * 3, image_size=32, decoder_width=8,
        backbone_args=TINY["backbone_args"],
    )  # fmt: skip
    method = METHODS["toco"](network, scheme, settings_from(METHODS["toco"].settings_type, {}), 10)
    items = items_of(6)
    joint = make_batch(items, method, 32, 1, 2)
    regions = torch.zeros(6, 32, 32, dtype=torch.int64)
    crops = sample_crops(regions, 3, 8, generator=joint.generator).corners
    for rank in range(3):
        share = make_batch({k: v[rank::3] for k, v in items.items()}, method, 32, 1, 2, rank, 3)
        for name in ("image", "clean", "local", "second", "valid"):
            assert torch.equal(getattr(share, name), getattr(joint, name)[rank::3]), name
        own = sample_crops(regions[rank::3], 3, 8, generator=share.generator, places=share.places).corners
        assert torch.equal(own, crops[rank::3])
