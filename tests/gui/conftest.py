"""A real QGIS with the packaged plugin on a virtual screen, driven by a script that runs inside it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import rasterio
import rasterio.windows

ROOT = Path(__file__).resolve().parents[2]
ENGINE = next(
    (p for p in (os.environ.get("WSSS_GEO_PYTHON", ""), str(ROOT / ".venv/bin/python")) if p and Path(p).exists()), ""
)
SIDE = 768
SCENE, MODEL = ROOT / "sample_data/scene_a.tif", ROOT / "sample_data/model.safetensors"


@pytest.fixture
def screen():
    """A virtual screen; its name."""
    if not shutil.which("Xvfb") or not shutil.which("qgis"):
        pytest.skip("needs Xvfb and QGIS")
    read, write = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    ) as server:
        os.close(write)
        with os.fdopen(read) as names:
            yield f":{names.readline().strip()}"
        server.terminate()


@pytest.fixture
def model(tmp_path):
    """The sample model, or an untrained one."""
    if not ENGINE:
        pytest.skip("no engine: set WSSS_GEO_PYTHON or make .venv")
    made = tmp_path / "model.safetensors"
    if MODEL.is_file():
        shutil.copy(MODEL, made)
    else:
        script = ROOT / "tests/qgis/make_model.py"
        subprocess.run([ENGINE, str(script), str(made)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return made


@pytest.fixture
def scene():
    """The sample scene."""
    if not SCENE.is_file():
        pytest.skip("no sample data")
    return SCENE


@pytest.fixture
def part(scene, tmp_path):
    """A piece of the sample scene, small enough for a busy machine."""
    window = rasterio.windows.Window(640, 1150, SIDE, SIDE)
    path = tmp_path / "scene.tif"
    with rasterio.open(scene) as source:
        place = {"crs": source.crs, "transform": source.window_transform(window)}
        with rasterio.open(
            path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", photometric="RGB", **place
        ) as target:
            target.write(source.read(window=window))
    return path


@pytest.fixture
def in_qgis(screen, scene, tmp_path):
    """``in_qgis("press_x.py", settings, **more)`` runs a script in a QGIS of an empty profile; what it saw.

    The script finds the sample scene in $SCENE (unless another is given), its helpers in $HERE, a folder for its files
    in $WORK and one for pictures in $SEEN: a temporary one, or $WSSS_GEO_PICTURES.
    """
    spec = importlib.util.spec_from_file_location("package_plugin", ROOT / "tools/package_plugin.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(script, settings="", **more):
        profile = Path(home, ".local/share/QGIS/QGIS3/profiles/default")
        tool.write_folder(profile / "python/plugins")
        (profile / "QGIS").mkdir()
        (profile / "QGIS/QGIS3.ini").write_text(settings)
        seen = Path(os.environ.get("WSSS_GEO_PICTURES", tmp_path))
        (tmp_path / "work").mkdir()
        environment = {
            **os.environ, "HOME": home, "DISPLAY": screen, "WSSS_GEO_PYTHON": engine_in(home),
            "SEEN": str(seen), "WORK": str(tmp_path / "work"), "SCENE": str(scene),
            "HERE": str(Path(__file__).parent),
            "XDG_RUNTIME_DIR": str(tmp_path), "QT_QPA_PLATFORM": "xcb", **more,
        }  # fmt: skip
        started = time.monotonic()
        subprocess.run(
            ["qgis", "--nologo", "--noversioncheck", "--code", str(Path(__file__).with_name(script))],
            env=environment, capture_output=True, timeout=1800, check=False,
        )  # fmt: skip
        assert (seen / "seen.json").is_file(), f"QGIS ended after {time.monotonic() - started:.0f} s without a word"
        found = json.loads((seen / "seen.json").read_text())
        (seen / "seen.json").unlink()
        assert "fault" not in found, found["fault"]
        return found

    with tempfile.TemporaryDirectory(prefix="qgis_") as home:
        yield run


def engine_in(folder):
    """The engine's Python by a short path in ``folder``, for pictures; empty if there is none."""
    if not ENGINE:
        return ""
    link = Path(folder, "engine")
    link.symlink_to(Path(ENGINE).absolute().parents[1])
    return str(link / "bin" / Path(ENGINE).name)
