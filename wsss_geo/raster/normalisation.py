"""From raster values to network input: a linear stretch to 0..1 per band, then mean and deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Statistics beyond these are no use in single precision.
_LARGEST, _LEAST_STD = 1e38, 1e-12


@dataclass(frozen=True)
class Normalisation:
    """Fixed statistics per band: ``low``/``high`` in raster values, ``mean``/``std`` of the stretched values.

    They are measured once on the training scenes and travel with the model, so that a window of a large raster is
    treated like any other and no seams arise.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def stretch(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return ``pixels`` [C, H, W] as float32 in 0..1; NaN and infinities become 0 and 1."""
        low = np.asarray(self.low, np.float32)[:, None, None]
        span = np.maximum(np.asarray(self.high, np.float32)[:, None, None] - low, np.float32(1e-12))
        stretched = (pixels.astype(np.float32) - low) / span
        return np.clip(np.nan_to_num(stretched, nan=0.0), 0.0, 1.0)

    def matched(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> Normalisation:
        """Return the stretch that gives bands with these statistics [C], in raster values, those of the training.

        A band whose ``std`` is next to nothing is shifted but not scaled.
        """
        low, high = np.array(self.low), np.array(self.high)
        span = high - low
        ratio = np.where(std > 1e-4 * span, std / (np.array(self.std) * span), 1.0)
        first = mean - np.array(self.mean) * span * ratio
        return replace(self, low=tuple(map(float, first)), high=tuple(map(float, first + span * ratio)))

    def to_json(self) -> dict[str, list[float]]:
        """Return a plain dictionary."""
        return {k: list(v) for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Normalisation:
        """Read what ``to_json`` wrote. Raises KeyError, TypeError, ValueError or OverflowError."""
        found = {k: tuple(float(v) for v in data[k]) for k in ("low", "high", "mean", "std")}
        if not found["low"] or len({len(values) for values in found.values()}) != 1:
            raise ValueError("low, high, mean and std differ in their number of bands")
        if not all(abs(v) <= _LARGEST for values in found.values() for v in values):
            raise ValueError("a band has statistics that are no numbers")
        if not all(v >= _LEAST_STD for v in found["std"]):
            raise ValueError("a band has no deviation")
        return cls(**found)
