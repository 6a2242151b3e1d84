"""PASCAL VOC 2012 segmentation, with the additional masks of Hariharan et al. (ICCV 2011) where they are there."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml  # nosec B405: reads annotations the user chose

from wsss_geo.errors import InputError
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, scheme_of
from wsss_geo.tileset.catalog.files import missing
from wsss_geo.tileset.masks import MaskCoding

NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_AUGMENTED = ("train_aug.txt", "trainaug.txt")
_MASKS = ("SegmentationClass", "SegmentationClassAug")


def palette(number: int) -> str:
    """The colour of class ``number`` in the VOC palette: the bits of the number, in turn to red, green and blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return "#" + "".join(f"{c:02x}" for c in channels)


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read the lists in ``ImageSets/Segmentation``: train (augmented where its list is there, or ``variant`` says) and
    val. Tags are the objects of ``Annotations``, or without these the classes of the mask. Masks are read by value, not
    by palette; 255 is the void around objects. Raises InputError.
    """
    places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    home = next((p for p in places if (p / "JPEGImages").is_dir()), None)
    if home is None:
        raise missing(root, "folder JPEGImages", "VOCdevkit/VOC2012 with JPEGImages, SegmentationClass and ImageSets")
    lists = home / "ImageSets" / "Segmentation"
    augmented = next((lists / n for n in _AUGMENTED if (lists / n).is_file()), None)
    if variant == "aug" and augmented is None:
        raise missing(lists, "list of augmented training images", f"{' or '.join(_AUGMENTED)}")
    train = _listed(augmented if augmented and variant != "plain" else lists / "train.txt")
    val = _listed(lists / "val.txt")
    if not train and not val:
        raise missing(lists, "list of images", "train.txt and val.txt")
    scenes = [_scene(home, n, split) for split, names in (("train", train), ("val", val)) for n in names]
    return Collection(
        scheme_of({n: palette(i) for i, n in enumerate(NAMES)}, background="explicit"),
        tuple(scenes),
        MaskCoding({**dict(enumerate(NAMES)), 255: None}, {}),
        channels=3,
        expected=1464 + 1449,
    )


def _listed(path: Path) -> list[str]:
    """Image ids of a list, which may also name the files as ``/JPEGImages/x.jpg /SegmentationClassAug/x.png``."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(Path(line.split()[0]).stem for line in lines if line.strip()))


def _scene(home: Path, name: str, split: str) -> Scene:
    image = home / "JPEGImages" / f"{name}.jpg"
    masks = (home / folder / f"{name}.png" for folder in _MASKS)
    mask = next((m for m in masks if m.is_file()), None)
    if not image.is_file():
        raise InputError(image, f"is in the list of {split} but not there", "extract the archive again")
    if mask is None and split == "val":
        raise InputError(home, f"{name} of val has no mask in SegmentationClass", "extract the archive again")
    notes = home / "Annotations" / f"{name}.xml"
    tags = _objects(notes) if notes.is_file() else None
    if mask is None and tags is None:
        raise InputError(
            home, f"{name} has neither a mask nor {notes.name} in Annotations", "extract the archive again"
        )
    return Scene(image, name, name, None if split == "train" else split, mask, tags)


def _objects(path: Path) -> tuple[str, ...]:
    try:
        tree = Xml.parse(path)  # nosec B314: Expat bounds the growth of entities
    except Xml.ParseError as error:
        raise InputError(path, f"is damaged ({error})", "extract the archive again") from None
    found = {o.findtext("name", "") for o in tree.getroot().findall("object")}
    return tuple(n for n in NAMES if n in found)


VOC2012 = DataSet("voc2012", read, {"size": 512, "min_area": 0.0}, variants=("aug", "plain"))
