"""Class activation maps: per-class normalisation and the merge over scales and flips (Ru et al., CVPR 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from wsss_geo.nn.tensors import full_precision, pick_channels, resize, tagged_channels

#: Pixels that go through a network at a time on a processor: two images of 480 px.
PART = 2 * 480 * 480

Maps = tuple[Tensor, ...]
MapPair = tuple[Tensor, Tensor]


class MapsClasses(Protocol):
    """What ``multi_scale_cam`` needs of a network; an attribute ``multiple`` (pixels, 16 if absent) is honoured too."""

    def class_maps(self, image: Tensor) -> Maps:
        """Image [B,3,H,W] -> raw (cam, auxiliary cam), each [B,K,h,w] on the token grid."""


@full_precision
def normalise_cam(cam: Tensor, percentile: float | None = None) -> Tensor:
    """Stretch every class map of every image to 0..1.

    ReLU, subtract the spatial minimum, divide by the spatial maximum of the difference + 1e-5. Absent classes are
    stretched as well: multiply by the tags afterwards. ``cam`` [B,K,H,W] -> the same shape, float32.

    With ``percentile`` (say 99.5) that percentile takes the place of the maximum and larger values become 1, so a
    single hot pixel does not set the scale. Where it is zero, on maps with very few warm pixels, the maximum is used.
    """
    warm = cam.relu()
    warm = warm - warm.amin((-2, -1), keepdim=True)
    top = warm.amax((-2, -1), keepdim=True)
    if percentile is None:
        return warm / (top + 1e-5)
    flat = warm.flatten(-2)
    rank = max(1, math.ceil(flat.shape[-1] * percentile / 100))
    level = flat.kthvalue(rank, dim=-1).values[..., None, None]
    return (warm / (torch.where(level > 0, level, top) + 1e-5)).clamp(max=1)


@torch.no_grad()
def multi_scale_cam(
    model: MapsClasses | Callable[[Tensor], Maps],
    image: Tensor,
    scales: Sequence[float] = (1.0, 0.5, 1.5),
    percentile: float | None = None,
    straight: Maps | None = None,
    tags: Tensor | None = None,
    multiple: int | None = None,
) -> Maps:
    """Class activation maps merged over scales and horizontal flip, without gradient.

    At each scale the image and its mirror image run as one doubled batch; both maps return to the image's size, the
    second is mirrored back, the larger of the pair survives and negative values become zero. The sum over scales is
    normalised. Costs two forward passes a scale; memory is that of the largest scale plus two sums. Where the raw maps
    of ``image`` itself are at hand, give them as ``straight``: at scale 1 only the mirror image runs then. With
    ``tags`` [B,K] the maps of untagged classes are zero, and their enlargement is spared.

    ``model`` has ``class_maps`` or is itself called; it is used in the mode (train or eval) it is in. ``image``
    [B,3,H,W]; scaled sides are rounded to multiples of ``multiple``, by itself ``model.multiple`` (16 if it has none).
    Returns as many maps as ``model`` gives, by itself ``(cam, aux_cam)``, each float32 [B,K,H,W] in 0..1.
    """
    forward = cast("Callable[[Tensor], Maps]", getattr(model, "class_maps", model))
    multiple = multiple or int(getattr(model, "multiple", 16))
    height, width = image.shape[-2:]
    channels, present = (None, None) if tags is None else tagged_channels(tags)
    totals: list[Tensor] = []
    for scale in scales:
        scaled = resize(image, (_round_to(scale * height, multiple), _round_to(scale * width, multiple)))
        if straight is not None and scaled is image:
            pairs = list(zip(straight, _in_parts(forward, image.flip(-1)), strict=True))
        else:
            both = _in_parts(forward, torch.cat([scaled, scaled.flip(-1)]))
            pairs = [(maps[: len(image)], maps[len(image) :]) for maps in both]
        if channels is not None:
            pairs = [(pick_channels(one, channels), pick_channels(other, channels)) for one, other in pairs]
        merged = [_merge_flip(*pair, (height, width)) for pair in pairs]
        totals = [total + maps for total, maps in zip(totals, merged, strict=True)] if totals else merged
    found = [normalise_cam(total, percentile) for total in totals]
    if tags is None or channels is None or present is None:
        return tuple(found)
    index = channels[:, :, None, None].expand_as(found[0])
    among = present[:, :, None, None]
    return tuple(m.new_zeros(*tags.shape, height, width).scatter_(1, index, m * among) for m in found)


def _in_parts(forward: Callable[[Tensor], Maps], images: Tensor) -> Maps:
    """``forward`` of all images; on a processor of a few at a time, whose tokens its caches hold."""
    size = max(1, PART // (images.shape[-2] * images.shape[-1])) if images.device.type == "cpu" else len(images)
    if size >= len(images):
        return forward(images)
    return tuple(torch.cat(maps) for maps in zip(*map(forward, images.split(size)), strict=True))


def _round_to(side: float, multiple: int) -> int:
    return max(1, math.floor(side / multiple + 0.5)) * multiple


def _merge_flip(straight: Tensor, mirrored: Tensor, size: tuple[int, int]) -> Tensor:
    # Mirrored back on the small grid: cheaper, and resizing does not tell left from right.
    return torch.maximum(resize(straight.float(), size), resize(mirrored.flip(-1).float(), size)).relu()
