"""Blends the scores of overlapping windows on the token grid, holding only the rows that are still open.

Everything is added in whole numbers. Sums of integers do not depend on their order, so the result is the same for
any number of threads and any point of resuming, and a constant stays exactly that constant. It is the same for any
batch size too where the network gives a window the same scores in any batch; kernels that do not may differ in the
last bits, which rounding to whole numbers hides almost always but not by law.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Scores of 0..1 become whole numbers 0..SCALE.
SCALE = 65535


def ramp(size: int, overlap: int) -> NDArray[np.int64]:
    """Return the weight of each of ``size`` tokens of a window: (i + 0.5)/overlap from the edge inward, at most 1.

    In units of 1/(2 overlap), so that it is a whole number. Windows that overlap by ``overlap`` sum to a constant.
    """
    inward = np.minimum(np.arange(size), np.arange(size)[::-1])
    return np.minimum(2 * inward + 1, max(2 * overlap, 1)).astype(np.int64)


class TokenAccumulator:
    """Weighted sums over the open rows of the token grid.

    Memory: 8 bytes x ``capacity`` rows x ``width`` x (``channels`` + 1).
    """

    def __init__(
        self, channels: int, height: int, width: int, weight: NDArray[np.int64], capacity: int, first: int = 0
    ):
        """``weight`` [n] is the profile of a window, ``first`` the first token row that will be asked for."""
        self._sums = np.zeros((capacity, width, channels), np.int64)
        self._weights = np.zeros((capacity, width), np.int64)
        self._height = height
        self._profile = weight[:, None] * weight[None, :]
        self._first = first

    def add(self, scores: NDArray[np.uint16], row: int, col: int, alive: NDArray[np.bool_]) -> None:
        """Add ``scores`` [n, n, channels] of the window whose first token is (``row``, ``col``).

        Tokens that are not ``alive`` [n, n], i.e. wholly nodata, get no weight. Rows above ``first`` are ignored.
        """
        skip = max(0, self._first - row)
        top = row + skip - self._first
        height = min(scores.shape[0] - skip, self._height - row - skip, len(self._sums) - top)
        width = min(scores.shape[1], self._sums.shape[1] - col)
        if height <= 0:
            return
        part = slice(skip, skip + height), slice(0, width)
        weight = self._profile[part] * alive[part]
        self._sums[top : top + height, col : col + width] += weight[:, :, None] * scores[part]
        self._weights[top : top + height, col : col + width] += weight

    def pop(self, upto: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """Take out the finished rows before token row ``upto``.

        Returns the blended scores [rows, width, channels] in 0..SCALE and which tokens have any (bool [rows, width]).
        """
        count = max(0, upto - self._first)
        weights = self._weights[:count]
        alive = weights > 0
        divisor = np.where(alive, weights, 1)[:, :, None]
        values = ((self._sums[:count] + divisor // 2) // divisor).astype(np.uint16)
        for array in (self._sums, self._weights):
            array[: len(array) - count] = array[count:].copy()
            array[len(array) - count :] = 0
        self._first += count
        return values, alive
