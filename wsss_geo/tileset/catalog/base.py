"""What a data set is once it is read: scenes with official splits, masks and tags, and what the masks mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss_geo.classes import ClassScheme, LandCoverClass
from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.tileset.masks import MaskCoding


@dataclass(frozen=True)
class Scene:
    """One image of a data set.

    ``name`` is its full official id, with which the ids of its tiles begin; ``parent`` is the scene that no split
    divides (an image cut from a larger one has that one's id). ``split`` is val or test where that is official, None
    for training scenes; out of these the job's shares fill the splits that are not official. ``tags`` speak of the
    whole image; without them tags come from the mask.
    """

    image: Path
    name: str
    parent: str
    split: str | None = None
    mask: Path | None = None
    tags: tuple[str, ...] | None = None


#: Draws masks that a data set has in another form than rasters into a folder; returns them by image.
Draw = Callable[[Path, Progress], dict[Path, Path]]


@dataclass(frozen=True)
class Collection:
    """What a reader found.

    ``coding``: what the masks mean. ``channels``: how many each image gives, grey ones in three alike. ``band_names``
    where the files tell them wrongly. ``gsd``: metres a pixel where the files do not tell. ``whole_steps``: tiles lie
    on multiples of the stride, the rest of an image is left out. ``most``: tiles drawn for a split, all unless given.
    ``draw`` makes masks for the images without. ``expected`` counts the parent scenes of the whole set, 0 if unknown;
    ``remarks`` are for the user.
    """

    scheme: ClassScheme
    scenes: tuple[Scene, ...]
    coding: MaskCoding | None = None
    channels: int | None = None
    band_names: tuple[str, ...] | None = None
    gsd: float | None = None
    whole_steps: bool = False
    most: Mapping[str, int] = field(default_factory=dict)
    draw: Draw | None = None
    expected: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A data set by name.

    ``read(root, protocol, variant)`` turns its folder into a collection. ``defaults`` are values of job fields that
    suit it; a protocol has values of its own, which go before them. ``variants`` are versions to choose from, such as
    band combinations.
    """

    name: str
    read: Callable[[Path, str, str | None], Collection]
    defaults: Mapping[str, Any]
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"official": {}})
    variants: tuple[str, ...] = ()


def scheme_of(colors: Mapping[str, str], first: int = 0, background: str = "none") -> ClassScheme:
    """A class scheme from colours by name, ids counted from ``first``."""
    return ClassScheme(tuple(LandCoverClass(first + i, n, c) for i, (n, c) in enumerate(colors.items())), background)


def check_scenes(root: Path, scenes: tuple[Scene, ...]) -> None:
    """Check that ids are unique and no parent scene is in two splits. Raises InputError."""
    splits: dict[str, str | None] = {}
    for scene in scenes:
        other_split = splits.setdefault(scene.parent, scene.split)
        if other_split != scene.split:
            first, second = sorted((str(other_split or "train"), str(scene.split or "train")))
            raise InputError(
                root,
                f"scene {scene.parent} is in {first} and in {second}, so that scores would mean nothing",
                "move all of it to one split",
            )
    by_name: dict[str, Path] = {}
    for scene in scenes:
        other = by_name.setdefault(scene.name, scene.image)
        if other is not scene.image:
            raise InputError(root, f"{other} and {scene.image} have the same id {scene.name}", "remove one of them")
