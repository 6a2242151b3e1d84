"""Masks as channel positions: class ids, palettes and RGB pictures alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
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

_COLOR = re.compile("#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class MaskCoding:
    """What values and colours of masks mean: the name of a class, or None for "unlabelled".

    ``values`` are those of one-band masks, ``colors`` (``#rrggbb``) those of pictures and colour tables. ``binary``
    takes every channel for 0 or 255, whichever is nearer, before colours are looked up.
    """

    values: Mapping[int, str | None]
    colors: Mapping[str, str | None]
    binary: bool = False

    @classmethod
    def of(cls, scheme: ClassScheme) -> MaskCoding:
        """The coding by the scheme's own ids and colours."""
        return cls({c.id: c.name for c in scheme.classes}, {c.color.lower(): c.name for c in scheme.classes})

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that ``from_json`` reads."""
        values = {str(v): n for v, n in self.values.items()}
        return {"values": values, "colors": dict(self.colors), "binary": self.binary}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MaskCoding:
        """Read what ``to_json`` gives. Raises KeyError, TypeError or ValueError for anything else."""
        values = {int(v): n for v, n in data["values"].items()}
        colors = {str(c): n for c, n in data["colors"].items()}
        if not all(0 <= v <= IGNORE for v in values) or not all(_COLOR.fullmatch(c) for c in colors):
            raise ValueError("values or colours of masks are none")
        return cls(values, colors, bool(data["binary"]))

    def check(self, scheme: ClassScheme) -> None:
        """Raise ValueError unless all names are classes of ``scheme``."""
        strange = {*self.values.values(), *self.colors.values()} - {None, *scheme.names}
        if strange:
            raise ValueError(f"masks speak of the class {str(min(strange, key=str))[:60]!r}, which is none")


class MaskReader:
    """Reads windows of one mask raster as positions in the class scheme.

    ``coding`` says what values and colours mean, unless given the ids and colours of the scheme. One band without
    colour table speaks through its values. One band with a colour table and RGB pictures speak through colours, if at
    least one of the coded ones occurs in the table. ``height`` and ``width`` are those of the grid asked for; a mask of
    another resolution is sampled by nearest neighbour.
    """

    def __init__(
        self,
        path: Path | str,
        scheme: ClassScheme,
        height: int | None = None,
        width: int | None = None,
        coding: MaskCoding | None = None,
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
        try:
            self._decode = _decoder(self._file, scheme, coding or MaskCoding.of(scheme), self.path)
        except InputError:
            self._file.close()
            raise

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


def _decoder(file: Any, scheme: ClassScheme, coding: MaskCoding, path: Path) -> Any:
    """A function from bands [n, h, w] to positions uint8 [h, w]."""
    places = {name: position for position, name in enumerate(scheme.names)}
    colors = {_rgb(c): IGNORE if n is None else places[n] for c, n in coding.colors.items()}
    if file.count == 1:
        if not np.issubdtype(np.dtype(file.dtypes[0]), np.integer):
            raise InputError(path, f"mask of type {file.dtypes[0]}", "masks hold whole numbers, the ids of the classes")
        values = {v: IGNORE if n is None else places[n] for v, n in coding.values.items()}
        return _by_value(file, values, colors, coding.binary, path)
    if file.count not in (3, 4) or any(d != "uint8" for d in file.dtypes):
        raise InputError(
            path, f"mask of {file.count} bands of {file.dtypes[0]}", "masks have one band of ids, or are RGB pictures"
        )
    if not colors:
        raise InputError(path, "is a colour picture", "masks of this data set have one band of ids")
    return _by_color(colors, coding.binary)


def _by_value(
    file: Any, values: Mapping[int, int], colors: Mapping[tuple[int, int, int], int], binary: bool, path: Path
) -> Any:
    table = np.full(256, UNKNOWN, np.uint8)
    palette = {v: _binarised(rgba[:3]) if binary else rgba[:3] for v, rgba in _palette(file).items()}
    if any(rgb in colors for rgb in palette.values()):
        for value, rgb in palette.items():
            table[value] = colors.get(rgb, UNKNOWN)
    elif values:
        for value, position in values.items():
            table[value] = position
    else:
        raise InputError(path, "is a mask of one band without colours", "masks of this data set are colour pictures")
    if table[IGNORE] == UNKNOWN:
        table[IGNORE] = IGNORE
    if file.nodata is not None and 0 <= file.nodata <= 255:
        table[int(file.nodata)] = IGNORE

    def decode(bands: NDArray[Any]) -> NDArray[np.uint8]:
        found = bands[0]
        inside = (found >= 0) & (found <= 255)
        return np.where(inside, table[np.where(inside, found, 0).astype(np.uint8)], np.uint8(UNKNOWN))

    return decode


def _by_color(colors: Mapping[tuple[int, int, int], int], binary: bool) -> Any:
    keys = np.array([r << 16 | g << 8 | b for r, g, b in colors], dtype=np.int32)
    order = np.argsort(keys)
    keys, places = keys[order], np.array(list(colors.values()), dtype=np.uint8)[order]

    def decode(bands: NDArray[Any]) -> NDArray[np.uint8]:
        if binary:
            bands = np.where(bands >= 128, np.uint8(255), np.uint8(0))
        packed = bands[0].astype(np.int32) << 16 | bands[1].astype(np.int32) << 8 | bands[2]
        at = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        return np.where(keys[at] == packed, places[at], np.uint8(UNKNOWN))

    return decode


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _binarised(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (255 if channel >= 128 else 0 for channel in rgb)
    return red, green, blue


def _palette(file: Any) -> dict[int, tuple[int, int, int, int]]:
    if file.colorinterp[0] != ColorInterp.palette:
        return {}
    try:
        return dict(file.colormap(1))
    except ValueError:
        return {}
