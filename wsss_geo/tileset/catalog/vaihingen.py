"""ISPRS Vaihingen: 33 areas at 9 cm, near infrared, red and green."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from wsss_geo.tileset.catalog import isprs
from wsss_geo.tileset.catalog.base import Collection, DataSet
from wsss_geo.tileset.catalog.files import files_below, missing, named

TRAIN = tuple(f"area{n}" for n in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37))
TEST = tuple(f"area{n}" for n in (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38))
_IMAGE = r"top_mosaic_09cm_(area\d+)\.tif"
#: Names of the labels by variant; the eroded ones leave the borders between objects out.
_LABELS = {"full": _IMAGE, "eroded": r"top_mosaic_09cm_(area\d+)_noBoundary\.tif"}
#: What the folders of labels are called; that of the images may lie in ISPRS_semantic_labeling_Vaihingen.
_LABEL_FOLDER = re.compile(r"gts_for|ground_truth|label(?!l?ing)|annot")


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``top/`` and the labels, which have the same file names and differ by folder. Raises InputError.

    Labels lie in ``gts_for_participants/`` or ``*_ground_truth_COMPLETE/`` and, under names with ``_noBoundary``, in
    ``*_eroded_COMPLETE/`` or ``*_eroded_for_participants/``. The ``variant`` chooses between full and eroded labels;
    unless it is given, full ones are read where they are there.
    """
    files = files_below(root, (".tif", ".tiff"))
    images = named((f for f in files if not _of_labels(f, root)), _IMAGE)
    if not images:
        raise missing(root, "Vaihingen orthophoto", "files top_mosaic_09cm_area1.tif in top/")
    of_labels = [f for f in files if _of_labels(f, root)]
    found = {v: isprs.labels_named(root, of_labels, p) for v, p in _LABELS.items() if variant in (None, v)}
    labels = next((by_area for by_area in found.values() if by_area), None)
    if labels is None:
        where = "files top_mosaic_09cm_area1.tif in gts_for_participants/ or *ground_truth*/"
        bare = "files top_mosaic_09cm_area1_noBoundary.tif in *ground_truth_eroded*/"
        raise missing(root, "eroded label" if variant == "eroded" else "label", bare if variant == "eroded" else where)
    collection = isprs.collect(root, images, labels, TRAIN, TEST, protocol, ("near infrared", "red", "green"))
    return replace(collection, gsd=0.09)  # the files say where they lie, but not in which CRS


def _of_labels(path: Path, root: Path) -> bool:
    """Whether the innermost folder that tells holds labels."""
    for folder in reversed(path.relative_to(root).parts[:-1]):
        if folder.lower() == "top":
            return False
        if _LABEL_FOLDER.search(folder.lower()):
            return True
    return False


VAIHINGEN = DataSet(
    "vaihingen", read, {"size": 256, "min_area": 0.001}, {"official": {}, "clutter": {}}, tuple(_LABELS)
)
