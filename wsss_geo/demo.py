"""The demonstration: the whole way from scene tags to a map, on the sample data."""

from __future__ import annotations

import csv
import math
import os
import shlex
from pathlib import Path
from typing import Any

from wsss_geo import api
from wsss_geo.classes import read_classes
from wsss_geo.errors import InputError
from wsss_geo.outputs import check_output_folder
from wsss_geo.progress import Progress

_SCENES = ("scene_a.tif", "scene_a_tags.csv", "scene_b.tif", "scene_b_truth.tif", "classes.json")
_MODEL = "model.safetensors"
_TITLE = "Land cover\nfrom scene tags"


def run_demo(data: str, out: str, report: Progress) -> dict[str, Any]:
    """Map the sample landscape of the folder ``data`` into the folder ``out`` and return the paths and scores.

    Scene a becomes a tile set with its tags, as training needs it; scene b, which nobody tagged, is mapped with the
    sample model and compared with its truth. Raises InputError when sample data are missing.
    """
    source = _checked_data(Path(data))
    folder = check_output_folder(os.path.abspath(out))
    classes = source / "classes.json"

    report.info("1. scene a and its tags become a tile set")
    tiles = api.tile(
        source / "scene_a.tif",
        tags=source / "scene_a_tags.csv",
        classes=classes,
        size=_cell_size(source),
        val=0.1,
        out=folder / "tiles",
        report=report,
    )

    report.info("2. scene b, never tagged, becomes a map")
    cover = api.predict(
        source / "scene_b.tif",
        model=source / _MODEL,
        out=folder / "cover.tif",
        confidence=folder / "cover_confidence.tif",
        cam=folder / "cover_cam.tif",
        polygons=folder / "cover.shp",
        overlap=0.5,
        refine="par",
        match_colours=True,
        report=report,
    )

    report.info("3. the map is compared with the truth")
    truth = source / "scene_b_truth.tif"
    scores = api.evaluate(prediction=cover.mask, reference=truth, classes=classes, report=report)

    from wsss_geo.overview import SceneFiles, write_overview

    picture = folder / "overview.png"
    files = SceneFiles(source / "scene_b.tif", truth, Path(cover.mask), folder / "cover_confidence.tif")
    write_overview(picture, files, read_classes(classes), scores, _TITLE)
    _tell_what_next(source, tiles.tiles, folder, report)
    return {
        "overview": str(picture),
        "mask": cover.mask,
        "polygons": cover.polygons,
        "confidence": cover.confidence,
        "cam": cover.cam,
        "tiles": tiles.tiles,
        "tagged_tiles": tiles.tagged,
        "polygon_count": cover.polygon_count,
        "miou": scores.miou,
        "iou": dict(scores.iou),
        "accuracy": scores.accuracy,
    }


def _checked_data(folder: Path) -> Path:
    """Return the folder with the sample data, absolute. Raises InputError that tells how to get what is missing."""
    folder = Path(os.path.abspath(folder))
    missing = [name for name in _SCENES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            folder,
            f"sample data are missing: {', '.join(missing)}",
            "run from the folder of the repository, or name the folder sample_data with --data",
        )
    if not (folder / _MODEL).is_file():
        raise InputError(folder / _MODEL, "the sample model is missing", f"train it as {folder / 'README.md'} tells")
    return folder


def _cell_size(data: Path) -> int:
    """Side in pixels of the cells that were tagged: as many as there are tags cover the scene."""
    from wsss_geo.raster.info import describe

    info = describe(str(data / "scene_a.tif"))
    with (data / "scene_a_tags.csv").open(encoding="utf-8", newline="") as file:
        cells = sum(1 for _ in csv.DictReader(file))
    if not cells:
        raise InputError(data / "scene_a_tags.csv", "holds no tags", "take the file of the repository")
    return round(math.sqrt(info.height * info.width / cells))


def _tell_what_next(data: Path, tiles: str, out: Path, report: Progress) -> None:
    own = "YOUR_RASTER.tif"
    recipe = data.parent / "training/recipes/sample/aerial.yaml"
    train = ["wsss-geo", "train", tiles, "--out", str(out / "run")]
    if recipe.is_file():
        train[3:3] = ["--recipe", str(recipe)]
    commands = (
        ("train on the tags of scene a yourself", shlex.join(train)),
        ("tag your own raster and cut it into tiles", f"wsss-geo tile {own} --tags YOUR_TAGS.csv --out tiles"),
        ("train on it", "wsss-geo train tiles --out run"),
        (
            "map any raster with the model",
            f"wsss-geo predict {own} --model run/model.safetensors --out cover.tif --polygons cover.shp",
        ),
    )
    lines = [f"  {what}:\n    {command}" for what, command in commands]
    report.info("\n".join([f"look at {out / 'overview.png'}, and open cover.tif and cover.shp in QGIS; next:", *lines]))
