"""Reading windows of a raster of any kind, at its own resolution or at another."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import rasterio.windows
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from wsss_geo.errors import InputError
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.grid import Window, resampled_shape
from wsss_geo.raster.info import GeoGrid, RasterInfo, describe
from wsss_geo.raster.resample import axis_taps, resample

__all__ = ["GSD_TOLERANCE", "GeoGrid", "RasterInfo", "RasterReader", "Tile", "describe"]

#: A raster within this share of the wanted ground sample distance is read as it is: less does not matter to a
#: network, and resampling blurs.
GSD_TOLERANCE = 0.05

#: A pixel shows nothing that so many times as many pixels along it could show; they would only take for ever.
_MOST_ENLARGED = 32

_NATIVE = ("uint8", "uint16", "int16")


@dataclass(frozen=True)
class Tile:
    """``pixels`` [C, h, w], zero where ``valid`` [h, w] (bool) is False."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


class RasterReader:
    """Reads windows of the bands ``bands`` (from 1; all but alpha unless given) of the raster ``path``.

    ``gsd`` asks for another ground sample distance in metres: the grid is then scaled about its origin, so CRS,
    extent and rotation stay, and ``height``, ``width``, ``transform`` are those of the scaled grid. A raster whose own
    distance is unknown or within ``GSD_TOLERANCE`` of it is read as it is. Areas are averaged when shrinking (from an
    overview still at least twice as fine, if there is one), pixels interpolated when enlarging; a pixel's value does
    not depend on the window it is read in. ``palette`` expands a colour table to three bands, red, green, blue.

    Pixels are uint8, uint16 or int16 as in the file, float32 otherwise. A pixel is invalid where

    - the alpha band is 0 or the mask (internal or .msk) hides it,
    - all chosen bands hold their nodata value (one band alone may hold it by chance), or
    - any chosen band is NaN or infinite.

    Files are opened on first use, once a thread and process, so a reader may be shared between threads, forked and
    pickled. Memory: the source pixels of one window as float32 when resampling.

    Raises InputError as ``describe`` does and for bands that do not exist or are alpha.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        bands: Sequence[int] | None = None,
        gsd: float | None = None,
        palette: bool = False,
    ) -> None:
        self.info = describe(os.fspath(path))
        self.path = self.info.path
        self.bands = _checked_bands(self.info, bands)
        self._arguments = (self.path, bands, gsd, palette)
        self._palette = _palette_table(self.info) if palette and self.info.palette else None
        factor = 1.0
        if gsd and self.info.gsd and abs(gsd / self.info.gsd - 1) > GSD_TOLERANCE:
            factor = gsd / self.info.gsd
            if factor < 1 / _MOST_ENLARGED:
                hint = "use a finer raster, or read it as it is (predict --no-resample)"
                raise InputError(self.path, f"has pixels of {self.info.gsd:.4g} m, too coarse for {gsd:.4g} m", hint)
        shape = resampled_shape(self.info.height, self.info.width, factor)
        self.grid: GeoGrid = self.info.grid if factor == 1 else self.info.grid.resized(*shape)
        self.gsd = self.info.gsd * factor if self.info.gsd else None
        self._overview = _overview(self.info, shape) if factor > 1 else None
        full = (self.info.height, self.info.width)
        self._source = self.info.overviews[self._overview] if self._overview is not None else full
        self.dtype = np.dtype(np.uint8) if self._palette is not None else _pixel_type(self.info, self.bands)
        self._handles: dict[tuple[int, int], Any] = {}
        self._lock = threading.Lock()

    @property
    def height(self) -> int:
        """Rows of the grid that is read."""
        return self.grid.height

    @property
    def width(self) -> int:
        """Columns of the grid that is read."""
        return self.grid.width

    @property
    def transform(self) -> Affine:
        """From (column, row) of the grid that is read to the CRS."""
        return self.grid.transform

    @property
    def crs(self) -> CRS | None:
        """The CRS, None without usable georeference."""
        return self.grid.crs

    @property
    def count(self) -> int:
        """Channels of the tiles that are read."""
        return len(self.bands) if self._palette is None else 3

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the channels: a band's description, else its colour, else its number."""
        if self._palette is not None:
            return "red", "green", "blue"
        names = []
        for band in self.bands:
            color = self.info.colors[band - 1]
            plain = color if color not in ("undefined", "gray", "palette") else ""
            names.append(self.info.descriptions[band - 1].strip() or plain or f"band {band}")
        return tuple(names)

    @property
    def resampled(self) -> bool:
        """Whether the grid that is read differs from the raster's own."""
        return self.grid != self.info.grid

    @property
    def scale(self) -> tuple[float, float]:
        """Rows and columns of the raster per row and column that is read."""
        return self.info.height / self.height, self.info.width / self.width

    def read(self, window: Window) -> Tile:
        """Return the pixels of ``window`` of the grid; what lies outside the raster is zero and invalid.

        Raises InputError when GDAL cannot read them.
        """
        inside = window.clipped(self.height, self.width)
        if inside == window:
            return self._read_inside(window)
        pixels = np.zeros((self.count, window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), np.bool_)
        if not inside.is_empty:
            tile = self._read_inside(inside)
            rows, cols = inside.relative_to(window).slices
            pixels[:, rows, cols] = tile.pixels
            valid[rows, cols] = tile.valid
        return Tile(pixels, valid)

    def _read_inside(self, window: Window) -> Tile:
        if not self.resampled:
            return self._read_source(window)
        rows = axis_taps(window.row_off, window.row_end, self.height, self._source[0])
        cols = axis_taps(window.col_off, window.col_end, self.width, self._source[1])
        source = Window(rows.first, cols.first, rows.end - rows.first, cols.end - cols.first)
        tile = self._read_source(source)
        return Tile(*resample(tile.pixels, tile.valid, rows, cols))

    def _read_source(self, window: Window) -> Tile:
        """Read a window inside the file or overview, in its own pixels."""
        alpha = self.info.alpha_band
        place = rasterio.windows.Window(window.col_off, window.row_off, window.width, window.height)
        with reading(self.path):
            dataset = self._handle()
            indexes = [*self.bands, alpha] if alpha else list(self.bands)
            pixels = dataset.read(indexes, window=place, out_dtype=_pixel_type(self.info, self.bands))
            valid = np.ones(pixels.shape[1:], np.bool_)
            if alpha:
                pixels, valid = pixels[:-1], pixels[-1] != 0
            if self.info.has_mask:
                valid &= (dataset.read_masks(list(self.bands), window=place) != 0).any(axis=0)
        valid &= ~_nodata(pixels, [self.info.nodata[b - 1] for b in self.bands])
        if pixels.dtype == np.float32:
            valid &= np.isfinite(pixels).all(axis=0)
        if self._palette is not None:
            colors = self._palette[pixels[0]]
            valid &= colors[..., 3] != 0
            pixels = np.ascontiguousarray(colors[..., :3].transpose(2, 0, 1))
        pixels[:, ~valid] = 0
        return Tile(pixels, valid)

    def _handle(self) -> Any:
        """The dataset of this thread; after a fork the child opens its own."""
        key = (os.getpid(), threading.get_ident())
        dataset = self._handles.get(key)
        if dataset is None:
            dataset = open_raster(self.path, self._overview)
            with self._lock:
                self._handles[key] = dataset
        return dataset

    def close(self) -> None:
        """Close the files; a later read opens them again."""
        with self._lock:
            handles, self._handles = self._handles, {}
        for (process, _), dataset in handles.items():
            if process == os.getpid():
                dataset.close()

    def __enter__(self) -> RasterReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return RasterReader, self._arguments


