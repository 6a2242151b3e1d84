"""The encoder: any plain ViT of timm, giving its final tokens and those of an intermediate block."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports


class Tokens(NamedTuple):
    """What the encoder makes of B images: N = h * w patch tokens of width D on a row-major grid."""

    summary: Tensor
    """Class token after the last norm [B, D]; the mean patch token where the ViT has none."""
    final: Tensor
    """Patch tokens after the last norm [B, D, h, w]."""
    middle: Tensor
    """Patch tokens leaving the intermediate block, not normed [B, D, h, w]."""


class Encoder(nn.Module):
    """A plain ViT of timm (``vit_*``, ``deit*``, DINOv2/v3, EVA ...) seen through its tokens.

    ``middle`` is the depth, as a share, of the block whose output feeds the auxiliary branch: tokens of block 10 of 12
    are still diverse (Ru et al., CVPR 2023). Class and register tokens are skipped; any
    image side that is a multiple of the patch works, the position embedding being resampled.

    Raises ValueError for a backbone that timm does not know or that is no plain ViT.
    """

    def __init__(
        self,
        backbone: str,
        *,
        bands: int = 3,
        image_size: int = 224,
        pretrained: bool = False,
        middle: float = 10 / 12,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        given = {"in_chans": bands, "num_classes": 0, "img_size": image_size, "dynamic_img_size": True}
        self.vit = timm_model(backbone, pretrained, {**(arguments or {}), **given})
        blocks = getattr(self.vit, "blocks", None)
        if blocks is None or not hasattr(self.vit, "forward_intermediates"):
            raise ValueError(f"backbone {backbone!r} is no plain ViT")
        self.image_size = image_size
        self.depth = len(blocks)
        self.width: int = self.vit.embed_dim
        self.patch: int = self.vit.patch_embed.patch_size[0]
        if not 0 < middle <= 1:
            raise ValueError(f"middle {middle} is no share of the depth in 0..1")
        self.middle_block = max(1, round(self.depth * middle))
        self.stage_widths, self.stage_strides = (self.width,), (self.patch,)

    @property
    def position(self) -> nn.Parameter | None:
        """The position embedding, where the ViT learns one."""
        found = getattr(self.vit, "pos_embed", None)
        return found if isinstance(found, nn.Parameter) else None

    def forward(self, image: Tensor) -> Tokens:
        """Encode normalised images [B, bands, H, W]; H and W are multiples of ``patch``."""
        final, between = self.vit.forward_intermediates(image, indices=[self.middle_block - 1], output_fmt="NCHW")
        middle: Tensor = between[0]
        prefix: int = self.vit.num_prefix_tokens
        patches = final[:, prefix:]
        has_class_token = getattr(self.vit, "cls_token", None) is not None
        summary = final[:, 0] if has_class_token else patches.mean(dim=1)
        return Tokens(summary, patches.transpose(1, 2).reshape(middle.shape), middle)

    def summarise(self, image: Tensor) -> Tensor:
        """``summary`` [B, D] of normalised images alone: the last block works out no more than that token."""
        if not has_reachable_tokens(self.vit):
            whole: Tokens = self(image)
            return whole.summary
        return self._summary(self._before_last(image)[0])

    def forward_beside(self, image: Tensor, other: Tensor) -> tuple[Tokens, Tensor]:
        """``self(image)`` and ``summarise(other)`` of as many images of one size, which share all blocks but the last.

        That costs less than one after the other: matrices are larger, and gradients of weights come summed.
        """
        vit, count = self.vit, len(image)
        if not has_reachable_tokens(vit) or image.shape != other.shape:
            return self(image), self.summarise(other)
        tokens, middle = self._before_last(torch.cat([image, other]))
        left = vit.blocks[-1](tokens[:count])
        middle = left if middle is None else middle[:count]
        final = vit.norm(left)

        def on_grid(maps: Tensor) -> Tensor:
            patches = maps[:, vit.num_prefix_tokens :].transpose(1, 2)
            return patches.reshape(count, self.width, -1, image.shape[-1] // self.patch)

        return Tokens(final[:, 0], on_grid(final), on_grid(middle)), self._summary(tokens[count:])

    def see_middle(self, image: Tensor) -> Tensor:
        """``middle`` [B, D, h, w] of normalised images alone: the blocks behind do not run."""
        (middle,) = self.vit.forward_intermediates(
            image, indices=[self.middle_block - 1], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return middle

    def _before_last(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens [B,n,D] that enter the last block, and those that left the intermediate one if that is earlier."""
        vit, middle = self.vit, None
        tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(image))))
        for i, block in enumerate(vit.blocks[:-1], 1):
            tokens = block(tokens)
            middle = tokens if i == self.middle_block else middle
        return tokens, middle

    def _summary(self, tokens: Tensor) -> Tensor:
        """``summary`` from tokens that enter the last block."""
        summary: Tensor = self.vit.norm(first_token_after(self.vit.blocks[-1], tokens))[:, 0]
        return summary

    def forward_stages(self, image: Tensor) -> tuple[Tokens, tuple[Tensor, ...]]:
        """Tokens and, as the only stage before them, the middle ones."""
        tokens = self(image)
        return tokens, (tokens.middle,)

    def layers(self, image: Tensor) -> dict[str, Tensor]:
        """Patch tokens [B, D, h, w] as they leave every block, and after the last norm, by name."""
        final, between = self.vit.forward_intermediates(image, output_fmt="NCHW")
        patches = final[:, self.vit.num_prefix_tokens :].transpose(1, 2).reshape(between[-1].shape)
        return {**{f"block {i + 1}": maps for i, maps in enumerate(between)}, "norm": patches}


