"""A conditional random field over pixels whose pairwise terms reach a window far."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.tensors import full_precision


class LocalCRF(nn.Module):
    """Mean-field inference of a CRF with Potts potentials (Krähenbühl and Koltun, NeurIPS 2011), window by window.

    Pixels further than ``radius`` along an axis do not see each other (Teichmann and Cipolla, BMVC 2019); within it
    the sums are exact. Two pixels that differ in class cost ``appearance`` times a Gaussian of their distance
    (``spread`` px) and of their colours (``colour``, in the 0..1 of the image, root mean square over bands), plus
    ``smoothness`` times a Gaussian of their distance alone (1 px); both are divided by what the window's kernel sums
    to, so that ``appearance`` and ``smoothness`` weigh against log-probabilities. No parameters.

    Memory: (2 radius + 1)^2 - 1 weights a pixel.
    """

    def __init__(
        self,
        iterations: int = 5,
        radius: int = 3,
        appearance: float = 2.0,
        smoothness: float = 1.0,
        spread: float = 3.0,
        colour: float = 0.06,
    ) -> None:
        super().__init__()
        self.iterations, self.radius = iterations, radius
        self.appearance, self.smoothness = appearance, smoothness
        self.spread, self.colour = spread, colour
        side = range(-radius, radius + 1)
        self.offsets = tuple((y, x) for y in side for x in side if (y, x) != (0, 0))

    @property
    def reach(self) -> int:
        """How far, in pixels, a change of image or probabilities shows."""
        return self.iterations * self.radius

    @full_precision
    def forward(self, image01: Tensor, probabilities: Tensor, valid: Tensor | None = None) -> Tensor:
        """Refine ``probabilities`` [B,C,H,W] by ``image01`` [B,N,H,W] in 0..1 -> [B,C,H,W] float32, sum 1.

        Pixels that are not ``valid`` bool [B,1,H,W] say nothing to others; None: all are.
        """
        unary = probabilities.clamp_min(1e-6).log()
        speaking = torch.ones_like(image01[:, :1]) if valid is None else valid.to(image01.dtype)
        weights = self._weights(image01, speaking).unbind(1)
        beliefs = unary.softmax(dim=1)
        for _ in range(self.iterations):
            heard = unary.clone()
            for weight, neighbour in zip(weights, self._neighbours(beliefs), strict=True):
                heard.addcmul_(weight.unsqueeze(1), neighbour)
            beliefs = heard.softmax(dim=1)
        return beliefs

    def _weights(self, image01: Tensor, speaking: Tensor) -> Tensor:
        """Weights [B,J,H,W] of the J neighbours of each pixel; those outside or not ``speaking`` have none."""
        near, alike = [], []
        for (y, x), colours, heard in zip(
            self.offsets, self._neighbours(image01), self._neighbours(speaking), strict=True
        ):
            square = float(y * y + x * x)
            apart = ((colours - image01) ** 2).mean(dim=1, keepdim=True) / (2 * self.colour**2)
            alike.append(heard * torch.exp(-apart - square / (2 * self.spread**2)))
            near.append(heard * math.exp(-square / 2))
        total = torch.zeros_like(torch.cat(near, dim=1))
        for kernel, share in ((alike, self.appearance), (near, self.smoothness)):
            stacked = torch.cat(kernel, dim=1)
            total += share * stacked / stacked.sum(dim=1, keepdim=True).clamp_min(1e-6)
        return total

    def _neighbours(self, maps: Tensor) -> Iterator[Tensor]:
        """Views of the maps padded by zeros, one an offset: entry i is the neighbour of pixel i."""
        height, width = maps.shape[-2:]
        reach = self.radius
        padded = functional.pad(maps, (reach, reach, reach, reach))
        for y, x in self.offsets:
            yield padded[..., reach + y : reach + y + height, reach + x : reach + x + width]
