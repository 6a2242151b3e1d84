"""Frozen backbones for few-shot segmentation: middle features to compare, deep ones for the prior, and colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.backbones import HIERARCHICAL, build_backbone, load_weights
from wsss_geo.nn.colours import colour_statistics
from wsss_geo.nn.hierarchical import STRIDES
from wsss_geo.nn.stages import STRIDES as STAGES
from wsss_geo.nn.stages import build_stages, load_stages, stage_maps
from wsss_geo.nn.tensors import resize
from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports

#: Depth, as a share, of the ViT block that gives the middle features: later blocks know classes, and only those.
_MIDDLE = 2 / 3


class Features(NamedTuple):
    """``middle`` [B,D,h,w], ``deep`` [B,E,h,w] and ``colours`` [B,F,h,w] on one grid of ``patch`` px."""

    middle: Tensor
    deep: Tensor
    colours: Tensor
    """Mean and deviation of the bands around each place, which no training has touched."""


class FrozenBackbone(nn.Module):
    """A backbone that is never trained here: ``mevt``, a plain ViT of timm, or another of timm that has stages.

    Stages keep a stride of 8 px where they can be dilated (ResNet, ConvNeXt) and are resampled to it otherwise; the
    finer two join as middle features, the deepest gives the prior (Tian et al., TPAMI 2022). ``patch`` is the side of a
    feature in pixels, ``widths`` those of middle and deep features. Images [B,bands,H,W] have sides that are multiples
    of ``patch``. Raises ValueError for names and arguments that make no backbone, and for one that takes pictures of
    one size alone.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int = 224,
        pretrained: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name = backbone
        self.kind = _kind_of(backbone)
        if self.kind == "stages":
            self.encoder: nn.Module = build_stages(backbone, len(mean), pretrained, arguments or {})
            self.patch = STAGES[0]
        else:
            encoder = build_backbone(
                backbone, bands=len(mean), image_size=image_size, pretrained=pretrained, middle=_MIDDLE,
                arguments=arguments,
            )  # fmt: skip
            self.encoder, self.patch = encoder, encoder.patch
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, -1, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()
        try:
            seen = self(torch.zeros(1, len(mean), 8 * self.patch, 9 * self.patch))
        except (AssertionError, RuntimeError) as error:
            raise ValueError(f"backbone {backbone!r} does not take pictures of any size ({error})") from error
        self.widths = seen.middle.shape[1], seen.deep.shape[1]

    def train(self, mode: bool = True) -> FrozenBackbone:
        """Stay as it is: statistics of batches are frozen as well."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image01: Tensor) -> Features:
        """Features of images [B,bands,H,W] in 0..1."""
        image = (image01 - self.mean) / self.std
        grid = (image.shape[-2] // self.patch, image.shape[-1] // self.patch)
        if self.kind == "stages":
            stages = stage_maps(self.encoder, image)
            middle, deep = torch.cat([_to_grid(s, grid) for s in stages[:-1]], dim=1), _to_grid(stages[-1], grid)
        else:
            tokens, between = self.encoder.forward_stages(image)  # type: ignore[operator]
            if self.kind == "mevt":
                fine = [s for s, stride in zip(between, STRIDES, strict=True) if stride in (4, 8)]
                middle, deep = torch.cat([_to_grid(s, grid) for s in fine], dim=1), tokens.final
            else:
                middle, deep = tokens.middle, tokens.final
        return Features(middle.float(), deep.float(), colour_statistics(image.float(), self.patch))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights of the encoder, of whatever prefix. Raises ValueError when they do not fit."""
        if self.kind == "stages":
            load_stages(self.encoder, weights)
        else:
            load_weights(self.encoder, weights)  # type: ignore[arg-type]


def _kind_of(name: str) -> str:
    if name == HIERARCHICAL:
        return "mevt"
    ensure_torchvision_imports()
    import timm

    known = timm.is_model(name.split(".")[0])
    if not known:
        raise ValueError(f"backbone {name!r} is not known to timm")
    return "vit" if name.startswith(("vit_", "deit", "eva", "beit")) else "stages"


def _to_grid(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps on ``grid``: finer ones are averaged, coarser ones interpolated."""
    if maps.shape[-2] > grid[0]:
        return functional.adaptive_avg_pool2d(maps, grid)
    return resize(maps, grid)
