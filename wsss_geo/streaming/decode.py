"""From blended scores on the token grid to mask pixels: bilinear interpolation and arg-max, done lazily.

Bilinear interpolation is a convex combination: where the four tokens around a cell agree on the winner, it wins at
every pixel of the cell, so only mixed cells are interpolated. Weights and scores are whole numbers, so this shortcut
gives exactly what interpolating everything would; ties go to the first channel in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE
from wsss_geo.nn.calibration import FLOOR
from wsss_geo.streaming.accumulator import SCALE
from wsss_geo.streaming.layout import Taps
from wsss_geo.vector.compiled import compiled


@dataclass(frozen=True)
class Decoded:
    """``mask`` uint8 [h, w] of class ids, 255 without data; ``confidence`` uint8 [h, w] or None.

    ``counts`` int64 [h, C] are the pixels of each class in each row, [h, C + 1] where unsure pixels are a class.
    Confidence is the interpolated and tempered score of the winner, 1..255 for 0..1; 0 means no data. With it comes
    ``expected`` float64 [h, C]: the sums of the scores of every class over the pixels that ``counts`` counts, so how
    many pixels of each class are expected in a row; up to rounding, both have the same sum.
    """

    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None
    counts: NDArray[np.int64]
    expected: NDArray[np.float64] | None


def decode(
    scores: NDArray[np.uint16],
    alive: NDArray[np.bool_],
    valid: NDArray[np.bool_] | None,
    rows: Taps,
    cols: Taps,
    first_token: int,
    ids: NDArray[np.uint8],
    threshold: float = 0.0,
    with_confidence: bool = False,
    unsure: int = IGNORE,
    temperature: float = 1.0,
) -> Decoded:
    """Decode mask pixels ``rows`` x ``cols``.

    ``scores`` [T, tokens, C] in 0..SCALE hold the token rows from ``first_token``; tokens that are not ``alive``
    [T, tokens] take no part: their share goes to the others. ``valid`` bool [h, w] says which pixels have data (None:
    all). ``ids`` uint8 [C] are the mask values.

    Confidence is that of the scores to the power of 1/``temperature``, divided by their sum; who wins does not depend
    on it. Winners of less confidence than ``threshold`` (0..1) become ``unsure``, which is a class unless it is 255.
    """
    height, width = len(rows.lower), len(cols.lower)
    mask = np.empty((height, width), np.uint8)
    confidence = np.zeros((height, width) if with_confidence else (0, 0), np.uint8)
    counts = np.zeros((height, len(ids) + (unsure != IGNORE)), np.int64)
    expected = np.zeros((height, len(ids)) if with_confidence else (0, 0))
    label = np.where(alive, scores.argmax(axis=2), -1).astype(np.int32)
    edges = np.flatnonzero(np.diff(cols.lower, prepend=-1, append=-1)).astype(np.int64)
    every = np.ones((0, 0), np.bool_) if valid is None else valid
    _fill(
        scores, alive, label, every, rows.lower - first_token, rows.upper_weight, rows.steps,
        cols.lower, cols.upper_weight, cols.steps, edges, ids, threshold, _powers(temperature), np.uint8(unsure),
        mask, confidence, counts, expected,
    )  # fmt: skip
    return Decoded(mask, *((confidence, counts, expected) if with_confidence else (None, counts, None)))


def _powers(temperature: float) -> NDArray[np.float64]:
    """Scores 0..SCALE, of which none counts as nothing, to the power of 1/``temperature``; empty where that is 1."""
    if temperature == 1:
        return np.empty(0)
    powers: NDArray[np.float64] = np.maximum(np.arange(SCALE + 1) / SCALE, FLOOR) ** (1 / temperature)
    return powers


@compiled
def _fill(  # type: ignore[no-untyped-def]
    scores, alive, label, valid, row_lower, row_weight, row_steps,
    col_lower, col_weight, col_steps, edges, ids, threshold, powers, unsure, mask, confidence, counts, expected,
):  # fmt: skip
    """Fill ``mask``, ``confidence``, ``counts`` and ``expected``; ``edges`` are the pixels at which a cell starts."""
    tempered = powers.size > 0
    all_valid = valid.size == 0
    with_confidence = confidence.size > 0
    need_value = with_confidence or threshold > 0
    last_row, last_col = scores.shape[0] - 1, scores.shape[1] - 1
    classes = scores.shape[2]
    left, right = np.empty(classes, np.int64), np.empty(classes, np.int64)
    power = np.empty(classes)
    for y in range(mask.shape[0]):
        above = row_lower[y]
        below = min(above + 1, last_row)
        weight_below = row_weight[y]
        weight_above = row_steps - weight_below
        for cell in range(len(edges) - 1):
            begin, end = edges[cell], edges[cell + 1]
            a = col_lower[begin]
            b = min(a + 1, last_col)
            winner = label[above, a]
            agreed = winner >= 0 and label[above, b] == winner
            if weight_below > 0:
                agreed = agreed and label[below, a] == winner and label[below, b] == winner
            if agreed and not need_value:
                value = ids[winner]
                if all_valid:
                    for x in range(begin, end):
                        mask[y, x] = value
                    counts[y, winner] += end - begin
                else:
                    for x in range(begin, end):
                        if valid[y, x]:
                            mask[y, x] = value
                            counts[y, winner] += 1
                        else:
                            mask[y, x] = IGNORE
                continue
            share_a = weight_above * alive[above, a] + weight_below * alive[below, a]
            share_b = weight_above * alive[above, b] + weight_below * alive[below, b]
            first, stop = (winner, winner + 1) if agreed and not tempered else (0, classes)
            known, upto = (0, classes) if with_confidence else (first, stop)
            for k in range(known, upto):
                left[k] = (
                    np.int64(scores[above, a, k]) * weight_above * alive[above, a]
                    + np.int64(scores[below, a, k]) * weight_below * alive[below, a]
                )
                right[k] = (
                    np.int64(scores[above, b, k]) * weight_above * alive[above, b]
                    + np.int64(scores[below, b, k]) * weight_below * alive[below, b]
                )
            sum_left, sum_right = 0, 0
            for x in range(begin, end):
                to_right = col_weight[x]
                to_left = col_steps - to_right
                total = share_a * to_left + share_b * to_right
                if total == 0 or not (all_valid or valid[y, x]):
                    mask[y, x] = IGNORE
                    continue
                best, best_value = first, left[first] * to_left + right[first] * to_right
                for k in range(first + 1, stop):
                    value_k = left[k] * to_left + right[k] * to_right
                    if value_k > best_value:
                        best, best_value = k, value_k
                if need_value:
                    score = best_value / (total * SCALE)
                    if tempered:
                        whole = 0.0
                        for k in range(classes):
                            power[k] = powers[int((left[k] * to_left + right[k] * to_right) / total + 0.5)]
                            whole += power[k]
                        score = power[best] / whole
                    if score < threshold:
                        mask[y, x] = unsure
                        if unsure != IGNORE:
                            counts[y, classes] += 1
                    else:
                        mask[y, x] = ids[best]
                        counts[y, best] += 1
                    if with_confidence:
                        confidence[y, x] = max(1, int(score * 255 + 0.5))
                        if mask[y, x] == IGNORE:
                            continue
                        if tempered:
                            for k in range(classes):
                                expected[y, k] += power[k] / whole
                        elif share_a == share_b:
                            sum_left += to_left
                            sum_right += to_right
                        else:
                            for k in range(classes):
                                expected[y, k] += (left[k] * to_left + right[k] * to_right) / (total * SCALE)
                else:
                    mask[y, x] = ids[best]
                    counts[y, best] += 1
            if sum_left + sum_right > 0:  # between tokens that are all alive, sums are interpolated like single scores
                for k in range(classes):
                    expected[y, k] += (left[k] * sum_left + right[k] * sum_right) / (share_a * col_steps * SCALE)
