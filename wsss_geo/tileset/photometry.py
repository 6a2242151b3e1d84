"""Colour changes of views. Every function takes its own generator; the global one is never touched.

Images are [B,C,H,W] in 0..1; each image of a batch draws its own change.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_LUMA = (0.299, 0.587, 0.114)
_BLUR_TAPS = 6


@dataclass(frozen=True)
class Jitter:
    """Strengths and probabilities of colour changes.

    ``brightness``, ``contrast`` and ``saturation`` are the largest relative changes, ``hue`` the largest turn in
    revolutions; all four happen together with probability ``colour``. ``gain`` and ``offset`` change every band by
    itself. Saturation, hue and ``grey`` concern images of three bands only, where they are taken for red, green, blue.
    ``blur`` draws a standard deviation from ``sigma`` pixels. ``solarise`` inverts values above one half.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    colour: float = 1.0
    gain: float = 0.0
    offset: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)
    solarise: float = 0.0


#: Weak change for any band count: no hue, no grey, which would erase what tells land cover apart.
WEAK = Jitter(brightness=0.2, contrast=0.2, gain=0.1, offset=0.03)
#: For land cover from scratch: light and colour may change, texture may not, for it tells crops from meadows.
LAND = Jitter(brightness=0.3, contrast=0.3, saturation=0.2, gain=0.12, offset=0.04)
#: Stronger change that still keeps the order of hues.
STRONG = Jitter(
    brightness=0.4, contrast=0.4, saturation=0.2, colour=0.8, gain=0.15, offset=0.05, blur=0.3, sigma=(0.1, 1.5)
)
#: The three views of Ru et al., CVPR 2023: main input, second global view, source of local crops.
TOCO_MAIN = Jitter(0.4, 0.4, 0.2, 0.1, colour=0.8, grey=0.2, blur=1.0)
TOCO_SECOND = Jitter(0.4, 0.4, 0.2, 0.1, colour=0.8, grey=0.2, blur=0.1, solarise=0.2)
TOCO_LOCAL = Jitter(0.4, 0.4, 0.2, 0.1, colour=0.8, grey=0.2, blur=0.5)


def jitter(
    image: Tensor,
    change: Jitter,
    generator: torch.Generator,
    valid: Tensor | None = None,
    places: range | None = None,
) -> Tensor:
    """Return ``image`` [B,C,H,W] changed as ``change`` allows, in 0..1; zero outside ``valid`` bool [B,H,W].

    ``generator`` lives on the CPU: what is drawn does not depend on the device of the image. The same draws are made
    for every setting, so switching one change off leaves the others as they were. ``places`` of the images in a joint
    batch of ``places.stop`` images: draws are made for all of it, so that several processes may change its parts.
    """
    batch, bands = image.shape[:2]
    places = places or range(batch)
    part = slice(places.start, None, places.step)
    draws = torch.rand(places.stop, 10, generator=generator)[part].to(image)
    tint = (2 * torch.rand(places.stop, 2 * bands, generator=generator)[part] - 1).to(image)
    coloured = (draws[:, 0] < change.colour).to(image)[:, None, None, None]
    swing = (2 * draws[:, 1:5] - 1)[:, :, None, None, None]
    weight = None if valid is None else valid[:, None].to(image)

    out = image * (1 + coloured * change.brightness * swing[:, 0])
    if change.contrast:
        centre = _mean(out, weight)
        out = centre + (out - centre) * (1 + coloured * change.contrast * swing[:, 1])
    if bands == 3:
        if change.saturation:
            grey = _grey(out)
            out = grey + (out - grey) * (1 + coloured * change.saturation * swing[:, 2])
        if change.hue:
            out = _turn_hue(out, (coloured * change.hue * swing[:, 3])[:, 0, 0, 0])
    gain, offset = tint[:, :bands, None, None], tint[:, bands:, None, None]
    out = (out * (1 + change.gain * gain) + change.offset * offset).clamp(0, 1)
    if change.grey and bands == 3:
        out = torch.where((draws[:, 5] < change.grey)[:, None, None, None], _grey(out).expand_as(out), out)
    if change.blur:
        low, high = change.sigma
        out = torch.where(
            (draws[:, 6] < change.blur)[:, None, None, None], blur(out, low + (high - low) * draws[:, 7]), out
        )
    if change.solarise:
        turned = torch.where(out > 0.5, 1 - out, out)
        out = torch.where((draws[:, 8] < change.solarise)[:, None, None, None], turned, out)
    return out if weight is None else out * weight


def blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of [B,C,H,W] with standard deviations ``sigma`` [B] in pixels; edges are repeated."""
    batch, bands, height, width = image.shape
    steps = torch.arange(-_BLUR_TAPS, _BLUR_TAPS + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(steps**2) / (2 * sigma[:, None] ** 2).clamp(min=1e-6))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(bands, dim=0)
    stacked = functional.pad(image.reshape(1, batch * bands, height, width), [_BLUR_TAPS] * 4, mode="replicate")
    stacked = functional.conv2d(stacked, kernel[:, None, :, None], groups=batch * bands)
    stacked = functional.conv2d(stacked, kernel[:, None, None, :], groups=batch * bands)
    return stacked.reshape(batch, bands, height, width)


def _mean(image: Tensor, weight: Tensor | None) -> Tensor:
    """Mean brightness [B,1,1,1] of the valid pixels."""
    level = image.mean(dim=1, keepdim=True)
    if weight is None:
        return level.mean(dim=(2, 3), keepdim=True)
    return (level * weight).sum(dim=(2, 3), keepdim=True) / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1)


def _grey(image: Tensor) -> Tensor:
    return (image * image.new_tensor(_LUMA)[None, :, None, None]).sum(dim=1, keepdim=True)


def _turn_hue(image: Tensor, turn: Tensor) -> Tensor:
    """Rotate colours about the grey axis by ``turn`` [B] revolutions; brightness (mean of the bands) stays."""
    angle = 2 * torch.pi * turn
    cos, sin = torch.cos(angle), torch.sin(angle) / 3**0.5
    first, second, third = cos + (1 - cos) / 3, (1 - cos) / 3 - sin, (1 - cos) / 3 + sin
    rows = [[first, second, third], [third, first, second], [second, third, first]]
    matrix = torch.stack([torch.stack(r, dim=1) for r in rows], dim=1)
    return torch.einsum("bij,bjhw->bihw", matrix, image)
