"""Cuts strips of a raster into batches of windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_geo.streaming.layout import Layout
from wsss_geo.streaming.strips import Strip

#: Tells which tokens of the rows first .. last are wanted at all: (first, last) -> bool [rows, tokens].
WantedTokens = Callable[[int, int], "NDArray[np.bool_]"]


@dataclass(frozen=True)
class Batch:
    """Windows that run together.

    ``pixels`` [B, C, s, s] in the raster's dtype, the outermost row and column repeated beyond its edge; ``valid``
    bool [B, s, s], repeated likewise (None: all); ``alive`` bool [B, n, n]: tokens with at least one valid pixel of the
    raster; ``rows``, ``cols``: first token of each window.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_] | None
    alive: NDArray[np.bool_]
    rows: list[int]
    cols: list[int]


@dataclass(frozen=True)
class GroupEnd:
    """All windows of ``group`` are out; ``validity`` holds the strips read since the last group, without pixels."""

    group: int
    validity: list[tuple[int, int, NDArray[np.bool_] | None]]


def cut_batches(
    layout: Layout, strips: Iterator[Strip], groups: range, size: int, wanted: WantedTokens | None = None
) -> Iterator[Batch | GroupEnd]:
    """Yield the batches of each of ``groups``, a run of them, then its GroupEnd.

    Windows without a valid pixel, or without a wanted token, are left out.
    """
    held: deque[Strip] = deque()
    fresh: list[tuple[int, int, NDArray[np.bool_] | None]] = []
    for group in groups:
        waiting: list[tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.bool_], int, int]] = []
        for row in layout.group_starts(group):
            top = row * layout.patch
            bottom = min(top + layout.window, layout.rows.pixels)
            while held and held[0].last <= top:
                held.popleft()
            while not held or held[-1].last < bottom:
                strip = next(strips)
                fresh.append((strip.first, strip.last, strip.valid))
                if strip.last > top:
                    held.append(strip)
            keep = None if wanted is None else wanted(row, min(row + layout.rows.size, layout.rows.tokens))
            for col in layout.cols.starts:
                if keep is not None and not keep[:, col : col + layout.cols.size].any():
                    continue
                pixels, valid = _cut(held, top, bottom, col * layout.patch, layout)
                alive = _alive(valid, pixels.shape[1:], layout)
                if not alive.any():
                    continue
                waiting.append((_extend(pixels, layout.window), _extend(valid, layout.window), alive, row, col))
                if len(waiting) == size:
                    yield _stack(waiting)
                    waiting = []
        if waiting:
            yield _stack(waiting)
        yield GroupEnd(group, fresh)
        fresh = []


def _cut(
    held: deque[Strip], top: int, bottom: int, left: int, layout: Layout
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return the part of a window that lies in the raster."""
    right = min(left + layout.window, layout.cols.pixels)
    parts, masks = [], []
    for strip in held:
        rows = slice(max(top, strip.first) - strip.first, min(bottom, strip.last) - strip.first)
        if rows.start >= rows.stop:
            continue
        parts.append(strip.pixels[:, rows, left:right])
        masks.append(
            np.ones((rows.stop - rows.start, right - left), np.bool_)
            if strip.valid is None
            else strip.valid[rows, left:right]
        )
    pixels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    valid = masks[0] if len(masks) == 1 else np.concatenate(masks)
    return pixels, None if valid.all() else valid


def _alive(valid: NDArray[np.bool_] | None, shape: tuple[int, ...], layout: Layout) -> NDArray[np.bool_]:
    """Return which tokens of a window hold a valid pixel of the raster; tokens outside the raster do not."""
    patch, size = layout.patch, layout.rows.size
    alive = np.zeros((size, size), np.bool_)
    rows, cols = -(-shape[0] // patch), -(-shape[1] // patch)
    if valid is None:
        alive[:rows, :cols] = True
    else:
        padded = np.zeros((rows * patch, cols * patch), np.bool_)
        padded[: shape[0], : shape[1]] = valid
        alive[:rows, :cols] = padded.reshape(rows, patch, cols, patch).any(axis=(1, 3))
    return alive


def _extend(part: Any, side: int) -> Any:
    """Repeat the last row and column of ``part`` [..., h, w] up to ``side``."""
    if part is None or part.shape[-2:] == (side, side):
        return part
    edges = [(0, 0)] * (part.ndim - 2) + [(0, side - part.shape[-2]), (0, side - part.shape[-1])]
    return np.pad(part, edges, mode="edge")


def _stack(waiting: list[tuple[NDArray[Any], NDArray[np.bool_] | None, NDArray[np.bool_], int, int]]) -> Batch:
    pixels, masks, alive, rows, cols = zip(*waiting, strict=True)
    valid = None
    if any(m is not None for m in masks):
        valid = np.stack([np.ones(pixels[0].shape[1:], np.bool_) if m is None else m for m in masks])
    return Batch(np.stack(pixels), valid, np.stack(alive), list(rows), list(cols))
