"""Windows on a pixel grid. Pure arithmetic: rows and columns count from 0 at the upper left pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import UsageError  # relative: QGIS imports this module as part of the plugin


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of pixels: ``row_off``, ``col_off`` of its upper left pixel and ``height``, ``width`` in pixels.

    It may lie partly or wholly outside the raster; offsets may be negative.
    """

    row_off: int
    col_off: int
    height: int
    width: int

    @property
    def row_end(self) -> int:
        """The row below the last one."""
        return self.row_off + self.height

    @property
    def col_end(self) -> int:
        """The column right of the last one."""
        return self.col_off + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns for indexing an array of the whole raster; only for windows that start inside it."""
        return slice(self.row_off, self.row_end), slice(self.col_off, self.col_end)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.height <= 0 or self.width <= 0

    def clipped(self, height: int, width: int) -> Window:
        """Return the part inside a raster of ``height`` x ``width`` (empty when there is none)."""
        top, left = max(self.row_off, 0), max(self.col_off, 0)
        bottom, right = min(self.row_end, height), min(self.col_end, width)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def intersection(self, other: Window) -> Window:
        """Return the common part (empty when there is none)."""
        top, left = max(self.row_off, other.row_off), max(self.col_off, other.col_off)
        bottom, right = min(self.row_end, other.row_end), min(self.col_end, other.col_end)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def shifted(self, rows: int, cols: int) -> Window:
        """Return the window moved down by ``rows`` and right by ``cols``."""
        return Window(self.row_off + rows, self.col_off + cols, self.height, self.width)

    def relative_to(self, outer: Window) -> Window:
        """Return the same pixels counted from the upper left pixel of ``outer``."""
        return self.shifted(-outer.row_off, -outer.col_off)


def round_up(length: int, multiple: int) -> int:
    """Return the smallest multiple of ``multiple`` that is not below ``length``."""
    return -(-length // multiple) * multiple


def axis_starts(length: int, size: int, stride: int) -> list[int]:
    """Return where the windows of one axis start.

    Multiples of ``stride``, the last one shifted inward so that it ends with the raster; [0] if one window covers
    the axis. Where ``length``, ``size`` and ``stride`` are multiples of a patch, all starts are too.

    Raises UsageError unless length and size are positive and 1 <= stride <= size.
    """
    if length < 1 or size < 1:
        raise UsageError(f"a grid of windows of {size} px over {length} px is impossible", "use positive sizes")
    if not 1 <= stride <= size:
        raise UsageError(f"stride {stride} leaves gaps between windows of {size} px", f"use a stride of 1 to {size}")
    if length <= size:
        return [0]
    steps = math.ceil((length - size) / stride)
    return [*range(0, steps * stride, stride), length - size]


def window_grid(height: int, width: int, size: int, stride: int) -> list[Window]:
    """Cover a raster of ``height`` x ``width`` pixels with square windows of ``size``, row by row.

    Every pixel lies in a window and no window occurs twice. Windows lie inside the raster, the last row and column
    shifted inward; along an axis shorter than ``size`` there is one window from 0, which has to be padded.

    Raises UsageError as ``axis_starts`` does.
    """
    rows, cols = axis_starts(height, size, stride), axis_starts(width, size, stride)
    return [Window(row, col, size, size) for row in rows for col in cols]


def resampled_shape(height: int, width: int, factor: float) -> tuple[int, int]:
    """Return height and width of a grid over the same ground whose pixels are ``factor`` times as long (>= 1 px)."""
    return max(1, round(height / factor)), max(1, round(width / factor))
