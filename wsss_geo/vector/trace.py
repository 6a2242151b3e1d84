"""From label rows to the rings of an edge-matched coverage, in one pass over the raster.

Corners of pixels are visited row by row. A corner becomes a node of every region around it as soon as the boundary
turns or branches there, also of a region that the boundary passes straight: so two neighbours always share the same
nodes, which makes the polygons a valid coverage. Each node is linked to the next one of its region when the stretch
of boundary between them ends; only the runs of two rows, one pointer per column and the nodes are held in memory.

Coordinates are pixel corners: x to the right, y down, (0, 0) the upper left corner of the raster. Regions lie on the
left of their rings as seen in the image, so outer rings run counterclockwise there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsss_geo.vector.scan import (
    ACROSS,
    LABEL,
    NEXT,
    OUTSIDE,
    OWNER,
    ROWS,
    RUNS,
    START,
    X,
    Y,
    close,
    flatten,
    join_pairs,
    relabel_rows,
    scan_rows,
    split_at_saddles,
    walk,
)

_Int32 = npt.NDArray[np.int32]
_Int64 = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rings:
    """The traced regions, ordered by their first pixel in reading order.

    ``values`` int32 [R], ``pixels`` int64 [R] and ``confidence`` float64 [R] (mean over the region, NaN if none was
    given) describe the regions. ``corners`` int32 [P, 2] are the closed rings one after the other, ring ``i`` being
    ``ring_starts[i]:ring_starts[i + 1]``; region ``j`` owns rings ``region_starts[j]:region_starts[j + 1]``, the
    outer one first. ``group`` int64 [R] numbers what belongs together: each region for itself under 4-connectivity,
    regions of one value that touch at corners under 8-connectivity.
    """

    values: _Int32
    pixels: _Int64
    confidence: _Floats
    group: _Int64
    corners: _Int32
    ring_starts: _Int64
    region_starts: _Int64

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class RegionGraph:
    """Regions and their neighbours. ``region_of`` int32 [L] maps scan labels to regions.

    ``values`` int32 [R], ``pixels`` int64 [R]; ``pairs`` int32 [E, 2] are neighbours (each stretch of border twice,
    once a direction), ``lengths`` int64 [E] the length of that stretch in pixel sides, 0 where regions of one value
    touch at a corner only (8-connectivity).
    """

    region_of: _Int32
    values: _Int32
    pixels: _Int64
    pairs: _Int32
    lengths: _Int64


class Scanner:
    """Takes the rows of a label raster from top to bottom and finds its regions and their boundaries.

    Memory is about 20 bytes a node and 16 bytes a scan label, whatever the height of the raster.
    """

    def __init__(self, width: int, nodata: int | None, connectivity: int = 4) -> None:
        self._width, self._connectivity = width, connectivity
        self._nodata = OUTSIDE if nodata is None else nodata
        self._frames = _empty_rows(width)
        self._open = np.full((2, width + 1), OUTSIDE, np.int32)
        self._nodes = np.empty((4096, 5), np.int32)
        self._saddles = np.empty((1024, 2), np.int32)
        self._parent = np.empty(1024, np.int32)
        self._values = np.empty(1024, np.int32)
        self._sums = np.zeros(1024, np.float64)
        self._counts = np.zeros(5, np.int64)
        self._confident = False

    def push(self, rows: npt.NDArray[Any], confidence: npt.NDArray[Any] | None = None) -> None:
        """Take the next rows [h, W] of integers >= 0 and, for all rows or none, their confidence [h, W]."""
        self._confident |= confidence is not None
        step = max(1, _BATCH_PIXELS // max(1, self._width))
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            weights = _NO_WEIGHTS if confidence is None else confidence[part].astype(np.float64, order="C")
            self._scan(_scannable(rows[part]), weights)

    def _scan(self, rows: npt.NDArray[Any], weights: _Floats) -> None:
        """Make room for what these rows may bring at worst, then go through them."""
        nodes, saddles, labels = (int(n) for n in self._counts[:ROWS])
        corners = len(rows) * (self._width + 1)
        self._nodes = _grown(self._nodes, nodes + 4 * corners)
        self._saddles = _grown(self._saddles, saddles + corners)
        self._parent = _grown(self._parent, labels + corners)
        self._values = _grown(self._values, labels + corners)
        self._sums = _grown(self._sums, labels + corners)
        scan_rows(
            rows, weights, self._nodata, self._frames, self._parent, self._values, self._sums, self._open, self._nodes,
            self._saddles, self._counts,
        )  # fmt: skip

    def _finish(self) -> tuple[_Int32, _Int32, _Int32, _Int32]:
        """Close the lower edge; return nodes, saddles, first labels of the regions and the region of each label."""
        self._scan(np.full((1, self._width), OUTSIDE, np.int32), _NO_WEIGHTS)
        nodes, saddles, labels = (int(n) for n in self._counts[:ROWS])
        roots = flatten(self._parent[:labels])
        firsts = np.flatnonzero(roots == np.arange(labels)).astype(np.int32)
        region_of = np.searchsorted(firsts, roots).astype(np.int32)
        split_at_saddles(self._nodes, self._saddles[:saddles], region_of)
        return self._nodes[:nodes], self._saddles[:saddles], firsts, region_of

    @property
    def nodes(self) -> int:
        """How many nodes are held."""
        return int(self._counts[0])

    def rings(self) -> Rings:
        """Return the regions; call once, after the last row."""
        nodes, saddles, firsts, region_of = self._finish()
        sums = _summed(region_of, self._sums, len(firsts))
        return self._rings(nodes, saddles, region_of, self._values[firsts], sums)

    def closed(self) -> Rings:
        """Return the regions that no later row can touch and forget them; for 4-connectivity, and without `graph`."""
        count, pairs, labels = (int(n) for n in self._counts[:ROWS])
        nodes, saddles = self._nodes[:count], self._saddles[:pairs]
        roots = flatten(self._parent[:labels])
        last = self._frames[self._counts[ROWS] % 2, LABEL, : self._counts[RUNS]]
        touched = np.zeros(labels, np.bool_)
        touched[roots[last[last != OUTSIDE]]] = True
        done = ~touched[roots]  # labels
        leaving = done[nodes[:, OWNER]]
        both = leaving[saddles].all(axis=1)
        is_root = roots == np.arange(labels)
        totals = _summed(roots, self._sums, labels)

        firsts = np.flatnonzero(is_root & done).astype(np.int32)
        gone, place = _part(nodes, leaving)
        region_of = np.searchsorted(firsts, roots).astype(np.int32)
        split_at_saddles(gone, place[saddles[both]], region_of)
        values, sums = self._values[firsts], totals[firsts]

        stay = np.flatnonzero(is_root & ~done)
        label_of = np.full(labels + 1, OUTSIDE, np.int32)  # the last entry is that of OUTSIDE itself
        label_of[stay] = np.arange(len(stay), dtype=np.int32)
        label_of[:-1] = label_of[roots]
        self._nodes, place = _part(nodes, ~leaving)
        self._nodes[:, OWNER] = label_of[self._nodes[:, OWNER]]
        self._saddles = place[saddles[~leaving[saddles].any(axis=1)]]
        self._open = np.where(self._open == OUTSIDE, OUTSIDE, place[self._open]).astype(np.int32)
        last[:] = label_of[last]
        self._parent = np.arange(len(stay), dtype=np.int32)
        self._values, self._sums = self._values[stay], totals[stay]
        self._counts[:ROWS] = len(self._nodes), len(self._saddles), len(stay)
        return self._rings(gone, _NO_PAIRS, region_of, values, sums)

    def _rings(self, nodes: _Int32, saddles: _Int32, region_of: _Int32, values: _Int32, sums: _Floats) -> Rings:
        """Walk the nodes, split at saddles already, of the regions that have ``values`` [R] and ``sums`` [R]."""
        total = len(values)
        order, starts, owners, doubled = walk(nodes, region_of)
        pixels = np.zeros(total, np.int64)
        np.subtract.at(pixels, owners, doubled)
        pixels //= 2
        confidence = sums / pixels if self._confident else np.full(total, np.nan)
        rank = np.argsort(owners * 2 + (doubled > 0), kind="stable")
        corners, ring_starts = close(nodes, order, starts, rank)
        region_starts = np.searchsorted(owners[rank], np.arange(total + 1)).astype(np.int64)
        group = np.arange(total, dtype=np.int64)
        if self._connectivity == 8:
            group = _joined(total, region_of[nodes[saddles, OWNER]])
        return Rings(values, pixels, confidence, group, corners, ring_starts, region_starts)

    def graph(self) -> RegionGraph:
        """Return the regions and their neighbours; call once, after the last row."""
        nodes, saddles, firsts, region_of = self._finish()
        x, y = nodes[:, X].astype(np.int64), nodes[:, Y].astype(np.int64)
        ends = nodes[:, NEXT]
        pixels = np.zeros(len(firsts), np.int64)
        np.subtract.at(pixels, region_of[nodes[:, OWNER]], x * y[ends] - x[ends] * y)
        inner = nodes[:, ACROSS] != OUTSIDE
        lengths = (np.abs(x[ends] - x) + np.abs(y[ends] - y))[inner]
        pairs = region_of[nodes[inner][:, [OWNER, ACROSS]]]
        if self._connectivity == 8:
            touching = region_of[nodes[saddles, OWNER]]
            pairs = np.concatenate([pairs, touching])
            lengths = np.concatenate([lengths, np.zeros(len(touching), np.int64)])
        return RegionGraph(region_of, self._values[firsts], pixels // 2, pairs, lengths)


class Relabeller:
    """Repeats the labelling of a `Scanner` over the same rows to give each region another value."""

    def __init__(self, width: int, nodata: int | None, labels: int) -> None:
        self._nodata = OUTSIDE if nodata is None else nodata
        self._frames = _empty_rows(width)
        self._parent = np.empty(labels, np.int32)
        self._values = np.empty(labels, np.int32)
        self._counts = np.zeros(5, np.int64)

    def push(self, rows: npt.NDArray[Any], new_values: _Int32) -> npt.NDArray[Any]:
        """Return ``rows`` [h, W] with each pixel replaced by ``new_values`` [L] of its scan label; nodata stays."""
        out = _scannable(rows).copy()
        relabel_rows(out, self._nodata, self._frames, self._parent, self._values, self._counts, new_values)
        return out.astype(rows.dtype, copy=False)


_NO_WEIGHTS = np.empty((0, 0), np.float64)
_NO_PAIRS = np.empty((0, 2), np.int32)
_BATCH_PIXELS = 1 << 19


def _empty_rows(width: int) -> _Int32:
    """Return the runs of two rows [2, 3, W + 3] in which all is outside."""
    frames = np.full((2, 3, width + 3), OUTSIDE, np.int32)
    frames[:, START, 1] = width + 1
    return frames


def _scannable(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``rows`` as one of the two types that the loops are compiled for: uint8, or int32."""
    return np.ascontiguousarray(rows, np.uint8 if rows.dtype in (np.uint8, np.bool_) else np.int32)


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return ``array`` with room for ``size`` rows; new room is zero."""
    if len(array) >= size:
        return array
    grown = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _summed(index: _Int32, weights: _Floats, count: int) -> _Floats:
    """Return the sums [count] of the ``weights`` of each ``index``."""
    return np.bincount(index, weights[: len(index)], minlength=count).astype(np.float64)


def _part(nodes: _Int32, wanted: npt.NDArray[np.bool_]) -> tuple[_Int32, _Int32]:
    """Return the ``wanted`` nodes, linked among themselves, and the new number of each node (OUTSIDE: none)."""
    place = np.full(len(nodes), OUTSIDE, np.int32)
    place[wanted] = np.arange(np.count_nonzero(wanted), dtype=np.int32)
    part = nodes[wanted]
    part[:, NEXT] = np.where(part[:, NEXT] == OUTSIDE, OUTSIDE, place[part[:, NEXT]])
    return part, place


def _joined(count: int, pairs: _Int32) -> _Int64:
    """Return the number [count] of the component that each element belongs to, in order of first members."""
    parent = np.arange(count, dtype=np.int32)
    join_pairs(parent, pairs)
    return np.unique(flatten(parent), return_inverse=True)[1].astype(np.int64)
