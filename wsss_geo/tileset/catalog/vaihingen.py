"""ISPRS Vaihingen: 33 areas at 9 cm, near infrared, red and green."""

from __future__ import annotations

from pathlib import Path

from wsss_geo.errors import InputError
from wsss_geo.tileset.catalog import isprs
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene
from wsss_geo.tileset.catalog.files import check_pairs, files_below, missing, named

TRAIN = (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)
TEST = (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38)
_NAME = r"top_mosaic_09cm_area(\d+)\.tif"
_BARE = r"top_mosaic_09cm_area(\d+)_noBoundary\.tif"


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``top/`` and the labels, which have the same file names. Raises InputError."""
    files = files_below(root, (".tif", ".tiff"))
    label_files = [f for f in files if _of_labels(f, root)]
    images = named([f for f in files if f not in set(label_files)], _NAME)
    labels = named(label_files, _NAME) or named(label_files, _BARE)
    if not images:
        raise missing(root, "Vaihingen orthophoto", "files top_mosaic_09cm_area1.tif in top/")
    if not labels:
        raise missing(root, "label", "files top_mosaic_09cm_area1.tif in gts_for_participants/ or *ground_truth*/")
    strange = sorted(set(map(int, images)) - {*TRAIN, *TEST})
    if strange:
        raise InputError(images[str(strange[0])], f"area {strange[0]} is none of the 33 of Vaihingen", "remove it")
    held_back = [i for i in images if int(i) in TEST and i not in labels]
    images = {i: p for i, p in images.items() if i not in held_back}
    check_pairs(root, images, {i: p for i, p in labels.items() if i in images or int(i) in TRAIN}, "the 33 areas")
    scenes = [
        Scene(images[str(i)], f"area{i}", f"area{i}", "test" if i in TEST else None, labels[str(i)])
        for i in (*TRAIN, *TEST)
        if str(i) in images
    ]
    return Collection(
        isprs.classes(protocol),
        tuple(scenes),
        isprs.coding(protocol),
        band_names=("near infrared", "red", "green"),
        expected=len(TRAIN) + len(TEST) - len(held_back),
        remarks=(f"{len(held_back)} test areas have no labels here and are left out",) if held_back else (),
    )


def _of_labels(path: Path, root: Path) -> bool:
    folders = "/".join(path.relative_to(root).parts[:-1]).lower()
    return any(word in folders for word in ("gts_for", "ground_truth", "label", "annot"))


VAIHINGEN = DataSet(
    "vaihingen",
    read,
    {"size": 256, "min_area": 0.001},
    {"official": {}, "clutter": {}},
)
