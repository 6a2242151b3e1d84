"""From label rows to the rings of an edge-matched coverage, in one pass over the raster.

Corners of pixels are visited row by row. A corner becomes a node of every region around it as soon as the boundary
turns or branches there, also of a region that the boundary passes straight: so two neighbours always share the same
nodes, which makes the polygons a valid coverage. Each node is linked to the next one of its region when the stretch
of boundary between them ends; only two rows of pixels, one pointer per column and the nodes are held in memory.

Coordinates are pixel corners: x to the right, y down, (0, 0) the upper left corner of the raster. Regions lie on the
left of their rings as seen in the image, so outer rings run counterclockwise there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wsss_geo.vector.compiled import compiled

#: Value and label of pixels that belong to no region, and of everything outside the raster.
OUTSIDE = -1

_X, _Y, _OWNER, _NEXT, _ACROSS = range(5)
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
        self._frame = np.full((4, width + 2), OUTSIDE, np.int32)
        self._open = np.full((2, width + 1), OUTSIDE, np.int32)
        self._nodes = np.empty((4096, 5), np.int32)
        self._saddles = np.empty((1024, 2), np.int32)
        self._parent = np.empty(1024, np.int32)
        self._values = np.empty(1024, np.int32)
        self._sums = np.zeros(1024, np.float64)
        self._counts = np.zeros(4, np.int64)  # nodes, saddles, labels, rows
        self._confident = False

    def push(self, rows: npt.NDArray[Any], confidence: npt.NDArray[Any] | None = None) -> None:
        """Take the next rows [h, W] of integers >= 0 and, for all rows or none, their confidence [h, W]."""
        self._confident |= confidence is not None
        step = max(1, _BATCH_PIXELS // self._width)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            weights = _NO_WEIGHTS if confidence is None else confidence[part].astype(np.float64, order="C")
            self._scan(rows[part].astype(np.int32, order="C"), weights)

    def _scan(self, rows: _Int32, weights: _Floats) -> None:
        """Make room for what these rows may bring at worst, then go through them."""
        nodes, saddles, labels, _ = (int(n) for n in self._counts)
        corners = len(rows) * (self._width + 1)
        self._nodes = _grown(self._nodes, nodes + 4 * corners)
        self._saddles = _grown(self._saddles, saddles + corners)
        self._parent = _grown(self._parent, labels + corners)
        self._values = _grown(self._values, labels + corners)
        self._sums = _grown(self._sums, labels + corners)
        _scan_rows(
            rows, weights, self._frame, self._nodata, self._parent, self._values, self._sums, self._open, self._nodes,
            self._saddles, self._counts,
        )  # fmt: skip

    def _finish(self) -> tuple[_Int32, _Int32, _Int32, _Int32]:
        """Close the lower edge; return nodes, saddles, first labels of the regions and the region of each label."""
        self._scan(np.full((1, self._width), OUTSIDE, np.int32), _NO_WEIGHTS)
        nodes, saddles, labels, _ = (int(n) for n in self._counts)
        roots = _flatten(self._parent[:labels])
        firsts = np.flatnonzero(roots == np.arange(labels)).astype(np.int32)
        region_of = np.searchsorted(firsts, roots).astype(np.int32)
        _split_at_saddles(self._nodes, self._saddles[:saddles], region_of)
        return self._nodes[:nodes], self._saddles[:saddles], firsts, region_of

    def rings(self) -> Rings:
        """Return the regions; call once, after the last row."""
        nodes, saddles, firsts, region_of = self._finish()
        total = len(firsts)
        order, starts, owners, doubled = _walk(nodes, region_of)
        pixels = np.zeros(total, np.int64)
        np.subtract.at(pixels, owners, doubled)
        pixels //= 2
        confidence = np.full(total, np.nan)
        if self._confident:
            confidence = np.bincount(region_of, self._sums[: len(region_of)], minlength=total) / pixels
        rank = np.argsort(owners * 2 + (doubled > 0), kind="stable")
        corners, ring_starts = _close(nodes, order, starts, rank)
        region_starts = np.searchsorted(owners[rank], np.arange(total + 1)).astype(np.int64)
        group = np.arange(total, dtype=np.int64)
        if self._connectivity == 8:
            group = _joined(total, region_of[nodes[saddles, _OWNER]])
        return Rings(self._values[firsts], pixels, confidence, group, corners, ring_starts, region_starts)

    def graph(self) -> RegionGraph:
        """Return the regions and their neighbours; call once, after the last row."""
        nodes, saddles, firsts, region_of = self._finish()
        x, y = nodes[:, _X].astype(np.int64), nodes[:, _Y].astype(np.int64)
        ends = nodes[:, _NEXT]
        pixels = np.zeros(len(firsts), np.int64)
        np.subtract.at(pixels, region_of[nodes[:, _OWNER]], x * y[ends] - x[ends] * y)
        inner = nodes[:, _ACROSS] != OUTSIDE
        lengths = (np.abs(x[ends] - x) + np.abs(y[ends] - y))[inner]
        pairs = region_of[nodes[inner][:, [_OWNER, _ACROSS]]]
        if self._connectivity == 8:
            touching = region_of[nodes[saddles, _OWNER]]
            pairs = np.concatenate([pairs, touching])
            lengths = np.concatenate([lengths, np.zeros(len(touching), np.int64)])
        return RegionGraph(region_of, self._values[firsts], pixels // 2, pairs, lengths)


class Relabeller:
    """Repeats the labelling of a `Scanner` over the same rows to give each region another value."""

    def __init__(self, width: int, nodata: int | None, labels: int) -> None:
        self._nodata = OUTSIDE if nodata is None else nodata
        self._frame = np.full((4, width + 2), OUTSIDE, np.int32)
        self._parent = np.empty(labels, np.int32)
        self._values = np.empty(labels, np.int32)
        self._labels = 0

    def push(self, rows: npt.NDArray[Any], new_values: _Int32) -> npt.NDArray[Any]:
        """Return ``rows`` [h, W] with each pixel replaced by ``new_values`` [L] of its scan label; nodata stays."""
        out = rows.astype(np.int32, order="C")
        self._labels = _relabel_rows(
            out, self._frame, self._nodata, self._parent, self._values, self._labels, new_values
        )
        return out.astype(rows.dtype)


_NO_WEIGHTS = np.empty((0, 0), np.float64)
_BATCH_PIXELS = 1 << 19


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return ``array`` with room for ``size`` rows; new room is zero."""
    if len(array) >= size:
        return array
    grown = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def _joined(count: int, pairs: _Int32) -> _Int64:
    """Return the number [count] of the component that each element belongs to, in order of first members."""
    parent = np.arange(count, dtype=np.int32)
    join_pairs(parent, pairs)
    return np.unique(_flatten(parent), return_inverse=True)[1].astype(np.int64)


