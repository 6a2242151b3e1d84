"""Examples drawn on the map of a real QGIS window, and what is found."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Three roofs of the sample scene, in its CRS.
ROOFS = (
    ((612452.5, 5411386.0), (612468.0, 5411386.0), (612468.5, 5411373.5), (612452.0, 5411374.0)),
    ((612349.0, 5411419.0), (612361.5, 5411416.0), (612358.5, 5411398.0), (612346.5, 5411401.0)),
    ((612365.0, 5411176.0), (612376.5, 5411172.5), (612371.5, 5411153.5), (612359.5, 5411157.5)),
)


@pytest.fixture
def few_shot(model, tmp_path):
    """The few-shot model in $WSSS_GEO_FEW_SHOT, or an untrained one."""
    given = os.environ.get("WSSS_GEO_FEW_SHOT", "")
    if given:
        return given
    made, script = tmp_path / "few_shot.safetensors", ROOT / "tests/qgis/make_few_shot.py"
    engine = os.environ.get("WSSS_GEO_PYTHON", str(ROOT / ".venv/bin/python"))
    subprocess.run([engine, str(script), str(made)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return str(made)


def test_drawn_examples_and_what_is_like_them(in_qgis, few_shot, part, tmp_path):
    from wsss_geo.cli import main

    settings = f"[wsss_geo]\nlast_few_shot_model={few_shot}\n"
    found = in_qgis("press_similar.py", settings, SCENE=str(part), EXAMPLES=json.dumps(ROOFS), WANTED="roofs")
    assert found["drawn"] == len(ROOFS)
    assert "3 bands" in found["model"]
    assert found["status"] == "Done."
    assert found["layers"][:5] == [
        ["Examples", True],
        ["scene: roofs, Polygons", True],
        ["scene: roofs, Mask by confidence", False],
        ["scene: roofs, Mask", False],
        ["scene: roofs, Confidence", False],
    ]
    program, name, *words = shlex.split(found["command"])
    assert (program, name) == ("wsss-geo", "fewshot")
    context = main.commands[name].make_context(name, words)
    assert (context.params["query"], context.params["model"]) == (str(part), few_shot)
    assert found["clipped"] == []
    assert found["left"] == []
