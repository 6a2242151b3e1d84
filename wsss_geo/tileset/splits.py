"""Which tiles train, validate and test: whole scenes only, and no pixel in two splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from wsss_geo.tileset.cells import Source

#: With fewer rasters than this, each raster is divided into blocks that count as scenes.
FEW_RASTERS = 8
_BLOCKS = 24


def scene_block(sources: Sequence[Source], size: int) -> int:
    """Side in pixels of the square blocks that count as scenes; 0 where every raster is one scene.

    Few rasters are cut in about two dozen blocks, each at least two tiles wide, or one where the rasters are small.
    """
    if len(sources) >= FEW_RASTERS:
        return 0
    side = math.sqrt(sum(s.height * s.width for s in sources) / _BLOCKS)
    tiles = max(2, int(side // size))
    if tiles == 2 and len({i for s in sources for i in scene_ids(s, 2 * size)}) < 4:
        tiles = 1
    return tiles * size


def scene_ids(source: Source, block: int) -> list[str]:
    """The scene of every tile: its raster, or the block of the raster that holds its centre."""
    if block == 0:
        return [source.name] * len(source.windows)
    centres = ((w.row_off + w.height // 2, w.col_off + w.width // 2) for w in source.windows)
    return [f"{source.name}_b{row // block}-{col // block}" for row, col in centres]


def split_scenes(scenes: Sequence[str], tags: NDArray[np.bool_], val: float, test: float, seed: int) -> dict[str, str]:
    """Deal scenes out to train, val and test; the same seed gives the same split.

    ``scenes`` [n] and ``tags`` bool [n, K] describe the tagged tiles. Held-out scenes are taken one by one, each the
    one that brings the most classes still short of their share, as long as every class keeps a scene to train on.
    ``val`` and ``test`` are shares of scenes; at least one scene always trains.
    """
    names, inverse = np.unique(np.asarray(scenes, dtype=object).astype(str), return_inverse=True)
    counts = np.zeros((len(names), tags.shape[1]))
    np.add.at(counts, inverse, tags.astype(np.float64))
    split = np.full(len(names), "train", dtype=object)
    order = np.random.default_rng(seed).permutation(len(names))
    for part, share in (("test", test), ("val", val)):
        if share > 0:
            wanted = min(max(1, round(share * len(names))), int((split == "train").sum()) - 1)
            chosen = _pick(counts, order, split == "train", max(wanted, 0), share)
            split[chosen] = part
    return dict(zip(names.tolist(), split.tolist(), strict=True))


def _pick(
    counts: NDArray[np.float64], order: NDArray[np.int64], free: NDArray[np.bool_], wanted: int, share: float
) -> list[int]:
    total = counts.sum(axis=0)
    scale = np.where(total > 0, 1 / np.maximum(total, 1), 0)
    target, have = share * total, np.zeros_like(total)
    left = counts[free].sum(axis=0)
    pool = np.array([i for i in order if free[i]], dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < wanted:
        brings = counts[pool]
        fills = np.minimum(brings, np.maximum(target - have, 0)) @ scale
        spills = np.maximum(have + brings - np.maximum(target, have), 0) @ scale
        first = ((have == 0) & (brings > 0)).sum(axis=1)
        starves = ((left > 0) & (left - brings <= 0)).sum(axis=1)
        best = int(np.argmax(first + fills - spills - 1e3 * starves))
        have, left = have + brings[best], left - brings[best]
        chosen.append(int(pool[best]))
        pool = np.delete(pool, best)
    return chosen


def leaking(areas: NDArray[Any], split: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Mark tiles [n] that overlap a tile of a split that goes before theirs.

    ``areas`` are polygons in any one frame, or None; overlaps of less than about a hundredth of a tile's side are
    touching borders. Test goes before val, val before train, so that what is held out stays whole.
    """
    rank = np.array([{"test": 0, "val": 1}.get(s, 2) for s in split], dtype=np.int64)
    drop = np.zeros(len(rank), dtype=bool)
    if len(set(rank.tolist())) < 2:
        return drop
    inner = _shrunk(areas)
    for later in (1, 2):  # a val tile that is dropped itself no longer pushes out training tiles
        held = np.flatnonzero((rank < later) & ~drop)
        mine = np.flatnonzero(rank == later)
        hits, _ = shapely.STRtree(inner[held]).query(inner[mine], predicate="intersects")
        drop[mine[hits]] = True
    return drop


def same_ground(areas: Sequence[Any]) -> list[int]:
    """Group rasters [n] by their outlines: each gets the number of the first raster that shows the same ground.

    Two rasters belong together where they share more than half of the smaller one; None belongs to nobody.
    """
    outlines = np.asarray(areas, dtype=object)
    group = list(range(len(outlines)))
    first, second = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    pairs = first < second
    first, second = first[pairs], second[pairs]
    size = shapely.area(outlines)
    shared = shapely.area(shapely.intersection(outlines[first], outlines[second]))
    together = shared > 0.5 * np.minimum(size[first], size[second])
    for a, b in zip(first[together].tolist(), second[together].tolist(), strict=True):
        low, high = sorted((group[a], group[b]))
        group = [low if g == high else g for g in group] if low != high else group
    return group


def _shrunk(areas: NDArray[Any]) -> NDArray[Any]:
    """Polygons drawn in by one hundredth towards their centre; None stays None."""
    shrunk = np.array(areas, dtype=object)
    some = ~shapely.is_missing(shrunk)
    x, y = shapely.get_x(shapely.centroid(shrunk[some])), shapely.get_y(shapely.centroid(shrunk[some]))
    counts = shapely.get_num_coordinates(shrunk[some])
    centre = np.stack([np.repeat(x, counts), np.repeat(y, counts)], axis=1)
    shrunk[some] = shapely.transform(shrunk[some], lambda xy: centre + (xy - centre) * 0.98)
    return shrunk
