"""Rasters as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.enums import Resampling
from rasterio.windows import Window

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.info import describe

#: Longest side of a picture of a whole map, and side of that of a scene, in pixels.
SIDE, SCENE = 900, 168
#: Scenes of fewer pixels along a side are too small to be told by themselves.
_AMID = 96
_UNKNOWN = (70, 70, 70)
#: From doubt to certainty: the colours of confidence 0, 0.5, 0.75, 0.9 and 1.
SCALE = (
    (0.0, (122, 1, 40)),
    (0.5, (227, 74, 51)),
    (0.75, (253, 187, 132)),
    (0.9, (199, 220, 239)),
    (1.0, (33, 102, 172)),
)


def mask_picture(path: str, scheme: ClassScheme) -> str:
    """The mask in the colours of its classes as the address of a PNG; what has no class is transparent."""
    with open_raster(path) as dataset:
        values = _thin(path, dataset, Resampling.nearest, [1])[0]
        hidden = _thin_mask(path, dataset, values.shape) == 0
    values[hidden] = IGNORE
    palette = np.tile(np.array(_UNKNOWN, np.uint8), (256, 1))
    for c in scheme.classes:
        palette[c.id] = c.rgb
    return _png(values, palette)


def confidence_picture(path: str) -> str:
    """The confidence as the address of a PNG, in the colours of ``SCALE``; no data is transparent."""
    with open_raster(path) as dataset:
        values = _thin(path, dataset, Resampling.average, [1])[0]
    levels = np.where(values == 0, IGNORE, np.minimum(values // 8 * 8 + 4, 252)).astype(np.uint8)
    return _png(levels, confidence_colours())


def confidence_colours() -> NDArray[np.uint8]:
    """Colours uint8 [256, 3] of the values 0..255 of a confidence raster."""
    places = [255 * at for at, _ in SCALE]
    bands = [np.interp(np.arange(256), places, [rgb[i] for _, rgb in SCALE]) for i in range(3)]
    return np.stack(bands, axis=1).round().astype(np.uint8)


class ImagePictures:
    """Pictures of the image ``path``, whole and of windows, all stretched alike: between percentiles 2 and 98.

    Raises InputError where it cannot be read. ``bands`` are those that show red, green and blue: the first three image
    bands, or one as grey.
    """

    def __init__(self, path: str) -> None:
        info = describe(path)
        self.path = path
        self.shape = (info.height, info.width)
        self.bands = list(info.image_bands[:3] if len(info.image_bands) >= 3 else info.image_bands[:1] * 3)
        with open_raster(path) as dataset:
            self._whole = _thin(path, dataset, Resampling.average, self.bands).astype(np.float32)
            self._valid = _thin_mask(path, dataset, self._whole.shape[1:]) > 0
        self._valid &= np.isfinite(self._whole).all(axis=0)
        seen = self._whole[:, self._valid]
        low, high = np.percentile(seen, (2, 98), axis=1) if seen.size else (np.zeros(3), np.ones(3))
        self._low, self._span = (v[:, None, None] for v in (low, np.maximum(high - low, 1e-6)))

    def whole(self) -> str:
        """The address of a JPEG of the whole image."""
        return _jpeg(self._stretched(self._whole, self._valid), 80)

    def scene(self, side: int, row: int, col: int) -> str:
        """The address of a JPEG of the square of ``side`` pixels at ``row`` and ``col`` of a grid of such.

        A small one is shown in a frame amid its surroundings.
        """
        around = side if side < _AMID else 0
        (top, bottom), (left, right) = (
            _within(n * side - around, side + 2 * around, most) for n, most in zip((row, col), self.shape, strict=True)
        )
        scale = SCENE / (side + 2 * around)
        with open_raster(self.path) as dataset, reading(self.path):
            shape = (3, max(1, round((bottom - top) * scale)), max(1, round((right - left) * scale)))
            window = Window(left, top, right - left, bottom - top)
            pixels = dataset.read(self.bands, window=window, out_shape=shape, resampling=Resampling.bilinear)
        pixels = pixels.astype(np.float32)
        picture = Image.fromarray(self._stretched(pixels, np.isfinite(pixels).all(axis=0)))
        if around:
            y, x = ((n * side - first) * scale for n, first in ((row, top), (col, left)))
            frame = ImageDraw.Draw(picture)
            for inset, ink in ((0, "black"), (1, "white")):
                far = side * scale - inset
                frame.rectangle((x + inset, y + inset, x + far, y + far), outline=ink)
        return _address(picture, "JPEG", quality=85, optimize=True)

    def _stretched(self, pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        shown = np.clip((np.nan_to_num(pixels) - self._low) / self._span, 0, 1) * 255
        shown[:, ~valid] = 255
        return np.moveaxis(shown, 0, -1).round().astype(np.uint8)


def _within(first: int, length: int, most: int) -> tuple[int, int]:
    """First and end of ``length`` pixels from ``first`` on, shifted into 0 .. ``most`` and cut there."""
    first = max(0, min(first, most - length))
    return first, min(first + length, most)


def shrunk_picture(path: str, side: int) -> str:
    """The address of a JPEG of the picture file ``path``, not larger than ``side``. Raises OSError, ValueError."""
    with Image.open(path, formats=["PNG"]) as picture:
        picture.thumbnail((side, side))
        return _jpeg(np.asarray(picture.convert("RGB")), 85)


def _thin(path: str, dataset: Any, resampling: Resampling, bands: Sequence[int]) -> NDArray[Any]:
    scale = min(1.0, SIDE / max(dataset.height, dataset.width))
    shape = (len(bands), max(1, round(dataset.height * scale)), max(1, round(dataset.width * scale)))
    with reading(path):
        found: NDArray[Any] = dataset.read(list(bands), out_shape=shape, resampling=resampling)
    return found


def _thin_mask(path: str, dataset: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with reading(path):
        found: NDArray[np.uint8] = dataset.dataset_mask(out_shape=shape)
    return found


def _png(values: NDArray[np.uint8], palette: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(values, mode="P")
    picture.putpalette(palette.tobytes())
    return _address(picture, "PNG", optimize=True, transparency=IGNORE)


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> str:
    return _address(Image.fromarray(pixels), "JPEG", quality=quality, optimize=True)


def _address(picture: Image.Image, form: str, **options: Any) -> str:
    content = io.BytesIO()
    picture.save(content, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
