"""Laws of streaming prediction, on rasters held in memory and models simple enough to know the answer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.errors import ModelError
from wsss_geo.jobs import REFINEMENTS
from wsss_geo.nn.network import Network
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.reader import Tile
from wsss_geo.streaming import layout as layout_module
from wsss_geo.streaming import refine as refine_module
from wsss_geo.streaming.batches import cut_batches
from wsss_geo.streaming.layout import plan
from wsss_geo.streaming.predictor import Predictor
from wsss_geo.streaming.refine import Refinement, halo_pixels
from wsss_geo.streaming.stream import Decoding, stream
from wsss_geo.streaming.strips import StripPlan, read_strips
from wsss_geo.streaming.views import View, list_views

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


def run(model, pixels, valid, *, window, overlap=0.25, batch=3, threads=2, target=None, views=None, **options):
    """Predict the raster ``pixels`` and return mask, confidence, cam and the number of windows."""
    height, width = pixels.shape[1:]
    target = target or (height, width)
    method = options.pop("refine", "none")
    layout = plan((height, width), target, model.patch, window, overlap, batch, halo=halo_pixels(method))
    reader = ArrayReader(pixels, valid, [])
    strips = StripPlan(height, width, options.pop("block", 7), 5, pixels.shape[0])
    bands = pixels.shape[0]
    normalisation = Normalisation((0.0,) * bands, (255.0,) * bands, (0.5,) * bands, (1.0,) * bands)
    cam = options.pop("cam", False)
    predictor = Predictor(model, normalisation, with_cam=cam, views=views or list_views())
    classes = options.pop("classes", bands)
    refinement = None
    if method != "none":
        refinement = Refinement(method, layout, ArrayReader(pixels, valid, []).read, predictor.image01)
    done, windows = [], []
    bands = options.setdefault("bands", range(len(layout.bands)))
    groups = layout.groups_of(bands)
    first_row = layout.group_starts(groups[0])[0] * layout.patch
    with contextlib.closing(read_strips(reader, strips, first_row, threads)) as source:
        stream(
            cut_batches(layout, source, groups, batch),
            predictor,
            layout,
            Decoding(IDS[:classes], options.pop("threshold", 0.0), options.pop("confidence", True), refinement),
            done.append,
            channels=classes + (classes - 1 if cam else 0),
            passed=lambda p: windows.append(p.windows),
            **options,
        )
    mask = np.concatenate([d.pixels.mask for d in done])
    confidence = None if done[0].pixels.confidence is None else np.concatenate([d.pixels.confidence for d in done])
    maps = np.concatenate([d.cam for d in done]) if cam else None
    counts = np.concatenate([d.pixels.counts for d in done])
    whole = bands == range(len(layout.bands))
    assert mask.shape == target if whole else mask.shape[1] == target[1]
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


@contextlib.contextmanager
def cut_into(band_rows, columns=512):
    """Bands of so many mask rows, and tiles of so many columns of cells where bands are refined."""
    with (
        mock.patch.object(layout_module, "BAND_ROWS", band_rows),
        mock.patch.object(refine_module, "_COLUMNS", columns),
    ):
        yield


view_sets = st.builds(
    list_views, st.sampled_from([None, (1.0,), (0.5, 1.0), (1.0, 1.3, 2.0)]), st.booleans(), st.booleans()
)


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


def picture(height, width, seed=0):
    """Four soft fields, uint8 [4, H, W]."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 4, height // 24 + 2, width // 24 + 2), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (smooth[0].clamp(0, 1) * 255).to(torch.uint8).numpy()


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
