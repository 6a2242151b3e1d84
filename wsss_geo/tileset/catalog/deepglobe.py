"""DeepGlobe land cover: scenes of 2448 x 2448 px at 50 cm (Demir et al., CVPR Workshops 2018)."""

from __future__ import annotations

from pathlib import Path

from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, scheme_of
from wsss_geo.tileset.catalog.files import check_pairs, files_below, missing, named
from wsss_geo.tileset.masks import MaskCoding

COLORS = {
    "urban": "#00ffff", "agriculture": "#ffff00", "rangeland": "#ff00ff", "forest": "#00ff00", "water": "#0000ff",
    "barren": "#ffffff",
}  # fmt: skip
UNKNOWN = "#000000"


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read the folders that hold masks beside their images; the others are the unlabelled valid and test sets.

    Unknown ground is unlabelled, as in the official score; under ``ctfa`` it is a class. Masks are not quite binary:
    every channel is rounded to 0 or 255. Raises InputError.
    """
    scenes: list[Scene] = []
    unlabelled = 0
    files = files_below(root, (".jpg", ".png"))
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    for folder, inside in by_folder.items():
        images, masks = named(inside, r"(\d+)_sat\.jpg"), named(inside, r"(\d+)_mask\.png")
        if not masks:
            unlabelled += len(images)
            continue
        check_pairs(root, images, masks, folder.name)
        scenes += [Scene(p, i, i, None, masks[i]) for i, p in sorted(images.items())]
    if not scenes:
        raise missing(root, "DeepGlobe scene with a mask", "119_sat.jpg beside 119_mask.png, as in land-train")
    with_unknown = protocol == "ctfa"
    return Collection(
        scheme_of({**COLORS, "unknown": UNKNOWN} if with_unknown else COLORS),
        tuple(scenes),
        MaskCoding({}, {**{c: n for n, c in COLORS.items()}, UNKNOWN: "unknown" if with_unknown else None}, True),
        gsd=0.5,
        expected=803,
        remarks=(f"{unlabelled} images without masks are left out",) if unlabelled else (),
    )


DEEPGLOBE = DataSet(
    "deepglobe",
    read,
    {"size": 512, "min_area": 0.001, "test": 0.15},
    {"official": {}, "ctfa": {"min_area": 0.0, "val": 0.0, "test": 0.182}},  # 81 of its 445 scenes
)
