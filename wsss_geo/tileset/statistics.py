"""Band statistics of the training tiles, from a fixed sample of their valid pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsss_geo.raster.normalisation import Normalisation

#: Pixels sampled in a whole tile set, and at most in one tile.
SAMPLE = 1 << 20
PER_TILE = 1024
_PERCENTILES = (0.5, 99.5)


def sample_pixels(
    pixels: NDArray[np.generic], valid: NDArray[np.bool_], count: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return ``count`` random valid pixels of a tile [C, h, w] as float32 [C, <= count]."""
    places = np.flatnonzero(valid)
    if len(places) > count:
        places = np.sort(generator.choice(places, count, replace=False))
    return pixels.reshape(pixels.shape[0], -1)[:, places].astype(np.float32)


def measure(samples: NDArray[np.float32], eight_bit: bool) -> Normalisation:
    """Return the normalisation of ``samples`` [C, n].

    8-bit imagery keeps its range 0..255, everything else is stretched between its 0.5 and 99.5 percentile. A constant
    band gets a stretch of one unit and a deviation of one, so that it becomes zero and not noise.
    """
    low, high, mean, std = [], [], [], []
    for band in samples.astype(np.float64):
        finite = band[np.isfinite(band)]
        if finite.size == 0:
            finite = np.zeros(1)
        first, last = (0.0, 255.0) if eight_bit else map(float, np.percentile(finite, _PERCENTILES))
        if last <= first:
            last = first + 1.0
        stretched = np.clip((finite - first) / (last - first), 0.0, 1.0)
        deviation = float(stretched.std())
        low.append(first)
        high.append(last)
        mean.append(float(stretched.mean()))
        std.append(deviation if deviation > 1e-4 else 1.0)
    return Normalisation(tuple(low), tuple(high), tuple(mean), tuple(std))
