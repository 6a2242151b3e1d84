"""The compiled loops of the tracer: labelling rows, visiting corners, following links.

A row of pixels is held as its runs of equal values: boundaries turn and regions meet only where a run begins in one of
two neighbouring rows, so all that lies between costs no more than one look at each pixel. The first run is what lies
left of the raster, the last what lies right of it, both `OUTSIDE`. See `wsss_geo.vector.trace` for the whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsss_geo.vector.compiled import compiled

#: Value and label of pixels that belong to no region, and of everything outside the raster.
OUTSIDE = -1

#: Columns of a node: corner, scan label of its region, next node of the ring, scan label beyond the boundary to there.
X, Y, OWNER, NEXT, ACROSS = range(5)

#: Rows of an array of runs: first column, value, scan label. After the last run stands a first column beyond all.
START, VALUE, LABEL = range(3)

#: Places in the counts of a scan: nodes, saddles, labels, rows, runs of the last row.
NODES, SADDLES, LABELS, ROWS, RUNS = range(5)

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
def _find_runs(row, nodata, runs):  # type: ignore[no-untyped-def]
    """Fill START and VALUE of ``runs`` (int32 [3, W + 3]) from the pixels ``row`` [W]; return how many."""
    runs[START, 0] = -1
    runs[VALUE, 0] = runs[LABEL, 0] = OUTSIDE
    count, width, seen, last = 1, len(row), OUTSIDE, OUTSIDE
    for x in range(width):
        if row[x] == seen:
            continue
        seen = row[x]
        value = OUTSIDE if seen == nodata else seen
        if value != last:
            runs[START, count] = x
            runs[VALUE, count] = last = value
            count += 1
    if last != OUTSIDE:
        runs[START, count] = width
        runs[VALUE, count] = OUTSIDE
        count += 1
    runs[START, count] = width + 1
    return count


@compiled
def _label_runs(upper, lower, runs, parent, values, count):  # type: ignore[no-untyped-def]
    """Label the ``runs`` runs of the row ``lower`` below the row ``upper``; return the number of labels so far."""
    first = 0  # run above that reaches to where the one below begins
    for run in range(1, runs):
        value, begin, end = lower[VALUE, run], lower[START, run], lower[START, run + 1]
        label = OUTSIDE
        if value != OUTSIDE:
            while upper[START, first + 1] <= begin:
                first += 1
            above = first
            while upper[START, above] < end:
                if upper[VALUE, above] == value:
                    if label == OUTSIDE:
                        label = upper[LABEL, above]
                    else:
                        a, b = find(parent, label), find(parent, upper[LABEL, above])
                        if a < b:
                            parent[b] = a
                        else:
                            parent[a] = b
                above += 1
            if label == OUTSIDE:
                label = count
                parent[count] = count
                values[count] = value
                count += 1
        lower[LABEL, run] = label
    return count


@compiled
def scan_rows(rows, weights, nodata, frames, parent, values, sums, vertical, nodes, saddles, counts):  # type: ignore[no-untyped-def]
    """Label each row, then visit the corners above it; ``frames`` int32 [2, 3, W + 3] holds the runs of two rows.

    They take turns. Before the first row both are empty.
    """
    for i in range(len(rows)):
        upper, lower = frames[counts[ROWS] % 2], frames[(counts[ROWS] + 1) % 2]
        runs = _find_runs(rows[i], nodata, lower)
        counts[LABELS] = _label_runs(upper, lower, runs, parent, values, counts[LABELS])
        _visit_corners(counts[ROWS], rows.shape[1], upper, lower, vertical, nodes, saddles, counts)
        if len(weights):
            for run in range(1, runs):
                if lower[LABEL, run] != OUTSIDE:
                    for x in range(lower[START, run], lower[START, run + 1]):
                        sums[lower[LABEL, run]] += weights[i, x]
        counts[RUNS] = runs
        counts[ROWS] += 1


@compiled
def relabel_rows(rows, nodata, frames, parent, values, counts, new_values):  # type: ignore[no-untyped-def]
    """Label each row as `scan_rows` does and replace it by new values in place."""
    for i in range(len(rows)):
        upper, lower = frames[counts[ROWS] % 2], frames[(counts[ROWS] + 1) % 2]
        runs = _find_runs(rows[i], nodata, lower)
        counts[LABELS] = _label_runs(upper, lower, runs, parent, values, counts[LABELS])
        for run in range(1, runs):
            if lower[LABEL, run] != OUTSIDE:
                rows[i, lower[START, run] : lower[START, run + 1]] = new_values[lower[LABEL, run]]
        counts[ROWS] += 1


@compiled
def _add_node(nodes, counts, x, y, owner):  # type: ignore[no-untyped-def]
    """Append a node for the region ``owner``; nothing is traced for what is outside."""
    if owner == OUTSIDE:
        return OUTSIDE
    i = counts[NODES]
    nodes[i, X] = x
    nodes[i, Y] = y
    nodes[i, OWNER] = owner
    nodes[i, NEXT] = OUTSIDE
    nodes[i, ACROSS] = OUTSIDE
    counts[NODES] = i + 1
    return i


@compiled
def _link(nodes, start, end, across):  # type: ignore[no-untyped-def]
    if start != OUTSIDE:
        nodes[start, NEXT] = end
        nodes[start, ACROSS] = across


@compiled
def _visit_corners(y, width, upper, lower, vertical, nodes, saddles, counts):  # type: ignore[no-untyped-def]
    """Add and link the nodes of one row of corners, those between the rows ``upper`` and ``lower``.

    Around a corner lie the pixels a b (above) and c d (below). ``above`` and ``below`` are the nodes where the
    horizontal boundary on the left of the corner began, for the regions on its two sides; ``vertical`` [2, W + 1]
    holds the same of the vertical boundary above each corner, for the regions west and east of it.
    """
    above = below = OUTSIDE
    i = j = 0  # the runs of a and c, then of b and d
    while True:
        x = min(upper[START, i + 1], lower[START, j + 1])
        if x > width:
            break
        a, c, label_a, label_c = upper[VALUE, i], lower[VALUE, j], upper[LABEL, i], lower[LABEL, j]
        north, south = upper[START, i + 1] == x, lower[START, j + 1] == x
        i, j = i + north, j + south
        b, d, label_b, label_d = upper[VALUE, i], lower[VALUE, j], upper[LABEL, i], lower[LABEL, j]
        west, east = a != c, b != d
        if not (west or east):
            continue  # on a straight boundary between the same two
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
                saddles[counts[SADDLES], 0], saddles[counts[SADDLES], 1] = node_a, node_d
                counts[SADDLES] += 1
            if b == c and b != OUTSIDE:
                saddles[counts[SADDLES], 0], saddles[counts[SADDLES], 1] = node_b, node_c
                counts[SADDLES] += 1


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
