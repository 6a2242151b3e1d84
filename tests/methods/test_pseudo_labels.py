"""Pseudo labels of both background policies against literal loops, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from wsss_geo.errors import UsageError
from wsss_geo.nn.par import PAR
from wsss_geo.nn.pseudo_labels import (
    label_by_margin,
    label_from_cam,
    refine_labels,
    refine_labels_none,
    softmax_over_present,
)

BOX = torch.tensor([[0, 8, 2, 7], [3, 8, 0, 8], [0, 0, 0, 0]])
TAGS = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1]])


def random_case(seed: int, batch: int = 3, classes: int = 3, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tags = torch.rand(batch, classes, generator=generator) > 0.5
    return torch.rand(batch, classes, side, side, generator=generator), tags


def outside(box: torch.Tensor, side: int) -> torch.Tensor:
    mask = torch.ones(len(box), side, side, dtype=torch.bool)
    for b, (r0, r1, c0, c1) in enumerate(box.tolist()):
        mask[b, r0:r1, c0:c1] = False
    return mask


def test_three_way_label_equals_the_literal_loop() -> None:
    cam, _ = random_case(0)
    label = label_from_cam(cam, TAGS, 0.7, 0.25, BOX)
    assert label.dtype == torch.int64
    for b in range(3):
        r0, r1, c0, c1 = BOX[b].tolist()
        for r in range(8):
            for c in range(8):
                values = [float(cam[b, k, r, c]) * int(TAGS[b, k]) for k in range(3)]
                best = int(np.argmax(values))
                expected = best + 1 if values[best] > 0.7 else 0 if values[best] <= 0.25 else 255
                if not (r0 <= r < r1 and c0 <= c < c1):
                    expected = 255
                assert label[b, r, c] == expected


def test_thresholds_themselves_are_doubt_and_background() -> None:
    cam = torch.tensor([[[[0.75, 0.25, 0.5, 0.875]]]])
    assert label_from_cam(cam, torch.ones(1, 1), 0.75, 0.25).tolist() == [[[255, 0, 255, 1]]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_labels_never_name_an_absent_class(seed: int, a: float, b: float) -> None:
    cam, tags = random_case(seed)
    high, low = max(a, b), min(a, b)
    valid = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed)) > 0.2
    label = label_from_cam(cam, tags, high, low, valid=valid)
    heat = (cam * tags[:, :, None, None]).amax(1)
    doubt = ((heat > low) & (heat <= high)) | ~valid
    assert torch.equal(label == 255, doubt)
    margin = label_by_margin(cam, tags, high, low, valid=valid)
    assert (margin[~valid] == 255).all()
    for i in range(3):
        named = set(label[i].unique().tolist()) - {0, 255}
        assert named <= {k + 1 for k in range(3) if tags[i, k]}
        assert set(margin[i].unique().tolist()) - {255} <= {k for k in range(3) if tags[i, k]}
        if not tags[i].any():
            assert (label[i][valid[i]] == 0).all()
            assert (margin[i] == 255).all()


def literal_refine(
    par: PAR, image: torch.Tensor, cam: torch.Tensor, tags: torch.Tensor, high: float, low: float
) -> torch.Tensor:
    """Image by image on the subset of the present channels only."""
    labels = []
    for b in range(len(image)):
        keys = [0] + [k + 1 for k in range(cam.shape[1]) if tags[b, k]]
        found = []
        for level in (high, low):
            stack = torch.cat([torch.full_like(cam[b : b + 1, :1], level), cam[b : b + 1]], 1)
            half = F.interpolate(stack, size=[n // 2 for n in image.shape[-2:]], mode="bilinear")[:, keys].softmax(1)
            small = F.interpolate(image[b : b + 1], size=half.shape[-2:], mode="bilinear")
            refined = F.interpolate(par(small, half), size=image.shape[-2:], mode="bilinear")
            found.append(torch.tensor(keys)[refined.argmax(1)])
        label = torch.full_like(found[0], 255)
        label[found[0] != 0] = found[0][found[0] != 0]
        label[(found[0] == 0) & (found[1] == 0)] = 0
        labels.append(label)
    return torch.cat(labels)


@pytest.mark.parametrize("seed", range(4))
def test_refined_labels_equal_the_loop_over_images(seed: int) -> None:
    cam, tags = random_case(seed, side=16)
    tags[2] = False
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 3, 4, 4, generator=generator)
    image = F.interpolate(coarse, size=(16, 16)) + 0.05 * torch.rand(3, 3, 16, 16, generator=generator)
    par = PAR(iterations=4, dilations=(1, 2))
    label = refine_labels(par, image, cam, tags, 0.6, 0.4)
    assert label.dtype == torch.int64
    assert label.shape == (3, 16, 16)
    assert torch.equal(label, literal_refine(par, image, cam, tags, 0.6, 0.4))
    assert (label[2] == 0).all()
    boxed = refine_labels(par, image, cam, tags, 0.6, 0.4, BOX)
    assert (boxed[outside(BOX, 16)] == 255).all()
    assert torch.equal(boxed[~outside(BOX, 16)], label[~outside(BOX, 16)])


def test_refined_labels_have_all_three_kinds() -> None:
    cam = torch.linspace(0, 1, 32).repeat(1, 2, 32, 1)
    label = refine_labels(PAR(2, (1,)), torch.rand(1, 3, 32, 32), cam, torch.tensor([[0, 1]]), 0.7, 0.25)
    assert label[0, 16, 0] == 0
    assert label[0, 16, 15] == 255
    assert label[0, 16, 31] == 2


def test_margin_label_equals_the_literal_loop() -> None:
    scores, _ = random_case(5)
    label = label_by_margin(scores, TAGS, 0.45, 0.15, BOX)
    for b in range(3):
        r0, r1, c0, c1 = BOX[b].tolist()
        for r in range(8):
            for c in range(8):
                ranked = sorted(((float(scores[b, k, r, c]), k) for k in range(3) if TAGS[b, k]), reverse=True)
                expected = ranked[0][1]
                clear = len(ranked) == 1 or (ranked[0][0] >= 0.45 and ranked[0][0] - ranked[1][0] >= 0.15)
                if not clear or not (r0 <= r < r1 and c0 <= c < c1):
                    expected = 255
                assert label[b, r, c] == expected


@pytest.mark.parametrize("only", [0, 1, 2])
def test_an_image_with_one_tag_is_that_class_everywhere(only: int) -> None:
    cam, tags = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3)
    tags[0, only] = 1
    image = torch.rand(1, 3, 16, 16)
    assert (label_by_margin(cam, tags, 0.99, 0.5) == only).all()
    assert (refine_labels_none(PAR(2), image, cam, tags, 0.99, 0.5) == only).all()
    assert (label_by_margin(torch.zeros(1, 1, 4, 4), torch.ones(1, 1), 0.99, 0.5) == 0).all()
    assert (label_by_margin(torch.ones(1, 1, 4, 4), torch.zeros(1, 1), 0.1, 0.0) == 255).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(4)))
def test_without_background_no_class_is_special(seed: int, order: list[int]) -> None:
    """Renaming the classes renames the labels and nothing else."""
    cam, tags = random_case(seed, batch=2, classes=4, side=12)
    tags[0] = True
    image = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    par = PAR(iterations=2, dilations=(1, 2))
    label = refine_labels_none(par, image, cam, tags, 0.3, 0.05, temperature=0.2)
    renamed = refine_labels_none(par, image, cam[:, order], tags[:, order], 0.3, 0.05, temperature=0.2)
    names = torch.tensor([*order, *([255] * 252)])
    # Sums over classes run in another order, so a pixel may sit on the other side of a threshold.
    assert (names[renamed] == label).float().mean() > 0.98
    assert (label[0] != 255).any()


def test_refined_shares_are_compared_with_thresholds_at_their_true_height() -> None:
    """Refinement lets shares grow by a tenth; 0.5 of two equal classes must not pass 0.52."""
    cam, tags = torch.full((1, 2, 16, 16), 0.4), torch.ones(1, 2)
    image = torch.rand(1, 3, 16, 16)
    assert (refine_labels_none(PAR(), image, cam, tags, 0.52, 0.0) == 255).all()
    assert (refine_labels_none(PAR(), image, cam, tags, 0.48, 0.0) != 255).all()


def test_softmax_over_present_of_nothing_is_zero() -> None:
    present = torch.tensor([[False, False], [True, False]])
    shares = softmax_over_present(torch.randn(2, 2, 3, 3), present)
    assert shares[0].abs().max() == 0
    assert (shares[1, 0] == 1).all()
    assert (shares[1, 1] == 0).all()


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError, match="out of order"):
        label_from_cam(torch.rand(1, 1, 2, 2), torch.ones(1, 1), 0.2, 0.7)
