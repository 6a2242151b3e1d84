"""Laws of the window grid."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss_geo.errors import UsageError
from wsss_geo.raster.grid import Window, axis_starts, resampled_shape, round_up, window_grid


@st.composite
def grids(draw):
    size = draw(st.integers(1, 40))
    return draw(st.integers(1, 120)), draw(st.integers(1, 120)), size, draw(st.integers(1, size))


@given(grids())
def test_every_pixel_is_covered_by_inside_or_padded_windows(grid):
    height, width, size, _ = grid
    covered = np.zeros((height, width), int)
    for window in window_grid(*grid):
        assert (window.height, window.width) == (size, size)
        for start, length in ((window.row_off, height), (window.col_off, width)):
            assert start == 0 if length < size else 0 <= start <= length - size
        covered[window.slices] += 1
    assert covered.min() >= 1


@given(grids())
def test_no_duplicates_and_no_more_windows_than_needed(grid):
    height, width, size, stride = grid
    windows = window_grid(*grid)
    needed = [1 + max(0, math.ceil((n - size) / stride)) for n in (height, width)]
    assert len(windows) == len(set(windows)) == needed[0] * needed[1]


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 8), st.integers(1, 16))
def test_starts_stay_on_the_patch_grid(patches, size, stride, patch):
    stride = min(size, stride)
    starts = axis_starts(patches * patch, size * patch, stride * patch)
    assert all(s % patch == 0 for s in starts)
    assert starts == sorted(set(starts))


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"), [(0, 5, 4, 2), (5, 5, 4, 5), (5, 5, 4, 0), (5, 5, 0, 0)]
)
def test_impossible_grids(height, width, size, stride):
    with pytest.raises(UsageError):
        window_grid(height, width, size, stride)


windows = st.builds(Window, st.integers(-30, 30), st.integers(-30, 30), st.integers(0, 30), st.integers(0, 30))


@given(windows, windows)
def test_intersection_is_the_common_pixels(a, b):
    def pixels(w):
        return {(r, c) for r in range(w.row_off, w.row_end) for c in range(w.col_off, w.col_end)}

    assert pixels(a.intersection(b)) == pixels(a) & pixels(b)
    assert pixels(a.clipped(20, 25)) == pixels(a) & pixels(Window(0, 0, 20, 25))
    assert a.relative_to(b).shifted(b.row_off, b.col_off) == a


@given(st.integers(1, 1000), st.integers(1, 64))
def test_round_up(length, multiple):
    rounded = round_up(length, multiple)
    assert rounded % multiple == 0
    assert 0 <= rounded - length < multiple


def test_resampled_shape():
    assert resampled_shape(100, 50, 2.0) == (50, 25)
    assert resampled_shape(3, 3, 100.0) == (1, 1)
    assert resampled_shape(10, 10, 0.5) == (20, 20)
