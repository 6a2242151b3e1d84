"""Laws of streaming prediction, on rasters held in memory and models simple enough to know the answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scenes import IDS, ConstantModel, MeanModel, cut_into, grids, picture, rasters, run, view_sets
from wsss_geo.errors import ModelError
from wsss_geo.jobs import REFINEMENTS
from wsss_geo.nn.network import Network
from wsss_geo.streaming.layout import plan
from wsss_geo.streaming.views import View, list_views


@settings(max_examples=60, deadline=None)
@given(rasters(), grids, st.integers(1, 5), view_sets, st.sampled_from([1, 7, 64, 512]), st.sampled_from(REFINEMENTS))
def test_constant_model_is_constant_on_every_valid_pixel(raster, grid, batch, views, band_rows, refine):
    (pixels, valid), (patch, tokens, overlap) = raster, grid
    probabilities = [0.1, 0.2, 0.63, 0.07]
    if refine != "none":
        pixels, valid = pixels[:, :40, :40], valid[:40, :40]
        band_rows = max(band_rows, 20)
    with cut_into(band_rows, 16):
        mask, confidence, *_ = run(
            ConstantModel(patch, probabilities),
            pixels,
            valid,
            window=patch * tokens,
            overlap=overlap,
            batch=batch,
            views=views,
            refine=refine,
        )
    assert (mask[valid] == IDS[2]).all()
    if refine != "crf":  # which sharpens what all agree on
        assert (confidence[valid] == round(0.63 * 255)).all()
    assert (mask[~valid] == 255).all()
    assert (confidence[~valid] == 0).all()


@settings(max_examples=40, deadline=None)
@given(rasters(), grids)
def test_same_bytes_for_any_batch_threads_and_window_order(raster, grid):
    (pixels, valid), (patch, tokens, overlap) = raster, grid
    results = [
        run(
            MeanModel(patch),
            pixels,
            valid,
            window=patch * tokens,
            overlap=overlap,
            batch=b,
            threads=t,
            block=k,
            cam=True,
        )
        for b, t, k in ((1, 1, 1), (3, 2, 7), (8, 4, 64))
    ]
    for other in results[1:]:
        for one, two in zip(results[0][:3], other[:3], strict=True):
            np.testing.assert_array_equal(one, two)


def reference(pixels, valid, patch):
    """Blend-free answer of MeanModel: token means, bilinear between centres over tokens with data, arg-max."""
    _, height, width = pixels.shape
    high, wide = -(-height // patch), -(-width // patch)
    filled = np.where(valid, pixels / np.float32(255), np.float32(0.5))
    padded = np.pad(filled, [(0, 0), (0, high * patch - height), (0, wide * patch - width)], mode="edge")
    tokens = np.rint(padded.reshape(4, high, patch, wide, patch).mean(axis=(2, 4)) * 65535)
    alive = np.pad(valid, [(0, high * patch - height), (0, wide * patch - width)])
    alive = alive.reshape(high, patch, wide, patch).any(axis=(1, 3))
    values, weight = tokens * alive, alive.astype(float)
    for axis, (n, t) in enumerate(((height, high), (width, wide))):
        place = np.clip((np.arange(n) + 0.5) / patch - 0.5, 0, t - 1)
        low = np.floor(place).astype(int)
        up = np.minimum(low + 1, t - 1)
        share = np.expand_dims(place - low, 1 - axis)
        values = values.take(low, axis + 1) * (1 - share) + values.take(up, axis + 1) * share
        weight = weight.take(low, axis) * (1 - share) + weight.take(up, axis) * share
    with np.errstate(divide="ignore", invalid="ignore"):
        return values / weight


@settings(max_examples=60, deadline=None)
@given(rasters(), grids)
def test_lazy_decoding_equals_full_bilinear_and_argmax(raster, grid):
    (pixels, valid), (patch, tokens, overlap) = raster, grid
    mask, confidence, *_ = run(MeanModel(patch), pixels, valid, window=patch * tokens, overlap=overlap)
    lazy, *_ = run(MeanModel(patch), pixels, valid, window=patch * tokens, overlap=overlap, confidence=False)
    np.testing.assert_array_equal(mask, lazy)
    full = reference(pixels, valid, patch)
    order = np.sort(full, axis=0)
    clear = valid & (order[-1] - order[-2] > 8)  # float means may differ from the network's by a step or two
    np.testing.assert_array_equal(mask[clear], IDS[full.argmax(0)][clear])
    assert (np.abs(confidence[valid] - np.clip(order[-1][valid] / 65535 * 255, 1, 255)) <= 0.51).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([4, 8, 16]), st.integers(1, 5))
def test_every_window_runs_once_and_every_pixel_is_read_once(height, width, patch, tokens):
    pixels, valid = np.zeros((4, height, width), np.uint8), np.ones((height, width), bool)
    _, _, _, windows, reader = run(ConstantModel(patch, [0.7, 0.1, 0.1, 0.1]), pixels, valid, window=patch * tokens)
    layout = plan((height, width), (height, width), patch, patch * tokens, 0.25, 3)
    assert windows == len(layout.rows.starts) * len(layout.cols.starts)
    reads = np.zeros((height, width), int)
    for window in reader.reads:
        reads[window.slices] += 1
    assert (reads == 1).all()


@pytest.mark.parametrize("ratio", [(1, 1), (2, 2), (0.5, 0.5), (1.37, 0.81), (6.3, 6.3), (0.11, 0.11)])
def test_each_pixel_lies_where_the_model_saw_it(ratio):
    """The model says how far right and down a token is; the mask must say so at the same place of the ground."""
    height, width = 150, 210
    rows, cols = np.mgrid[:height, :width]
    right = (cols + 0.5) / width
    down = (rows + 0.5) / height
    pixels = np.stack([right, down, 0 * right, 0 * right]) * 255
    target = round(height * ratio[0]), round(width * ratio[1])
    mask, confidence, *_ = run(
        MeanModel(8), pixels.astype(np.float32), np.ones((height, width), bool), window=48, target=target
    )
    at_row, at_col = ((np.arange(n) + 0.5) / n for n in target)
    truth = np.maximum(at_col[None, :], at_row[:, None])
    inside = (slice(target[0] // 20 + 1, -target[0] // 20 - 1), slice(target[1] // 20 + 1, -target[1] // 20 - 1))
    edge = np.abs(at_col[None, :] - at_row[:, None]) > 0.08  # on the diagonal bilinear meets the kink of the maximum
    assert np.abs(confidence / 255 - truth)[inside][edge[inside]].max() < 0.006
    clear = np.abs(at_col[None, :] - at_row[:, None]) > 0.01
    expected = np.where(at_col[None, :] > at_row[:, None], IDS[0], IDS[1])
    np.testing.assert_array_equal(mask[inside][clear[inside]], expected[inside][clear[inside]])


def test_windows_without_data_do_not_run():
    pixels, valid = np.zeros((4, 256, 256), np.uint8), np.zeros((256, 256), bool)
    mask, _, _, windows, _ = run(ConstantModel(8, [0.7, 0.1, 0.1, 0.1]), pixels, valid, window=64)
    assert windows == 0
    assert (mask == 255).all()
    valid[200, 10] = True
    mask, *_, windows, _ = run(ConstantModel(8, [0.7, 0.1, 0.1, 0.1]), pixels, valid, window=64)
    assert 1 <= windows <= 4
    assert (mask != 255).sum() == 1


def test_threshold_hides_unsure_pixels():
    pixels, valid = np.zeros((4, 40, 40), np.uint8), np.ones((40, 40), bool)
    model = ConstantModel(8, [0.4, 0.2, 0.2, 0.2])
    assert (run(model, pixels, valid, window=32, threshold=0.5)[0] == 255).all()
    mask, confidence, *_ = run(model, pixels, valid, window=32, threshold=0.39)
    assert (mask == IDS[0]).all()
    assert (confidence == 102).all()


def test_activation_maps_keep_the_token_grid():
    pixels, valid = np.zeros((4, 600, 70), np.uint8), np.ones((600, 70), bool)
    valid[:8] = False
    cam = run(ConstantModel(8, [0.4, 0.2, 0.6, 0.8]), pixels, valid, window=32, cam=True)[2]
    assert cam.shape == (75, 9, 3)
    assert (cam[1:] == [51, 153, 204]).all()
    assert (cam[0] == 0).all()


class Attending(torch.nn.Module):
    """A small vision transformer with random weights: what it says of a token depends on the whole window."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = Network(
            "vit_tiny_patch16_224", classes=4, taggable=4, mean=(0.5,) * 4, std=(0.3,) * 4, image_size=48,
            decoder_width=16, backbone_args={"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 2},
        ).eval()  # fmt: skip
        for head in (self.network.decoder, self.network.classifier):
            for weight in head.parameters():
                torch.nn.init.normal_(weight, std=0.3)
        self.patch = self.network.patch

    def predict(self, image01, scores="decoder", with_cam=False):
        maps, cam = self.network.predict(image01, scores, with_cam)
        return maps, cam[:, 1:] if with_cam else None


