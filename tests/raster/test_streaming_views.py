"""Views of the same windows, and refinement: what they may change, and what not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scenes import IDS, MeanModel, cut_into, picture, rasters, run
from wsss_geo.streaming.views import View, list_views


@pytest.mark.parametrize(
    ("flips", "rotations", "count"), [(False, False, 1), (True, False, 4), (False, True, 4), (True, True, 8)]
)
def test_views_are_symmetries_of_the_square(flips, rotations, count):
    views = list_views(None, flips, rotations)
    corner = torch.arange(9.0).view(1, 1, 3, 3)
    seen = {tuple(view.of(corner, 1).flatten().tolist()) for view in views}
    assert len(views) == len(seen) == count
    for view in views:
        torch.testing.assert_close(view.undone(view.of(corner, 1), 3), corner, rtol=0, atol=0)


def test_scaled_views_keep_to_what_the_network_takes():
    image = torch.rand(1, 3, 64, 64)
    assert [View(s).of(image, 16).shape[-1] for s in (0.1, 0.5, 0.75, 1, 1.25, 2)] == [16, 32, 48, 64, 80, 128]
    assert len(list_views((1, 0.5, 1), flips=True)) == 8  # a scale given twice counts once


@settings(max_examples=25, deadline=None)
@given(rasters(60), st.sampled_from([3, 8]), st.booleans(), st.booleans())
def test_what_is_seen_turned_or_mirrored_comes_back_to_its_place(raster, patch, flips, rotations):
    """Each token says what it shows, so every view must say the same of the same place."""
    pixels, valid = raster
    plain, turned = (
        run(MeanModel(patch), pixels, valid, window=patch * 4, views=v, cam=True)
        for v in ((View(),), list_views(None, flips, rotations))
    )
    assert np.abs(plain[1].astype(int) - turned[1]).max() <= 1  # sums of floats in another order
    assert np.abs(plain[2].astype(int) - turned[2]).max() <= 1
    assert (plain[0] != turned[0]).mean() <= 0.002


@pytest.mark.parametrize("scales", [(0.5,), (0.75, 1.0, 1.25), (2.0,), (1.6, 0.6)])
def test_what_is_seen_at_another_scale_comes_back_to_its_place(scales):
    """As on the ground: the model says how far right and down a token is."""
    height, width = 192, 256
    rows, cols = np.mgrid[:height, :width]
    right, down = (cols + 0.5) / width, (rows + 0.5) / height
    pixels = (np.stack([right, down, 0 * right, 0 * right]) * 255).astype(np.float32)
    views = list_views(scales, rotations=True)
    mask, confidence, *_ = run(MeanModel(8), pixels, np.ones((height, width), bool), window=64, views=views)
    inside = (slice(16, -16), slice(16, -16))
    edge = np.abs(right - down) > 0.12
    # where a window ends, the coarser grid repeats its last token: up to half a step of it
    assert np.abs(confidence / 255 - np.maximum(right, down))[inside][edge[inside]].max() < 0.02
    clear = np.abs(right - down) > 0.03
    np.testing.assert_array_equal(mask[inside][clear[inside]], np.where(right > down, *IDS[:2])[inside][clear[inside]])


def test_views_that_disagree_are_averaged():
    class LeftModel(MeanModel):
        """Bright where the window's left half is, whatever it shows."""

        def predict(self, image01, scores="decoder", with_cam=False):
            maps = torch.zeros(len(image01), 4, image01.shape[2] // 8, image01.shape[3] // 8)
            maps[:, 0, :, : maps.shape[3] // 2] = 1
            return maps, None

    pixels, valid = np.zeros((4, 32, 32), np.uint8), np.ones((32, 32), bool)
    for views in (list_views(None, flips=True), list_views(None, rotations=True), list_views((1, 2), True, True)):
        _, confidence, *_ = run(LeftModel(8), pixels, valid, window=32, views=views)
        assert (confidence == 128).all()


@pytest.mark.parametrize("method", ["par", "crf"])
@pytest.mark.parametrize("hole", [False, True])
def test_refinement_knows_no_borders_of_bands_and_tiles(method, hole):
    pixels, valid = picture(171, 203), np.ones((171, 203), bool)
    if hole:
        valid[60:90, 40:130] = False
    results = []
    for band_rows, columns in ((512, 512), (64, 512), (32, 24)):
        with cut_into(band_rows, columns):
            results.append(run(MeanModel(8), pixels, valid, window=64, refine=method, cam=True))
    for other in results[1:]:
        assert (other[0] != results[0][0]).sum() <= 1  # floats in other vector lanes may differ in the last bit
        assert np.abs(other[1].astype(int) - results[0][1]).max() <= 1
        np.testing.assert_array_equal(other[2], results[0][2])


@pytest.mark.parametrize("method", ["par", "crf"])
def test_refinement_moves_borders_to_those_of_the_image(method):
    rng = np.random.default_rng(0)
    truth = np.zeros((90, 111), int)
    truth[:, 43:] = 1
    truth[37:, 61:] = 2
    pixels = np.zeros((4, 90, 111))
    np.put_along_axis(pixels, truth[None], 200, axis=0)
    pixels = np.clip(pixels + 30 + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    valid = np.ones(truth.shape, bool)
    wrong = {
        refine: (run(MeanModel(16), pixels, valid, window=96, refine=refine)[0] != IDS[truth]).sum()
        for refine in ("none", method)
    }
    assert wrong[method] < 0.7 * wrong["none"]
