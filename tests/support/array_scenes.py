"""Streaming prediction of rasters held in memory, with models simple enough to know the answer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
from hypothesis import strategies as st

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
from wsss_geo.streaming.views import list_views

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


def picture(height, width, seed=0):
    """Four soft fields, uint8 [4, H, W]."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 4, height // 24 + 2, width // 24 + 2), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (smooth[0].clamp(0, 1) * 255).to(torch.uint8).numpy()