@pytest.fixture(scope="module")
def attending():
    return Attending()


@settings(max_examples=12, deadline=None)
@given(
    rasters(100), st.data(), st.sampled_from(REFINEMENTS), st.sampled_from([(View(),), list_views((1.0, 1.5), True)])
)
def test_bands_are_the_same_whichever_run_computes_them(attending, raster, data, refine, views):
    pixels, valid = raster
    with cut_into(32):
        options = {"window": 48, "batch": 2, "refine": refine, "views": views, "cam": True}
        whole = run(attending, pixels, valid, **options)
        count = -(-pixels.shape[1] // 32)
        first = data.draw(st.integers(0, count - 1))
        last = data.draw(st.integers(first + 1, count))
        part = run(attending, pixels, valid, bands=range(first, last), **options)
    for one, two in zip(part[:2], whole[:2], strict=True):
        np.testing.assert_array_equal(one, two[32 * first : 32 * last])
    np.testing.assert_array_equal(part[2], whole[2][4 * first : 4 * first + len(part[2])])


def seam_ratio(model, overlap):
    """How much more often classes change where windows begin or end than at other borders of tokens."""
    at_seams, elsewhere = [], []
    for seed in range(3):
        pixels = picture(560, 560, seed)
        mask, *_ = run(model, pixels, np.ones((560, 560), bool), window=96, overlap=overlap, batch=8, confidence=False)
        rows = plan((560, 560), (560, 560), 8, 96, overlap, 8).rows
        seams = {8 * t for start in rows.starts for t in (start, start + rows.size)}
        for labels in (mask, mask.T):
            changes = (labels[1:] != labels[:-1]).mean(axis=1)
            for row in range(8, 560, 8):
                (at_seams if row in seams else elsewhere).append(changes[row - 1])
    assert np.mean(elsewhere) > 0.003
    return np.mean(at_seams) / np.mean(elsewhere)


def test_windows_leave_no_seams(attending):
    """A network that sees its whole window says other things in the next one; blending must not let that show."""
    blended = seam_ratio(attending, 0.25)
    assert blended < 1.25
    assert blended < seam_ratio(attending, 0.0)


def test_model_that_is_not_one_is_refused():
    class Broken(MeanModel):
        def predict(self, image01, scores="decoder", with_cam=False):
            return torch.full((len(image01), 4, 4, 4), float("nan")), None

    pixels, valid = np.zeros((4, 32, 32), np.uint8), np.ones((32, 32), bool)
    with pytest.raises(ModelError, match="not numbers"):
        run(Broken(8), pixels, valid, window=32)
    with pytest.raises(ModelError, match="shape"):
        run(Broken(4), pixels, valid, window=32)


def test_too_small_accelerator_halves_the_batch():
    class Tight(MeanModel):
        def predict(self, image01, scores="decoder", with_cam=False):
            if len(image01) > 2:
                raise torch.OutOfMemoryError("too much")
            return super().predict(image01, scores, with_cam)

    rng = np.random.default_rng(0)
    pixels, valid = rng.integers(0, 256, (4, 100, 100), dtype=np.uint8), np.ones((100, 100), bool)
    roomy, tight = (run(m(8), pixels, valid, window=32, batch=8) for m in (MeanModel, Tight))
    np.testing.assert_array_equal(roomy[0], tight[0])
