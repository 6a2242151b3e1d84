"""Calibrated confidence: one temperature for the decoder's probabilities, found from scene tags alone.

A network trained to the end is surer than it is right. Dividing the logarithms of its probabilities by a temperature
(Guo et al., ICML 2017) leaves the winner the winner and takes the excess away. There it is fitted to labelled pixels;
here pixels have no label, but a set of possible ones: the tags of their scene. The likelihood of such a set is the sum
of the probabilities in it (partial labels: Cour et al., JMLR 2011). So a class that is absent speaks against itself in
every pixel, and a scene of one class is labelled in every pixel; what is confused within the tags of one scene is not
seen, so that a little too much confidence may stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: The least a probability counts: half of the smallest step in which prediction keeps scores.
FLOOR = 0.5 / 65535
#: Temperatures lie in this range.
LOWEST, HIGHEST = 0.5, 10.0
_BINS = 10
_GRID = 24
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Bin:
    """Pixels of like confidence: their mean ``confidence``, the part of them that is ``right``, their ``share``."""

    confidence: float
    right: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """``temperature`` of a model and what it was fitted to: ``scenes`` of a ``split``.

    ``before`` and ``after``: how often the winner is right by its confidence, without and with the temperature. It is
    ``exact`` where scenes of a single class have been counted, of which each pixel is known; else right means within
    the tags, which is too kind. ``loss_before`` and ``loss_after``: mean negative logarithm of the likelihood.
    """

    temperature: float
    split: str
    scenes: int
    exact: bool
    loss_before: float
    loss_after: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary; a bin is a list of its three values."""
        plain = {k: v for k, v in vars(self).items() if k not in ("before", "after")}
        return {**plain, **{k: [[b.confidence, b.right, b.share] for b in getattr(self, k)] for k in _CURVES}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what ``to_json`` wrote. Raises KeyError, TypeError, ValueError."""
        temperature, scenes = float(data["temperature"]), data["scenes"]
        if not LOWEST <= temperature <= HIGHEST:
            raise ValueError(f"temperature {temperature!r}")
        if not isinstance(scenes, int) or scenes < 0:
            raise ValueError(f"scenes {scenes!r}")
        curves = {k: tuple(Bin(*(float(v) for v in b)) for b in data[k]) for k in _CURVES}
        if not all(0 <= v <= 1 for curve in curves.values() for b in curve for v in vars(b).values()):
            raise ValueError("a curve of calibration leaves 0..1")
        return cls(
            temperature,
            str(data["split"]),
            scenes,
            bool(data["exact"]),
            float(data["loss_before"]),
            float(data["loss_after"]),
            **curves,
        )


_CURVES = ("before", "after")


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Take probabilities [n, C] to the power of 1/``temperature`` and bring their sums back to one."""
    return torch.softmax(probabilities.clamp_min(FLOOR).log() / temperature, dim=1)


def tag_loss(probabilities: Tensor, allowed: Tensor, temperature: float = 1.0) -> float:
    """Mean of -log(sum of the tempered probabilities of the classes ``allowed``); both are [n, C], ``allowed`` bool."""
    logits = probabilities.clamp_min(FLOOR).log() / temperature
    inside = torch.logsumexp(logits.masked_fill(~allowed, -math.inf), dim=1)
    return float((torch.logsumexp(logits, dim=1) - inside).mean())


def fit_temperature(probabilities: Tensor, allowed: Tensor) -> float:
    """Return the temperature of the least ``tag_loss``, to four digits; 1 where no scene excludes any class.

    Looked for on a grid of logarithms, then by golden section around its best.
    """
    if not len(probabilities) or bool(allowed.all()):
        return 1.0
    grid = torch.linspace(math.log(LOWEST), math.log(HIGHEST), _GRID).tolist()

    def loss(log: float) -> float:
        return tag_loss(probabilities, allowed, math.exp(log))

    best = min(range(_GRID), key=lambda i: loss(grid[i]))
    left, right = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    while right - left > 1e-4:
        inner, outer = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
        if loss(inner) <= loss(outer):
            right = outer
        else:
            left = inner
    return min(max(round(math.exp((left + right) / 2), 4), LOWEST), HIGHEST)


def calibrate(probabilities: Tensor, allowed: Tensor, split: str, scenes: int) -> Calibration:
    """Fit the temperature of pixels [n, C] that may be of the classes ``allowed`` bool [n, C], n > 0, and say how
    well the confidence agrees with the tags before and after."""
    temperature = fit_temperature(probabilities, allowed)
    single = allowed.sum(dim=1) == 1
    exact = int(single.sum()) >= max(1, len(allowed) // 20)
    known = single if exact else torch.ones_like(single)
    before, after = (reliability(tempered(probabilities[known], t), allowed[known]) for t in (1.0, temperature))
    loss_before, loss_after = (round(tag_loss(probabilities, allowed, t), 5) for t in (1.0, temperature))
    return Calibration(temperature, split, scenes, exact, loss_before, loss_after, before, after)


def reliability(probabilities: Tensor, allowed: Tensor) -> tuple[Bin, ...]:
    """How often the winner of pixels [n, C] is one of ``allowed`` bool [n, C], in tenths of its confidence.

    Tenths that hold no pixel are left out.
    """
    confidence, winner = probabilities.double().max(dim=1)
    hit = allowed.gather(1, winner[:, None])[:, 0].double()
    place = (confidence * _BINS).long().clamp_max(_BINS - 1)
    count = torch.bincount(place, minlength=_BINS)
    sums = [torch.bincount(place, weights, _BINS) for weights in (confidence, hit)]
    found = []
    for number, sure, right in zip(count.tolist(), *(s.tolist() for s in sums), strict=True):
        if number:
            found.append(Bin(*(round(min(v, 1.0), 5) for v in (sure / number, right / number, number / len(hit)))))
    return tuple(found)


def calibration_error(curve: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: the mean distance of confidence and rightness, weighted by pixels."""
    return sum(b.share * abs(b.confidence - b.right) for b in curve)
