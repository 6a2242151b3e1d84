"""A hierarchical vision transformer with its decoder: four stages of falling resolution, fused to one dense grid.

Stages of strides 4, 8, 16 and 32 px (Xie et al., NeurIPS 2021; Wang et al., ICCV 2021): overlapping patches, attention
whose keys are averaged over squares, and a depthwise convolution in place of a position embedding, so that images may
have any size. The decoder projects every stage to one width, brings them to one grid and sums them (Lin et al., CVPR
2017), then two 3 x 3 convolutions mix what lies side by side. All kernels are even where they stride, so that a token
lies in the middle of its square.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.encoder import Tokens
from wsss_geo.nn.tensors import resize

#: Strides of the stages in pixels.
STRIDES = (4, 8, 16, 32)


class HierarchicalEncoder(nn.Module):
    """Encoder and decoder as one backbone.

    ``widths``, ``depths``, ``heads`` and ``reductions`` (side of the squares over which keys are averaged) are given by
    stage; ``fusion`` is the width of the decoder, ``stride`` (4, 8 or 16) the side in pixels of its tokens. As a
    backbone it has ``width`` = ``fusion`` and ``patch`` = ``stride``: ``final`` tokens are the decoder's, ``middle``
    ones the plain sum of the projected stages, not mixed with their neighbours. ``summary`` is the mean over the last
    stage, projected like it.

    ``image_size`` is the side in pixels of the views it learns from, which it only remembers: images of any size are
    padded at the right and lower edge to whole tokens of the last stage; what the padding
    added is cut off again. Raises ValueError for arguments that do not fit together.
    """

    stage_strides = STRIDES
    position: nn.Parameter | None = None

    def __init__(
        self,
        *,
        bands: int = 3,
        image_size: int = 224,
        widths: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 2, 5, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        expansion: int = 4,
        fusion: int = 256,
        stride: int = 8,
    ) -> None:
        super().__init__()
        if not all(len(given) == len(STRIDES) for given in (widths, depths, heads, reductions)):
            raise ValueError(f"widths, depths, heads and reductions need {len(STRIDES)} numbers each, one a stage")
        if stride not in STRIDES[:3]:
            raise ValueError(f"a stride of {stride} px is none of {', '.join(map(str, STRIDES[:3]))}")
        if any(w % h for w, h in zip(widths, heads, strict=True)):
            raise ValueError(f"heads {list(heads)} do not divide widths {list(widths)}")
        if any(STRIDES[-1] // s % r for s, r in zip(STRIDES, reductions, strict=True)):
            raise ValueError(f"reductions {list(reductions)} do not divide {[STRIDES[-1] // s for s in STRIDES]}")
        self.width, self.patch, self.stage_widths = fusion, stride, tuple(widths)
        self.depth, self.image_size = sum(depths), image_size
        before = (bands, *widths[:-1])
        self.stages = nn.ModuleList(
            Stage(before[i], widths[i], depths[i], heads[i], reductions[i], expansion, 4 if i == 0 else 2)
            for i in range(len(STRIDES))
        )
        self.lateral = nn.ModuleList(nn.Conv2d(w, fusion, 1) for w in widths)
        self.mix = nn.Sequential(
            nn.Conv2d(fusion, fusion, 3, padding=1), nn.GELU(), nn.Conv2d(fusion, fusion, 3, padding=1)
        )
        self.norm = nn.GroupNorm(1, fusion)

    def forward(self, image: Tensor) -> Tokens:
        """Encode normalised images [B, bands, H, W] to tokens [B, fusion, ceil(H / stride), ceil(W / stride)]."""
        return self.forward_stages(image)[0]

    def forward_stages(self, image: Tensor) -> tuple[Tokens, tuple[Tensor, ...]]:
        """Tokens and, beside them, the output of every stage [B, widths[l], ceil(H / strides[l]), ...]."""
        height, width = image.shape[-2:]
        coarsest = STRIDES[-1]
        found = self._staged(image)
        projected = [lateral(maps) for lateral, maps in zip(self.lateral, found, strict=True)]
        grid = (found[-1].shape[-2] * coarsest // self.patch, found[-1].shape[-1] * coarsest // self.patch)
        middle = _cut(torch.stack([_brought_to(p, grid) for p in projected]).sum(0), height, width, self.patch)
        final = self.norm(self.mix(middle))
        summary = _cut(projected[-1], height, width, coarsest).mean(dim=(2, 3))
        stages = tuple(_cut(m, height, width, s) for m, s in zip(found, STRIDES, strict=True))
        return Tokens(summary, final, middle), stages

    def summarise(self, image: Tensor) -> Tensor:
        """``summary`` [B, fusion] alone: the decoder does not run."""
        coarse = self.lateral[-1](self._staged(image)[-1])
        return _cut(coarse, image.shape[-2], image.shape[-1], STRIDES[-1]).mean(dim=(2, 3))

    def _staged(self, image: Tensor) -> list[Tensor]:
        """Output of every stage for the padded images."""
        coarsest = STRIDES[-1]
        maps = functional.pad(image, (0, -image.shape[-1] % coarsest, 0, -image.shape[-2] % coarsest))
        found = []
        for stage in self.stages:
            maps = stage(maps)
            found.append(maps)
        return found

    def layers(self, image: Tensor) -> dict[str, Tensor]:
        """Tokens [B, D, h, w] as they leave every stage and the decoder, by name."""
        tokens, stages = self.forward_stages(image)
        return {**{f"stage {i + 1}": maps for i, maps in enumerate(stages)}, "decoder": tokens.final}


class Stage(nn.Module):
    """Overlapping patches of ``stride``, then ``depth`` blocks on their grid: [B, before, H, W] -> [B, width, h, w]."""

    def __init__(
        self, before: int, width: int, depth: int, heads: int, reduction: int, expansion: int, stride: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(before, width, 2 * stride, stride=stride, padding=stride // 2)
        self.enter = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, reduction, expansion) for _ in range(depth))
        self.leave = nn.LayerNorm(width)

    def forward(self, maps: Tensor) -> Tensor:
        """Encode maps whose sides are multiples of stride and reduction."""
        maps = self.patches(maps)
        height, width = maps.shape[-2:]
        tokens = self.enter(maps.flatten(2).transpose(1, 2))
        for block in self.blocks:
            tokens = block(tokens, height, width)
        encoded: Tensor = self.leave(tokens).transpose(1, 2).unflatten(2, (height, width))
        return encoded


class Block(nn.Module):
    """Attention, then a two-layer perceptron with a depthwise 3 x 3 convolution, which knows where a token lies."""

    def __init__(self, width: int, heads: int, reduction: int, expansion: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = ReducedAttention(width, heads, reduction)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.around = nn.Conv2d(expansion * width, expansion * width, 3, padding=1, groups=expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Tokens [B, N, D] on a row-major grid of ``height`` x ``width``."""
        tokens = tokens + self.attention(self.norm1(tokens), height, width)
        wide = self.widen(self.norm2(tokens)).transpose(1, 2).unflatten(2, (height, width))
        wide = functional.gelu(self.around(wide)).flatten(2).transpose(1, 2)
        return tokens + self.narrow(wide)


class ReducedAttention(nn.Module):
    """Attention of all tokens to the means of squares of ``reduction`` x ``reduction`` tokens."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width) if reduction > 1 else nn.Identity()
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Tokens [B, N, D] on a row-major grid of ``height`` x ``width``."""
        seen = tokens
        if self.reduction > 1:
            maps = tokens.transpose(1, 2).unflatten(2, (height, width))
            seen = self.norm(functional.avg_pool2d(maps, self.reduction).flatten(2).transpose(1, 2))
        query = self._by_head(self.query(tokens))
        key, value = (self._by_head(part) for part in self.key_value(seen).chunk(2, dim=-1))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _by_head(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _brought_to(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps on ``grid``: finer ones are averaged, coarser ones interpolated."""
    factor = maps.shape[-1] // grid[1]
    return functional.avg_pool2d(maps, factor) if factor > 1 else resize(maps, grid)


def _cut(maps: Tensor, height: int, width: int, stride: int) -> Tensor:
    """The tokens of ``stride`` px that see a part of an image of ``height`` x ``width`` px."""
    return maps[..., : -(-height // stride), : -(-width // stride)]
