"""Pixel-adaptive refinement of class maps (Ru et al., Learning Affinity from Attention, CVPR 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.tensors import full_precision, resize

_RING = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


class PAR(nn.Module):
    """Diffuse class maps between neighbouring pixels of like colour.

    Every pixel takes the weighted sum of its neighbours, eight at each dilation, borders replicated. The weights are a
    softmax of colour likeness (differences over the spread of the neighbours' values, mean over bands) plus
    ``spatial_weight`` times a softmax of nearness. They sum to 1 + ``spatial_weight``, so all maps grow by
    ``growth``: no matter for argmax, but divide by it before a threshold. Channels do not mix. No parameters.

    Memory: 48 weights a pixel at the default dilations, and four times the maps; independent of ``iterations``
    where gradients are off.
    """

    def __init__(
        self,
        iterations: int = 10,
        dilations: Sequence[int] = (1, 2, 4, 8, 12, 24),
        width: float = 0.3,
        spatial_weight: float = 0.01,
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.offsets = tuple((y * d, x * d) for d in dilations for y, x in _RING)
        self.reach = max(dilations)
        self.width = width
        self.spatial_weight = spatial_weight

    @property
    def growth(self) -> float:
        """Factor by which a constant map grows."""
        return (1 + self.spatial_weight) ** self.iterations

    @full_precision
    def forward(self, image01: Tensor, maps: Tensor) -> Tensor:
        """Refine ``maps`` [B,K,h,w] by ``image01`` [B,N,H,W] in 0..1 (any band count) -> [B,K,H,W] float32."""
        maps = resize(maps, (image01.shape[-2], image01.shape[-1]))
        if len(maps) > 1 and maps.device.type == "cpu":
            # The caches of a processor hold the maps of one image, and those are gone through 48 times an iteration.
            pairs = zip(image01.split(1), maps.split(1), strict=True)
            return torch.cat([self._refined(image, some) for image, some in pairs])
        return self._refined(image01, maps)

    def _refined(self, image01: Tensor, maps: Tensor) -> Tensor:
        weights = self.affinity(image01).unbind(1)
        for _ in range(self.iterations):
            refined = torch.zeros_like(maps)
            for weight, neighbour in zip(weights, self._neighbours(maps), strict=True):
                refined.addcmul_(weight.unsqueeze(1), neighbour)
            maps = refined
        return maps

    @full_precision
    def affinity(self, image01: Tensor) -> Tensor:
        """Weights [B,J,H,W] of the J = 8 x dilations neighbours of each pixel of ``image01`` [B,N,H,W]."""
        count = len(self.offsets)
        # Two passes over views of the padded image: the J neighbour images are never held at once.
        mean = sum(self._neighbours(image01), torch.zeros_like(image01)) / count
        variance = torch.zeros_like(image01)
        for neighbour in self._neighbours(image01):
            variance += (neighbour - mean) ** 2
        spread = ((variance / (count - 1)).sqrt() + 1e-8) * self.width
        colour = torch.stack(
            [-(((neighbour - image01) / spread) ** 2).mean(dim=1) for neighbour in self._neighbours(image01)], dim=1
        )
        return colour.softmax(dim=1) + self.spatial_weight * self._nearness(image01).softmax(dim=0).view(1, -1, 1, 1)

    def _nearness(self, like: Tensor) -> Tensor:
        distance = torch.tensor([math.hypot(y, x) for y, x in self.offsets], dtype=like.dtype, device=like.device)
        return -((distance / (distance.std() + 1e-8) / self.width) ** 2)

    def _neighbours(self, maps: Tensor) -> Iterator[Tensor]:
        """Views of the padded maps, one an offset: entry i is the neighbour of pixel i, borders replicated."""
        height, width = maps.shape[-2:]
        reach = self.reach
        padded = functional.pad(maps, (reach, reach, reach, reach), mode="replicate")
        for y, x in self.offsets:
            yield padded[..., reach + y : reach + y + height, reach + x : reach + x + width]
