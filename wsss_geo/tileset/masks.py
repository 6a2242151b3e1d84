"""Masks as channel positions: class ids, palettes and RGB pictures alike."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window as RasterioWindow

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.grid import Window

#: Value of pixels whose colour or id the class scheme does not know, before they become IGNORE.
UNKNOWN = 254


class MaskReader:
    """Reads windows of one mask raster as positions in the class scheme.

    One band without colour table holds class ids. One band with a colour table and RGB pictures speak through the
    colours of the classes, if at least one of these occurs in the table. ``height`` and ``width`` are those of the grid
    asked for; a mask of another resolution is sampled by nearest neighbour.
    """

    def __init__(
        self, path: Path | str, scheme: ClassScheme, height: int | None = None, width: int | None = None
    ) -> None:
        self.path = Path(path)
        self._file = open_raster(str(path))
        self.height = height or self._file.height
        self.width = width or self._file.width
        ratio, expected = self._file.height / self._file.width, self.height / self.width
        if abs(math.log(ratio / expected)) > 0.02:
            self._file.close()
            raise InputError(
                path,
                f"mask of {self._file.width} x {self._file.height} pixels for an image of {self.width} x {self.height}",
                "use a mask of the image's own size",
            )
        self._decode = _decoder(self._file, scheme, self.path)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return positions uint8 [h, w]; IGNORE for nodata and 255, UNKNOWN for what is no class."""
        rows, cols = self._file.height / self.height, self._file.width / self.width
        exact = RasterioWindow(window.col_off * cols, window.row_off * rows, window.width * cols, window.height * rows)
        shape = (self._file.count, window.height, window.width)
        with reading(str(self.path)):
            bands = self._file.read(window=exact, out_shape=shape, resampling=Resampling.nearest)
        return self._decode(bands)

    def positions(self, window: Window) -> NDArray[np.int64]:
        """Return positions int64 [h, w] in which everything unknown is IGNORE."""
        found = self.read(window).astype(np.int64)
        found[found == UNKNOWN] = IGNORE
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> MaskReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decoder(file: Any, scheme: ClassScheme, path: Path) -> Any:
    colours = {c.rgb: i for i, c in enumerate(scheme.classes)}
    if file.count == 1:
        if not np.issubdtype(np.dtype(file.dtypes[0]), np.integer):
            raise InputError(path, f"mask of type {file.dtypes[0]}", "masks hold whole numbers, the ids of the classes")
        table = np.full(256, UNKNOWN, np.uint8)
        palette = _palette(file)
        if palette and any(rgba[:3] in colours for rgba in palette.values()):
            for value, rgba in palette.items():
                table[value] = colours.get(rgba[:3], UNKNOWN)
        else:
            for position, number in enumerate(scheme.ids):
                table[number] = position
        if table[IGNORE] == UNKNOWN:
            table[IGNORE] = IGNORE
        if file.nodata is not None and 0 <= file.nodata <= 255:
            table[int(file.nodata)] = IGNORE

        def by_value(bands: NDArray[Any]) -> NDArray[np.uint8]:
            values = bands[0]
            inside = (values >= 0) & (values <= 255)
            return np.where(inside, table[np.where(inside, values, 0).astype(np.uint8)], np.uint8(UNKNOWN))

        return by_value
    if file.count not in (3, 4) or any(d != "uint8" for d in file.dtypes):
        raise InputError(
            path, f"mask of {file.count} bands of {file.dtypes[0]}", "masks have one band of ids, or are RGB pictures"
        )
    keys = np.array([r << 16 | g << 8 | b for r, g, b in colours], dtype=np.int32)
    order = np.argsort(keys)
    keys, places = keys[order], np.array(list(colours.values()), dtype=np.uint8)[order]

    def by_colour(bands: NDArray[Any]) -> NDArray[np.uint8]:
        packed = bands[0].astype(np.int32) << 16 | bands[1].astype(np.int32) << 8 | bands[2]
        at = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        return np.where(keys[at] == packed, places[at], np.uint8(UNKNOWN))

    return by_colour


def _palette(file: Any) -> dict[int, tuple[int, int, int, int]]:
    if file.colorinterp[0] != ColorInterp.palette:
        return {}
    try:
        return dict(file.colormap(1))
    except ValueError:
        return {}
