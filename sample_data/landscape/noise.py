"""Random fields: smooth ones by shaping a spectrum, stretched ones by looking up a periodic lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array = NDArray[np.float64]


def fractal(rng: np.random.Generator, size: int, longest: float, shortest: float, beta: float) -> Array:
    """A periodic [size, size] field of mean 0 and standard deviation 1.

    Its amplitudes fall as frequency ** -beta between the wavelengths ``longest`` and ``shortest`` (pixels).
    """
    rows, cols = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None, :]
    frequency = np.sqrt(rows * rows + cols * cols)
    frequency[0, 0] = 1.0
    gain = frequency**-beta * np.exp(-((frequency * shortest) ** 2) / 2) * -np.expm1(-((frequency * longest) ** 2))
    gain[0, 0] = 0.0
    shaped: Array = fft.irfft2(fft.rfft2(rng.normal(size=(size, size))) * gain, s=(size, size))
    return np.asarray(shaped / shaped.std())


class Texture:
    """Value noise that can be sampled anywhere, so that it can be stretched along rows, streets and roofs."""

    def __init__(self, rng: np.random.Generator, period: int = 509) -> None:
        self.lattice = rng.normal(size=(period, period))

    def sample(self, a: Array, b: Array) -> Array:
        """The field at lattice coordinates ``a``, ``b`` (same shape): mean 0, deviation about 0.7."""
        found = ndimage.map_coordinates(self.lattice, np.stack([a, b]), order=1, mode="grid-wrap")
        return np.asarray(found, dtype=np.float64)
