"""Class activation maps: normalisation and the merge over scales and flips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from wsss_geo.nn.cam import multi_scale_cam, normalise_cam


def test_normalise_follows_the_written_order() -> None:
    cam = torch.randn(2, 3, 5, 7)
    expected = np.empty(cam.shape, dtype=np.float32)
    for b in range(2):
        for k in range(3):
            warm = np.maximum(cam[b, k].numpy(), 0)
            warm = warm - warm.min()
            expected[b, k] = warm / (warm.max() + 1e-5)
    np.testing.assert_allclose(normalise_cam(cam).numpy(), expected, rtol=1e-6)


def test_normalise_subtracts_the_minimum_before_it_takes_the_maximum() -> None:
    cam = torch.tensor([[[[2.0, 3.0]]]])
    torch.testing.assert_close(normalise_cam(cam), torch.tensor([[[[0.0, 1 / 1.00001]]]]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 100), st.sampled_from([None, 90.0, 99.5]))
def test_normalised_maps_lie_in_0_1_and_ignore_scale(seed: int, scale: float, percentile: float | None) -> None:
    cam = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(seed))
    result = normalise_cam(cam, percentile)
    assert result.min() >= 0
    assert result.max() <= 1
    torch.testing.assert_close(normalise_cam(cam * scale, percentile), result, atol=1e-3, rtol=0)


def test_cold_maps_stay_finite_and_zero() -> None:
    for percentile in (None, 99.5):
        assert normalise_cam(-torch.ones(1, 2, 4, 4), percentile).abs().max() == 0


def test_percentile_survives_a_hot_pixel_and_a_nearly_empty_map() -> None:
    cam = torch.linspace(0, 1, 400).reshape(1, 1, 20, 20).clone()
    cam[0, 0, 0, 0] = 100
    assert normalise_cam(cam).flatten()[200] < 0.01
    robust = normalise_cam(cam, 99.0)
    assert robust.max() == 1
    assert robust.flatten()[200] == pytest.approx(0.5, abs=0.02)
    lonely = torch.zeros(1, 1, 20, 20)
    lonely[0, 0, 3, 3], lonely[0, 0, 5, 5] = 4.0, 2.0
    torch.testing.assert_close(normalise_cam(lonely, 99.0), normalise_cam(lonely))


class Recorder:
    """A stand-in network: class maps are fixed mixtures of the bands, averaged over patches; input sizes are kept."""

    multiple = 4

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self.mix = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))

    def class_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.sizes.append(tuple(image.shape))
        tokens = F.avg_pool2d(image, self.multiple)
        ramp = torch.linspace(0, 1, tokens.shape[-1])  # not symmetric under flip
        cam = torch.einsum("kc,bchw->bkhw", self.mix, tokens) * ramp
        return cam, cam.sin()


def literal_multi_scale(model: Recorder, image: torch.Tensor, scales: tuple[float, ...]) -> list[torch.Tensor]:
    """Image by image, flip by flip, as one would write it on a blackboard."""
    size = image.shape[-2:]
    sums = [torch.zeros(len(image), 2, *size) for _ in range(2)]
    for b in range(len(image)):
        for s in scales:
            one = image[b : b + 1]
            scaled = F.interpolate(one, size=[round(s * n / 4) * 4 for n in size], mode="bilinear")
            straight = model.class_maps(scaled)
            mirrored = model.class_maps(torch.flip(scaled, [3]))
            for i in range(2):
                first = F.interpolate(straight[i], size=size, mode="bilinear")
                second = torch.flip(F.interpolate(mirrored[i], size=size, mode="bilinear"), [3])
                sums[i][b] += torch.clamp(torch.maximum(first, second), min=0)[0]
    return [normalise_cam(total) for total in sums]


def test_multi_scale_equals_the_literal_loop() -> None:
    model, image = Recorder(), torch.randn(2, 3, 24, 16)
    cam, aux = multi_scale_cam(model, image, (1.0, 0.5, 1.5))
    assert model.sizes == [(4, 3, 24, 16), (4, 3, 12, 8), (4, 3, 36, 24)]
    expected = literal_multi_scale(Recorder(), image, (1.0, 0.5, 1.5))
    torch.testing.assert_close(cam, expected[0])
    torch.testing.assert_close(aux, expected[1])
    assert cam.shape == aux.shape == (2, 2, 24, 16)


def test_multi_scale_takes_a_callable_and_leaves_no_gradient() -> None:
    conv = torch.nn.Conv2d(3, 2, 16, stride=16)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    cam, aux = multi_scale_cam(lambda x: (conv(x), -conv(x)), image)
    assert not cam.requires_grad
    assert not aux.requires_grad
    assert cam.shape == (1, 2, 32, 32)


def test_multi_scale_of_a_mirrored_image_is_mirrored() -> None:
    model, image = Recorder(), torch.randn(1, 3, 16, 16)
    straight, _ = multi_scale_cam(model, image)
    mirrored, _ = multi_scale_cam(model, image.flip(-1))
    torch.testing.assert_close(mirrored.flip(-1), straight)


def test_sides_are_rounded_to_whole_patches() -> None:
    model = Recorder()
    multi_scale_cam(model, torch.rand(1, 3, 20, 8), (1.0, 0.5, 0.1))
    assert [s[-2:] for s in model.sizes] == [(20, 8), (12, 4), (4, 4)]


def test_many_pixels_go_through_a_processor_in_parts(monkeypatch):
    seen = []

    def maps(image):
        seen.append(len(image))
        return image[:, :, ::4, ::4], -image[:, :, ::4, ::4]

    image = torch.rand(3, 3, 16, 16)
    whole = multi_scale_cam(maps, image, (1.0, 2.0))
    monkeypatch.setattr("wsss_geo.nn.cam.PART", 4 * 16 * 16)
    seen.clear()
    for one, other in zip(multi_scale_cam(maps, image, (1.0, 2.0)), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert seen == [4, 2, 1, 1, 1, 1, 1, 1]