@compiled
def find(parent: _Int32, label: int) -> int:
    """Return the root of ``label`` and shorten the way to it."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@compiled
def join_pairs(parent: _Int32, pairs: _Int32) -> None:
    """Join the sets of each pair [N, 2]; the smaller root stays."""
    for i in range(len(pairs)):
        a, b = find(parent, pairs[i, 0]), find(parent, pairs[i, 1])
        if a < b:
            parent[b] = a
        else:
            parent[a] = b


@compiled
def _flatten(parent: _Int32) -> _Int32:
    roots = np.empty_like(parent)
    for i in range(len(parent)):  # a parent is never larger than its child
        roots[i] = i if parent[i] == i else roots[parent[i]]
    return roots


@compiled
def label_row(upper, upper_labels, lower, lower_labels, nodata, parent, values, count):  # type: ignore[no-untyped-def]
    """Label the pixels of ``lower`` (int32 [W + 2], framed by OUTSIDE); return the number of labels so far."""
    for i in range(1, len(lower) - 1):
        value = lower[i]
        if value in (nodata, OUTSIDE):
            lower[i] = OUTSIDE
            lower_labels[i] = OUTSIDE
        elif value == lower[i - 1]:
            label = lower_labels[i - 1]
            lower_labels[i] = label
            if value == upper[i] and value != upper[i - 1]:
                a, b = find(parent, label), find(parent, upper_labels[i])
                if a < b:
                    parent[b] = a
                else:
                    parent[a] = b
        elif value == upper[i]:
            lower_labels[i] = upper_labels[i]
        else:
            parent[count] = count
            values[count] = value
            lower_labels[i] = count
            count += 1
    return count


@compiled
def _scan_rows(rows, weights, frame, nodata, parent, values, sums, vertical, nodes, saddles, counts):  # type: ignore[no-untyped-def]
    """Label each row, then visit the corners above it; ``frame`` [4, W + 2] holds the last row and its labels."""
    upper, upper_labels, lower, lower_labels = frame[0], frame[1], frame[2], frame[3]
    for i in range(len(rows)):
        lower[1:-1] = rows[i]
        counts[2] = label_row(upper, upper_labels, lower, lower_labels, nodata, parent, values, counts[2])
        _visit_corners(counts[3], upper, lower, upper_labels, lower_labels, vertical, nodes, saddles, counts)
        if len(weights):
            for j in range(rows.shape[1]):
                if lower_labels[j + 1] != OUTSIDE:
                    sums[lower_labels[j + 1]] += weights[i, j]
        upper[:] = lower
        upper_labels[:] = lower_labels
        counts[3] += 1


@compiled
def _relabel_rows(rows, frame, nodata, parent, values, count, new_values):  # type: ignore[no-untyped-def]
    """Label each row as `_scan_rows` does and replace it by new values in place; return the number of labels."""
    upper, upper_labels, lower, lower_labels = frame[0], frame[1], frame[2], frame[3]
    for i in range(len(rows)):
        lower[1:-1] = rows[i]
        count = label_row(upper, upper_labels, lower, lower_labels, nodata, parent, values, count)
        for j in range(rows.shape[1]):
            if lower_labels[j + 1] != OUTSIDE:
                rows[i, j] = new_values[lower_labels[j + 1]]
        upper[:] = lower
        upper_labels[:] = lower_labels
    return count


@compiled
def _add_node(nodes, counts, x, y, owner):  # type: ignore[no-untyped-def]
    """Append a node for the region ``owner``; nothing is traced for what is outside."""
    if owner == OUTSIDE:
        return OUTSIDE
    i = counts[0]
    nodes[i, _X] = x
    nodes[i, _Y] = y
    nodes[i, _OWNER] = owner
    nodes[i, _NEXT] = OUTSIDE
    nodes[i, _ACROSS] = OUTSIDE
    counts[0] = i + 1
    return i


@compiled
def _link(nodes, start, end, across):  # type: ignore[no-untyped-def]
    if start != OUTSIDE:
        nodes[start, _NEXT] = end
        nodes[start, _ACROSS] = across


@compiled
def _visit_corners(y, upper, lower, upper_labels, lower_labels, vertical, nodes, saddles, counts):  # type: ignore[no-untyped-def]
    """Add and link the nodes of one row of corners.

    Around a corner lie the pixels a b (above) and c d (below). ``above`` and ``below`` are the nodes where the
    horizontal boundary on the left of the corner began, for the regions on its two sides; ``vertical`` [2, W + 1]
    holds the same of the vertical boundary above each corner, for the regions west and east of it.
    """
    above = below = OUTSIDE
    for x in range(len(upper) - 1):
        a, b, c, d = upper[x], upper[x + 1], lower[x], lower[x + 1]
        north, west, east, south = a != b, a != c, b != d, c != d
        if not ((north or south) and (west or east)):
            continue  # inside a region, or on a straight boundary between the same two
        label_a, label_b, label_c, label_d = upper_labels[x], upper_labels[x + 1], lower_labels[x], lower_labels[x + 1]
        node_a = _add_node(nodes, counts, x, y, label_a)
        node_b = _add_node(nodes, counts, x, y, label_b) if north else node_a
        if not west:
            node_c = node_a
        elif not south and not east:
            node_c = node_b
        else:
            node_c = _add_node(nodes, counts, x, y, label_c)
        if not east:
            node_d = node_b
        elif not south:
            node_d = node_c
        else:
            node_d = _add_node(nodes, counts, x, y, label_d)
        if west:
            _link(nodes, above, node_a, label_c)
            _link(nodes, node_c, below, label_a)
        if north:
            _link(nodes, node_a, vertical[0, x], label_b)
            _link(nodes, vertical[1, x], node_b, label_a)
        if east:
            above, below = node_b, node_d
        if south:
            vertical[0, x], vertical[1, x] = node_c, node_d
        if north and west and east and south:
            if a == d and a != OUTSIDE:
                saddles[counts[1], 0], saddles[counts[1], 1] = node_a, node_d
                counts[1] += 1
            if b == c and b != OUTSIDE:
                saddles[counts[1], 0], saddles[counts[1], 1] = node_b, node_c
                counts[1] += 1


@compiled
def _split_at_saddles(nodes: _Int32, saddles: _Int32, region_of: _Int32) -> None:
    """Exchange the ways on at corners where a region touches itself, which splits a ring in two that are simple."""
    for i in range(len(saddles)):
        p, q = saddles[i, 0], saddles[i, 1]
        if region_of[nodes[p, _OWNER]] == region_of[nodes[q, _OWNER]]:
            nodes[p, _NEXT], nodes[q, _NEXT] = nodes[q, _NEXT], nodes[p, _NEXT]
            nodes[p, _ACROSS], nodes[q, _ACROSS] = nodes[q, _ACROSS], nodes[p, _ACROSS]


@compiled
def _walk(nodes: _Int32, region_of: _Int32) -> tuple[_Int32, _Int64, _Int64, _Int64]:
    """Follow the links; return node order [N], ring starts [G + 1], ring owners [G] and twice their signed areas."""
    count = len(nodes)
    order = np.empty(count, np.int32)
    starts = np.zeros(count // 4 + 1, np.int64)
    owners = np.empty(count // 4, np.int64)
    doubled = np.zeros(count // 4, np.int64)
    seen = np.zeros(count, np.bool_)
    rings = filled = 0
    for first in range(count):
        if seen[first]:
            continue
        node, area = first, 0
        while not seen[node]:
            seen[node] = True
            order[filled] = node
            filled += 1
            following = nodes[node, _NEXT]
            area += np.int64(nodes[node, _X]) * nodes[following, _Y] - np.int64(nodes[following, _X]) * nodes[node, _Y]
            node = following
        owners[rings] = region_of[nodes[first, _OWNER]]
        doubled[rings] = area
        rings += 1
        starts[rings] = filled
    return order, starts[: rings + 1], owners[:rings], doubled[:rings]


@compiled
def _close(nodes: _Int32, order: _Int32, starts: _Int64, rank: _Int64) -> tuple[_Int32, _Int64]:
    """Return the corners [N + G, 2] of the rings in the order ``rank``, each closed, and where they start."""
    corners = np.empty((len(order) + len(rank), 2), np.int32)
    ring_starts = np.zeros(len(rank) + 1, np.int64)
    filled = 0
    for i in range(len(rank)):
        first, last = starts[rank[i]], starts[rank[i] + 1]
        for j in range(first, last + 1):
            node = order[j if j < last else first]
            corners[filled, 0] = nodes[node, _X]
            corners[filled, 1] = nodes[node, _Y]
            filled += 1
        ring_starts[i + 1] = filled
    return corners, ring_starts
