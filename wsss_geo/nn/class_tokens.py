"""A network whose ViT carries a token for every class; what a token attends to locates its class.

Multi-class-token transformers (Xu et al., CVPR 2022) with a background token and tokens grown from one (CTI: Yoon et
al., CVPR 2024). Activation maps are those of a convolution on patch tokens times the attention of the class tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.cam import normalise_cam
from wsss_geo.nn.encoder import Encoder, Tokens, has_reachable_tokens
from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import full_precision


class Midway(NamedTuple):
    """Images on their way through the encoder, about to enter ``block`` (from 0)."""

    tokens: Tensor
    """[B, M + R + N, D]: class tokens, background first where there is one, register tokens, patch tokens."""
    grid: tuple[int, int]
    """Rows and columns of the patch tokens."""
    block: int


class Reading(NamedTuple):
    """What the network sees in B images; maps have M channels, background first where there is one."""

    tokens: Tokens
    logits: Tensor
    """Of the class tokens without background [B,K]: the mean of a token's channels."""
    maps: Tensor
    """Class maps of the patch tokens, not rectified [B,M,h,w]."""
    attention: Tensor
    """What class tokens pay to patch tokens, summed over blocks [B,M,h,w]."""
    affinity: Tensor
    """What patch tokens pay to each other, row by row, summed over blocks [B,N,N]."""

    @property
    def fused(self) -> Tensor:
        """Rectified class maps times attention [B,M,h,w]."""
        return self.maps.float().relu() * self.attention

    def refine(self, maps: Tensor) -> Tensor:
        """Replace every value of ``maps`` [B,C,h,w] by the sum over the image, weighted by affinity."""
        return propagate(self.affinity, maps)


class ClassTokens(nn.Module):
    """Tokens of ``classes`` classes and, with ``background``, one more in slot 0, grown from the ViT's class token.

    An MLP turns that token, its position included, into an offset for each slot. Offsets are added to the token itself,
    that of slot 0 to a background token; each slot has a position embedding of its own.
    """

    def __init__(self, width: int, classes: int, background: bool) -> None:
        super().__init__()
        self.slots = classes + background
        self.offsets = nn.Sequential(nn.Linear(width, 5 * width), nn.ReLU(), nn.Linear(5 * width, width * self.slots))
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(self.slots, width), std=0.02))
        self.background = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, width), std=0.02)) if background else None

    def forward(self, seed: Tensor) -> Tensor:
        """Grow tokens [M,D] from the ViT's class token ``seed`` [D]."""
        base = seed.expand(self.slots, -1)
        if self.background is not None:
            base = torch.cat([self.background, base[1:]])
        return base + self.offsets(seed).view_as(base) + self.position


