"""Energies that ask like-coloured neighbours for like classes (Tang et al., ECCV 2018; Ru et al., CVPR 2023).

Both are quadratic in the probabilities s with constant weights, so value and gradient come from one filtered map a that
needs no graph: memory in the backward pass is that of s alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.classes import IGNORE
from wsss_geo.nn.processes import joint_mean
from wsss_geo.nn.tensors import full_precision, resize, resize_nearest, usable_pixels

#: Names of the energies.
ENERGIES = ("local", "dense")
#: Scale of the published loss, kept so that its weight (0.05) keeps its meaning.
_SCALE = 1e-7


@full_precision
def dense_energy(
    probabilities: Tensor,
    image255: Tensor,
    labels: Tensor,
    box: Tensor | None = None,
    valid: Tensor | None = None,
    sigma_xy: float = 100.0,
    sigma_rgb: float = 15.0,
    cells: int = 64,
) -> Tensor:
    """Gated energy of all pixel pairs, -(1e-7 / B) sum_i g_i sum_j w_ij <s_i, s_j>, at half resolution.

    ``probabilities`` [B,C,h,w] (any size), ``image255`` [B,N,H,W] in 0..255, ``labels`` int [B,H,W]. s is the
    probabilities, 0 outside ``box`` [B,4] (row0, row1, col0, col1, ends excluded) and ``valid`` bool [B,H,W]. The
    gate g is 1 minus the largest probability, and 1 where the label is 255. w_ij is Gaussian in distance (``sigma_xy``
    image pixels) and colour (``sigma_rgb``), w_ii = 1.

    Exact up to 2 x ``cells`` pixels a side. Beyond, cells are squares of half-resolution pixels with their mean colour
    and summed probabilities, so the value keeps its scale. The gradient is the published one, -(2e-7 / B) g_i sum_j
    w_ij s_j: the gate is constant and that of i stands for both pixels of a pair. Memory: one cells^2 x cells^2
    kernel at a time.
    """
    height, width = max(1, image255.shape[-2] // 2), max(1, image255.shape[-1] // 2)
    masses, gate = _gated(probabilities, labels, box, valid, (height, width))
    with torch.no_grad():
        factor = -(-max(height, width) // cells)
        colour = functional.avg_pool2d(resize_nearest(image255, (height, width)), factor, ceil_mode=True)
        summed = functional.avg_pool2d(masses, factor, ceil_mode=True, divisor_override=1)
        positions = _positions(colour) * (2 * factor / sigma_xy)
        filtered = torch.stack([
            _dense_filter(torch.cat([positions, c / sigma_rgb]), s) for c, s in zip(colour, summed, strict=True)
        ])  # fmt: skip
        spread = filtered.repeat_interleave(factor, -2).repeat_interleave(factor, -1)[..., :height, :width]
        attraction = gate * spread
    return -_SCALE / len(masses) * _quadratic(masses, attraction)


@full_precision
def local_pairwise_energy(
    probabilities: Tensor,
    image01: Tensor,
    labels: Tensor,
    box: Tensor | None = None,
    valid: Tensor | None = None,
    radius: int = 5,
    dilation: int = 1,
    downscale: int = 4,
    sigma_xy: float = 6.0,
    sigma_rgb: float = 0.1,
) -> Tensor:
    """Gated disagreement with the window around each pixel, in 0..1, at 1/``downscale`` of the image's size.

    sum_i g_i sum_j w_ij (1 - <s_i, s_j>) / max(sum_i g_i sum_j w_ij, 1) over the (2 ``radius`` + 1)^2 window, steps of
    ``dilation``, i itself included. ``image01`` [B,N,H,W] in 0..1; the other arguments and the gate g, a constant, as
    in ``dense_energy``; both sigmas are in pixels and colours of the reduced image. Pairs that leave the image,
    ``box`` or ``valid`` do not count. Memory: a few maps, whatever the radius.
    """
    height, width = max(1, image01.shape[-2] // downscale), max(1, image01.shape[-1] // downscale)
    shares, gate = _gated(probabilities, labels, box, valid, (height, width))
    with torch.no_grad():
        colour = functional.interpolate(image01, size=(height, width), mode="area")
        usable = resize_nearest(usable_pixels(labels, box, valid).float(), (height, width)).unsqueeze(1)
        reach = radius * dilation
        stack = [functional.pad(m, (reach, reach, reach, reach)) for m in (colour, usable, gate, shares)]
        attraction = torch.zeros_like(shares)
        pairs = torch.zeros((), dtype=shares.dtype, device=shares.device)
        steps = range(-reach, reach + 1, dilation)
        for y, x in ((y, x) for y in steps for x in steps):
            window = (..., slice(reach + y, reach + y + height), slice(reach + x, reach + x + width))
            other_colour, other_usable, other_gate, other_shares = (padded[window] for padded in stack)
            contrast = ((colour - other_colour) ** 2).sum(1, keepdim=True) / sigma_rgb**2
            weight = torch.exp(-0.5 * (contrast + (y * y + x * x) / sigma_xy**2)) * usable * other_usable
            pairs += (gate * weight).sum()
            # A pair counts once from either side, each time with the gate of that side.
            attraction.addcmul_(0.5 * (gate + other_gate) * weight, other_shares)
    return joint_mean(pairs - _quadratic(shares, attraction), pairs)


def _gated(
    probabilities: Tensor, labels: Tensor, box: Tensor | None, valid: Tensor | None, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Probabilities [B,C,*size] without what is outside, and the constant gate [B,1,*size]."""
    usable = resize_nearest(usable_pixels(labels, box, valid).to(probabilities.dtype), size).unsqueeze(1)
    unlabelled = resize_nearest((labels == IGNORE).to(probabilities.dtype), size).unsqueeze(1) > 0.5
    resized = resize(probabilities, size)
    gate = (usable - resized.detach().amax(1, keepdim=True)).clamp(min=0).masked_fill(unlabelled, 1)
    return resized * usable, gate * usable


def _quadratic(shares: Tensor, attraction: Tensor) -> Tensor:
    """<s, a> with gradient 2 a: what a quadratic form in s has when a = W s, W symmetric."""
    product = (shares * attraction).sum()
    return 2 * product - product.detach()


def _positions(maps: Tensor) -> Tensor:
    """Row and column of every cell of [B,C,h,w]: [2,h,w]."""
    rows = torch.arange(maps.shape[-2], dtype=maps.dtype, device=maps.device)
    cols = torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    return torch.stack(torch.meshgrid(rows, cols, indexing="ij"))


def _dense_filter(features: Tensor, values: Tensor) -> Tensor:
    """Gaussian sums over all pairs: ``features`` [F,h,w] in units of sigma, ``values`` [C,h,w] -> [C,h,w]."""
    points = features.flatten(1).T
    # Where distances come from a matrix product digits are lost with the square of the distance from the origin.
    points = points - (points.amax(0) + points.amin(0)) / 2
    halves, ones = -0.5 * points.square().sum(1, keepdim=True), torch.ones_like(points[:, :1])
    exponent = torch.cat([points, halves, ones], dim=1) @ torch.cat([points, ones, halves], dim=1).T
    # Weights below 1e-34 would be denormal numbers, with which processors are slow.
    kernel = exponent.clamp_(-80, 0).exp_()
    return (values.flatten(1) @ kernel).view_as(values)
