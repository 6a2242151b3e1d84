"""Sources and their tiles before they are tagged: names, grids and windows."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from wsss_geo.raster.grid import Window, window_grid


@dataclass(frozen=True)
class Source:
    """A raster and its tiles.

    ``height width transform`` describe the grid the tiles live on: the raster's own, or the resampled one.
    ``name`` is unique in the tile set; ``tile_ids[i]`` belongs to ``windows[i]``.
    """

    path: Path
    name: str
    height: int
    width: int
    transform: Affine
    crs: Any
    gsd: float | None
    windows: tuple[Window, ...]

    @property
    def tile_ids(self) -> list[str]:
        """Names of the tiles: raster, first row, first column."""
        return [f"{self.name}_r{w.row_off}_c{w.col_off}" for w in self.windows]

    def bounds_px(self) -> NDArray[np.int64]:
        """Row0, col0, row1, col1 of every tile, int64 [n, 4]; the ends are exclusive."""
        corners = [(w.row_off, w.col_off, w.row_off + w.height, w.col_off + w.width) for w in self.windows]
        return np.array(corners, dtype=np.int64).reshape(-1, 4)

    def boxes_px(self) -> NDArray[Any]:
        """Tiles as shapely boxes in pixel coordinates (x = column, y = row)."""
        row0, col0, row1, col1 = self.bounds_px().T
        return np.asarray(shapely.box(col0, row0, col1, row1))

    def keep(self, wanted: Sequence[bool] | NDArray[np.bool_]) -> Source:
        """Return the source with only the tiles marked in ``wanted``."""
        return replace(self, windows=tuple(w for w, k in zip(self.windows, wanted, strict=True) if k))


def tile_windows(height: int, width: int, size: int, stride: int) -> tuple[Window, ...]:
    """Windows that cover a raster, inside it; one that is smaller than ``size`` gives tiles of its own extent."""
    return tuple(w.clipped(height, width) for w in window_grid(height, width, size, stride))


def source_names(paths: Sequence[Path]) -> list[str]:
    """Give every raster a short unique name: its path below the folder that all share, as a file-name-safe word."""
    if not paths:
        return []
    absolute = [Path(os.path.abspath(p)) for p in paths]
    try:
        shared = Path(os.path.commonpath([p.parent for p in absolute]))
        relative = [p.relative_to(shared) for p in absolute]
    except ValueError:  # different drives
        relative = [Path(*p.parts[1:]) for p in absolute]
    names = [_word(r.with_suffix("")) for r in relative]
    twice = {n for n, c in Counter(names).items() if c > 1}
    names = [_word(r) if n in twice else n for n, r in zip(names, relative, strict=True)]
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return unique


def _word(path: Path) -> str:
    return re.sub(r"[^\w.~-]+", "-", "_".join(path.parts)) or "raster"
