"""Pixel-adaptive refinement against a literal loop, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.nn.par import PAR
from wsss_geo.nn.pseudo_labels import softmax_over_present


def literal_par(image: np.ndarray, maps: np.ndarray, iterations: int, dilations: tuple[int, ...]) -> np.ndarray:
    """One image [N,H,W], maps [K,H,W]; pixel by pixel, neighbour by neighbour, in float64."""
    bands, height, width = image.shape
    ring = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    offsets = [(y * d, x * d) for d in dilations for y, x in ring]
    distance = np.array([d * (math.sqrt(2) if y and x else 1.0) for d in dilations for y, x in ring])
    near = np.exp(-((distance / (distance.std(ddof=1) + 1e-8) / 0.3) ** 2))
    near /= near.sum()
    weights = {}
    for r in range(height):
        for c in range(width):
            places = [(min(max(r + y, 0), height - 1), min(max(c + x, 0), width - 1)) for y, x in offsets]
            likeness = np.zeros(len(places))
            for k in range(bands):
                values = np.array([image[k, a, b] for a, b in places])
                likeness -= (np.abs(values - image[k, r, c]) / (values.std(ddof=1) + 1e-8) / 0.3) ** 2 / bands
            colour = np.exp(likeness - likeness.max())
            weights[r, c] = (places, colour / colour.sum() + 0.01 * near)
    for _ in range(iterations):
        refined = np.zeros_like(maps)
        for (r, c), (places, weight) in weights.items():
            for (a, b), w in zip(places, weight, strict=True):
                refined[:, r, c] += w * maps[:, a, b]
        maps = refined
    return maps


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_equals_the_literal_loop(bands: int) -> None:
    generator = np.random.default_rng(bands)
    image, maps = generator.random((2, bands, 7, 9)), generator.random((2, 3, 7, 9))
    par = PAR(iterations=3, dilations=(1, 2, 4))
    result = par(torch.tensor(image), torch.tensor(maps))
    for b in range(2):
        np.testing.assert_allclose(result[b].numpy(), literal_par(image[b], maps[b], 3, (1, 2, 4)), rtol=1e-9)


def test_default_settings_equal_the_literal_loop_in_float32() -> None:
    generator = np.random.default_rng(0)
    image, maps = generator.random((3, 8, 8)), generator.random((2, 8, 8))
    result = PAR()(torch.tensor(image).float()[None], torch.tensor(maps).float()[None])[0]
    np.testing.assert_allclose(result.numpy(), literal_par(image, maps, 10, (1, 2, 4, 8, 12, 24)), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-3, 3), st.integers(1, 10))
def test_a_constant_map_grows_by_101_percent_an_iteration(seed: int, constant: float, iterations: int) -> None:
    image = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(seed))
    par = PAR(iterations=iterations)
    result = par(image, torch.full((1, 2, 9, 8), constant))
    torch.testing.assert_close(result, torch.full_like(result, constant * 1.01**iterations), rtol=1e-5, atol=1e-6)
    assert par.growth == pytest.approx(1.01**iterations)


def test_flat_images_give_finite_uniform_weights() -> None:
    maps = torch.rand(1, 2, 10, 10)
    result = PAR()(torch.full((1, 3, 10, 10), 0.37), maps)
    assert result.isfinite().all()
    step = torch.zeros(1, 3, 10, 10)
    step[..., 5:] = 1
    weights = PAR().affinity(step)
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(1), torch.full((1, 10, 10), 1.01))


def test_batch_equals_image_by_image_and_channels_do_not_mix() -> None:
    image, maps, par = torch.rand(3, 3, 12, 10), torch.rand(3, 4, 12, 10), PAR()
    together = par(image, maps)
    for b in range(3):
        for k in range(4):
            alone = par(image[b : b + 1], maps[b : b + 1, k : k + 1])
            torch.testing.assert_close(together[b : b + 1, k : k + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no second device")
def test_devices_agree() -> None:
    image, maps, par = torch.rand(2, 3, 24, 20), torch.rand(2, 4, 24, 20), PAR()
    torch.testing.assert_close(par(image.cuda(), maps.cuda()).cpu(), par(image, maps), atol=1e-5, rtol=1e-5)


def test_masked_softmax_equals_the_computation_on_the_present_subset() -> None:
    image, maps, par = torch.rand(2, 3, 12, 12), torch.randn(2, 5, 12, 12), PAR()
    present = torch.tensor([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0]], dtype=torch.bool)
    together = par(image, softmax_over_present(maps, present))
    for b in range(2):
        subset = par(image[b : b + 1], maps[b : b + 1, present[b]].softmax(1))
        torch.testing.assert_close(together[b : b + 1, present[b]], subset, atol=1e-5, rtol=0)
        assert together[b, ~present[b]].abs().max() == 0


def test_maps_are_resized_to_the_image() -> None:
    image, maps = torch.rand(1, 3, 16, 12), torch.rand(1, 2, 4, 3)
    full = torch.nn.functional.interpolate(maps, size=(16, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(PAR()(image, maps), PAR()(image, full))


def test_maps_follow_colour_edges() -> None:
    image = torch.zeros(1, 3, 24, 24)
    image[..., 12:] = 1
    image += 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    maps = torch.zeros(1, 1, 24, 24)
    maps[..., 10:] = 1  # two columns too far
    refined = PAR(dilations=(1, 2, 4))(image, maps)[0, 0]
    assert refined[:, 10:12].mean() < 0.5 < refined[:, 12:14].mean()


def test_autocast_changes_nothing() -> None:
    image, maps = torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = PAR()(image, maps)
        assert PAR()(image, maps.bfloat16()).dtype == torch.float32
    torch.testing.assert_close(result, PAR()(image, maps))
