"""The compiled loops of the tracer: labelling rows, visiting corners, following links.

The pixels of a row are framed by `OUTSIDE` on both sides. See `wsss_geo.vector.trace` for the whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsss_geo.vector.compiled import compiled

#: Value and label of pixels that belong to no region, and of everything outside the raster.
OUTSIDE = -1

#: Columns of a node: corner, scan label of its region, next node of the ring, scan label beyond the boundary to there.
X, Y, OWNER, NEXT, ACROSS = range(5)

_Int32 = npt.NDArray[np.int32]
_Int64 = npt.NDArray[np.int64]


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
def flatten(parent: _Int32) -> _Int32:
    """Return the root of every label."""
    roots = np.empty_like(parent)
    for i in range(len(parent)):  # a parent is never larger than its child
        roots[i] = i if parent[i] == i else roots[parent[i]]
    return roots


@compiled
def _label_row(upper, upper_labels, lower, lower_labels, nodata, parent, values, count):  # type: ignore[no-untyped-def]
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
def scan_rows(rows, weights, frame, nodata, parent, values, sums, vertical, nodes, saddles, counts):  # type: ignore[no-untyped-def]
    """Label each row, then visit the corners above it; ``frame`` [4, W + 2] holds the last row and its labels."""
    upper, upper_labels, lower, lower_labels = frame[0], frame[1], frame[2], frame[3]
    for i in range(len(rows)):
        lower[1:-1] = rows[i]
        counts[2] = _label_row(upper, upper_labels, lower, lower_labels, nodata, parent, values, counts[2])
        _visit_corners(counts[3], upper, lower, upper_labels, lower_labels, vertical, nodes, saddles, counts)
        if len(weights):
            for j in range(rows.shape[1]):
                if lower_labels[j + 1] != OUTSIDE:
                    sums[lower_labels[j + 1]] += weights[i, j]
        upper[:] = lower
        upper_labels[:] = lower_labels
        counts[3] += 1


@compiled
def relabel_rows(rows, frame, nodata, parent, values, count, new_values):  # type: ignore[no-untyped-def]
    """Label each row as `scan_rows` does and replace it by new values in place; return the number of labels."""
    upper, upper_labels, lower, lower_labels = frame[0], frame[1], frame[2], frame[3]
    for i in range(len(rows)):
        lower[1:-1] = rows[i]
        count = _label_row(upper, upper_labels, lower, lower_labels, nodata, parent, values, count)
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
    nodes[i, X] = x
    nodes[i, Y] = y
    nodes[i, OWNER] = owner
    nodes[i, NEXT] = OUTSIDE
    nodes[i, ACROSS] = OUTSIDE
    counts[0] = i + 1
    return i


@compiled
def _link(nodes, start, end, across):  # type: ignore[no-untyped-def]
    if start != OUTSIDE:
        nodes[start, NEXT] = end
        nodes[start, ACROSS] = across


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
def split_at_saddles(nodes: _Int32, saddles: _Int32, region_of: _Int32) -> None:
    """Exchange the ways on at corners where a region touches itself, which splits a ring in two that are simple."""
    for i in range(len(saddles)):
        p, q = saddles[i, 0], saddles[i, 1]
        if region_of[nodes[p, OWNER]] == region_of[nodes[q, OWNER]]:
            nodes[p, NEXT], nodes[q, NEXT] = nodes[q, NEXT], nodes[p, NEXT]
            nodes[p, ACROSS], nodes[q, ACROSS] = nodes[q, ACROSS], nodes[p, ACROSS]


@compiled
def walk(nodes: _Int32, region_of: _Int32) -> tuple[_Int32, _Int64, _Int64, _Int64]:
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
            following = nodes[node, NEXT]
            area += np.int64(nodes[node, X]) * nodes[following, Y] - np.int64(nodes[following, X]) * nodes[node, Y]
            node = following
        owners[rings] = region_of[nodes[first, OWNER]]
        doubled[rings] = area
        rings += 1
        starts[rings] = filled
    return order, starts[: rings + 1], owners[:rings], doubled[:rings]


@compiled
def close(nodes: _Int32, order: _Int32, starts: _Int64, rank: _Int64) -> tuple[_Int32, _Int64]:
    """Return the corners [N + G, 2] of the rings in the order ``rank``, each closed, and where they start."""
    corners = np.empty((len(order) + len(rank), 2), np.int32)
    ring_starts = np.zeros(len(rank) + 1, np.int64)
    filled = 0
    for i in range(len(rank)):
        first, last = starts[rank[i]], starts[rank[i] + 1]
        for j in range(first, last + 1):
            node = order[j if j < last else first]
            corners[filled, 0] = nodes[node, X]
            corners[filled, 1] = nodes[node, Y]
            filled += 1
        ring_starts[i + 1] = filled
    return corners, ring_starts
