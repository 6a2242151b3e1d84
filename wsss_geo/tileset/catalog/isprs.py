"""What the two ISPRS 2D semantic labelling sets, Potsdam and Vaihingen, share: classes and colours."""

from __future__ import annotations

from wsss_geo.classes import ClassScheme
from wsss_geo.tileset.catalog.base import scheme_of
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
