"""Heads on patch tokens: classifiers whose weights give activation maps, decoders, projections."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassMaps(nn.Conv2d):
    """Linear classifier on tokens without bias: the 1 x 1 convolution whose output is the class activation map."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes, kernel_size=1, bias=False)


class LargeFOV(nn.Sequential):
    """Decoder with a large field of view: two dilated 3 x 3 convolutions and a 1 x 1 (Chen et al., ICLR 2015)."""

    def __init__(self, width: int, classes: int, hidden: int = 512, dilation: int = 5) -> None:
        if dilation < 1:
            raise ValueError(f"dilation {dilation} is not positive")
        super().__init__(
            nn.Conv2d(width, hidden, 3, padding=dilation, dilation=dilation, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, classes, 1),
        )


class DetailDecoder(nn.Module):
    """Decoder on a finer grid than that of the tokens, which sees the image as well, for borders.

    ``patch`` is the side of a token in pixels, ``stride`` that of an answer, which divides it. Each token speaks for
    the answers under it; the image joins through overlapping patches of two strides; two 3 x 3 convolutions mix them.
    """

    def __init__(self, width: int, bands: int, classes: int, hidden: int, patch: int, stride: int) -> None:
        super().__init__()
        if stride < 2 or stride % 2 or patch % stride:
            raise ValueError(f"a decoder stride of {stride} px is not even or does not divide the patch of {patch} px")
        fine = patch // stride
        self.context = nn.Sequential(nn.Conv2d(width, hidden * fine * fine, 1), nn.PixelShuffle(fine))
        self.detail = nn.Conv2d(bands, hidden, 2 * stride, stride=stride, padding=stride // 2)
        self.mix = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(2 * hidden, hidden, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(hidden, classes, 1),
        )

    def forward(self, tokens: Tensor, image: Tensor) -> Tensor:
        """Decode tokens [B, width, h, w] of normalised images [B, bands, H, W] to [B, classes, H/stride, W/stride]."""
        logits: Tensor = self.mix(torch.cat([self.context(tokens), self.detail(image)], dim=1))
        return logits


class Projection(nn.Module):
    """Projection of class tokens for contrast: MLP, L2 norm, weight-normalised layer of fixed gain.

    The head of DINO (Caron et al., ICCV 2021), as Ru et al. (CVPR 2023) use it.
    """

    def __init__(self, width: int, hidden: int = 2048, bottleneck: int = 256, out: int = 1024) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(bottleneck, out, bias=False))
        gain = self.last.parametrizations.weight.original0
        gain.data.fill_(1.0)
        gain.requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Project tokens [..., width] to [..., out]."""
        projected: Tensor = self.last(nn.functional.normalize(self.mlp(tokens), dim=-1))
        return projected


def max_pool_scores(classifier: nn.Module, tokens: Tensor) -> Tensor:
    """Class scores [B, K] of the largest value of each channel of ``tokens`` [B, D, h, w] (Ru et al., CVPR 2023)."""
    scores: Tensor = classifier(tokens.amax((-2, -1), keepdim=True))
    return scores.flatten(1)


def global_max_pool(maps: Tensor) -> Tensor:
    """Largest value of each map: [B, K, h, w] -> [B, K]."""
    return maps.flatten(2).amax(dim=2)


def top_pool(maps: Tensor, share: float) -> Tensor:
    """Mean of the best ``share`` of each map: [B, K, h, w] -> [B, K]; between maximum and mean pooling."""
    flat = maps.flatten(2)
    count = max(1, round(flat.shape[2] * share))
    return torch.topk(flat, count, dim=2).values.mean(dim=2)
