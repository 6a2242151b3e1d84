"""iSAID: objects in aerial images (Waqas Zamir et al., CVPR Workshops 2019), from whole scenes or ready-cut patches."""

from __future__ import annotations

import re
from pathlib import Path

from wsss_geo.errors import InputError
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, scheme_of
from wsss_geo.tileset.catalog.files import check_pairs, files_below, missing, named, part_of
from wsss_geo.tileset.masks import MaskCoding

COLORS = {
    "background": "#000000", "ship": "#00003f", "storage tank": "#003f3f", "baseball diamond": "#003f00",
    "tennis court": "#003f7f", "basketball court": "#003fbf", "ground track field": "#003fff", "bridge": "#007f3f",
    "large vehicle": "#007f7f", "small vehicle": "#00007f", "helicopter": "#0000bf", "swimming pool": "#0000ff",
    "roundabout": "#00bf7f", "soccer ball field": "#007fbf", "plane": "#007fff", "harbour": "#00649b",
}  # fmt: skip
#: Tiles the CTFA experiments drew for each split.
CTFA_TILES = {"train": 7500, "val": 1653, "test": 1315}
_SPLITS = ("train", "val", "test")
_IMAGE = r"(P\d+(?:_\d+)*)\.(?:png|jpg|tif)"
_MASK = r"(P\d+(?:_\d+)*)_instance_color_RGB\.png"


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``train/`` and ``val/``; ``test/`` has no masks. Raises InputError.

    Under ``ctfa`` the official validation scenes are the test set and validation scenes come out of the training ones;
    patch lists ``train.txt``, ``val.txt`` and ``test.txt`` in ``root`` choose the patches, else they are drawn.
    """
    by_split: dict[str, list[Path]] = {s: [] for s in _SPLITS}
    for path in files_below(root, (".png", ".jpg", ".tif")):
        if split := part_of(path, root, _SPLITS):
            by_split[split].append(path)
    scenes: list[Scene] = []
    for split in ("train", "val"):
        images, masks = named(by_split[split], _IMAGE), named(by_split[split], _MASK)
        if images or masks:
            check_pairs(root, images, masks, split)
        own = None if split == "train" else "test" if protocol == "ctfa" else "val"
        scenes += [Scene(p, i, i.partition("_")[0], own, masks[i]) for i, p in sorted(images.items())]
    if not scenes:
        where = "train/ and val/ with images P0000.png and semantic masks P0000_instance_color_RGB.png below them"
        raise missing(root, "labelled iSAID image", where)
    unlabelled = len(named(by_split["test"], _IMAGE))
    listed = _listed(root) if protocol == "ctfa" else None
    return Collection(
        scheme_of(COLORS, background="explicit"),
        _chosen(root, scenes, listed) if listed else tuple(scenes),
        _coding(),
        channels=3,
        most=CTFA_TILES if protocol == "ctfa" and listed is None else {},
        expected=0 if listed else 1411 + 458,
        remarks=(f"the {unlabelled} images of test/ have no masks and are left out",) if unlabelled else (),
    )


def _coding() -> MaskCoding:
    """Colours in the official order and with red and blue swapped, as written by programs that think in BGR.

    No official colour has any red and no swapped one any blue but black, so the two orders cannot be confused.
    """
    swapped = {f"#{c[5:7]}{c[3:5]}{c[1:3]}": n for n, c in COLORS.items()}
    official = {c: n for n, c in COLORS.items()}
    return MaskCoding({**dict(enumerate(COLORS)), 255: None}, {**swapped, **official})


def _listed(root: Path) -> dict[str, str | None] | None:
    """Split by patch from the lists; training and validation patches are dealt by scene. None without lists."""
    if not (root / "train.txt").is_file():
        return None
    found: dict[str, str | None] = {}
    for split in _SPLITS:
        if (root / f"{split}.txt").is_file():
            names = (root / f"{split}.txt").read_text(encoding="utf-8").split()
            found.update(dict.fromkeys((re.sub(r"\.png$", "", n) for n in names), "test" if split == "test" else None))
    return found


def _chosen(root: Path, scenes: list[Scene], listed: dict[str, str | None]) -> tuple[Scene, ...]:
    by_name = {s.name: s for s in scenes}
    absent = sorted(set(listed) - set(by_name))
    if absent:
        raise InputError(
            root,
            f"{len(absent)} of {len(listed)} patches of its lists are not there (first: {absent[0]})",
            "the lists speak of other patches; remove train.txt, val.txt and test.txt to draw patches",
        )
    return tuple(Scene(s.image, s.name, s.parent, listed[s.name], s.mask) for s in scenes if s.name in listed)


ISAID = DataSet(
    "isaid",
    read,
    {"size": 512, "min_area": 0.00025},  # 64 px of a tile: a small vehicle counts
    {"official": {}, "ctfa": {"min_area": 0.0, "val": 0.18, "seed": 42}},
)
