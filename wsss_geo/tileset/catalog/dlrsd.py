"""DLRSD: dense labels of 17 classes for the UC Merced images (Shao et al., Remote Sensing 10(6):964, 2018)."""

from __future__ import annotations

from pathlib import Path

from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, scheme_of
from wsss_geo.tileset.catalog.files import check_pairs, files_below, missing, named, part_of
from wsss_geo.tileset.masks import MaskCoding

COLORS = {
    "airplane": "#a6caf0", "bare soil": "#808000", "buildings": "#000080", "cars": "#ff0000", "chaparral": "#008000",
    "court": "#800000", "dock": "#ffe9e9", "field": "#a0a0a4", "grass": "#008080", "mobile home": "#5a57ff",
    "pavement": "#ffff00", "sand": "#ffc000", "sea": "#0000ff", "ship": "#ff00c0", "tanks": "#800080",
    "trees": "#00ff00", "water": "#00ffff",
}  # fmt: skip


def read(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``Images/`` and ``Labels/``, one folder a scene type each; there is no official split. Raises InputError.

    Labels are ids from 1, or colours, in a colour table or as a picture; 0 and black are unlabelled.
    """
    files = files_below(root, (".tif", ".png", ".jpg"))
    parts = ("images", "labels")
    images, masks = (
        named((f for f in files if part_of(f, root, parts) == part), r"([A-Za-z]+\d+)\.\w+") for part in parts
    )
    if not images or not masks:
        what = "DLRSD label" if images else "DLRSD image"
        raise missing(root, what, "Images/airplane/airplane00.tif and Labels/airplane/airplane00.png")
    check_pairs(root, images, masks, "DLRSD")
    return Collection(
        scheme_of(COLORS, first=1),
        tuple(Scene(p, i, i, None, masks[i]) for i, p in sorted(images.items())),
        MaskCoding(
            {0: None, **dict(enumerate(COLORS, 1))},
            {"#000000": None, **{c: n for n, c in COLORS.items()}},
        ),
        channels=3,
        gsd=0.3,
        expected=2100,
    )


DLRSD = DataSet("dlrsd", read, {"size": 288, "min_area": 0.001, "test": 0.2})
