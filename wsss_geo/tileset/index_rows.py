"""The rows of an index that somebody else may have written, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsss_geo.errors import InputError
from wsss_geo.jobs import SPLITS

#: Most tiles of a set, and the longest side of one in pixels.
MOST_TILES, LONGEST_SIDE = 2_000_000, 1 << 13
_FARTHEST = 1 << 31
_AGAIN = "make the tile set again"


def check_count(path: Path, rows: int) -> None:
    """Raise InputError for more rows than a tile set may have; the file itself may be small."""
    if rows > MOST_TILES:
        raise InputError(path, f"has {rows} tiles, more than {MOST_TILES}", _AGAIN)


def check_rows(path: Path, tiles: Any, size: int) -> None:
    """Raise InputError unless every column of ``tiles`` holds what an index holds; no tile is larger than ``size``."""
    for name, least, most in (
        ("row_off", 0, _FARTHEST), ("col_off", 0, _FARTHEST), ("height", 1, size), ("width", 1, size),
    ):  # fmt: skip
        values = tiles[name].to_numpy()
        if values.dtype.kind not in "iu" or values.min() < least or values.max() > most:
            raise _odd(path, name, f"whole numbers from {least} to {most}")
    if tiles["gsd"].dtype.kind not in "fiu":
        raise _odd(path, "gsd", "numbers")
    if tiles["tagged"].dtype != np.bool_:
        raise _odd(path, "tagged", "true or false")
    texts: Mapping[str, Any] = {"tile_id": str, "source": str, "scene_id": str, "split": str, "mask": (str, type(None))}
    for name, kinds in texts.items():
        if not all(isinstance(v, kinds) or (name == "mask" and v != v) for v in tiles[name]):
            raise _odd(path, name, "texts")
    if not set(tiles["split"]) <= set(SPLITS):
        raise _odd(path, "split", " or ".join(SPLITS))
    if tiles["tile_id"].duplicated().any():
        twice = tiles["tile_id"][tiles["tile_id"].duplicated()].iloc[0]
        raise InputError(path, f"names the tile {twice!r:.60} twice", _AGAIN)
    for tags in tiles["tags"]:
        if not isinstance(tags, (list, tuple, np.ndarray)) or not all(isinstance(tag, str) for tag in tags):
            raise _odd(path, "tags", "lists of names")


def _odd(path: Path, column: str, expected: str) -> InputError:
    return InputError(path, f"column {column} holds something else than {expected}", _AGAIN)
