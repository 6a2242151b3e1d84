"""Faults that are really provoked: commands as processes of their own, that are killed, starved, hindered, misled."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Random moments at which each command is killed; `make faults` takes 25.
MOMENTS = int(os.environ.get("WSSS_GEO_FAULT_MOMENTS", "2"))
#: What libtiff says on standard error by itself when it can write no more.
LIBTIFF = ("_tiffSeekProc: ", "_tiffWriteProc: ")


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal) and what it said."""

    code: int
    out: str
    err: str

    def done(self):
        """It did what it was told to."""
        assert self.code == 0, (self.code, self.err)
        return self

    def refused(self, code, *words):
        """It ended with ``code`` and one sentence, which holds ``words``."""
        assert self.code == code, (self.code, self.err)
        lines = [line for line in self.err.splitlines() if not line.startswith(LIBTIFF)]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("wsss-geo: ")
        assert all(str(word) in lines[0] for word in words), (words, lines[0])
        assert "unexpected" not in lines[0]
        return self


class Run:
    """A command that runs."""

    def __init__(self, starter, pid, out, err):
        self._starter, self.pid, self._out, self._err = starter, pid, out, err
        self._ended = None

    def send(self, number):
        """Send a signal to it and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
        return self

    def alive(self):
        """Whether it has not ended yet."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"

    def listens(self):
        """Whether it has taken SIGTERM into its own hands."""
        line = next(n for n in Path(f"/proc/{self.pid}/status").read_text().splitlines() if n.startswith("SigCgt:"))
        return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    def children(self):
        """Ids of the processes it has started."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(word) for task in tasks for word in task.read_text().split()]

    def wait(self):
        """Wait for its end."""
        if self._ended is None:
            code = self._starter.ask({"wait": self.pid})
            self._ended = Ended(code, self._out.read_text(), self._err.read_text())
        return self._ended

    def until(self, condition, seconds=120):
        """Wait until ``condition(run)`` is true; fail if the command ends before."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert self.alive(), self.wait()
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)
        return self


