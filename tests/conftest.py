"""Fixtures that several rooms share. Nothing heavy is imported before a test asks for it: QGIS runs its tests with
another Python, which has neither torch nor rasterio."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BACKBONE = {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 1}


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A scene of 256 x 256 px at 0.5 m, its truth, its tile set with masks and a small model trained on it."""

    folder: Path
    scene: Path
    truth: Path
    classes: Path
    tiles: Path
    model: Path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def messages(self):
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def tiny_scene(tmp_path_factory):
    """Folder with scene.tif, truth.tif (ids 3 water, 5 field, 9 wood; a strip of nodata) and classes.json."""
    import numpy as np

    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(3)
    truth = np.kron(np.array([3, 5, 9], np.uint8)[rng.integers(0, 3, (8, 8))], np.ones((32, 32), np.uint8))
    truth[:, 250:] = 255
    colours = np.zeros((256, 3), np.float64)
    colours[[3, 5, 9, 255]] = (40, 60, 150), (190, 170, 60), (40, 110, 50), (120, 120, 120)
    scene = colours[truth] + rng.normal(0, 12, (256, 256, 3))
    _write_tiff(folder / "scene.tif", np.clip(scene, 1, 255).astype(np.uint8).transpose(2, 0, 1))
    _write_tiff(folder / "truth.tif", truth, nodata=255)
    classes = [
        {"id": 3, "name": "water", "color": "#2b6cb0"},
        {"id": 5, "name": "field", "color": "#d69e2e"},
        {"id": 9, "name": "wood", "color": "#2f855a"},
    ]
    (folder / "classes.json").write_text(json.dumps(classes))
    return folder


def _write_tiff(path, array, origin=(500_000.0, 5_400_000.0), pixel=0.5, crs="EPSG:32632", **more):
    """Write [h, w] or [bands, h, w] as a GeoTIFF."""
    import rasterio
    from rasterio.transform import from_origin

    bands = array if array.ndim == 3 else array[None]
    if "transform" not in more:
        more["transform"] = from_origin(*origin, pixel, pixel)
    profile = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, **profile, **more) as file:
        file.write(bands)
    return path


@pytest.fixture(scope="session")
def write_tiff():
    """Function ``(path, array, ...)`` that writes a GeoTIFF."""
    return _write_tiff


@pytest.fixture(scope="session")
def tiny(tiny_scene):
    """See ``Tiny``."""
    import wsss_geo

    folder = tiny_scene
    names = ("scene.tif", "truth.tif", "classes.json", "tiles")
    scene, truth, classes, tiles = (folder / n for n in names)
    wsss_geo.tile(scene, tags=truth, classes=classes, size=64, stride=32, val=0.2, test=0.2, scene_block=64, out=tiles)
    wsss_geo.train(
        tiles, out=folder / "run", method="toco", backbone="vit_tiny_patch16_224", backbone_args=BACKBONE,
        settings={"decoder_width": 16}, steps=3, batch_size=2, check_every=3, device="cpu", precision="float32",
    )  # fmt: skip
    return Tiny(folder, scene, truth, classes, tiles, folder / "run" / "model.safetensors")


@pytest.fixture
def command():
    """Run a command line in this process with ``--progress none``; returns an Outcome."""
    from click.testing import CliRunner

    from wsss_geo.cli import main

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    level, variable = logging.root.manager.disable, os.environ.get("PYTHONWARNINGS")
    hooks = threading.excepthook, sys.unraisablehook

    def call(*words):
        with warnings.catch_warnings():
            result = CliRunner().invoke(main, [*map(str, words), "--progress", "none"])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
    logging.disable(level)
    threading.excepthook, sys.unraisablehook = hooks
    if variable is None:
        os.environ.pop("PYTHONWARNINGS", None)


def environment(**more):
    """Variables for a process of its own that finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


@pytest.fixture
def shell():
    """Run ``python -m MODULE WORD...`` as a process of its own; returns an Outcome."""

    def call(module, *words, timeout=600, **variables):
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, words)], capture_output=True, text=True, timeout=timeout,
            env=environment(**variables), check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call
