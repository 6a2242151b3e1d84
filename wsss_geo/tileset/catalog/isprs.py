"""What the two ISPRS 2D semantic labelling sets, Potsdam and Vaihingen, share: classes, colours, areas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.tileset.catalog.base import Collection, Scene, scheme_of
from wsss_geo.tileset.catalog.files import check_pairs, named
from wsss_geo.tileset.masks import MaskCoding

COLORS = {
    "impervious surface": "#ffffff", "building": "#0000ff", "low vegetation": "#00ffff", "tree": "#00ff00",
    "car": "#ffff00", "clutter": "#ff0000",
}  # fmt: skip


def classes(protocol: str) -> ClassScheme:
    """Five classes; ``clutter`` and ``ctfa`` have clutter as the sixth, ``ctfa`` streets as what stays cold."""
    kept = COLORS if protocol in ("clutter", "ctfa") else {n: c for n, c in COLORS.items() if n != "clutter"}
    return scheme_of(kept, background="surrogate:impervious surface" if protocol == "ctfa" else "none")


def coding(protocol: str) -> MaskCoding:
    """Colours of the labels; black is the border that the "noBoundary" labels leave out.

    Some areas have colours a few steps off, such as 252,255,0: every channel is rounded to 0 or 255.
    """
    known = classes(protocol).names
    return MaskCoding({}, {"#000000": None, **{c: n if n in known else None for n, c in COLORS.items()}}, binary=True)


def labels_named(root: Path, files: Iterable[Path], pattern: str) -> dict[str, Path]:
    """Labels by area. Those handed out to participants are among the complete ones, beside which they do not count.

    Raises InputError for an area twice.
    """
    matching = [f for f in files if re.fullmatch(pattern, f.name)]
    complete = [f for f in matching if "participants" not in "/".join(f.relative_to(root).parts[:-1]).lower()]
    return named(complete or matching, pattern)


def collect(
    root: Path,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    train: Sequence[str],
    test: Sequence[str],
    protocol: str,
    band_names: tuple[str, ...],
) -> Collection:
    """Join images and labels by area. Raises InputError for a training area without label and for a strange area.

    Test areas without labels, as they were held back during the contest, are left out.
    """
    due = {*train, *test}
    strange = sorted(set(images) - due)
    if strange:
        raise InputError(
            images[strange[0]], f"area {strange[0]} is none of the {len(due)} of the data set", "remove it"
        )
    held_back = {i for i in images if i in test and i not in labels}
    known = {i: p for i, p in images.items() if i not in held_back}
    check_pairs(root, known, {i: p for i, p in labels.items() if i in known or i in train}, f"the {len(due)} areas")
    return Collection(
        classes(protocol),
        tuple(Scene(known[i], i, i, "test" if i in test else None, labels[i]) for i in (*train, *test) if i in known),
        coding(protocol),
        band_names=band_names,
        expected=len(due - held_back),
        remarks=(f"{len(held_back)} test areas have no labels here and are left out",) if held_back else (),
    )
