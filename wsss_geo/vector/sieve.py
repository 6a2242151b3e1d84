"""The minimum mapping unit: small regions give way to their neighbours before anything is traced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsss_geo.vector.compiled import compiled
from wsss_geo.vector.scan import find, join_pairs
from wsss_geo.vector.trace import RegionGraph

_Int64 = npt.NDArray[np.int64]


def sieve(graph: RegionGraph, min_area_px: int) -> npt.NDArray[np.int32]:
    """Return the value [R] of each region once regions of fewer than ``min_area_px`` pixels have been merged.

    The smallest region goes first, to the neighbour with which it shares the longest border (then the larger one,
    then the first in reading order); areas and borders of what has been merged add up. Regions large enough never
    change their value, and nodata neither gives nor takes: a small region that touches nothing but nodata stays.
    """
    count = len(graph.values)
    parent = np.arange(count, dtype=np.int32)
    small = graph.pixels < min_area_px
    keep = small[graph.pairs].any(axis=1) | (graph.lengths == 0)
    pairs, lengths = graph.pairs[keep], graph.lengths[keep]
    while True:
        roots = _roots(parent)
        pairs, lengths = _merged_borders(roots[pairs], lengths, count)
        alike = graph.values[pairs[:, 0]] == graph.values[pairs[:, 1]]
        if alike.any():  # what has become one region counts as one
            join_pairs(parent, pairs[alike])
            continue
        pixels = np.bincount(roots, graph.pixels, minlength=count).astype(np.int64)
        giving = pixels[pairs[:, 0]] < min_area_px
        if not giving.any():
            return graph.values[roots]
        givers, takers = _longest_borders(pairs[giving], lengths[giving], pixels)
        _merge(givers, takers, parent)


def _merged_borders(pairs: npt.NDArray[np.int32], lengths: _Int64, count: int) -> tuple[npt.NDArray[np.int32], _Int64]:
    """Return each pair of different regions once, with the sum of its lengths."""
    differ = pairs[:, 0] != pairs[:, 1]
    keys, index = np.unique(pairs[differ, 0].astype(np.int64) * count + pairs[differ, 1], return_inverse=True)
    totals = np.bincount(index, lengths[differ], minlength=len(keys)).astype(np.int64)
    return np.stack([keys // count, keys % count], axis=1).astype(np.int32), totals


def _longest_borders(
    pairs: npt.NDArray[np.int32], lengths: _Int64, pixels: _Int64
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the regions that must give way, smallest first, and who takes each."""
    giver, taker = pairs[:, 0], pairs[:, 1]
    rank = np.lexsort((taker, -pixels[taker], -lengths, giver))
    best = rank[np.unique(giver[rank], return_index=True)[1]]
    best = best[np.lexsort((giver[best], pixels[giver[best]]))]
    return giver[best], taker[best]


@compiled
def _merge(givers: npt.NDArray[np.int32], takers: npt.NDArray[np.int32], parent: npt.NDArray[np.int32]) -> None:
    """Merge every giver whose own size and whose taker have not changed in this round."""
    touched = np.zeros(len(parent), np.bool_)
    for i in range(len(givers)):
        giver, taker = givers[i], takers[i]
        if not touched[giver] and parent[taker] == taker:
            parent[giver] = taker
            touched[taker] = True


@compiled
def _roots(parent: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    roots = np.empty_like(parent)
    for i in range(len(parent)):
        roots[i] = find(parent, i)
    return roots
