"""Laws of the local conditional random field."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.nn.crf import LocalCRF


def soft(seed, classes=3, height=14, width=17):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, height, width, generator=generator)
    return image, torch.randn(1, classes, height, width, generator=generator).softmax(1)


def by_hand(field, image, probabilities, y, x):
    """One step of mean-field inference for one pixel, written out."""
    _, _, height, width = image.shape
    unary = probabilities.clamp_min(1e-6).log()
    kernels = {"a": {}, "s": {}}
    for v in range(max(0, y - field.radius), min(height, y + field.radius + 1)):
        for u in range(max(0, x - field.radius), min(width, x + field.radius + 1)):
            if (v, u) == (y, x):
                continue
            square = (v - y) ** 2 + (u - x) ** 2
            colour = float(((image[0, :, v, u] - image[0, :, y, x]) ** 2).mean())
            kernels["a"][v, u] = math.exp(-square / (2 * field.spread**2) - colour / (2 * field.colour**2))
            kernels["s"][v, u] = math.exp(-square / 2)
    heard = unary[0, :, y, x].clone()
    for kernel, share in ((kernels["a"], field.appearance), (kernels["s"], field.smoothness)):
        total = max(sum(kernel.values()), 1e-6)
        for (v, u), weight in kernel.items():
            heard += share * weight / total * probabilities[0, :, v, u]
    return heard.softmax(0)


def test_a_step_is_mean_field_inference():
    image, maps = soft(0)
    field = LocalCRF(iterations=1, radius=2, colour=0.3)
    found = field(image, maps)
    for y, x in ((0, 0), (6, 8), (13, 3), (5, 16)):
        torch.testing.assert_close(found[0, :, y, x], by_hand(field, image, maps, y, x), rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3))
def test_what_lies_beyond_its_reach_does_not_matter(seed, iterations, radius):
    image, maps = soft(seed, width=30)
    field = LocalCRF(iterations, radius)
    other_image, other_maps = soft(seed + 1, width=30)
    edge = 30 - 8
    mixed = [torch.cat([a[..., :edge], b[..., edge:]], dim=-1) for a, b in ((image, other_image), (maps, other_maps))]
    safe = edge - field.reach
    torch.testing.assert_close(field(image, maps)[..., :safe], field(*mixed)[..., :safe])
    assert not torch.allclose(field(image, maps)[..., :edge], field(*mixed)[..., :edge])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_probabilities_stay_probabilities_and_the_invalid_say_nothing(seed):
    image, maps = soft(seed)
    valid = torch.rand(1, 1, 14, 17, generator=torch.Generator().manual_seed(seed)) < 0.6
    found = LocalCRF()(image, maps, valid)
    torch.testing.assert_close(found.sum(1), torch.ones(1, 14, 17))
    other = torch.where(valid, maps, maps.flip(1))
    there = valid.expand_as(maps)
    torch.testing.assert_close(LocalCRF()(image, other, valid)[there], found[there])


def test_it_joins_what_looks_alike_and_parts_what_does_not():
    image = torch.zeros(1, 3, 20, 20)
    image[..., 10:] = 0.8
    maps = torch.full((1, 2, 20, 20), 0.5)
    maps[:, 0, :, :8], maps[:, 1, :, :8] = 0.9, 0.1  # the border of the maps lies two pixels beside that of the image
    maps[:, 0, :, 8:], maps[:, 1, :, 8:] = 0.45, 0.55
    maps[:, 0, :, 12:], maps[:, 1, :, 12:] = 0.1, 0.9
    labels = LocalCRF()(image, maps).argmax(1)[0]
    assert (labels[:, :10] == 0).all()
    assert (labels[:, 10:] == 1).all()
