"""ISPRS Potsdam: 38 areas of 6000 x 6000 px at 5 cm, as RGB, IRRG or RGBIR."""

from __future__ import annotations

from pathlib import Path

from wsss_geo.errors import InputError
from wsss_geo.raster.info import describe
from wsss_geo.tileset.catalog import isprs
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene
from wsss_geo.tileset.catalog.files import check_pairs, files_below, missing, named

TRAIN = (
    "2_10", "2_11", "2_12", "3_10", "3_11", "3_12", "4_10", "4_11", "4_12", "5_10", "5_11", "5_12", "6_7", "6_8",
    "6_9", "6_10", "6_11", "6_12", "7_7", "7_8", "7_9", "7_10", "7_11", "7_12",
)  # fmt: skip
TEST = (
    "2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13",
)  # fmt: skip
#: Areas with faulty labels, which the CTFA experiments left out.
FAULTY = ("4_12", "7_10")
BANDS = {
    "irrg": ("near infrared", "red", "green"),
    "rgb": ("red", "green", "blue"),
    "rgbir": ("red", "green", "blue", "near infrared"),
}


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read the orthophotos ``variant`` (the first of irrg, rgb, rgbir that is there) and their labels.

    Raises InputError. Elevation rasters, whose areas are numbered in another way, are not used.
    """
    files = files_below(root, (".tif", ".tiff"))
    variant = variant or next((v for v in BANDS if _images(files, v)), None)
    images = _images(files, variant) if variant else {}
    if not images:
        wanted = (variant or "RGB").upper()
        raise missing(
            root, f"{wanted} orthophoto", f"files top_potsdam_2_10_{wanted}.tif, as in 2_Ortho_RGB or 3_Ortho_IRRG"
        )
    labels = named(files, r"top_potsdam_(\d+_\d+)_label\.tif") or named(
        files, r"top_potsdam_(\d+_\d+)_label_noBoundary\.tif"
    )
    if not labels:
        raise missing(root, "label", "files top_potsdam_2_10_label.tif, as in 5_Labels_all")
    strange = sorted(set(images) - {*TRAIN, *TEST})
    if strange:
        raise InputError(images[strange[0]], f"area {strange[0]} is none of the 38 of Potsdam", "remove it")
    held_back = [i for i in images if i in TEST and i not in labels]
    images = {i: p for i, p in images.items() if i not in held_back}
    check_pairs(root, images, {i: p for i, p in labels.items() if i in images or i in TRAIN}, "the 38 areas")
    _refuse_alpha(next(iter(images.values())))
    left_out = FAULTY if protocol == "ctfa" else ()
    scenes = [
        Scene(images[i], i, i, "test" if i in TEST else None, labels[i])
        for i in (*TRAIN, *TEST)
        if i in images and i not in left_out
    ]
    return Collection(
        isprs.classes(protocol),
        tuple(scenes),
        isprs.coding(protocol),
        band_names=BANDS[variant] if variant else None,
        whole_steps=protocol == "ctfa",
        expected=len({*TRAIN, *TEST} - {*left_out, *held_back}),
        remarks=(f"{len(held_back)} test areas have no labels here and are left out",) if held_back else (),
    )


def _images(files: list[Path], variant: str) -> dict[str, Path]:
    return named(files, rf"top_potsdam_(\d+_\d+)_{variant.upper()}\.tif")


def _refuse_alpha(path: Path) -> None:
    """A fourth band that is marked as alpha would hide pixels in place of showing infrared."""
    if describe(str(path)).alpha_band:
        raise InputError(
            path,
            "has its infrared band marked as transparency (alpha)",
            "clear that with gdal_edit.py -colorinterp_4 undefined, in all files",
        )


POTSDAM = DataSet(
    "potsdam",
    read,
    {"size": 256, "min_area": 0.001},
    {"official": {}, "clutter": {}, "ctfa": {"size": 512, "min_area": 0.0, "val": 0.0}},
    tuple(BANDS),
)
