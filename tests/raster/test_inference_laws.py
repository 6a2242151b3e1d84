"""Laws of streaming prediction, on rasters held in memory and models simple enough to know the answer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.errors import ModelError
from wsss_geo.inference.batches import cut_batches
from wsss_geo.inference.layout import plan
from wsss_geo.inference.predictor import Predictor
from wsss_geo.inference.stream import Decoding, stream
from wsss_geo.inference.strips import StripPlan, read_strips
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.reader import Tile

IDS = np.array([3, 7, 11, 200], np.uint8)


@dataclass
class ArrayReader:
    pixels: np.ndarray
    valid: np.ndarray
    reads: list

    def read(self, window):
        rows, cols = window.slices
        self.reads.append(window)
        return Tile(self.pixels[:, rows, cols], self.valid[rows, cols])


class ConstantModel:
    """Always the same class probabilities."""

    def __init__(self, patch, probabilities):
        self.patch = patch
        self.probabilities = torch.tensor(probabilities)

    def predict(self, image01, scores="decoder", with_cam=False):
        batch, _, height, width = image01.shape
        shape = (batch, len(self.probabilities), height // self.patch, width // self.patch)
        maps = self.probabilities[None, :, None, None].expand(shape)
        return maps, maps[:, 1:] if with_cam else None


class MeanModel:
    """The class scores of a token are those its pixels show: the mean of each band over the token."""

    def __init__(self, patch):
        self.patch = patch

    def predict(self, image01, scores="decoder", with_cam=False):
        maps = torch.nn.functional.avg_pool2d(image01, self.patch)
        return maps, maps[:, 1:] if with_cam else None


def run(model, pixels, valid, *, window, overlap=0.25, batch=3, threads=2, target=None, flips=False, **options):
    """Predict the raster ``pixels`` and return mask, confidence, cam and the number of windows."""
    height, width = pixels.shape[1:]
    target = target or (height, width)
    layout = plan((height, width), target, model.patch, window, overlap, batch)
    reader = ArrayReader(pixels, valid, [])
    strips = StripPlan(height, width, options.pop("block", 7), 5, pixels.shape[0])
    bands = pixels.shape[0]
    normalisation = Normalisation((0.0,) * bands, (255.0,) * bands, (0.5,) * bands, (1.0,) * bands)
    cam = options.pop("cam", False)
    predictor = Predictor(model, normalisation, with_cam=cam, flips=flips)
    classes = options.pop("classes", bands)
    done, windows = [], []
    with contextlib.closing(read_strips(reader, strips, 0, threads)) as source:
        stream(
            cut_batches(layout, source, 0, batch),
            predictor,
            layout,
            Decoding(IDS[:classes], options.pop("threshold", 0.0), options.pop("confidence", True)),
            done.append,
            channels=classes + (classes - 1 if cam else 0),
            passed=lambda p: windows.append(p.windows),
            **options,
        )
    mask = np.concatenate([d.pixels.mask for d in done])
    confidence = None if done[0].pixels.confidence is None else np.concatenate([d.pixels.confidence for d in done])
    maps = np.concatenate([d.cam for d in done]) if cam else None
    counts = np.concatenate([d.pixels.counts for d in done])
    assert mask.shape == target
    np.testing.assert_array_equal(counts.sum(0), [(mask == i).sum() for i in IDS[:classes]])
    return mask, confidence, maps, sum(windows), reader


@st.composite
def rasters(draw, most=90):
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    pixels = rng.integers(0, 256, (4, height, width), dtype=np.uint8)
    valid = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0, 1.0]))
    return pixels, valid


grids = st.tuples(st.sampled_from([1, 3, 4, 8]), st.integers(1, 6), st.sampled_from([0.0, 0.25, 0.5, 0.8]))


@settings(max_examples=60, deadline=None)
@given(rasters(), grids, st.integers(1, 5), st.booleans())
def test_constant_model_is_constant_on_every_valid_pixel(raster, grid, batch, flips):
    (pixels, valid), (patch, tokens, overlap) = raster, grid
    probabilities = [0.1, 0.2, 0.63, 0.07]
    mask, confidence, *_ = run(
        ConstantModel(patch, probabilities),
        pixels,
        valid,
        window=patch * tokens,
        overlap=overlap,
        batch=batch,
        flips=flips,
    )
    assert (mask[valid] == IDS[2]).all()
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


def test_flips_are_averaged_in_place():
    class LeftModel(MeanModel):
        """Bright where the window's left half is, whatever it shows."""

        def predict(self, image01, scores="decoder", with_cam=False):
            maps = torch.zeros(len(image01), 4, image01.shape[2] // 8, image01.shape[3] // 8)
            maps[:, 0, :, : maps.shape[3] // 2] = 1
            return maps, None

    pixels, valid = np.zeros((4, 32, 32), np.uint8), np.ones((32, 32), bool)
    _, confidence, *_ = run(LeftModel(8), pixels, valid, window=32, flips=True)
    assert (confidence == 128).all()


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
