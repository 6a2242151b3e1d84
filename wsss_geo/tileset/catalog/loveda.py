"""LoveDA: urban and rural scenes of 1024 x 1024 px at 30 cm (Wang et al., NeurIPS Datasets and Benchmarks 2021)."""

from __future__ import annotations

from pathlib import Path

from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, scheme_of
from wsss_geo.tileset.catalog.files import check_pairs, files_below, missing, named, part_of
from wsss_geo.tileset.masks import MaskCoding

COLORS = {
    "background": "#ffffff", "building": "#ff0000", "road": "#ffff00", "water": "#0000ff", "barren": "#9f81b7",
    "forest": "#00ff00", "agriculture": "#ffc380",
}  # fmt: skip
AREAS = ("urban", "rural")


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``Train`` and ``Val``, both areas or the ``variant`` urban or rural; ``Test`` has no masks.

    Masks hold 1 (background) to 7 (agriculture); 0 is no data. Raises InputError.
    """
    found: dict[tuple[str, str], list[Path]] = {}
    for path in files_below(root, (".png",)):
        split, area = part_of(path, root, ("train", "val", "test")), part_of(path, root, AREAS)
        if split and area and variant in (None, area):
            found.setdefault((split, area), []).append(path)
    scenes: list[Scene] = []
    unlabelled = 0
    for (split, area), files in sorted(found.items()):
        images = named((f for f in files if "image" in f.parent.name), r"(\d+)\.png")
        masks = named((f for f in files if "mask" in f.parent.name), r"(\d+)\.png")
        if split == "test" and not masks:
            unlabelled += len(images)
            continue
        check_pairs(root, images, masks, f"{split} {area}")
        for number, path in sorted(images.items()):
            name = f"{area}_{number}"
            scenes.append(Scene(path, name, name, None if split == "train" else split, masks[number]))
    if not scenes:
        raise missing(root, "labelled LoveDA scene", "Train/Urban/images_png/0.png and Train/Urban/masks_png/0.png")
    return Collection(
        scheme_of(COLORS, first=1, background="explicit"),
        tuple(scenes),
        MaskCoding({0: None, **dict(enumerate(COLORS, 1))}, {}),
        gsd=0.3,
        expected=0 if variant else 2522 + 1669,
        remarks=(f"the {unlabelled} images of Test have no masks and are left out",) if unlabelled else (),
    )


LOVEDA = DataSet("loveda", read, {"size": 512, "min_area": 0.001}, variants=AREAS)
