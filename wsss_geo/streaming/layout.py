"""Where windows, tokens and bands lie. Pure arithmetic.

Three grids share one origin: the pixels that the model sees, its tokens (``patch`` x ``patch`` of those pixels), and
the pixels of the mask. The last differs from the first only when the raster is resampled for the model. Windows
start at whole tokens, so that all of them agree on one token grid. Bands are runs of mask rows that are decoded,
saved and resumed as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wsss_geo.raster.grid import axis_starts

#: Mask rows of a band: a row of blocks of the file that is written.
BAND_ROWS = 512

#: Denominator of the bilinear weights where a token does not span a whole number of mask pixels.
_STEPS = 128


@dataclass(frozen=True)
class Taps:
    """Bilinear weights of one axis in whole numbers.

    Pixel ``i`` lies between the centres of tokens ``lower[i]`` and ``lower[i] + 1`` and takes
    ``steps - upper_weight[i]`` parts of the first and ``upper_weight[i]`` of the second.
    """

    lower: NDArray[np.int64]
    upper_weight: NDArray[np.int64]
    steps: int


@dataclass(frozen=True)
class Axis:
    """One axis: ``pixels`` of the model's grid, ``targets`` mask pixels over the same ground."""

    pixels: int
    targets: int
    patch: int
    size: int
    stride: int

    @property
    def tokens(self) -> int:
        """Tokens that cover the axis, the last one perhaps partly outside."""
        return -(-self.pixels // self.patch)

    @cached_property
    def starts(self) -> list[int]:
        """Where windows start, in tokens."""
        return axis_starts(self.tokens, self.size, self.stride)

    @property
    def steps(self) -> int:
        """Parts into which the way between two tokens is divided; exact where tokens are whole mask pixels."""
        whole = self.pixels == self.targets and self.patch <= _STEPS // 2
        return 2 * self.patch if whole else _STEPS

    def taps(self, first: int, last: int, side: int = 1) -> Taps:
        """Return the weights of mask pixels ``first`` .. ``last`` (exclusive); outside the outermost centres tokens
        are repeated. ``side``: not of pixels but of runs of so many pixels, which ``first`` and ``last`` then count."""
        steps = self.steps
        doubled = side * (2 * np.arange(first, last, dtype=np.int64) + 1)
        span = self.targets * self.patch
        place = (doubled * self.pixels * steps + span) // (2 * span) - steps // 2
        place = np.clip(place, 0, (self.tokens - 1) * steps)
        return Taps(place // steps, place % steps, steps)

    def tokens_needed(self, first: int, last: int) -> tuple[int, int]:
        """Return the tokens (first, one past last) that mask pixels ``first`` .. ``last`` are decoded from."""
        ends = self.taps(first, first + 1), self.taps(last - 1, last)
        return int(ends[0].lower[0]), int(ends[1].lower[0] + (ends[1].upper_weight[0] > 0)) + 1

    def tokens_owned(self, first: int, last: int) -> tuple[int, int]:
        """Return the tokens whose upper edge lies in mask pixels ``first`` .. ``last``: each has one owner."""
        begin, end = (-(-edge * self.pixels // (self.targets * self.patch)) for edge in (first, last))
        return min(begin, self.tokens), self.tokens if last >= self.targets else min(end, self.tokens)


@dataclass(frozen=True)
class Band:
    """Mask rows ``first`` .. ``last``; they need token rows ``tokens_from`` .. ``tokens_to``; all ends exclusive.

    The band keeps the token rows ``owned_from`` .. ``owned_to`` for the class activation maps.
    """

    index: int
    first: int
    last: int
    tokens_from: int
    tokens_to: int
    owned_from: int
    owned_to: int


@dataclass(frozen=True)
class Layout:
    """The whole plan: rows, columns, how many rows of windows make a group, and how many mask rows around a band its
    decoding looks at (``halo``).

    A group is the unit of resuming: batches never reach across groups, so a batch holds the same windows whether
    the run starts at the top or at that group.
    """

    rows: Axis
    cols: Axis
    group_rows: int
    halo: int = 0

    @property
    def patch(self) -> int:
        """Pixels of a token along an axis."""
        return self.rows.patch

    @property
    def window(self) -> int:
        """Side of a window in pixels of the model's grid."""
        return self.rows.size * self.rows.patch

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return -(-len(self.rows.starts) // self.group_rows)

    def group_starts(self, group: int) -> list[int]:
        """Return the token rows at which the windows of ``group`` start."""
        return self.rows.starts[group * self.group_rows : (group + 1) * self.group_rows]

    def finished_tokens(self, group: int) -> int:
        """Return how many token rows are complete once ``group`` has run."""
        following = (group + 1) * self.group_rows
        return self.rows.starts[following] if following < len(self.rows.starts) else self.rows.tokens

    def group_for(self, token_row: int) -> int:
        """Return the first group that covers ``token_row``."""
        for position, start in enumerate(self.rows.starts):
            if start + self.rows.size > token_row:
                return position // self.group_rows
        return self.groups - 1

    def groups_of(self, bands: range) -> range:
        """Return the groups whose windows ``bands``, a run of them, need."""
        wanted = self.bands[bands[-1]]
        first, needed = self.group_for(self.first_token(bands[0])), max(wanted.tokens_to, wanted.owned_to)
        last = next(group for group in range(first, self.groups) if self.finished_tokens(group) >= needed)
        return range(first, last + 1)

    @cached_property
    def bands(self) -> list[Band]:
        """The bands from top to bottom."""
        found = []
        for index, first in enumerate(range(0, self.rows.targets, BAND_ROWS)):
            last = min(first + BAND_ROWS, self.rows.targets)
            owned = self.rows.tokens_owned(first, last)
            needed = self.rows.tokens_needed(max(first - self.halo, 0), min(last + self.halo, self.rows.targets))
            found.append(Band(index, first, last, *needed, *owned))
        return found

    def first_token(self, band: int) -> int:
        """Return the first token row that ``band`` or a later one reads."""
        return min(self.bands[band].tokens_from, self.bands[band].owned_from)


def plan(
    shape: tuple[int, int],
    target_shape: tuple[int, int],
    patch: int,
    window: int,
    overlap: float,
    batch: int,
    multiple: int | None = None,
    halo: int = 0,
) -> Layout:
    """Lay windows of ``window`` pixels, rounded down to a ``multiple``, on a raster.

    ``shape`` is height and width in pixels of the model's grid, ``target_shape`` those of the mask, ``overlap`` the
    share of a window that it has in common with the next, ``batch`` the windows that run at once. ``multiple`` is what
    the network takes; ``patch`` unless given, else a multiple of it. ``halo``: see ``Layout``.
    """
    multiple = multiple or patch
    size = max(1, window // multiple) * (multiple // patch)
    stride = max(1, size - round(size * overlap))
    rows, cols = (Axis(n, t, patch, size, stride) for n, t in zip(shape, target_shape, strict=True))
    # Narrow rasters: enough rows of windows in a group that the last batch, which may be partial, weighs little.
    return Layout(rows, cols, max(1, -(-4 * batch // len(cols.starts)) if len(cols.starts) < 2 * batch else 1), halo)
