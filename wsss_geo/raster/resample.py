"""Resampling of arrays by weights that depend on absolute positions only.

A target pixel gets the same value whichever window it is computed in, because its taps (source indices and
weights) follow from its index in the whole raster, and they are added in a fixed order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Taps:
    """For each target pixel of one axis: ``index`` [n, T] of source pixels (int64) and ``weight`` [n, T] (sum 1)."""

    index: NDArray[np.int64]
    weight: NDArray[np.float32]

    @property
    def first(self) -> int:
        """The first source pixel needed."""
        return int(self.index.min())

    @property
    def end(self) -> int:
        """The source pixel after the last one needed."""
        return int(self.index.max()) + 1


def axis_taps(start: int, stop: int, targets: int, sources: int) -> Taps:
    """Return the taps of target pixels ``start`` .. ``stop`` of an axis that maps ``sources`` to ``targets`` pixels.

    Both axes cover the same ground. Shrinking averages over the area a target pixel covers, enlarging
    interpolates linearly between pixel centres and repeats the outermost pixel.
    """
    scale = sources / targets
    position = np.arange(start, stop, dtype=np.float64)[:, None]
    if scale > 1:
        low, high = position * scale, (position + 1) * scale
        index = np.floor(low).astype(np.int64) + np.arange(math.ceil(scale) + 1)
        weight = np.clip(np.minimum(high, index + 1) - np.maximum(low, index), 0, None) / scale
    else:
        centre = (position + 0.5) * scale - 0.5
        lower = np.floor(centre)
        index = lower.astype(np.int64) + np.arange(2)
        weight = np.concatenate([1 - (centre - lower), centre - lower], axis=1)
    return Taps(np.clip(index, 0, sources - 1), weight.astype(np.float32))


def resample(
    pixels: NDArray[Any], valid: NDArray[np.bool_], rows: Taps, cols: Taps
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Resample ``pixels`` [C, h, w] and ``valid`` [h, w], which hold source rows from ``rows.first``, columns likewise.

    Invalid source pixels have no weight; a target pixel is valid when at least half of its weight is valid, and
    zero otherwise. Integers are rounded. Returns arrays [C, n_rows, n_cols] and [n_rows, n_cols].
    """
    stack = np.empty((len(pixels) + 1, *valid.shape), np.float32)
    stack[-1] = valid
    np.multiply(pixels, stack[-1], out=stack[:-1])
    stack = _along_rows(stack, rows)
    # turned in memory so that columns are gathered as whole rows, which is several times as fast
    stack = _along_rows(np.ascontiguousarray(stack.transpose(0, 2, 1)), cols).transpose(0, 2, 1)
    kept = stack[-1] >= 0.5
    values = np.divide(stack[:-1], stack[-1], out=np.zeros_like(stack[:-1]), where=kept[None])
    if np.issubdtype(pixels.dtype, np.integer):
        limits = np.iinfo(pixels.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(pixels.dtype), kept


def _along_rows(stack: NDArray[np.float32], taps: Taps) -> NDArray[np.float32]:
    """Weigh and add rows of ``stack`` [C, h, w], tap by tap; returns [C, n, w]."""
    index = taps.index - taps.first
    out = np.zeros((stack.shape[0], index.shape[0], stack.shape[2]), np.float32)
    part = np.empty(out.shape[1:], np.float32)
    for plane, total in zip(stack, out, strict=True):
        for tap in range(index.shape[1]):
            np.take(plane, index[:, tap], axis=0, out=part, mode="clip")  # no index lies outside; "raise" would copy
            part *= taps.weight[:, tap, None]
            total += part
    return out
