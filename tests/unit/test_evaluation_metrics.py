"""Scores from pairs of pixel values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.evaluation.metrics import OTHER, Tally, count_pairs, score, tally

NAMES = {0: "water", 1: "field", 2: "wood", 3: "snow"}


def test_three_classes_by_hand_with_ignored_pixels_and_an_absent_class():
    """Worked out on paper: snow is never in the reference but predicted once; 255 counts on neither side."""
    reference = np.array([[0, 0, 0, 0], [1, 1, 1, 255], [2, 2, 255, 0]])
    prediction = np.array([[0, 0, 1, 3], [1, 1, 0, 0], [2, 255, 2, 0]])
    found = tally(count_pairs(reference, prediction), NAMES, NAMES)
    assert found.classes == ("water", "field", "wood", "snow")
    assert found.confusion.tolist() == [[3, 1, 0, 1], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert found.unpredicted == 1
    scores = score(found)
    assert scores.pixels == 9
    assert scores.accuracy == pytest.approx(6 / 9)
    assert scores.iou == {"water": pytest.approx(3 / 6), "field": pytest.approx(2 / 4), "wood": 1.0, "snow": None}
    assert scores.miou == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert scores.f1 == {"water": pytest.approx(6 / 9), "field": pytest.approx(4 / 6), "wood": 1.0, "snow": None}
    assert scores.precision == {"water": 0.75, "field": pytest.approx(2 / 3), "wood": 1.0, "snow": 0.0}
    assert scores.recall == {"water": pytest.approx(3 / 5), "field": pytest.approx(2 / 3), "wood": 1.0, "snow": None}


def test_classes_meet_by_name_whatever_their_values():
    pairs = count_pairs(np.array([7, 7, 9, 40]), np.array([0, 1, 1, 0]))
    found = tally(pairs, {7: "water", 9: "field", 40: "cloud"}, {0: "water", 1: "field"})
    assert found.confusion.tolist() == [[1, 1], [0, 1]]
    assert found.foreign == {"cloud": 1}


def test_predicted_values_without_a_name_are_wrong():
    found = tally(count_pairs(np.array([0, 0, 0]), np.array([0, 17, OTHER])), {0: "a"}, {0: "a"})
    assert found.classes == ("a", "value 17", "values beyond 255")
    assert score(found).iou["a"] == pytest.approx(1 / 3)


def test_unsure_pixels_count_neither_as_right_nor_as_wrong():
    pairs = count_pairs(np.array([0, 0, 0, 1, 1, 9, 255]), np.array([0, 254, 1, 254, 1, 254, 254]))
    found = tally(pairs, {0: "a", 1: "b", 9: "cloud"}, {0: "a", 1: "b", 254: "unsure"}, unsure=254)
    assert found.classes == ("a", "b")
    assert found.confusion.tolist() == [[1, 1], [0, 1]]
    assert (found.unsure, found.foreign) == (2, {"cloud": 1})
    assert found.coverage == pytest.approx(3 / 5)
    assert score(found).accuracy == pytest.approx(2 / 3)
    nothing = tally(count_pairs(np.array([0]), np.array([254])), {0: "a"}, {0: "a"}, unsure=254)
    assert (nothing.unsure, nothing.coverage) == (1, 0.0)


def test_reference_values_without_a_name_do_not_count():
    found = tally(count_pairs(np.array([0, OTHER, 12]), np.array([0, 0, 0])), {0: "a"}, {0: "a"})
    assert found.foreign == {"value 12": 1, "values beyond 255": 1}
    assert score(found).miou == 1.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_scores_agree_with_their_definitions(pairs):
    reference, prediction = (np.array(side) for side in zip(*pairs, strict=True))
    scores = score(tally(count_pairs(reference, prediction), NAMES, NAMES))
    assert scores.accuracy == pytest.approx((reference == prediction).mean())
    for value, name in NAMES.items():
        both, either = (reference == value) & (prediction == value), (reference == value) | (prediction == value)
        expected = both.sum() / either.sum() if (reference == value).any() else None
        assert scores.iou[name] == (None if expected is None else pytest.approx(expected))
    shown = [v for v in scores.iou.values() if v is not None]
    assert scores.miou == pytest.approx(np.mean(shown))


@given(st.integers(1, 5), st.data())
@settings(deadline=None, max_examples=25)
def test_strips_sum_to_the_whole(height, data):
    values = st.lists(st.lists(st.sampled_from([0, 1, 2, 255, OTHER]), min_size=4, max_size=4), min_size=6, max_size=6)
    reference, prediction = np.array(data.draw(values)), np.array(data.draw(values))
    parts = [count_pairs(reference[r : r + height], prediction[r : r + height]) for r in range(0, 6, height)]
    assert (sum(parts) == count_pairs(reference, prediction)).all()


def test_a_class_absent_from_the_reference_has_no_score():
    empty = Tally(("a", "b"), np.array([[0, 0], [1, 3]]))
    assert score(empty).iou == {"a": None, "b": 0.75}
