"""Matching the colours of a raster to those that a model was trained on: another flight, sensor or season."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsss_geo.raster.grid import Window
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.reader import RasterReader
from wsss_geo.tileset.statistics import sample_pixels

#: Places along an axis at which a raster is looked at, the side in pixels of such a look, and pixels taken of it.
_PLACES, _SIDE, _EACH = 8, 128, 4096


def match_colours(normalisation: Normalisation, reader: RasterReader) -> Normalisation:
    """Return the stretch by which the bands of ``reader`` get the mean and the deviation of the training scenes.

    They are measured on valid pixels at places spread evenly over the raster, always the same ones. A band without
    deviation is only shifted; a raster without valid pixels keeps the stretch of ``normalisation``. Raises InputError
    when the raster cannot be read.
    """
    values = sampled_values(reader)
    return normalisation.matched(values.mean(axis=1), values.std(axis=1)) if values.size else normalisation


def sampled_values(reader: RasterReader) -> NDArray[np.float64]:
    """Return values [C,n] of valid pixels at places spread evenly over what ``reader`` reads, always the same ones.

    Raises InputError when the raster cannot be read.
    """
    generator = np.random.default_rng(0)
    samples = []
    for row in _spread(reader.height):
        for col in _spread(reader.width):
            tile = reader.read(Window(row, col, min(_SIDE, reader.height), min(_SIDE, reader.width)))
            samples.append(sample_pixels(tile.pixels, tile.valid, _EACH, generator))
    values = np.concatenate(samples, axis=1).astype(np.float64)
    return values[:, np.isfinite(values).all(axis=0)]


def _spread(length: int) -> list[int]:
    """Return where the looks along an axis of ``length`` pixels begin."""
    return sorted({round(at) for at in np.linspace(0, max(length - _SIDE, 0), _PLACES)})
