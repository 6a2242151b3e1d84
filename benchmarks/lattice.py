"""Gaussian sums over all pairs of points by a permutohedral lattice (Adams et al., Eurographics 2010), on one core.

Points are moved to a hyperplane of one dimension more, whose lattice has simplices that are found by sorting. Every
point shares its values among the vertices of its simplex, the vertices are blurred along the axes of the lattice, and
the point reads its sum from the same vertices. Compiled, as the filters of the published programs are. For comparison
only: the package needs none.
"""

from __future__ import annotations

import numba
import numpy as np

#: Coordinates of vertices take 12 bits each in their keys.
BITS = 12
HALF = 1 << (BITS - 1)


def gaussian_sums(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """About sum_j exp(-|f_i - f_j|^2 / 2) v_j: ``features`` [n,d], d < 6, in sigmas, ``values`` [n,c] -> float32 [n,c].

    In five dimensions a tenth to a fifth too small. Raises ValueError where points are so far apart that their keys
    would mix.
    """
    count, dims = features.shape
    centred = features - (features.min(0) + features.max(0)) / 2
    if dims > 5 or np.abs(centred).sum(1).max() * (dims + 1) > HALF - 2 * dims:
        raise ValueError(f"{count} points in {dims} dimensions lie too far apart")
    return _filtered(centred.astype(np.float32), np.ascontiguousarray(values, dtype=np.float32))


@numba.njit(cache=True, fastmath=True)
def _filtered(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    count, dims = features.shape
    corners, channels = dims + 1, values.shape[1]
    capacity = 1
    while capacity < 2 * count * corners:
        capacity *= 2
    slots = np.full(capacity, -1, np.int32)
    keys = np.empty(count * corners, np.int64)
    vertex = np.empty((count, corners), np.int32)
    share = np.empty((count, corners), np.float32)
    raised, base, rank = np.empty(corners, np.float32), np.empty(corners, np.int64), np.empty(corners, np.int64)
    part = np.empty(corners + 1, np.float32)
    # So that blurring by (1, 2, 1) along all axes has the variance of the Gaussian.
    step = corners * np.sqrt(2 / 3)
    found = 0
    for i in range(count):
        # Onto the plane whose coordinates sum to 0.
        total = np.float32(0)
        for j in range(dims, 0, -1):
            along = features[i, j - 1] * np.float32(step / np.sqrt(j * (j + 1)))
            raised[j] = total - j * along
            total += along
        raised[0] = total
        # The nearest point of the lattice whose coordinates are multiples of d + 1, put back onto the plane.
        excess = 0
        for j in range(corners):
            base[j] = np.int64(np.floor(raised[j] / corners + 0.5))
            excess += base[j]
            base[j] *= corners
            rank[j] = 0
        for j in range(corners):
            for k in range(j + 1, corners):
                if raised[j] - base[j] < raised[k] - base[k]:
                    rank[j] += 1
                else:
                    rank[k] += 1
        for j in range(corners):
            rank[j] += excess
            if rank[j] < 0:
                rank[j] += corners
                base[j] += corners
            elif rank[j] >= corners:
                rank[j] -= corners
                base[j] -= corners
        # Barycentric coordinates from the sorted rests.
        part[:] = 0
        for j in range(corners):
            rest = (raised[j] - base[j]) / corners
            part[dims - rank[j]] += rest
            part[corners - rank[j]] -= rest
        part[0] += 1 + part[corners]
        for c in range(corners):
            key = np.int64(0)
            for j in range(dims):
                at = base[j] + c - (corners if rank[j] > dims - c else 0)
                key = (key << BITS) + at + HALF
            place = _place(slots, keys, key)
            if slots[place] < 0:
                slots[place] = found
                keys[found] = key
                found += 1
            vertex[i, c] = slots[place]
            share[i, c] = part[c]
    sums = np.zeros((found, channels), np.float32)
    for i in range(count):
        for c in range(corners):
            for k in range(channels):
                sums[vertex[i, c], k] += share[i, c] * values[i, k]
    ones = np.int64(0)
    for _ in range(dims):
        ones = (ones << BITS) + 1
    blurred = np.empty_like(sums)
    for axis in range(corners):
        move = ones - (np.int64(corners) << (BITS * (dims - 1 - axis)) if axis < dims else 0)
        for v in range(found):
            ahead, behind = slots[_place(slots, keys, keys[v] + move)], slots[_place(slots, keys, keys[v] - move)]
            for k in range(channels):
                near = np.float32(0)
                if ahead >= 0:
                    near += sums[ahead, k]
                if behind >= 0:
                    near += sums[behind, k]
                blurred[v, k] = sums[v, k] + np.float32(0.5) * near
        sums, blurred = blurred, sums
    result = np.zeros((count, channels), np.float32)
    # The mass of the Gaussian over that of the blur, 2^(d+1) cells of the lattice.
    gain = np.float32((4 * np.pi / 3) ** (dims / 2) * np.sqrt(corners) / 2**corners)
    for i in range(count):
        for c in range(corners):
            for k in range(channels):
                result[i, k] += gain * share[i, c] * sums[vertex[i, c], k]
    return result


@numba.njit(cache=True, inline="always")
def _place(slots: np.ndarray, keys: np.ndarray, key: int) -> int:
    """The place of ``key`` in the table, or the free one where it would be."""
    mask = len(slots) - 1
    place = ((key * 0x9E3779B97F4A7C1) >> 24) & mask
    while slots[place] >= 0 and keys[slots[place]] != key:
        place = (place + 1) & mask
    return place
