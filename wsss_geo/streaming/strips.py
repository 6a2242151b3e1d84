"""Reads a raster from top to bottom in strips, ahead of whoever consumes them, in several threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsss_geo.raster.grid import Window

#: Rows that a strip has where blocks allow it, and the least width of a task.
_ROWS, _COLUMNS = 256, 2048

#: The most bytes a strip has.
STRIP_BYTES = 48 << 20


class Pixels(Protocol):
    """What ``read`` returns: ``pixels`` [C, h, w] and ``valid`` bool [h, w]."""

    @property
    def pixels(self) -> NDArray[Any]: ...  # noqa: D102

    @property
    def valid(self) -> NDArray[np.bool_]: ...  # noqa: D102


class Reader(Protocol):
    """A raster that several threads may read."""

    def read(self, window: Window) -> Pixels: ...  # noqa: D102


@dataclass(frozen=True)
class Strip:
    """Rows ``first`` .. ``last`` (exclusive) over the full width; ``valid`` None means that all pixels are."""

    first: int
    last: int
    pixels: NDArray[Any]
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True)
class StripPlan:
    """How a raster of ``height`` x ``width`` is cut into reads that fall on whole blocks of the file.

    A block is then decoded once. ``pixel_bytes`` counts all bands; a strip has at most ``most`` bytes.
    """

    height: int
    width: int
    block_height: int
    block_width: int
    pixel_bytes: int
    most: int = STRIP_BYTES

    @property
    def rows(self) -> int:
        """Rows of a strip: whole block rows, unless blocks are so tall that this would take too much memory."""
        most = max(1, self.most // (self.width * self.pixel_bytes))
        block = self.block_height
        if block > max(most, _ROWS):
            return min(most, _ROWS)
        return block * max(1, min(_ROWS, most) // block)

    @property
    def columns(self) -> int:
        """Columns of one read."""
        block = min(self.block_width, self.width)
        return block * max(1, _COLUMNS // block)

    @property
    def bytes(self) -> int:
        """Bytes of one strip with its validity."""
        return self.rows * self.width * (self.pixel_bytes + 1)

    def windows(self, row: int) -> list[Window]:
        """Return the reads of the strip that starts at ``row``."""
        height = min(self.rows, self.height - row)
        return [
            Window(row, col, height, min(self.columns, self.width - col)) for col in range(0, self.width, self.columns)
        ]


def ahead(plan: StripPlan, threads: int) -> int:
    """Return how many strips are read ahead to keep ``threads`` busy."""
    reads = -(-plan.width // plan.columns)
    return max(1, -(-(threads + 1) // reads))


def read_strips(reader: Reader, plan: StripPlan, first_row: int, threads: int) -> Generator[Strip]:
    """Yield the strips from the one that holds ``first_row`` downward.

    At most ``ahead`` strips beyond the current one are in memory. Raises what reading raises (InputError). Closing the
    generator waits for reads under way, not for those planned.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    pending: deque[tuple[int, list[Future[Pixels]]]] = deque()
    depth = ahead(plan, threads)
    try:
        for row in range(first_row // plan.rows * plan.rows, plan.height, plan.rows):
            pending.append((row, [pool.submit(reader.read, w) for w in plan.windows(row)]))
            if len(pending) > depth:
                yield _strip(plan, *pending.popleft())
        while pending:
            yield _strip(plan, *pending.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _strip(plan: StripPlan, row: int, reads: list[Future[Pixels]]) -> Strip:
    parts = [r.result() for r in reads]
    last = min(row + plan.rows, plan.height)
    whole = all(p.valid.all() for p in parts)
    if len(parts) == 1:
        return Strip(row, last, parts[0].pixels, None if whole else parts[0].valid)
    pixels = np.concatenate([p.pixels for p in parts], axis=2)
    return Strip(row, last, pixels, None if whole else np.concatenate([p.valid for p in parts], axis=1))
