"""ISPRS Vaihingen: 33 areas at 9 cm, near infrared, red and green."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wsss_geo.tileset.catalog import isprs
from wsss_geo.tileset.catalog.base import Collection, DataSet
from wsss_geo.tileset.catalog.files import files_below, missing, named

TRAIN = tuple(f"area{n}" for n in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37))
TEST = tuple(f"area{n}" for n in (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38))
_NAME = r"top_mosaic_09cm_(area\d+)\.tif"
_BARE = r"top_mosaic_09cm_(area\d+)_noBoundary\.tif"
_LABEL_FOLDERS = ("gts_for", "ground_truth", "label", "annot")


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``top/`` and the labels, which have the same file names and differ by folder. Raises InputError."""
    files = files_below(root, (".tif", ".tiff"))
    images = named((f for f in files if not _of_labels(f, root)), _NAME)
    label_files = [f for f in files if _of_labels(f, root)]
    labels = named(label_files, _NAME) or named(label_files, _BARE)
    if not images:
        raise missing(root, "Vaihingen orthophoto", "files top_mosaic_09cm_area1.tif in top/")
    if not labels:
        raise missing(root, "label", "files top_mosaic_09cm_area1.tif in gts_for_participants/ or *ground_truth*/")
    found = isprs.collect(root, images, labels, TRAIN, TEST, protocol, ("near infrared", "red", "green"))
    return replace(found, gsd=0.09)  # the files say where they lie, but not in which CRS


def _of_labels(path: Path, root: Path) -> bool:
    folders = "/".join(path.relative_to(root).parts[:-1]).lower()
    return any(word in folders for word in _LABEL_FOLDERS)


VAIHINGEN = DataSet("vaihingen", read, {"size": 256, "min_area": 0.001}, {"official": {}, "clutter": {}})
