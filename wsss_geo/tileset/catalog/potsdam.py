"""ISPRS Potsdam: 38 areas of 6000 x 6000 px at 5 cm, as RGB, IRRG or RGBIR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wsss_geo.errors import InputError
from wsss_geo.raster.info import describe
from wsss_geo.tileset.catalog import isprs
from wsss_geo.tileset.catalog.base import Collection, DataSet
from wsss_geo.tileset.catalog.files import files_below, missing, named

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
    """Read the orthophotos ``variant`` (the first of irrg, rgb, rgbir that is there; irrg for CTFA) and their labels.

    Raises InputError. Elevation rasters, whose areas are numbered in another way, are not used.
    """
    files = files_below(root, (".tif", ".tiff"))
    if variant is None:
        variant = "irrg" if protocol == "ctfa" else next((v for v in BANDS if _images(files, v)), "rgb")
    images = _images(files, variant)
    if not images:
        name = variant.upper()
        raise missing(
            root, f"{name} orthophoto", f"files top_potsdam_2_10_{name}.tif, as in 2_Ortho_RGB or 3_Ortho_IRRG"
        )
    labels = isprs.labels_named(root, files, r"top_potsdam_(\d+_\d+)_label\.tif")
    labels = labels or isprs.labels_named(root, files, r"top_potsdam_(\d+_\d+)_label_noBoundary\.tif")
    if not labels:
        raise missing(root, "label", "files top_potsdam_2_10_label.tif, as in 5_Labels_all")
    _refuse_alpha(next(iter(images.values())))
    found = isprs.collect(root, images, labels, TRAIN, TEST, protocol, BANDS[variant])
    if protocol != "ctfa":
        return found
    kept = tuple(s for s in found.scenes if s.name not in FAULTY)
    return replace(found, scenes=kept, whole_steps=True, expected=found.expected - len(FAULTY))


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
