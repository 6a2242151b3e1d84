"""Small look-alikes of the files of published data sets, and the tile sets that are made of them."""

from __future__ import annotations

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from hearing import Hearing
from wsss_geo import api
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset

RNG = np.random.default_rng(0)


def picture(path, height, width, **more):
    """A random RGB picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(1, 255, (height, width, 3), dtype=np.uint8)).save(path, **more)


def rgb(color):
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def painted(path, blocks, height, width, ground="#000000", swap=False, noise=0):
    """A colour mask: ``blocks`` are (colour, rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.empty((height, width, 3), np.uint8)
    mask[:] = rgb(ground)
    for color, rows, cols in blocks:
        mask[rows, cols] = rgb(color)
    if noise:
        off = RNG.integers(0, noise, mask.shape)
        mask = np.where(mask > 127, mask - off, mask + off)
    Image.fromarray((mask[..., ::-1] if swap else mask).astype(np.uint8)).save(path)


def numbered(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array, np.uint8), "P" if palette else "L")
    if palette:
        image.putpalette(palette)
    image.save(path)


def geotiff(path, array, x=360_000.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=array.shape[0], height=array.shape[1], width=array.shape[2], dtype=array.dtype,
        crs="EPSG:32633", transform=from_origin(x, 5_800_000.0, 0.05, 0.05), photometric="RGB",
    ) as file:  # fmt: skip
        file.write(array)


def make(name, folder, out, heard=None, **more):
    """Tile the data set; returns its tile set and the rows by tile id."""
    api.tile(folder, dataset=name, out=out, report=heard or Hearing(), **more)
    tileset = read_tileset(out)
    return tileset, tileset.tiles.set_index("tile_id")


def mask_of(tileset, tile_id):
    """Names by pixel of the mask of one tile; None where it is unlabelled."""
    rows = tileset.tiles[tileset.tiles["tile_id"] == tile_id]
    item = TileDataset(tileset, rows, with_masks=True)[0]["mask"].numpy()
    names = np.array([*tileset.scheme.names, *[None] * (256 - len(tileset.scheme))], dtype=object)
    return names[item]
