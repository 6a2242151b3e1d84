"""Neighbouring tiles of a raster seen together, each with its own tags.

Small scenes say most with their tags, since few classes share them, but show too little of their surroundings to be
told apart. A mosaic has both: the view of a larger scene, the tags of the small ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from wsss_geo.errors import UsageError
from wsss_geo.tileset.dataset import TileDataset


class MosaicDataset(Dataset[dict[str, Any]]):
    """Squares of ``cells`` x ``cells`` touching tiles of the rows of ``tiles``; every tile is the upper left of one.

    An item has ``image01`` float32 [Cb,M,M] and ``valid`` bool [M,M] with M = ``cells`` times the tile size, ``tags``
    float32 [K] of any of its tiles, ``cell_tags`` float32 [K,cells,cells], ``tile_id`` and
    ``scene`` of the upper left tile, and
    ``mask`` int64 [M,M] where ``tiles`` reads masks. Where no tile touches, or one of another split does, the
    mosaic is invalid and has no tags. At the right and lower edge of a raster it grows to the left and upwards instead,
    as far as tiles touch.
    """

    def __init__(self, tiles: TileDataset, cells: int) -> None:
        if cells < 2:
            raise UsageError(f"a mosaic of {cells} x {cells} tiles is no mosaic", "use 2 or more")
        self.tiles = tiles
        self.cells = cells
        self.members = _members(tiles, cells)
        self.tags = (
            tiles.tags[self.members.clip(0)].masked_fill(torch.from_numpy(self.members < 0)[..., None], 0).amax(1)
        )

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> dict[str, Any]:
        side, count = self.tiles.tileset.size, self.cells
        whole: dict[str, Tensor] = {}
        for place, member in enumerate(self.members[index]):
            if member < 0:
                continue
            item = self.tiles[int(member)]
            row, col = divmod(place, count)
            for name in ("image01", "valid", "mask"):
                if name in item:
                    part = item[name]
                    if name not in whole:
                        fill = 255 if name == "mask" else 0
                        whole[name] = part.new_full((*part.shape[:-2], count * side, count * side), fill)
                    whole[name][..., row * side : (row + 1) * side, col * side : (col + 1) * side] = part
        there = torch.from_numpy(self.members[index] >= 0)
        cell_tags = self.tiles.tags[self.members[index].clip(0)] * there[:, None]
        return {
            **whole,
            "tags": self.tags[index],
            "cell_tags": cell_tags.T.reshape(-1, count, count).contiguous(),
            "tile_id": self.tiles.tile_ids[index],
            "scene": self.tiles.scenes[index],
        }


def _members(tiles: TileDataset, cells: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Indices [n, cells * cells] of the tiles of every mosaic, row by row; -1 where there is none."""
    side = tiles.tileset.size
    place = {key: i for i, key in enumerate(tiles.places)}
    members = np.full((len(tiles), cells, cells), -1, np.int64)
    for i, (source, top, left) in enumerate(tiles.places):
        # Shift the mosaic up and left where it would otherwise reach beyond the tiles.
        down = _reach(place, source, top, left, side, cells, (1, 0))
        right = _reach(place, source, top, left, side, cells, (0, 1))
        for row in range(cells):
            for col in range(cells):
                key = (source, top + (row - cells + down) * side, left + (col - cells + right) * side)
                members[i, row, col] = place.get(key, -1)
    return members.reshape(len(tiles), -1)


def _reach(
    place: dict[tuple[str, int, int], int],
    source: str,
    top: int,
    left: int,
    side: int,
    cells: int,
    way: tuple[int, int],
) -> int:
    """How many tiles touch in a row from (top, left) in one direction, itself included, at most ``cells``."""
    count = 1
    while count < cells and (source, top + count * side * way[0], left + count * side * way[1]) in place:
        count += 1
    return count
