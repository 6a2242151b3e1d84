"""Laws of decoding: done lazily it gives what doing everything would; every pixel is expected to be something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.streaming.accumulator import SCALE
from wsss_geo.streaming.decode import decode
from wsss_geo.streaming.layout import Axis

IDS = np.array([3, 7, 200], np.uint8)
UNSURE = 254


@st.composite
def token_grids(draw):
    """Scores [T, t, 3] that sum to SCALE, tokens that are alive, valid pixels (or None), and the two axes."""
    patch, high, wide = draw(st.integers(1, 6)), draw(st.integers(1, 30)), draw(st.integers(1, 30))
    rows, cols = (Axis(n, n, patch, 1, 1) for n in (high, wide))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    shares = rng.dirichlet(np.full(3, draw(st.sampled_from([0.1, 1.0, 20.0]))), (rows.tokens, cols.tokens))
    scores = np.floor(shares * SCALE).astype(np.uint16)
    scores[..., 0] += (SCALE - scores.sum(axis=2, dtype=np.int64)).astype(np.uint16)
    alive = rng.random((rows.tokens, cols.tokens)) < draw(st.sampled_from([0.5, 1.0]))
    valid = rng.random((high, wide)) < 0.7 if draw(st.booleans()) else None
    return scores, alive, valid, rows, cols


def interpolated(scores, alive, rows, cols):
    """Scores 0..SCALE of every pixel [h, w, 3] between tokens that are alive, NaN beside them."""
    weights = []
    for axis in (rows, cols):
        taps = axis.taps(0, axis.targets)
        weight = np.zeros((axis.targets, axis.tokens))
        for pixel, (lower, upper) in enumerate(zip(taps.lower, taps.upper_weight, strict=True)):
            weight[pixel, lower] += taps.steps - upper
            weight[pixel, min(lower + 1, axis.tokens - 1)] += upper
        weights.append(weight)
    whole = weights[0] @ alive @ weights[1].T
    parts = np.einsum("yt,xu,tuk->yxk", *weights, scores * alive[..., None].astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return parts / whole[..., None]


def tempered(scores, temperature):
    if temperature == 1:
        return scores / SCALE
    powers = np.maximum(np.floor(scores + 0.5) / SCALE, 1e-6) ** (1 / temperature)
    return powers / powers.sum(axis=2, keepdims=True)


@settings(max_examples=150, deadline=None)
@given(
    token_grids(), st.sampled_from([1.0, 1.7, 0.6]), st.sampled_from([0.0, 0.5, 0.8]), st.sampled_from([255, UNSURE])
)
def test_expected_pixels_are_the_sums_of_all_probabilities(grid, temperature, threshold, unsure):
    scores, alive, valid, rows, cols = grid
    taps = rows.taps(0, rows.targets), cols.taps(0, cols.targets)
    found = decode(scores, alive, valid, *taps, 0, IDS, threshold, True, unsure, temperature)
    full = tempered(interpolated(scores, alive, rows, cols), temperature)
    mapped = found.mask != 255
    expected = np.where(mapped[..., None], full, 0).sum(axis=1)
    step = (1 / SCALE) ** (1 / temperature)  # of a score that lies between two of the table, either may be taken
    slack = 2e-3 + step * mapped.shape[1]
    np.testing.assert_allclose(found.expected, expected, rtol=1e-4, atol=slack)
    np.testing.assert_allclose(found.expected.sum(axis=1), found.counts.sum(axis=1), rtol=1e-4)
    at_most = np.where(mapped, full.max(axis=2), 0).sum(axis=1)
    assert (found.expected <= at_most[:, None] + slack).all()


@settings(max_examples=60, deadline=None)
@given(token_grids())
def test_without_confidence_nothing_is_expected(grid):
    scores, alive, valid, rows, cols = grid
    taps = rows.taps(0, rows.targets), cols.taps(0, cols.targets)
    lean = decode(scores, alive, valid, *taps, 0, IDS)
    full = decode(scores, alive, valid, *taps, 0, IDS, with_confidence=True)
    assert lean.expected is None
    assert lean.confidence is None
    np.testing.assert_array_equal(lean.mask, full.mask)
    np.testing.assert_array_equal(lean.counts, full.counts)


def test_where_the_map_is_evenly_split_so_is_what_is_expected():
    axis = Axis(40, 40, 8, 1, 1)
    taps = axis.taps(0, 40)
    scores = np.full((5, 5, 3), (32768, 16384, 16383), np.uint16)
    found = decode(scores, np.ones((5, 5), bool), None, taps, taps, 0, IDS, with_confidence=True)
    assert (found.mask == IDS[0]).all()
    assert found.expected.sum(axis=0) == pytest.approx([800, 400, 400], rel=1e-4)