def timm_model(name: str, pretrained: bool, arguments: Mapping[str, Any]) -> Any:
    """Build a model of timm from values for its constructor. Raises ValueError.

    What timm takes for itself is refused: with it a stranger's model file could have other files loaded, which timm
    unpickles.
    """
    ensure_torchvision_imports()
    import timm

    own = sorted(set(arguments) & set(inspect.signature(timm.create_model).parameters))
    if own:
        raise ValueError(f"backbone {name!r} takes no argument {own[0]}")
    try:
        return timm.create_model(name, pretrained=pretrained, **arguments)
    except (ImportError, MemoryError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"backbone {name!r} cannot be built by timm ({error})") from error


def has_reachable_tokens(vit: Any) -> bool:
    """Whether ``vit`` has a class token and plain pre-norm blocks of timm, whose attention can be taken apart."""
    from timm.models import vision_transformer as timm_vit

    return (
        isinstance(vit, timm_vit.VisionTransformer)
        and vit.cls_token is not None
        and all(isinstance(b, timm_vit.Block) and isinstance(b.attn, timm_vit.Attention) for b in vit.blocks)
    )


def first_token_after(block: Any, tokens: Tensor) -> Tensor:
    """The first of ``tokens`` [B,n,D] as it leaves a pre-norm ``block`` of timm: [B,1,D].

    All tokens are attended to, but one only asks and goes on, which saves five sixths of the block.
    """
    attention, first = block.attn, tokens[:, :1]
    norm, gate = (getattr(attention, name, None) for name in ("norm", "gate"))
    normed = block.norm1(tokens)
    width = attention.qkv.weight.shape[0] // 3
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query = functional.linear(normed[:, :1], weight[:width], None if bias is None else bias[:width])
    both = functional.linear(normed, weight[width:], None if bias is None else bias[width:])
    query = query.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    key, value = both.unflatten(2, (2, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    dropped = attention.attn_drop.p if attention.training else 0.0
    seen = functional.scaled_dot_product_attention(
        attention.q_norm(query), attention.k_norm(key), value, dropout_p=dropped
    )
    seen = seen.transpose(1, 2).flatten(2)
    seen = seen if norm is None else norm(seen)
    seen = seen if gate is None else seen * gate(normed[:, :1]).sigmoid()
    first = first + block.drop_path1(block.ls1(attention.proj_drop(attention.proj(seen))))
    passed: Tensor = first + block.drop_path2(block.ls2(block.mlp(block.norm2(first))))
    return passed


def load_backbone_weights(encoder: Encoder, weights: Mapping[str, Tensor]) -> list[str]:
    """Load ViT weights as timm names them; return the names that the file lacks.

    A position embedding of another grid is resampled, a patch embedding of another band count is averaged and
    repeated, a classifier head is left out. Raises ValueError when the patch embedding or a block does not fit.
    """
    from timm.layers import resample_abs_pos_embed

    own = encoder.vit.state_dict()
    fitting: dict[str, Tensor] = {}
    for name, value in weights.items():
        name = name.removeprefix("module.").removeprefix("encoder.vit.").removeprefix("backbone.")
        if name not in own:
            continue
        target = own[name]
        if name == "pos_embed" and value.shape != target.shape:
            value = resample_abs_pos_embed(
                value,
                list(encoder.vit.patch_embed.grid_size),
                num_prefix_tokens=0 if getattr(encoder.vit, "no_embed_class", False) else encoder.vit.num_prefix_tokens,
            )
        if name == "patch_embed.proj.weight" and value.ndim == 4 and value.shape[1] != target.shape[1]:
            value = value.mean(dim=1, keepdim=True).expand(-1, target.shape[1], -1, -1)
        if value.shape == target.shape:
            fitting[name] = value.to(torch.float32)
    lacking = sorted(set(own) - set(fitting))
    vital = [name for name in lacking if name == "patch_embed.proj.weight" or name.startswith("blocks.")]
    if vital:
        raise ValueError(f"the weights do not fit the backbone: {vital[-1]} is missing or of another size")
    encoder.vit.load_state_dict(fitting, strict=False)
    return lacking
