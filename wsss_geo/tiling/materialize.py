"""Tiles as files of their own, for moving a tile set without its rasters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE
from wsss_geo.progress import Progress
from wsss_geo.raster.files import writing
from wsss_geo.raster.grid import Window
from wsss_geo.tileset.index import TileSet
from wsss_geo.tiling.gather import safe_name


def write_chips(tileset: TileSet, folder: Path, report: Progress) -> Any:
    """Write pixels, and masks where there are any, of every tile into ``folder``; return the rows that point there.

    Chips are GeoTIFFs in the raster's pixel type with an internal mask; mask chips hold class ids, 255 unlabelled.
    """
    folder.mkdir()
    tiles = tileset.tiles.copy()
    ids = np.full(256, IGNORE, np.uint8)
    ids[: len(tileset.scheme)] = tileset.scheme.ids
    originals = replace(tileset, materialized=False)
    done = 0
    for (source, mask), places in tiles.fillna({"mask": ""}).groupby(["source", "mask"], sort=False).indices.items():
        with originals.reader(source) as reader:
            labels = originals.mask_reader(mask, reader.height, reader.width) if mask else None
            for place in places:
                report.step(done, len(tiles), "", "chips")
                done += 1
                row = tiles.iloc[place]
                window = Window(int(row.row_off), int(row.col_off), int(row.height), int(row.width))
                where = reader.transform * Affine.translation(window.col_off, window.row_off)
                tile = reader.read(window)
                name = safe_name(row.tile_id)
                _write_chip(folder / f"{name}.tif", tile.pixels, tile.valid, where, reader.crs)
                tiles.iat[place, tiles.columns.get_loc("source")] = f"chips/{name}.tif"
                if labels is not None:
                    values = ids[labels.positions(window)][None]
                    _write_chip(folder / f"{name}.labels.tif", values, None, where, reader.crs)
                    tiles.iat[place, tiles.columns.get_loc("mask")] = f"chips/{name}.labels.tif"
            if labels is not None:
                labels.close()
    tiles["row_off"] = tiles["col_off"] = 0
    return tiles


def _write_chip(path: Path, pixels: NDArray[Any], valid: NDArray[np.bool_] | None, transform: Affine, crs: Any) -> None:
    count, height, width = pixels.shape
    photometric = "RGB" if count == 3 and pixels.dtype == np.uint8 else "MINISBLACK"  # else GDAL takes band 4 for alpha
    with (
        writing(path),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=count,
            dtype=pixels.dtype,
            crs=crs,
            transform=transform,
            compress="deflate",
            photometric=photometric,
        ) as file,
    ):
        file.write(pixels)
        if valid is not None and not valid.all():
            file.write_mask(valid)