class Starter:
    """The process that starts the commands."""

    def __init__(self, folder):
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "starter.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, order):
        assert self._process.poll() is None, "the process that starts the commands has ended"
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __call__(self, *words, before="", rights=True, progress="none"):
        """Start ``wsss-geo WORD...``."""
        self._count += 1
        out, err = (self._folder / f"{self._count}.{name}" for name in ("out", "err"))
        words = [*map(str, words), "--progress", progress]
        pid = self.ask(
            {"words": words, "out": str(out), "err": str(err), "before": before, "rights": rights}
        )  # fmt: skip
        return Run(self, pid, out, err)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Function ``(*words, before="", rights=True)`` that starts a command and returns a Run."""
    if not hasattr(os, "fork") or not Path("/proc/self/stat").exists():
        pytest.skip("needs fork and /proc")
    starter = Starter(tmp_path_factory.mktemp("said"))
    yield starter
    starter.close()


class Command:
    """A command on the scene of these tests, run once undisturbed: what that gave and the ``seconds`` it took."""

    def __init__(self, start, words, folder):
        self._start, self.words, self.folder = start, words, folder
        started = time.monotonic()
        self.again(folder)
        self.seconds = time.monotonic() - started
        self.digests = digests(folder)
        assert not scraps(folder)

    def __call__(self, folder, *more, **how):
        """Start it with its outputs in ``folder``; returns a Run."""
        return self._start(*(str(word).replace("{out}", str(folder)) for word in self.words), *more, **how)

    def again(self, folder, *more, **how):
        """Run it to its end, which is to be a good one."""
        return self(folder, *more, **how).wait().done()

    def with_inputs(self, old, new):
        """The same command that reads the files in the folder ``new``, copies of those in ``old``."""
        shutil.copytree(old, new)
        other = copy.copy(self)
        other.words = tuple(str(word).replace(str(old), str(new)) for word in self.words)
        return other

    def names(self, folder=None):
        """Names of all that the undisturbed run wrote, or of what lies in ``folder``."""
        return set(self.digests if folder is None else digests(folder))

    def check(self, folder, but=()):
        """All is there, with the bytes of the undisturbed run (``but`` for some files), and nothing else."""
        assert {k: v for k, v in digests(folder).items() if k not in but} == {
            k: v for k, v in self.digests.items() if k not in but
        }

    def check_whole(self, folder):
        """What has a final name is whole."""
        found = {k: v for k, v in digests(folder).items() if k in self.digests}
        assert found == {k: self.digests[k] for k in found}

    def struck(self, folder, share, number=signal.SIGKILL):
        """Start it and send it signal ``number`` after a ``share`` of its time; how that ended.

        One that has ended before, as the first was slow, is cleared away and started again.
        """
        for _ in range(8):
            run = self(folder).until(lambda run: run.listens())
            started = time.monotonic()
            while run.alive() and time.monotonic() < started + share * self.seconds:
                time.sleep(0.002)
            lasted = time.monotonic() - started
            ended = run.send(number).wait()
            if ended.code:
                return ended
            self.seconds = min(self.seconds, lasted)
            for path in sorted(folder.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
        raise AssertionError("the command always ends before it is struck")


def digests(folder):
    """What lies in ``folder``: a hash of each file by its name; of those that hold times, only the name."""
    found = {}
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.parent.name != "tensorboard"):
        content = b"" if path.suffix == ".json" else path.read_bytes()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def scraps(folder):
    """Names of what no finished and no cancelled run may leave."""
    found = (p.relative_to(folder).as_posix() for p in Path(folder).rglob("*"))
    return sorted(n for n in found if ".part" in n or n.endswith((".lock", ".work", "tmp", "journal")))


def pytest_generate_tests(metafunc):
    """Give ``share`` random shares of the time of a run, the same in every session."""
    if "share" in metafunc.fixturenames:
        chance = random.Random(metafunc.function.__name__)
        metafunc.parametrize("share", [round(chance.uniform(0.02, 0.98), 3) for _ in range(MOMENTS)])


@pytest.fixture(scope="session")
def left():
    """Function ``(folder)`` that names what no finished and no cancelled run may leave."""
    return scraps


@pytest.fixture(scope="session")
def tile(start, tmp_path_factory, tiny_scene):
    """The command that cuts the tiny scene into files."""
    words = (
        "tile", tiny_scene / "scene.tif", "--tags", tiny_scene / "truth.tif", "--classes", tiny_scene / "classes.json",
        "--size", 32, "--stride", 32, "--val", 0.2, "--test", 0.2, "--scene-block", 64, "--materialize",
        "--out", "{out}/tiles",
    )  # fmt: skip
    return Command(start, words, tmp_path_factory.mktemp("tile"))


@pytest.fixture(scope="session")
def tiles(tile, tmp_path_factory):
    """The tile set that ``train`` learns from."""
    folder = tmp_path_factory.mktemp("tiles")
    tile.again(folder)
    return folder / "tiles"


@pytest.fixture(scope="session")
def train(start, tmp_path_factory, tiles):
    """The command that trains a small network from tags."""
    words = (
        "train", tiles, "--out", "{out}/run", "--method", "aerial", "--backbone", "vit_tiny_patch16_224",
        "--backbone-arg", "patch_size=8", "--backbone-arg", "depth=2", "--backbone-arg", "embed_dim=32",
        "--backbone-arg", "num_heads=1", "--set", "decoder_width=16", "--batch-size", 2, "--steps", 12,
        "--check-every", 3, "--device", "cpu", "--precision", "float32",
    )  # fmt: skip
    return Command(start, words, tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """Folder with long.tif, a scene of several bands of rows, and m.safetensors, a model for it."""
    from small_model import write_model

    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder / "long.tif")
    write_model(folder / "m.safetensors")
    return folder


@pytest.fixture(scope="session")
def predict(start, tmp_path_factory, scene):
    """The command that maps the long scene."""
    return Command(start, predict_words(scene), tmp_path_factory.mktemp("predict"))


def predict_words(scene):
    return (
        "predict", scene / "long.tif", "--model", scene / "m.safetensors", "--out", "{out}/cover.tif", "--confidence",
        "{out}/confidence.tif", "--cam", "{out}/cam.tif", "--polygons", "{out}/cover.parquet", "--device", "cpu",
        "--batch-size", 4,
    )  # fmt: skip


def write_scene(path, bands=6, width=128, seed=0):
    """Soft colours of ``bands`` times 512 rows, a part without data."""
    import numpy as np
    import rasterio
    import torch
    from rasterio.transform import from_origin

    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 3, 20 * bands, 6), np.float32))
    soft = torch.nn.functional.interpolate(coarse, size=(bands * 512 - 100, width), mode="bicubic")[0]
    pixels = (soft.clamp(0, 1) * 254 + 1).to(torch.uint8).numpy()
    pixels[:, 700:900, :90] = 0
    profile = {
        "driver": "GTiff", "height": pixels.shape[1], "width": width, "count": 3, "dtype": "uint8", "nodata": 0,
        "crs": "EPSG:32632", "transform": from_origin(600000, 5400000, 0.5, 0.5), "tiled": True, "blockxsize": 128,
        "blockysize": 128,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