def _checked_bands(info: RasterInfo, bands: Sequence[int] | None) -> tuple[int, ...]:
    if bands is None:
        return info.image_bands
    for band in bands:
        if not 1 <= band <= info.count:
            raise InputError(info.path, f"has no band {band}", f"choose from 1 to {info.count} with --bands")
        if band == info.alpha_band:
            hint = "leave it out; if it holds an image, clear its colour interpretation with gdal_edit.py -colorinterp"
            raise InputError(info.path, f"band {band} is transparency (alpha), not an image", hint)
    if not bands:
        raise InputError(info.path, "no band chosen", f"choose from 1 to {info.count} with --bands")
    return tuple(int(b) for b in bands)


def _pixel_type(info: RasterInfo, bands: tuple[int, ...]) -> np.dtype[Any]:
    kinds = {info.dtypes[b - 1] for b in bands}
    name = kinds.pop() if len(kinds) == 1 else "float32"
    return np.dtype(name if name in _NATIVE else "float32")


def _nodata(pixels: NDArray[Any], values: Sequence[float | None]) -> NDArray[np.bool_]:
    """Where all bands of ``pixels`` [C, h, w] hold their nodata value; a NaN value is left to the test for NaN."""
    hidden = np.ones(pixels.shape[1:], np.bool_)
    for band, value in zip(pixels, values, strict=True):
        if value is None or not _representable(value, pixels.dtype):
            return np.zeros(pixels.shape[1:], np.bool_)
        hidden &= band == pixels.dtype.type(value)
    return hidden


def _representable(value: float, dtype: np.dtype[Any]) -> bool:
    if not np.isfinite(value):
        return False
    if dtype.kind == "f":
        return bool(abs(value) <= np.finfo(np.float32).max)
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _overview(info: RasterInfo, shape: tuple[int, int]) -> int | None:
    """The coarsest overview that is at least twice as fine as ``shape``."""
    fine = [n for n, (h, w) in enumerate(info.overviews) if h >= 2 * shape[0] and w >= 2 * shape[1]]
    return max(fine, key=lambda n: -info.overviews[n][0]) if fine else None


def _palette_table(info: RasterInfo) -> NDArray[np.uint8]:
    """Colours [65536, 4] by index; indices without an entry are transparent."""
    table = np.zeros((1 << 16, 4), np.uint8)
    for index, color in (info.palette or {}).items():
        table[index] = color
    return table
