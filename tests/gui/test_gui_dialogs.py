"""Every dock and dialog in a real QGIS window: small enough, nothing clipped, and Copy as Command."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

import pytest

WIDEST, HIGHEST = 1000, 580


@pytest.fixture
def models(model):
    """A folder with a short name, which pictures show, and the model in it."""
    with tempfile.TemporaryDirectory(prefix="models_") as folder:
        shutil.copy(model, Path(folder) / "sample.safetensors")
        yield folder


def test_all_dialogs_fit_and_copy_their_command(in_qgis, models, part):
    from wsss_geo.cli import main

    path = f"{models}/sample.safetensors"
    found = in_qgis("press_dialogs.py", f"[wsss_geo]\nmodel_folder={models}\n", SCENE=str(part), MODEL=path)
    assert found["clipped"] == []
    assert len(found["sizes"]) == 12
    too_large = {n: s for n, s in found["sizes"].items() if s[0] > WIDEST or s[1] > HIGHEST}
    assert too_large == {}
    assert "Wrong or missing value: Model" in found["nothing"]
    assert "copied" in found["copied"]
    program, name, *words = shlex.split(found["command"])
    assert (program, name) == ("wsss-geo", "predict")
    given = main.commands[name].make_context(name, words).params
    assert (given["rasters"], given["model"], given["out"]) == ((str(part),), path, found["out"])
    assert given["min_area"] == 3
