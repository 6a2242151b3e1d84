"""Stages of timm's backbones that have some: CNNs such as ResNet or ConvNeXt, and hierarchical transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wsss_geo.nn.encoder import timm_model

#: Pixels between the features of the stages that are used, before any dilation.
STRIDES = (8, 16, 32)
_PREFIXES = ("module.", "backbone.", "encoder.")


def build_stages(name: str, bands: int, pretrained: bool, arguments: Mapping[str, Any]) -> Any:
    """A timm backbone that gives its stages at strides of 8, 16 and 32 px, all at 8 where it can be dilated.

    Which of timm's outputs these are is looked up: a ResNet counts its stem, a ConvNeXt does not. Raises ValueError for
    names and arguments that make no backbone, and for one without such stages.
    """
    wanted = {**arguments, "features_only": True, "in_chans": bands}
    with torch.device("meta"):  # to look at: this takes neither memory nor the time to fill it
        strides = list(timm_model(name, False, wanted).feature_info.reduction())
    if not set(STRIDES) <= set(strides):
        found = ", ".join(map(str, strides))
        raise ValueError(f"backbone {name!r} has no stages at strides of 8, 16 and 32 px, but at {found}")
    last = {stride: number for number, stride in enumerate(strides)}
    wanted["out_indices"] = tuple(last[stride] for stride in STRIDES)
    try:
        return timm_model(name, pretrained, {**wanted, "output_stride": STRIDES[0]})
    except ValueError:  # not every family can be dilated
        return timm_model(name, pretrained, wanted)


def stage_maps(stages: Any, image: Tensor) -> list[Tensor]:
    """Maps [B,D,h,w] of what ``build_stages`` built, for normalised images [B,bands,H,W]."""
    width_last = "NHWC" in str(getattr(stages, "output_fmt", ""))
    return [maps.permute(0, 3, 1, 2) if width_last else maps for maps in stages(image)]


def load_stages(stages: Any, weights: Mapping[str, Tensor]) -> None:
    """Load weights as timm names them, of the whole network or of its stages alone, of whatever prefix.

    A first layer for another number of bands is averaged and repeated. Raises ValueError when they do not fit.
    """
    own = stages.state_dict()
    first = next(name for name, value in own.items() if value.ndim == 4)
    # What is stages.1 in the whole network is stages_1 where only the stages are wanted.
    given = {_flat(name): value for name, value in weights.items()}
    fitting = {}
    for name, value in own.items():
        found = given.get(_flat(name), value if name.endswith("num_batches_tracked") else None)
        if name == first and found is not None and found.ndim == 4 and found.shape[1] != value.shape[1]:
            found = found.mean(dim=1, keepdim=True).expand(-1, value.shape[1], -1, -1)
        if found is None or found.shape != value.shape:
            raise ValueError(f"the weights do not fit the backbone: {name} is missing or of another size")
        fitting[name] = found
    stages.load_state_dict(fitting)


def _flat(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.replace(".", "_")
