"""Pseudo labels from class activation maps and tags, with and without a background class.

With an explicit background the labels are 0 (background) and 1..K; without one they are 0..K-1 and no value has a
special role. 255 means "do not learn from this pixel". Tags are [B,K], above 0.5 = present.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wsss_geo.classes import IGNORE
from wsss_geo.errors import UsageError
from wsss_geo.nn.tensors import full_precision, pick_channels, resize, tagged_channels, usable_pixels

#: ``refine(image01 [B,N,h,w], maps [B,M,h,w]) -> [B,M,h,w]``, channel by channel and linear in the maps (see ``PAR``).
Refiner = Callable[[Tensor, Tensor], Tensor]


@full_precision
def label_from_cam(
    cam: Tensor, tags: Tensor, high: float, low: float, box: Tensor | None = None, valid: Tensor | None = None
) -> Tensor:
    """Three-way labels by two thresholds on the hottest tagged class (explicit background).

    ``cam`` [B,K,H,W] in 0..1. Hotter than ``high``: the class (1..K); not hotter than ``low``: 0; between: 255, as
    outside ``box`` [B,4] (row0, row1, col0, col1, ends excluded) and ``valid`` bool [B,H,W]. An image without
    tags is background. Returns int64 [B,H,W]. Raises UsageError unless 0 <= low <= high.
    """
    _check_thresholds(high, low)
    present = _present(tags)[:, :, None, None]
    heat, channel = cam.masked_fill(~present, 0).max(dim=1)
    label = torch.where(heat > high, channel + 1, IGNORE)
    return _keep_usable(torch.where(heat <= low, 0, label), box, valid)


@torch.no_grad()
@full_precision
def refine_labels(
    par: Refiner,
    image01: Tensor,
    cam: Tensor,
    tags: Tensor,
    high: float,
    low: float,
    box: Tensor | None = None,
    valid: Tensor | None = None,
    downscale: int = 2,
) -> Tensor:
    """Two-threshold labels refined by image colours (explicit background; Ru et al., CVPR 2022 and 2023).

    Each threshold stands as a constant background map beside the maps of the tagged classes; softmax over those,
    refinement at 1/``downscale`` of the image's size, argmax. Foreground where it beats even the high background,
    0 where the background wins at both thresholds, else 255, as outside ``box`` and ``valid``.

    ``image01`` [B,N,H,W] in 0..1, ``cam`` [B,K,H,W] in 0..1 (any size). Returns int64 [B,H,W] at the image's size.
    Raises UsageError unless 0 <= low <= high.
    """
    _check_thresholds(high, low)
    small = _reduced(image01, downscale)
    warm, tagged, channels = _tagged_first(cam, tags)
    warm = resize(warm, _size(small))
    present = torch.cat([torch.ones_like(tagged[:, :1]), tagged], dim=1)
    # The refiner treats channels alike, so both thresholds share one pass and one set of affinities.
    shares = [
        softmax_over_present(torch.cat([torch.full_like(warm[:, :1], level), warm], dim=1), present)
        for level in (high, low)
    ]
    refined = resize(par(small, torch.cat(shares, dim=1)), _size(image01))
    absent = ~present[:, :, None, None]
    # Across planes argmax takes a processor eight times as long as max does.
    at_high, at_low = (half.masked_fill(absent, -torch.inf).max(dim=1).indices for half in refined.chunk(2, dim=1))
    named = _renamed((at_high - 1).clamp(min=0), channels) + 1
    label = torch.where(at_high + at_low == 0, 0, torch.where(at_high == 0, IGNORE, named))
    return _keep_usable(label, box, valid)


@full_precision
def label_by_margin(
    scores: Tensor,
    tags: Tensor,
    confidence: float,
    margin: float,
    box: Tensor | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    """Labels where one tagged class clearly leads (no background class).

    ``scores`` [B,K,H,W], taken as they are (``softmax_over_present`` makes shares of maps). A pixel gets its best
    tagged class, 0..K-1, if that scores at least ``confidence`` and leads the second best tagged class by at least
    ``margin``; else 255, as outside ``box`` and ``valid``. An image with one tag is that class everywhere; an image
    without tags is 255. Returns int64 [B,H,W].
    """
    present = _present(tags)
    ranked = scores.masked_fill(~present[:, :, None, None], -torch.inf).topk(min(2, scores.shape[1]), dim=1)
    best = ranked.values[:, 0]
    second = ranked.values[:, 1] if scores.shape[1] > 1 else torch.full_like(best, -torch.inf)
    clear = (best >= confidence) & (best - second >= margin)
    count = present.sum(1).view(-1, 1, 1)
    only = present.int().argmax(1).view(-1, 1, 1)
    label = torch.where(clear & (count > 1), ranked.indices[:, 0], IGNORE)
    return _keep_usable(torch.where(count == 1, only, label), box, valid)


@torch.no_grad()
@full_precision
def refine_labels_none(
    par: Refiner,
    image01: Tensor,
    cam: Tensor,
    tags: Tensor,
    confidence: float,
    margin: float,
    box: Tensor | None = None,
    valid: Tensor | None = None,
    downscale: int = 2,
    temperature: float = 1.0,
) -> Tensor:
    """Margin labels from class shares refined by image colours (no background class).

    Softmax of ``cam / temperature`` over the tagged classes, refinement at 1/``downscale`` of the image's size,
    shares brought back to sum one (refinement lets sums grow, which a threshold would notice), ``label_by_margin``.
    With m tags and temperature T no share exceeds 1 / (1 + (m - 1) exp(-1 / T)): at T = 1 five tags never reach 0.45,
    so scenes of many classes want a lower temperature. Shapes as in ``refine_labels``.
    Returns int64 [B,H,W], 0..K-1 or 255.
    """
    small = _reduced(image01, downscale)
    warm, tagged, channels = _tagged_first(cam, tags)
    shares = softmax_over_present(resize(warm, _size(small)) / temperature, tagged)
    refined = resize(par(small, shares), _size(image01))
    refined = refined / refined.sum(dim=1, keepdim=True).clamp(min=1e-8)
    label = label_by_margin(refined, tagged, confidence, margin, box, valid)
    return torch.where(label == IGNORE, IGNORE, _renamed(label.masked_fill(label == IGNORE, 0), channels))


@full_precision
def softmax_over_present(maps: Tensor, present: Tensor) -> Tensor:
    """Softmax of [B,K,H,W] over the channels marked in ``present``, [B,K] or by place [B,K,H,W]; the others are 0."""
    absent = ~(present if present.dim() == 4 else present[:, :, None, None]).bool()
    # Where no channel is present all are NaN, and all of them are absent.
    return maps.masked_fill(absent, -torch.inf).softmax(dim=1).masked_fill(absent, 0)


def _tagged_first(cam: Tensor, tags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Maps [B,P,H,W] of the tagged classes, and what ``tagged_channels`` says; untagged classes never win anyway."""
    channels, present = tagged_channels(tags)
    return pick_channels(cam, channels), present, channels


def _renamed(places: Tensor, channels: Tensor) -> Tensor:
    """Channels [B,H,W] at ``places`` [B,H,W] of ``channels`` [B,P]."""
    return channels.gather(1, places.flatten(1)).view_as(places)


def _present(tags: Tensor) -> Tensor:
    return tags > 0.5


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])


def _reduced(image: Tensor, downscale: int) -> Tensor:
    height, width = _size(image)
    return resize(image, (max(1, height // downscale), max(1, width // downscale)))


def _keep_usable(label: Tensor, box: Tensor | None, valid: Tensor | None) -> Tensor:
    return torch.where(usable_pixels(label, box, valid), label, IGNORE)


def _check_thresholds(high: float, low: float) -> None:
    if not 0 <= low <= high:
        raise UsageError(f"CAM thresholds high={high}, low={low} are out of order", "choose 0 <= low <= high")
