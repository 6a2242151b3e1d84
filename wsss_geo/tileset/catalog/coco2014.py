"""COCO 2014 (Lin et al., ECCV 2014): tags from the instances, masks from files or drawn from the instances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, scheme_of
from wsss_geo.tileset.catalog.coco_shapes import Instance, draw_instances
from wsss_geo.tileset.catalog.files import missing
from wsss_geo.tileset.catalog.voc2012 import palette
from wsss_geo.tileset.masks import MaskCoding

_SPLITS = ("train", "val")


@dataclass(frozen=True)
class _Picture:
    """An image of the annotations: file, height, width."""

    image: Path
    height: int
    width: int


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``annotations/instances_{train,val}2014.json`` and the image folders ``{train,val}2014``.

    Class ids are 1..80 in the order of the categories, whose own ids run to 90 with gaps. An image without instances
    shows background alone. Masks are ``SegmentationClass/{train,val}2014/*.png`` (ids 0..80) where they are there.
    Raises InputError. Memory: the larger annotation file as text, outlines as float32.
    """
    notes = {s: root / "annotations" / f"instances_{s}2014.json" for s in _SPLITS}
    present = [s for s in _SPLITS if notes[s].is_file()]
    if not present:
        raise missing(root, "instances", "annotations/instances_train2014.json and instances_val2014.json")
    scenes: list[Scene] = []
    undrawn: dict[Path, tuple[_Picture, list[Instance]]] = {}
    names: list[str] = []
    for split in present:
        own_split = None if split == "train" else split
        names, pictures, instances = _annotations(notes[split], _folder(root, split))
        for number, picture in sorted(pictures.items()):
            own = instances.get(number, [])
            stem = picture.image.stem
            mask = _mask(root, split, stem)
            if mask is None:
                undrawn[picture.image] = (picture, own)
            held = {i.place for i in own}
            tags = tuple(n for place, n in enumerate(names, 1) if place in held)
            scenes.append(Scene(picture.image, stem, stem, own_split, mask, tags))
    return Collection(
        scheme_of({n: palette(i) for i, n in enumerate(["background", *names])}, background="explicit"),
        tuple(scenes),
        MaskCoding({**dict(enumerate(["background", *names])), 255: None}, {}),
        channels=3,
        expected=82_783 + 40_504,
        draw=partial(_draw, undrawn) if undrawn else None,
    )


def _folder(root: Path, split: str) -> Path:
    found = next((p for p in (root / f"{split}2014", root / "images" / f"{split}2014") if p.is_dir()), None)
    if found is None:
        raise missing(root, f"folder {split}2014 of images", f"{split}2014/COCO_{split}2014_000000000009.jpg")
    return found


def _mask(root: Path, split: str, stem: str) -> Path | None:
    folder = root / "SegmentationClass" / f"{split}2014"
    names = (stem, stem.rpartition("_")[2])
    return next((p for p in (folder / f"{n}.png" for n in names) if p.is_file()), None)


def _annotations(path: Path, folder: Path) -> tuple[list[str], dict[int, _Picture], dict[int, list[Instance]]]:
    """Category names in order, pictures by id, and instances by picture. Raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
        categories = sorted(_listed(text, "categories"), key=lambda c: int(c["id"]))
        places = {int(c["id"]): i for i, c in enumerate(categories, 1)}
        pictures = {
            int(p["id"]): _Picture(folder / str(p["file_name"]), int(p["height"]), int(p["width"]))
            for p in _listed(text, "images")
        }
        instances: dict[int, list[Instance]] = {}
        for note in _listed(text, "annotations"):
            instances.setdefault(int(note["image_id"]), []).append(Instance.of(note, places))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path, f"is damaged or no COCO annotation ({error!r})", "extract the archive again") from None
    absent = [p.image for p in pictures.values() if not p.image.is_file()]
    if absent:
        raise InputError(
            folder,
            f"{len(absent)} of {len(pictures)} images of {path.name} are not there (first: {absent[0].name})",
            "extract the images again, the archive seems half extracted",
        )
    return [str(c["name"]) for c in categories], pictures, instances


def _listed(text: str, key: str) -> Iterator[dict[str, Any]]:
    """The objects of the list ``key``, one at a time: whole, the file would take gigabytes. Raises ValueError."""
    start = re.search(rf'"{key}"\s*:\s*\[', text)
    if start is None:
        raise ValueError(f"no list {key}")
    decoder, gap = json.JSONDecoder(), re.compile(r"[\s,]*")
    at = gap.match(text, start.end()).end()  # type: ignore[union-attr]
    while text[at : at + 1] != "]":
        found, at = decoder.raw_decode(text, at)
        yield found
        at = gap.match(text, at).end()  # type: ignore[union-attr]


def _draw(undrawn: dict[Path, tuple[_Picture, list[Instance]]], folder: Path, report: Progress) -> dict[Path, Path]:
    """Write a mask of class ids for every picture; larger instances first, so that smaller ones stay in sight."""
    folder.mkdir()
    drawn: dict[Path, Path] = {}
    for done, (image, (picture, instances)) in enumerate(undrawn.items()):
        report.step(done, len(undrawn), image.name, "masks")
        mask = draw_instances(instances, picture.height, picture.width)
        drawn[image] = folder / f"{image.stem}.png"
        Image.fromarray(mask.astype(np.uint8)).save(drawn[image])
    return drawn


COCO2014 = DataSet("coco2014", read, {"size": 640, "min_area": 0.0})
