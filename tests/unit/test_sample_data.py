"""The sample data: made again byte for byte, sound as files, and tagged by the stated rule."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from wsss_geo.classes import read_classes

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "sample_data"
SCENES = ("scene_a", "scene_b")
RASTERS = tuple(f"{name}{kind}.tif" for name in SCENES for kind in ("", "_truth"))
MADE = (*RASTERS, "scene_a_tags.csv", "classes.json")
CELL, MINIMUM_SHARE = 32, 0.05


def truth_of(scene: str) -> np.ndarray:
    with rasterio.open(DATA / f"{scene}_truth.tif") as dataset:
        return dataset.read(1)


def test_program_writes_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    environment.pop(
        "PYTHONSAFEPATH", None
    )  # which a command run in this process has set; the program has a folder of modules
    program = [sys.executable, str(DATA / "make_sample_data.py"), "--out", str(tmp_path)]
    subprocess.run(program, check=True, env=environment, timeout=600)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(MADE)
    for name in MADE:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), f"{name} differs"


@pytest.mark.parametrize("name", RASTERS)
def test_raster_is_a_georeferenced_cog(name: str) -> None:
    with rasterio.open(DATA / name) as dataset:
        assert (dataset.height, dataset.width) == (2048, 2048)
        assert dataset.count == (1 if "truth" in name else 3)
        assert set(dataset.dtypes) == {"uint8"}
        assert dataset.crs.to_epsg() == 32632
        assert dataset.res == (0.5, 0.5)
        assert dataset.transform.b == dataset.transform.d == 0
        assert dataset.transform.e < 0
        assert set(dataset.block_shapes) == {(512, 512)}
        assert dataset.overviews(1) == [2, 4]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.nodata == (255 if "truth" in name else None)
    assert (DATA / name).stat().st_size < 4e6


@pytest.mark.parametrize("name", RASTERS)
def test_raster_passes_the_cog_validator(name: str) -> None:
    cogeo = pytest.importorskip("rio_cogeo.cogeo", reason="rio-cogeo is not installed")
    valid, errors, warnings = cogeo.cog_validate(DATA / name, strict=True)
    assert valid, (errors, warnings)


@pytest.mark.parametrize("scene", SCENES)
def test_picture_and_truth_share_their_grid(scene: str) -> None:
    with rasterio.open(DATA / f"{scene}.tif") as picture, rasterio.open(DATA / f"{scene}_truth.tif") as truth:
        assert picture.transform == truth.transform
        assert picture.crs == truth.crs


def test_scenes_do_not_overlap() -> None:
    with rasterio.open(DATA / "scene_a.tif") as a, rasterio.open(DATA / "scene_b.tif") as b:
        assert rasterio.coords.disjoint_bounds(a.bounds, b.bounds)


@pytest.mark.parametrize("scene", SCENES)
def test_every_class_has_a_fair_share(scene: str) -> None:
    classes = read_classes(DATA / "classes.json")
    ids, counts = np.unique(truth_of(scene), return_counts=True)
    assert tuple(ids) == classes.ids
    assert (counts / counts.sum()).min() >= 0.03


def test_truth_carries_the_colours_and_names_of_the_classes() -> None:
    with rasterio.open(DATA / "scene_b_truth.tif") as dataset:
        colors, tags = dataset.colormap(1), dataset.tags(1)
    for entry in read_classes(DATA / "classes.json").classes:
        assert colors[entry.id][:3] == entry.rgb
        assert tags[f"class_{entry.id}"] == entry.name


def test_tags_obey_the_rule() -> None:
    classes = read_classes(DATA / "classes.json")
    truth = truth_of("scene_a")
    with (DATA / "scene_a_tags.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (2048 // CELL) ** 2
    with rasterio.open(DATA / "scene_a.tif") as dataset:
        corners = [dataset.index(float(r["x"]), float(r["y"])) for r in rows]
    seen = set()
    for row, (i, j) in zip(rows, corners, strict=True):
        top, left = i - CELL // 2, j - CELL // 2
        assert (top % CELL, left % CELL) == (0, 0)
        seen.add((top, left))
        cell = truth[top : top + CELL, left : left + CELL]
        expected = [c.name for c in classes.classes if (cell == c.id).mean() >= MINIMUM_SHARE]
        assert row["tags"].split(";") == expected
    assert len(seen) == len(rows)


@pytest.mark.parametrize("scene", SCENES)
def test_colour_alone_does_not_tell_the_classes(scene: str) -> None:
    """The nearest mean colour must stay far from the truth: classes are told by texture, shape and context."""
    with rasterio.open(DATA / f"{scene}.tif") as dataset:
        pixels = dataset.read()[:, ::8, ::8].reshape(3, -1).T.astype(float)
    truth = truth_of(scene)[::8, ::8].ravel()
    means = np.stack([pixels[truth == k].mean(axis=0) for k in range(6)])
    guess = ((pixels[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    overlap = [((guess == k) & (truth == k)).sum() / ((guess == k) | (truth == k)).sum() for k in range(6)]
    assert 0.1 < np.mean(overlap) < 0.6
