"""Views: geometry that agrees, colours that are reproducible."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.errors import UsageError
from wsss_geo.nn.crops import cut_crops
from wsss_geo.tileset.photometry import STRONG, TOCO_LOCAL, TOCO_MAIN, TOCO_SECOND, WEAK, Jitter, blur, jitter
from wsss_geo.tileset.sampling import repeat_factor_weights
from wsss_geo.tileset.views import (
    MIRRORED,
    Views,
    draw_resized_views,
    draw_views,
    invert,
    plain_views,
    view_box,
    view_image,
    view_label,
    view_maps,
    view_points,
    view_valid,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("element", range(8))
def test_dihedral_elements_are_rot90_and_flip(element):
    image = torch.rand(1, 3, 12, 12, generator=seeded())
    views = Views(torch.tensor([element]), torch.ones(1), torch.zeros(1, 2), 12, 12)
    expected = torch.rot90(image, element % 4, (2, 3))
    expected = expected.flip(3) if element >= 4 else expected
    torch.testing.assert_close(view_image(views, image), expected, atol=1e-5, rtol=0)
    labels = (image[:, 0] * 9).long()
    turned = torch.rot90(labels, element % 4, (1, 2))
    assert view_label(views, labels).equal(turned.flip(2) if element >= 4 else turned)


@pytest.mark.parametrize("element", range(8))
@pytest.mark.parametrize("corner", [(0, 0), (3, 5), (-4, 2), (-3, -6)])
def test_a_marker_lands_in_the_same_place_everywhere(element, corner):
    """Image, label, region map, validity, box, point and local crop must agree on where a painted pixel went."""
    side, row, col = 24, 9, 14
    image = torch.zeros(1, 1, side, side)
    image[0, 0, row, col] = 1
    labels = torch.zeros(1, side, side, dtype=torch.int64)
    labels[0, row, col] = 3
    views = Views(torch.tensor([element]), torch.ones(1), torch.tensor([corner], dtype=torch.float32), side, side)
    seen = view_image(views, image)[0, 0]
    where = view_points(views, torch.tensor([[[row + 0.5, col + 0.5]]]))[0, 0]
    at = tuple(int(v) for v in where.floor())
    inside = all(0 <= v < side for v in at)
    assert (seen.max() > 0.99) == inside
    box = view_box(views)[0].tolist()
    valid = view_valid(views, torch.ones(1, side, side, dtype=torch.bool))[0]
    shown = torch.zeros_like(valid)
    shown[box[0] : box[1], box[2] : box[3]] = True
    assert valid.equal(shown)
    own = view_box(views, torch.tensor([[row, row + 1, col, col + 1]]))[0].tolist()
    if inside:
        assert divmod(int(seen.argmax()), side) == at
        assert view_label(views, labels)[0][at] == 3
        assert own == [at[0], at[0] + 1, at[1], at[1] + 1]
        corners = torch.tensor([[[min(at[0], side - 4), min(at[1], side - 4)]]])
        crop = cut_crops(view_image(views, image), corners, 4)[0, 0, 0]
        assert crop[at[0] - corners[0, 0, 0], at[1] - corners[0, 0, 1]] > 0.99
        back = invert(views, view_maps(views, image, side), side)
        assert divmod(int(back[0, 0].argmax()), side) == (row, col)
    else:
        assert own[0] == own[1]
    labels_seen = view_label(views, labels)[0]
    assert (labels_seen[~valid] == 255).all()
    assert (labels_seen[valid] != 255).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), low=st.floats(0.5, 1.0), spread=st.floats(0, 1.0))
def test_scaled_views_agree_with_their_box(seed, low, spread):
    views = draw_views(5, 32, 32, seeded(seed), (low, low + spread))
    valid = view_valid(views, torch.ones(5, 32, 32, dtype=torch.bool))
    for mask, (row0, row1, col0, col1) in zip(valid, view_box(views).tolist(), strict=True):
        assert mask[row0:row1, col0:col1].all()
        assert int(mask.sum()) <= (row1 - row0 + 2) * (col1 - col0 + 2)
    if low + spread <= 1:  # label-safe: all four corners of the tile stay in sight
        corners = torch.tensor([[0.0, 0], [0, 32], [32, 0], [32, 32]]).expand(5, 4, 2)
        points = view_points(views, corners)
        assert points.min() >= -0.51
        assert points.max() <= 32.51


def test_maps_of_a_token_grid_follow_the_image():
    """A smooth map resampled on the token grid equals the image resampled and then reduced."""
    yy, xx = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    image = torch.exp(-3 * ((xx - 0.2) ** 2 + (yy + 0.1) ** 2))[None, None].repeat(8, 1, 1, 1)
    views = Views(torch.arange(8), torch.full((8,), 0.8), torch.full((8, 2), -6.0), 64, 64)
    tokens = torch.nn.functional.avg_pool2d(image, 4)
    a = view_maps(views, tokens, 16)
    b = torch.nn.functional.avg_pool2d(view_image(views, image), 4)
    torch.testing.assert_close(a, b, atol=0.03, rtol=0)
    torch.testing.assert_close(invert(views, b, 16)[:, :, 2:-2, 2:-2], tokens[:, :, 2:-2, 2:-2], atol=0.06, rtol=0)


def test_resized_views_have_no_padding_and_cover_the_share():
    views = draw_resized_views(64, 48, 32, seeded(3), (0.4, 0.6))
    assert view_valid(views, torch.ones(64, 48, 48, dtype=torch.bool)).all()
    share = (32 / (48 * views.scale)) ** 2
    assert share.min() >= 0.399
    assert share.max() <= 0.601
    assert view_box(plain_views(2, 48, 32)).tolist() == [[0, 32, 0, 32]] * 2


def test_draws_repeat_and_impossible_ones_are_refused():
    a, b = (draw_views(9, 32, 24, seeded(5)) for _ in range(2))
    assert a.element.equal(b.element)
    assert a.scale.equal(b.scale)
    assert a.corner.equal(b.corner)
    assert len(set(draw_views(200, 32, 32, seeded(1)).element.tolist())) == 8
    for draw in (draw_views, draw_resized_views):
        mirrored = draw(400, 32, 32, seeded(1), elements=MIRRORED).element
        assert set(mirrored.tolist()) == {0, 4}
        assert 0.4 < (mirrored == 4).float().mean() < 0.6
    with pytest.raises(UsageError):
        draw_views(1, 8, 8, seeded(), (0.0, 1.0))
    with pytest.raises(UsageError):
        draw_resized_views(1, 8, 8, seeded(), (0.5, 1.5))


@pytest.mark.parametrize("bands", [1, 3, 7])
@pytest.mark.parametrize("change", [WEAK, STRONG, TOCO_MAIN, TOCO_SECOND, TOCO_LOCAL, Jitter()])
def test_jitter_repeats_stays_in_range_and_spares_the_global_generator(change, bands):
    image = torch.rand(6, bands, 20, 20, generator=seeded())
    valid = torch.ones(6, 20, 20, dtype=torch.bool)
    valid[:, :5] = False
    state = torch.get_rng_state()
    a, b = (jitter(image, change, seeded(2), valid) for _ in range(2))
    assert torch.get_rng_state().equal(state)
    assert a.equal(b)
    assert a.min() >= 0
    assert a.max() <= 1
    assert (a[:, :, :5] == 0).all()
    if change == Jitter():
        torch.testing.assert_close(a, image * valid[:, None])
    else:
        assert not a[:, :, 5:].allclose(image[:, :, 5:])


def test_hue_keeps_brightness_and_grey_pixels():
    image = torch.rand(4, 3, 8, 8, generator=seeded()) * 0.2 + 0.4
    turned = jitter(image, Jitter(hue=0.1), seeded(1))
    torch.testing.assert_close(turned.mean(1), image.mean(1), atol=1e-5, rtol=0)
    grey = torch.full((2, 3, 4, 4), 0.3)
    torch.testing.assert_close(jitter(grey, Jitter(hue=0.5, saturation=0.5), seeded(1)), grey, atol=1e-5, rtol=0)


def test_blur_keeps_constants_and_spreads_a_point():
    image = torch.zeros(2, 1, 31, 31)
    image[:, 0, 15, 15] = 1
    soft = blur(image, torch.tensor([0.1, 2.0]))
    torch.testing.assert_close(soft.sum((1, 2, 3)), torch.ones(2), atol=1e-4, rtol=0)
    assert soft[0, 0, 15, 15] > 0.99
    spread = (soft[1, 0].sum(0) * (torch.arange(31) - 15.0) ** 2).sum().sqrt()
    assert spread == pytest.approx(2.0, abs=0.05)
    torch.testing.assert_close(blur(torch.full((1, 2, 9, 9), 0.7), torch.tensor([1.5])), torch.full((1, 2, 9, 9), 0.7))


def test_rare_classes_and_pure_tiles_are_shown_more_often():
    tags = np.zeros((100, 2), np.float32)
    tags[:99, 0] = 1
    tags[98:, 1] = 1  # class 1 in two tiles, one of them pure
    weights = repeat_factor_weights(tags, threshold=0.5)
    assert weights.sum() == pytest.approx(1)
    assert weights[99] / weights[0] == pytest.approx(5)  # sqrt(0.5 / 0.02)
    mixed = np.ones((10, 2), np.float32)
    mixed[0] = [1, 0]
    assert repeat_factor_weights(mixed, 0.01, pure_share=0.25)[0] == pytest.approx(0.25)
    mixed[1] = 0
    assert repeat_factor_weights(mixed)[1] == 0
    assert repeat_factor_weights(np.zeros((4, 2), np.float32)).tolist() == [0.25] * 4
