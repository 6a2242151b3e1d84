"""The demonstration, on a small scene in place of the sample data."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

CELL = 32


@pytest.fixture(scope="module")
def small_data(tiny, tmp_path_factory):
    """A folder like sample_data, of one scene of 256 x 256 px tagged in cells of 32 px."""
    import rasterio

    folder = tmp_path_factory.mktemp("sample")
    for scene in ("scene_a", "scene_b"):
        shutil.copy(tiny.scene, folder / f"{scene}.tif")
    shutil.copy(tiny.truth, folder / "scene_b_truth.tif")
    shutil.copy(tiny.classes, folder / "classes.json")
    shutil.copy(tiny.model, folder / "model.safetensors")
    names = {c["id"]: c["name"] for c in json.loads(tiny.classes.read_text())}
    lines = ["x,y,tags"]
    with rasterio.open(tiny.truth) as file:
        truth = file.read(1)
        for row, col in np.ndindex(256 // CELL, 256 // CELL):
            x, y = file.xy((row + 0.5) * CELL, (col + 0.5) * CELL, offset="ul")
            lines.append(f"{x},{y},{names[int(truth[row * CELL, col * CELL])]}")
    (folder / "scene_a_tags.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_demo_leaves_map_and_picture_and_says_what_next(small_data, shell, tmp_path):
    import rasterio
    from PIL import Image

    out = tmp_path / "demo"
    done = shell("wsss_geo.cli", "demo", "--data", small_data, "--out", out, "--progress", "json")
    assert done.code == 0, done.err
    messages = done.messages()
    result = messages[-1]
    assert result["type"] == "result"
    assert result["tagged_tiles"] == (256 // CELL) ** 2
    with rasterio.open(small_data / "scene_b_truth.tif") as truth, rasterio.open(result["mask"]) as mask:
        known = truth.read(1) != 255
        right = np.mean(truth.read(1)[known] == mask.read(1)[known])
        assert mask.crs == truth.crs
        assert mask.transform == truth.transform
    assert result["accuracy"] == pytest.approx(right, abs=1e-6)
    for name in ("overview.png", "cover.tif", "cover.shp", "cover_confidence.tif", "cover_cam.tif"):
        assert (out / name).is_file()
    with Image.open(out / "overview.png") as picture:
        assert min(picture.size) > 1000
    said = "\n".join(m["message"] for m in messages if m["type"] == "info")
    assert "wsss-geo train" in said
    assert not list(out.rglob("*.part*"))


@pytest.mark.parametrize("name", ["scene_b.tif", "classes.json", "scene_a_tags.csv", "model.safetensors"])
def test_missing_sample_data_are_named(small_data, command, tmp_path, name):
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    (data / name).unlink()
    done = command("demo", "--data", data, "--out", tmp_path / "demo")
    assert done.code == 3
    assert name in done.err
    assert not (tmp_path / "demo").exists()


def test_tags_without_a_line_are_refused(small_data, command, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    (data / "scene_a_tags.csv").write_text("x,y,tags\n")
    done = command("demo", "--data", data, "--out", tmp_path / "demo")
    assert done.code == 3
    assert "scene_a_tags.csv: holds no tags" in done.err
