"""Every bad input: the exit code, one sentence that names what is concerned, nothing left behind."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file


def listing(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.fixture
def refused(command, tmp_path):
    """Run a command that must fail; checks code, sentence and what is left; returns the sentence."""

    def check(code, named, *words):
        before = listing(tmp_path)
        outcome = command(*words)
        assert outcome.code == code, outcome
        assert outcome.out == ""
        lines = outcome.err.strip().splitlines()
        assert len(lines) == 1, outcome.err
        assert lines[0].startswith("wsss-geo: ")
        assert "Traceback" not in outcome.err
        assert "unexpected" not in outcome.err
        assert str(named) in lines[0]
        assert listing(tmp_path) == before
        return lines[0]

    return check


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("these are notes, not pixels\n")
    return path


def changed_model(source, target, **changes):
    """A copy of a model file with another card."""
    with safe_open(source, framework="pt") as file:
        card = json.loads(file.metadata()["wsss_geo"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(weights, target, metadata={"wsss_geo": json.dumps({**card, **changes})})
    return target


def test_paths_that_do_not_exist(refused, tiny, tmp_path):
    gone = tmp_path / "gone"
    out = tmp_path / "out.tif"
    assert "no such file" in refused(3, gone, "predict", gone, "--model", tiny.model, "--out", out)
    assert "no such model file" in refused(3, gone, "predict", tiny.scene, "--model", gone, "--out", out)
    assert "no such f" in refused(3, gone, "tile", gone, "--out", tmp_path / "tiles")
    assert "no such f" in refused(3, gone, "tile", tiny.scene, "--tags", gone, "--out", tmp_path / "tiles")
    assert "no such f" in refused(3, gone, "train", gone, "--out", tmp_path / "run")
    assert "no such f" in refused(3, gone, "info", gone)
    assert "no such f" in refused(3, gone, "vectorize", gone, "--out", tmp_path / "out.gpkg")
    assert "no such reference" in refused(3, gone, "evaluate", "--prediction", tiny.truth, "--reference", gone)
    assert "cannot be read" in refused(3, gone, "run", gone)


def test_files_that_are_no_raster(refused, tiny, text, tmp_path):
    out = tmp_path / "out.tif"
    for words in (
        ("predict", text, "--model", tiny.model, "--out", out),
        ("tile", text, "--out", tmp_path / "tiles"),
        ("info", text),
        ("vectorize", text, "--out", tmp_path / "out.shp"),
        ("evaluate", "--prediction", text, "--reference", tiny.truth),
    ):
        assert "not a raster" in refused(3, text, *words)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("tile_id,tags\nno_such_tile,water\nnor_this,field\n", "none of its"),
        ("x,y,tags\n1,2,water\n", "none of its"),
        ("path,tags\nscene.tif,lava\n", "lava"),
        ("path,tags\nscene.tif,\n", "empty"),
        ("tags\nwater\n", "column"),
        ("", "empty"),
    ],
)
def test_tags_that_fit_nothing(refused, tiny, tmp_path, rows, sentence):
    tags = tmp_path / "tags.csv"
    tags.write_text(rows)
    known = () if rows.endswith(",\n") else ("--classes", tiny.classes)
    words = ("tile", tiny.scene, "--tags", tags, "--size", 64, "--out", tmp_path / "tiles", *known)
    assert sentence in refused(3, tags, *words)


def test_too_little_to_train_on(refused, command, tiny, tmp_path):
    tags = tmp_path / "tags.csv"
    tags.write_text("path,tags\nscene.tif,water\n")
    tiles = tmp_path / "one_class"
    assert command("tile", tiny.scene, "--tags", tags, "--size", 64, "--out", tiles).code == 0
    assert "one class 'water'" in refused(3, tiles, "train", tiles, "--out", tmp_path / "run")
    tiles = tmp_path / "untagged"
    assert command("tile", tiny.scene, "--size", 64, "--out", tiles).code == 0
    assert "no tagged tile" in refused(3, tiles, "train", tiles, "--out", tmp_path / "run")


def test_empty_tile_sets(refused, tiny, write_tiff, tmp_path):
    import geopandas

    blank = write_tiff(tmp_path / "blank.tif", np.zeros((3, 128, 128), np.uint8), nodata=0)
    refused(3, blank, "tile", blank, "--size", 64, "--out", tmp_path / "tiles")
    tiles = tmp_path / "emptied"
    shutil.copytree(tiny.tiles, tiles)
    index = geopandas.read_parquet(tiles / "index.parquet")
    index.iloc[:0].to_parquet(tiles / "index.parquet")
    assert "has no tiles" in refused(3, tiles, "train", tiles, "--out", tmp_path / "run")
    (tiles / "index.parquet").write_bytes(b"PAR1 and no more")
    assert "damaged" in refused(3, tiles, "train", tiles, "--out", tmp_path / "run")
    (tiles / "index.parquet").unlink()
    assert "not a tile set" in refused(3, tiles, "train", tiles, "--out", tmp_path / "run")


def test_models_that_cannot_be_used(refused, tiny, tmp_path):
    import torch

    foreign, short, newer, damaged, other = (tmp_path / f"{n}.safetensors" for n in "fsndo")
    save_file({"weight": torch.zeros(3)}, foreign)
    short.write_bytes(tiny.model.read_bytes()[:-1000])
    changed_model(tiny.model, newer, format=2)
    changed_model(tiny.model, damaged, classes="water")
    changed_model(tiny.model, other, network={"backbone": "vit_tiny_patch16_224", "image_size": 64})
    cases = {foreign: "no wsss-geo model card", short: "not a readable", newer: "is of format 2", damaged: "damaged"}
    for model, sentence in {**cases, other: "do not fit"}.items():
        said = refused(5, model, "predict", tiny.scene, "--model", model, "--out", tmp_path / "out.tif")
        assert sentence in said
    for model, sentence in cases.items():
        assert sentence in refused(5, model, "info", model)


def test_too_few_bands(refused, tiny, write_tiff, tmp_path):
    grey = write_tiff(tmp_path / "grey.tif", np.full((2, 64, 64), 7, np.uint8))
    said = refused(3, grey, "predict", grey, "--model", tiny.model, "--out", tmp_path / "out.tif")
    assert "--bands" in said
    words = ("predict", tiny.scene, "--model", tiny.model, "--bands", "1,2,7", "--out", tmp_path / "out.tif")
    assert "band 7" in refused(3, tiny.scene, *words)


@pytest.mark.parametrize("place", ["missing", "below a file", "read-only file system"])
def test_outputs_that_cannot_be_written(refused, tiny, text, tmp_path, place):
    folder = {"missing": tmp_path / "no" / "such", "below a file": text, "read-only file system": "/proc"}[place]
    jobs = (
        ("predict", tiny.scene, "--model", tiny.model, "--out", f"{folder}/out.tif"),
        ("tile", tiny.scene, "--tags", tiny.truth, "--classes", tiny.classes, "--out", f"{folder}/tiles"),
        ("train", tiny.tiles, "--out", f"{folder}/run"),
        ("vectorize", tiny.truth, "--out", f"{folder}/out.gpkg"),
        ("evaluate", "--prediction", tiny.truth, "--reference", tiny.truth, "--out", f"{folder}/out"),
    )
    for words in jobs:
        refused(3, folder, *words)


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "a.tif", "--model", "m", "--out", "o.tif", "--no-such-option"),
        ("predict", "--model", "m", "--out", "o.tif"),
        ("train", "tiles", "--out", "o", "--method", "alchemy"),
        ("train", "tiles", "--out", "o", "--set", "no assignment"),
        ("tile", "a.tif", "--out", "o", "--size", "0"),
        ("predict", "a.tif", "--model", "m", "--out", "o.tif", "--bands", "red"),
        ("conquer",),
    ],
)
def test_wrong_usage_is_told_by_the_command_line(command, words):
    outcome = command(*words)
    assert outcome.code == 2
    assert "Usage:" in outcome.err
    assert "Traceback" not in outcome.err


def test_wrong_usage_that_a_job_finds(refused, tiny, tmp_path):
    refused(2, "missing field model", "predict", tiny.scene, "--out", tmp_path / "out.tif")
    refused(2, "nothing complete to compare", "evaluate", "--model", tiny.model)
    refused(2, "only tiles have tags", "evaluate", "--prediction", "a", "--reference", "b", "--with-tags")
    refused(2, "leave nothing to train on", "tile", tiny.scene, "--out", tmp_path / "t", "--val", 0.6, "--test", 0.5)
    refused(2, "out.jpg", "predict", tiny.scene, "--model", tiny.model, "--out", tmp_path / "out.jpg")
    refused(2, "out.xyz", "vectorize", tiny.truth, "--out", tmp_path / "out.xyz")
    refused(2, "alchemy", "train", tiny.tiles, "--out", tmp_path / "run", "--set", "alchemy=1")


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        ("{", 3, "job.json"),
        ("[" * 100_000, 3, "job.json"),
        ("[]", 3, "job.json"),
        ('{"command": "conquer"}', 2, "conquer"),
        ('{"command": ["predict"]}', 2, "predict"),
        ('{"command": "predict"}', 2, "missing field"),
        ('{"command": "predict", "rasters": ["a"], "model": "m", "out": "o", "colour": 1}', 2, "colour"),
        ('{"command": "tile", "rasters": ["a"], "out": "o", "size": 1e999}', 2, "tile.size"),
        ('{"command": "tile", "rasters": ["a"], "out": "o", "size": 1' + "0" * 400 + "}", 2, "tile.size"),
        ('{"command": "tile", "rasters": ["a"], "out": "o", "size": true}', 2, "tile.size"),
        ('{"command": "tile", "rasters": [], "out": "o"}', 2, "tile.rasters"),
        ('{"command": "tile", "rasters": ["a\\u0000"], "out": "o"}', 2, "tile.rasters"),
        ('{"command": "tile", "rasters": ["\\ud800"], "out": "o"}', 2, "tile.rasters"),
        ('{"command": "train", "tiles": "t", "out": "o", "recipe": ["r"]}', 2, "train.recipe"),
        ('{"command": "train", "tiles": "t", "out": "o", "settings": "lr=1"}', 2, "train.settings"),
        ('{"command": "train", "tiles": "t", "out": "o", "recipe": "no.yaml"}', 3, "no.yaml"),
    ],
)
def test_job_files(refused, tmp_path, content, code, named):
    job = tmp_path / "job.json"
    job.write_text(content)
    refused(code, named, "run", job)
