"""Energies against literal loops over pixel pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from wsss_geo.nn.losses import dense_energy, local_pairwise_energy

BOX = torch.tensor([[0, 12, 0, 10], [4, 12, 2, 10]])


def case(side: tuple[int, int] = (12, 10), classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    probabilities = torch.randn(2, classes, *side, generator=generator, dtype=torch.float64).mul(2).softmax(1)
    image = torch.rand(2, 3, *side, generator=generator, dtype=torch.float64) * 60
    labels = torch.randint(0, classes, (2, *side), generator=generator)
    labels[torch.rand(2, *side, generator=generator) < 0.3] = 255
    return probabilities, image, labels


def box_mask(box: torch.Tensor, side: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(len(box), *side, dtype=torch.float64)
    for b, (r0, r1, c0, c1) in enumerate(box.tolist()):
        mask[b, r0:r1, c0:c1] = 1
    return mask


def literal_dense(
    probabilities: torch.Tensor, image: torch.Tensor, labels: torch.Tensor, roi: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """The published energy and its hand-written gradient by four loops, on the reduced maps as they are."""
    batch, _, height, width = probabilities.shape
    energy, gradient = 0.0, torch.zeros_like(probabilities)
    for n in range(batch):
        for i in range(height * width):
            r, c = divmod(i, width)
            gate = max(float(roi[n, r, c] - probabilities[n, :, r, c].max()), 0.0)
            gate = 1.0 if labels[n, r, c] == 255 else gate
            pulled = torch.zeros(probabilities.shape[1], dtype=torch.float64)
            for j in range(height * width):
                y, x = divmod(j, width)
                colour = float(((image[n, :, r, c] - image[n, :, y, x]) ** 2).sum())
                w = math.exp(-((r - y) ** 2 + (c - x) ** 2) / (2 * 50**2) - colour / (2 * 15**2))
                pulled += w * probabilities[n, :, y, x] * roi[n, y, x]
            energy -= gate * float((probabilities[n, :, r, c] * roi[n, r, c]) @ pulled)
            gradient[n, :, r, c] = -2 * gate * pulled * roi[n, r, c]
    return 1e-7 * energy / batch, 1e-7 * gradient / batch


@pytest.mark.parametrize("boxed", [False, True])
def test_dense_energy_equals_the_literal_loop(boxed: bool) -> None:
    probabilities, image, labels = case()
    probabilities.requires_grad_()
    roi = box_mask(BOX, (12, 10)) if boxed else torch.ones(2, 12, 10)
    energy = dense_energy(probabilities, image, labels, BOX if boxed else None)
    (gradient,) = torch.autograd.grad(energy, probabilities)
    reduced = F.interpolate(probabilities.detach(), scale_factor=0.5, mode="bilinear", align_corners=False)
    expected, reduced_gradient = literal_dense(reduced, image[..., ::2, ::2], labels[:, ::2, ::2], roi[:, ::2, ::2])
    assert energy.item() == pytest.approx(expected, rel=1e-9)
    # Halving averages 2 x 2 pixels, so each receives a quarter.
    spread = reduced_gradient.repeat_interleave(2, -1).repeat_interleave(2, -2) / 4
    torch.testing.assert_close(gradient, spread, rtol=1e-9, atol=0)


def test_dense_energy_on_cells_keeps_the_scale_of_the_exact_one() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 3, 6, 6, generator=generator, dtype=torch.float64)
    probabilities = F.interpolate(coarse, size=(90, 84), mode="bilinear").mul(2).softmax(1)
    image = F.interpolate(coarse, size=(90, 84), mode="bilinear") * 20 + 120
    labels = torch.full((1, 90, 84), 255)
    exact = dense_energy(probabilities, image, labels)
    for cells in (16, 23, 32):
        assert dense_energy(probabilities, image, labels, cells=cells).item() == pytest.approx(exact.item(), rel=0.05)


def test_dense_energy_prefers_labels_that_follow_colour() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[..., 8:] = 200
    follows, crosses = torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16)
    follows[:, 0, :, :8], follows[:, 1, :, 8:] = 1, 1
    crosses[:, 0, :8], crosses[:, 1, 8:] = 1, 1
    labels = torch.full((1, 16, 16), 255)
    assert dense_energy(follows, image, labels) < dense_energy(crosses, image, labels) < 0
    assert local_pairwise_energy(follows, image / 255, labels, downscale=2) < 0.01
    assert local_pairwise_energy(crosses, image / 255, labels, downscale=2) > 0.1


def test_confident_labelled_pixels_and_pixels_outside_do_not_count() -> None:
    _, image, labels = case()
    certain = F.one_hot(torch.randint(0, 3, (2, 12, 10)), 3).permute(0, 3, 1, 2).double().requires_grad_()
    learned = labels.masked_fill(labels == 255, 0)
    blocky = certain.detach()[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2).requires_grad_()
    assert dense_energy(blocky, image, learned).item() == 0
    assert local_pairwise_energy(blocky, image / 255, learned, downscale=2).item() == 0
    nowhere = torch.zeros(2, 4, dtype=torch.long)
    for value in (
        dense_energy(certain, image, labels, nowhere),
        local_pairwise_energy(certain, image / 255, labels, nowhere),
        dense_energy(certain, image, labels, valid=torch.zeros(2, 12, 10, dtype=torch.bool)),
    ):
        assert value.item() == 0
        assert (torch.autograd.grad(value, certain)[0] == 0).all()


def literal_local(
    shares: torch.Tensor, image: torch.Tensor, labels: torch.Tensor, roi: torch.Tensor, radius: int, dilation: int
) -> torch.Tensor:
    """Differentiable by autograd, pair by pair, with the gate detached."""
    height, width = shares.shape[-2:]
    total, weights = torch.zeros((), dtype=torch.float64), 0.0
    steps = [k * dilation for k in range(-radius, radius + 1)]
    for n in range(len(shares)):
        for r in range(height):
            for c in range(width):
                if not roi[n, r, c]:
                    continue
                gate = 1.0 if labels[n, r, c] == 255 else max(1 - float(shares.detach()[n, :, r, c].max()), 0)
                for y, x in ((r + a, c + b) for a in steps for b in steps):
                    if not (0 <= y < height and 0 <= x < width and roi[n, y, x]):
                        continue
                    colour = float(((image[n, :, r, c] - image[n, :, y, x]) ** 2).sum())
                    w = math.exp(-((r - y) ** 2 + (c - x) ** 2) / (2 * 6**2) - colour / (2 * 0.1**2))
                    total = total + gate * w * (1 - shares[n, :, r, c] @ shares[n, :, y, x])
                    weights += gate * w
    return total / max(weights, 1)


@pytest.mark.parametrize(("radius", "dilation", "boxed"), [(1, 1, False), (2, 1, True), (1, 2, True)])
def test_local_energy_and_gradient_equal_the_literal_loop(radius: int, dilation: int, boxed: bool) -> None:
    probabilities, image, labels = case((6, 5))
    image = image / 255
    box = torch.tensor([[0, 6, 1, 5], [2, 5, 0, 4]]) if boxed else None
    roi = torch.ones(2, 6, 5) if box is None else box_mask(box, (6, 5))
    probabilities.requires_grad_()
    energy = local_pairwise_energy(probabilities, image, labels, box, radius=radius, dilation=dilation, downscale=1)
    expected = literal_local(probabilities, image, labels, roi, radius, dilation)
    assert energy.item() == pytest.approx(expected.item(), rel=1e-9)
    for a, b in zip(
        torch.autograd.grad(energy, probabilities), torch.autograd.grad(expected, probabilities), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


def test_probabilities_may_come_on_the_token_grid_and_in_half_precision() -> None:
    probabilities = torch.randn(1, 3, 4, 4).softmax(1).bfloat16().requires_grad_()
    image, labels = torch.rand(1, 3, 64, 64), torch.full((1, 64, 64), 255, dtype=torch.uint8)
    for value in (
        dense_energy(probabilities, image * 255, labels),
        local_pairwise_energy(probabilities, image, labels),
    ):
        assert value.dtype == torch.float32
        (gradient,) = torch.autograd.grad(value, probabilities)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("radius", [1, 3])
def test_local_energy_lies_in_0_1(radius: int) -> None:
    probabilities, image, labels = case()
    value = local_pairwise_energy(probabilities, image / 255, labels, radius=radius, downscale=2)
    assert 0 <= value <= 1
