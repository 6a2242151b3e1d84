"""Inputs that change, clocks that jump, memory that is short, helpers that die while a command runs."""

from __future__ import annotations

import os
import signal

import pytest

#: Does something to the inputs in the middle of a prediction, or when a tile set has read them once.
MEDDLE = {
    "predict": """
from wsss_geo.inference.manifest import WorkFolder
keep = WorkFolder.save
def save(self, band, *what):
    keep(self, band, *what)
    if band == 1:
        meddle()
WorkFolder.save = save
""",
    "tile": """
import wsss_geo.tiling.run as room
scan = room.scan
def scanned(*what):
    found = scan(*what)
    meddle()
    return found
room.scan = scanned
""",
}
WAYS = {
    "touched": "os.utime(path, (1, 1))",
    "written to": "open(path, 'r+b').write(b'?')",
    "cut short": "os.truncate(path, os.path.getsize(path) // 3)",
    "replaced": "shutil.copy(path, path + '~'); os.replace(path + '~', path)",
    "removed": "os.unlink(path)",
}
#: Time goes forth and back by a day from one look at the clock to the next.
JUMPS = """
import itertools, time
real, jumps = time.time, itertools.cycle((0, 86400, -86400))
time.time = lambda: real() + next(jumps)
"""
#: A network that has room for ``most`` windows.
SHORT = """
import torch
from wsss_geo.nn.network import Network
able = Network.predict
def predict(self, image01, *args, **more):
    if len(image01) > {most}:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.9 GiB of which 1.1 GiB "
            "is free. See documentation for Memory Management (https://pytorch.org/docs/stable/notes/cuda.html)"
        )
    return able(self, image01, *args, **more)
Network.predict = predict
"""
#: A training that runs out of memory in its eighth step.
SHORT_STEP = """
import torch
from wsss_geo.training.lightning_module import TagTraining
able = TagTraining.training_step
def step(self, batch, *more):
    if self.global_step == 7:
        raise {error}
    return able(self, batch, *more)
TagTraining.training_step = step
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "source", "name"), [("predict", "scene", "long.tif"), ("tile", "tiny_scene", "scene.tif")]
)
def test_an_input_that_does_not_stay_as_it_was(request, kind, source, name, way, tmp_path):
    folder, out = request.getfixturevalue(source), tmp_path / "out"
    command = request.getfixturevalue(kind).with_inputs(folder, tmp_path / "in")
    path = tmp_path / "in" / name
    out.mkdir()
    meddle = f"import os, shutil\ndef meddle():\n    path = {str(path)!r}\n    {WAYS[way]}\n"
    command(out, before=meddle + MEDDLE[kind]).wait().refused(3, path)
    assert not list(out.iterdir())
    path.write_bytes((folder / name).read_bytes())
    command.again(out)
    command.check(out)


def test_the_record_tells_the_model_that_was_used(predict, scene, tmp_path):
    import hashlib
    import json

    command = predict.with_inputs(scene, tmp_path / "in")
    out, model = tmp_path / "out", tmp_path / "in" / "m.safetensors"
    out.mkdir()
    used = hashlib.sha256(model.read_bytes()).hexdigest()
    command.again(out, before=f"import os\ndef meddle():\n    os.unlink({str(model)!r})\n" + MEDDLE["predict"])
    assert json.loads((out / "cover.tif.json").read_text())["model"]["sha256"] == used
    command.check(out)


@pytest.mark.parametrize("way", ["removed", "cut short"])
@pytest.mark.parametrize("workers", [0, 1])
def test_rasters_that_a_training_misses(start, tile, train, tiny_scene, way, workers, tmp_path):
    """The sentence is the same when it was another process that met the fault."""
    moved = tile.with_inputs(tiny_scene, tmp_path / "in")
    moved.again(tmp_path, "--no-materialize")
    scene = tmp_path / "in" / "scene.tif"
    scene.unlink() if way == "removed" else os.truncate(scene, 40_000)
    out = tmp_path / "run"
    ended = start(*learning(train, tmp_path / "tiles", out), "--workers", workers).wait()
    ended.refused(3, "scene.tif", "is gone" if way == "removed" else "cannot be read")
    assert not (out / "model.safetensors").exists()


def learning(train, tiles, out):
    """The words of ``train`` for other tiles and another output."""
    words = [str(word) for word in train.words]
    words[1], words[words.index("--out") + 1] = str(tiles), str(out)
    return words


def test_a_process_that_reads_tiles_is_lost(train, tmp_path):
    run = train(tmp_path, "--workers", 1)
    run.until(lambda _: (tmp_path / "run" / "resume.ckpt").exists())
    for child in run.children():
        os.kill(child, signal.SIGKILL)
    run.wait().refused(4, "was lost", "goes on from the last checkpoint")
    train.again(tmp_path, "--workers", 1)
    train.check(tmp_path, but=("run/config.yaml",))


def test_clocks_that_jump_and_times_in_the_future(predict, scene, tmp_path):
    command = predict.with_inputs(scene, tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    for path in (tmp_path / "in").iterdir():
        os.utime(path, (4_000_000_000, 4_000_000_000))
    kill = "import os\ndef meddle():\n    os.kill(os.getpid(), 9)\n" + MEDDLE["predict"]
    assert command(out, before=kill + JUMPS).wait().code == -signal.SIGKILL
    for path in out.rglob("*"):
        os.utime(path, (5_000_000_000, 5_000_000_000))
    ended = command.again(out, before=JUMPS, progress="json")
    assert "going on, 2 of 6 bands are there" in ended.out
    command.check(out)


def test_a_training_under_a_clock_that_jumps(train, tmp_path):
    train.again(tmp_path, before=JUMPS)
    train.check(tmp_path)


def test_short_memory_of_an_accelerator_makes_smaller_batches(predict, tmp_path):
    import rasterio

    predict.again(tmp_path, before=SHORT.format(most=1))
    assert predict.names() == predict.names(tmp_path)
    with rasterio.open(tmp_path / "cover.tif") as mask, rasterio.open(predict.folder / "cover.tif") as expected:
        assert (mask.read(1) == expected.read(1)).mean() > 0.999


def test_memory_too_short_for_a_single_window(predict, tmp_path):
    predict(tmp_path, before=SHORT.format(most=0)).wait().refused(4, "not even one window fits in the memory")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        'torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 7.9 GiB of which...")',
        'RuntimeError("[enforce fail at alloc_cpu.cpp:124] data. DefaultCPUAllocator: can\'t allocate memory: you")',
        "MemoryError()",
    ],
    ids=["accelerator", "processor", "python"],
)
def test_short_memory_of_a_training(train, left, error, tmp_path):
    ended = train(tmp_path, before=SHORT_STEP.format(error=error)).wait().refused(4, "out of memory", "--batch-size")
    assert "GPU 0" not in ended.err
    assert not left(tmp_path)
    train.again(tmp_path)
    train.check(tmp_path)