class ClassTokenNetwork(Network):
    """``Network`` on an encoder with K class tokens, and one for background where the classes have a cold one.

    Maps come from the patch tokens that leave the last block, not normed; ``aux_classifier`` makes them, there is no
    ``classifier``. Takes the arguments of ``Network``. Raises ValueError for a backbone whose class token or attention
    cannot be reached (``vit_*``, ``deit_*`` and DINOv2 are fine) and for a ``middle`` other than 1.
    """

    encoder: Encoder

    def __init__(self, backbone: str, **arguments: Any) -> None:
        super().__init__(backbone, **arguments)
        if not has_reachable_tokens(getattr(self.encoder, "vit", None)):
            raise ValueError(f"backbone {backbone!r} cannot carry class tokens")
        if self.encoder.middle_block != self.encoder.depth:
            raise ValueError("a network with class tokens is read after its last block: middle must be 1")
        self.class_tokens = ClassTokens(self.encoder.width, self.taggable, self.cold is not None)
        self.classifier = nn.Identity()
        self.aux_classifier = nn.Conv2d(self.encoder.width, self.class_tokens.slots, 3, padding=1)

    def midway(self, image01: Tensor, block: int = 0) -> Midway:
        """Embed images [B,bands,H,W] in 0..1, add class tokens and pass the first ``block`` blocks."""
        vit = self.encoder.vit
        tokens = vit._pos_embed(vit.patch_embed(self._normalised(image01)))
        grown = self.class_tokens(tokens[0, 0]).expand(len(tokens), -1, -1)
        tokens = vit.norm_pre(torch.cat([grown, tokens[:, 1:]], dim=1))
        for layer in vit.blocks[:block]:
            tokens = layer(tokens)
        return Midway(tokens, (image01.shape[-2] // self.multiple, image01.shape[-1] // self.multiple), block)

    def look(self, midway: Midway) -> tuple[Tensor, Tensor]:
        """Logits [B,K] and maps [B,M,h,w] as in ``Reading``, for less: attention is not worked out."""
        tokens = midway.tokens
        for layer in self.encoder.vit.blocks[midway.block :]:
            tokens = layer(tokens)
        return self._answers(tokens, midway.grid)

    def read(self, midway: Midway, last: int | None = None) -> Reading:
        """Pass the blocks that are left; class attention counts in the ``last`` of them, all unless given."""
        attentions: list[Tensor] = []
        tokens = midway.tokens
        for layer in self.encoder.vit.blocks[midway.block :]:
            attentions.append(attention_weights(layer, tokens).float())
            tokens = layer(tokens)
        slots, (rows, cols) = self.class_tokens.slots, midway.grid
        patches = rows * cols
        seen = torch.stack([a[:, :slots, -patches:] for a in attentions[-(last or len(attentions)) :]]).sum(dim=0)
        affinity = torch.stack([a[:, -patches:, -patches:] for a in attentions]).sum(dim=0)
        logits, maps = self._answers(tokens, midway.grid)
        return Reading(self._as_tokens(tokens, midway.grid), logits, maps, seen.unflatten(2, (rows, cols)), affinity)

    def encode(self, image01: Tensor) -> Tokens:
        """Encode images [B,bands,H,W] in 0..1."""
        midway = self.midway(image01, self.encoder.depth)
        return self._as_tokens(midway.tokens, midway.grid)

    def summarise(self, image01: Tensor) -> Tensor:
        """Mean class token [B,D] of images [B,bands,H,W] in 0..1."""
        return self.encode(image01).summary

    def class_maps(self, image01: Tensor) -> tuple[Tensor, Tensor]:
        """Refined and merely fused maps of the taggable classes, [B,K,h,w] each, from the attention of all blocks."""
        reading = self.read(self.midway(image01))
        fused = reading.fused[:, -self.taggable :]
        return reading.refine(fused), fused

    def see(self, image01: Tensor) -> tuple[Tokens, Tensor]:
        """Tokens, and activations in 0..1 [B,K,h,w]: refined maps, normalised, times the class's probability.

        The probability is that of the mean of the two logits that training teaches the tags.
        """
        reading = self.read(self.midway(image01))
        maps = reading.maps[:, -self.taggable :]
        probability = torch.sigmoid((reading.logits + maps.mean(dim=(2, 3))).float() / 2)
        refined = reading.refine(reading.fused[:, -self.taggable :])
        return reading.tokens, normalise_cam(refined) * probability[:, :, None, None]

    def _answers(self, tokens: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        slots = self.class_tokens.slots
        logits = tokens[:, slots - self.taggable : slots].mean(dim=2)
        return logits, self.aux_classifier(_on_grid(tokens, grid))

    def _as_tokens(self, tokens: Tensor, grid: tuple[int, int]) -> Tokens:
        normed = self.encoder.vit.norm(tokens)
        summary = normed[:, : self.class_tokens.slots].mean(dim=1)
        return Tokens(summary, _on_grid(normed, grid), _on_grid(tokens, grid))


def attention_weights(block: Any, tokens: Tensor) -> Tensor:
    """Attention that a pre-norm ``block`` of timm pays on ``tokens`` [B,n,D], mean over heads: [B,n,n], rows sum to 1.

    The block itself may use a fused kernel, which does not tell; hence queries and keys once more.
    """
    attention = block.attn
    width = attention.qkv.weight.shape[0] // 3
    bias = None if attention.qkv.bias is None else attention.qkv.bias[: 2 * width]
    both = functional.linear(block.norm1(tokens), attention.qkv.weight[: 2 * width], bias)
    query, key = both.unflatten(2, (2, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    query, key = attention.q_norm(query), attention.k_norm(key)
    weights: Tensor = (query * attention.scale @ key.transpose(-2, -1)).softmax(dim=-1).mean(dim=1)
    return weights


@full_precision
def propagate(affinity: Tensor, maps: Tensor) -> Tensor:
    """Sum of ``maps`` [B,C,h,w] over the image for each pixel, weighted by its row of ``affinity`` [B,hw,hw]."""
    return torch.einsum("bij,bcj->bci", affinity, maps.flatten(2)).view_as(maps)


def _on_grid(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    patches = tokens[:, -grid[0] * grid[1] :]
    return patches.transpose(1, 2).unflatten(2, grid)
