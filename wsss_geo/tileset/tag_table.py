"""What every source of tags gives: class names by tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class TagTable:
    """Tags by tile.

    ``tags`` maps a tile to the names of its classes; a tile that is not in it is untagged. ``masks`` maps a tile to
    the mask raster of its source. ``given`` counts the tags of the source, ``unmatched`` names those that fit no tile
    (the first few), ``missed`` counts them.
    """

    tags: Mapping[str, tuple[str, ...]]
    masks: Mapping[str, Path] = field(default_factory=dict)
    given: int = 0
    missed: int = 0
    unmatched: tuple[str, ...] = ()
    expected: str = ""


def merged(pairs: Iterable[tuple[str, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """Unite the class names given for the same tile."""
    found: dict[str, set[str]] = {}
    for tile, names in pairs:
        found.setdefault(tile, set()).update(names)
    return {tile: tuple(sorted(names)) for tile, names in found.items()}


def find_rasters(folder: Path) -> list[Path]:
    """Rasters and images below ``folder``, sorted; hidden files are left out."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in RASTER_SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())
