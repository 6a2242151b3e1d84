"""Backbones by name, and weights for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from wsss_geo.nn.encoder import Encoder, load_backbone_weights
from wsss_geo.nn.hierarchical import HierarchicalEncoder

#: Name of the hierarchical backbone; all other names are timm's.
HIERARCHICAL = "mevt"

Backbone = Encoder | HierarchicalEncoder


def build_backbone(
    name: str,
    *,
    bands: int = 3,
    image_size: int = 224,
    pretrained: bool = False,
    middle: float = 10 / 12,
    arguments: Mapping[str, Any] | None = None,
) -> Backbone:
    """Build ``mevt`` or a plain ViT of timm; ``middle`` concerns the latter only.

    Raises ValueError for names and arguments that make no backbone.
    """
    if name != HIERARCHICAL:
        return Encoder(
            name, bands=bands, image_size=image_size, pretrained=pretrained, middle=middle, arguments=arguments
        )
    if pretrained:
        raise ValueError(f"there are no published weights of {name}")
    try:
        return HierarchicalEncoder(bands=bands, image_size=image_size, **(arguments or {}))
    except (TypeError, ZeroDivisionError, RuntimeError) as error:
        raise ValueError(f"backbone {name!r} cannot be built ({error})") from error


def load_weights(backbone: Backbone, weights: Mapping[str, Tensor]) -> list[str]:
    """Load weights into ``backbone`` and return the names that they lack.

    Names may carry the prefix they have in a model. A patch embedding of another band count is averaged and repeated.
    Raises ValueError when they do not fit.
    """
    if isinstance(backbone, Encoder):
        return load_backbone_weights(backbone, weights)
    own = backbone.state_dict()
    given = {name.removeprefix("module.").removeprefix("encoder."): value for name, value in weights.items()}
    first = "stages.0.patches.weight"
    if first in given and given[first].ndim == 4 and given[first].shape[1] != own[first].shape[1]:
        given[first] = given[first].mean(dim=1, keepdim=True).expand(-1, own[first].shape[1], -1, -1)
    for name, value in own.items():
        if name not in given or given[name].shape != value.shape:
            raise ValueError(f"the weights do not fit the backbone: {name} is missing or of another size")
    backbone.load_state_dict({name: given[name].float() for name in own})
    return []
