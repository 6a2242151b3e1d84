"""Tiles as tensors."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from wsss_geo.classes import IGNORE
from wsss_geo.errors import InputError
from wsss_geo.raster.grid import Window
from wsss_geo.raster.reader import RasterReader
from wsss_geo.tileset.index import TileSet
from wsss_geo.tileset.masks import MaskReader

_OPEN_FILES = 32


class TileDataset(Dataset[dict[str, Any]]):
    """Map-style dataset over rows of a tile set (a split's name, or rows of ``tileset.tiles``).

    An item has ``image01`` float32 [Cb,S,S] in 0..1 (zero where invalid), ``valid`` bool [S,S], ``tags`` float32 [K],
    ``tile_id``, ``scene``, the number of its parent scene among those of the rows, and, with masks, ``mask`` int64
    [S,S] of channel positions, 255 where unlabelled. S is the tile size of the set; smaller tiles lie in the upper left
    corner and the rest is invalid.

    Decoded pixels stay in memory up to ``cache_bytes`` a process: decoding again would cost more than a small network's
    step. Files are opened on use, so it may be forked or sent to worker processes. Raises InputError where a raster
    cannot be read, or masks are asked for and a row has none.
    """

    def __init__(
        self, tileset: TileSet, rows: Any = "train", with_masks: bool = False, cache_bytes: int = 1 << 30
    ) -> None:
        rows = tileset.of_split(rows) if isinstance(rows, str) else rows
        self.tileset = tileset
        self.with_masks = with_masks
        self.tags = torch.from_numpy(tileset.tags_matrix(rows))
        self.tile_ids: list[str] = rows["tile_id"].tolist()
        #: Number of every tile's parent scene, by the order of their ids, so that it is the same in every process.
        self.scenes: list[int] = np.unique(rows["scene_id"].to_numpy(str), return_inverse=True)[1].tolist()
        self._sources: list[str] = rows["source"].tolist()
        self._windows = rows[["row_off", "col_off", "height", "width"]].to_numpy(np.int64)
        #: Raster, row and column of every tile's upper left pixel.
        self.places: list[tuple[str, int, int]] = [
            (source, int(row), int(col)) for source, (row, col) in zip(self._sources, self._windows[:, :2], strict=True)
        ]
        self._masks: list[str | None] = [m if isinstance(m, str) else None for m in rows["mask"]]
        if with_masks and None in self._masks:
            name = self.tile_ids[self._masks.index(None)]
            raise InputError(tileset.root, f"tile {name} has no mask", "make the tile set from masks")
        self._room = cache_bytes
        self._forget()

    def _forget(self) -> None:
        self._readers: OrderedDict[str, RasterReader] = OrderedDict()
        self._mask_readers: OrderedDict[tuple[str, int, int], MaskReader] = OrderedDict()
        self._kept: dict[int, tuple[NDArray[Any], NDArray[np.bool_]]] = {}
        self._kept_masks: dict[int, NDArray[np.uint8]] = {}
        self._used = 0

    def __getstate__(self) -> dict[str, Any]:
        names = ("_readers", "_mask_readers", "_kept", "_kept_masks", "_used")
        return {k: v for k, v in self.__dict__.items() if k not in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __len__(self) -> int:
        return len(self.tile_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        side = self.tileset.size
        pixels, inside = self._pixels(index)
        height, width = inside.shape
        image = np.zeros((pixels.shape[0], side, side), np.float32)
        image[:, :height, :width] = self.tileset.normalisation.stretch(pixels) * inside
        valid = np.zeros((side, side), np.bool_)
        valid[:height, :width] = inside
        item = {
            "image01": torch.from_numpy(image),
            "valid": torch.from_numpy(valid),
            "tags": self.tags[index],
            "tile_id": self.tile_ids[index],
            "scene": self.scenes[index],
        }
        if self.with_masks:
            mask = np.full((side, side), IGNORE, np.int64)
            mask[:height, :width] = self._mask(index)
            mask[~valid] = IGNORE
            item["mask"] = torch.from_numpy(mask)
        return item

    def _window(self, index: int) -> Window:
        return Window(*map(int, self._windows[index]))

    def _pixels(self, index: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Raw pixels [Cb,h,w] and their validity [h,w]."""
        kept = self._kept.get(index)
        if kept is None:
            tile = self._reader(self._sources[index]).read(self._window(index))
            kept = (tile.pixels, tile.valid)
            if self._fits(tile.pixels.nbytes + tile.valid.nbytes):
                self._kept[index] = kept
        return kept

    def _mask(self, index: int) -> NDArray[np.uint8]:
        kept = self._kept_masks.get(index)
        if kept is None:
            source = self._reader(self._sources[index])
            reader = self._mask_reader(str(self._masks[index]), source.height, source.width)
            kept = reader.positions(self._window(index)).astype(np.uint8)
            if self._fits(kept.nbytes):
                self._kept_masks[index] = kept
        return kept

    def _fits(self, size: int) -> bool:
        """Whether another ``size`` bytes may stay; counts them if so."""
        if self._used + size > self._room:
            return False
        self._used += size
        return True

    def _reader(self, source: str) -> RasterReader:
        reader = self._readers.pop(source, None)
        if reader is None:
            reader = self.tileset.reader(self._existing(source))
            if len(self._readers) >= _OPEN_FILES:
                self._readers.popitem(last=False)[1].close()
        self._readers[source] = reader
        return reader

    def _mask_reader(self, mask: str, height: int, width: int) -> MaskReader:
        key = (mask, height, width)
        reader = self._mask_readers.pop(key, None)
        if reader is None:
            reader = self.tileset.mask_reader(self._existing(mask), height, width)
            if len(self._mask_readers) >= _OPEN_FILES:
                self._mask_readers.popitem(last=False)[1].close()
        self._mask_readers[key] = reader
        return reader

    def _existing(self, relative: str) -> Path:
        path = self.tileset.path(relative)
        if not path.exists():
            raise InputError(path, "a raster of the tile set is gone", "put it back or make the tile set again")
        return path
