"""Frozen backbone, DSMF-Net and baseline as one module, and the form in which prediction runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.classes import IGNORE
from wsss_geo.nn.dsmf import DSMF, Answer, Examples, cell_shares, episode_loss
from wsss_geo.nn.frozen import Features, FrozenBackbone
from wsss_geo.nn.panet import PANet, nearest_prototype
from wsss_geo.nn.prototypes import as_alike, as_vectors

#: What an episode may be answered with: DSMF-Net, PANet, and masked averages of features as they are.
WAYS = ("dsmf", "panet", "prototypes")


class FewShotNetwork(nn.Module):
    """What a few-shot model file holds. ``arguments`` of the constructor are plain values, so that it can carry them.

    Images come stretched to 0..1 [.,bands,H,W]; sides are multiples of ``patch``. Masks [.,H,W] are 1 where there is
    what is sought, 0 where there is not, 255 where nobody knows. Only DSMF-Net and PANet learn.
    """

    def __init__(
        self,
        backbone: str,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int = 224,
        pretrained: bool = False,
        backbone_args: Mapping[str, Any] | None = None,
        width: int = 256,
        parts: int = 5,
        regions: int = 8,
        layers: int = 2,
        correction: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = FrozenBackbone(
            backbone, mean=mean, std=std, image_size=image_size, pretrained=pretrained, arguments=backbone_args
        )
        self.patch = self.multiple = self.backbone.patch
        self.dsmf = DSMF(self.backbone.widths, width, parts, regions, layers, correction)
        self.panet = PANet(self.backbone.widths, width)

    def look(self, images: Tensor, masks: Tensor) -> Examples:
        """See examples [B,S,bands,H,W] with masks [B,S,H,W]."""
        seen = self.backbone(images.flatten(0, 1))
        middle, deep, colours = (maps.unflatten(0, images.shape[:2]) for maps in seen)
        share, other = cell_shares(masks, self.patch)
        return Examples(middle, deep, colours, share, other)

    def losses(self, query: Tensor, target: Tensor, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Loss terms of B episodes: queries [B,bands,H,W] with masks, S examples each; PANet learns beside."""
        features, examples = self.backbone(query), self.look(images, masks)
        terms = episode_loss(self.dsmf(features, examples), target)
        return {**terms, **self.panet.losses(features, examples, target, masks)}

    def answers(self, query: Tensor, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Logits [B,2,h,w] (other, sought) in all ``WAYS``."""
        features, examples = self.backbone(query), self.look(images, masks)
        plain = nearest_prototype(features.middle, examples.middle, examples.share, examples.other)
        return {
            "dsmf": self.dsmf(features, examples).logits,
            "panet": self.panet(features, examples).logits,
            "prototypes": plain,
        }

    def answer(self, features: Features, examples: Examples) -> Answer:
        """What DSMF-Net says."""
        found: Answer = self.dsmf(features, examples)
        return found


class ConditionedNetwork(nn.Module):
    """A few-shot network that has seen its examples, as prediction runs any network: two classes, other and sought."""

    def __init__(self, network: FewShotNetwork, images: Tensor, masks: Tensor) -> None:
        """Look at S examples [S,bands,H,W] with masks [S,H,W], one after the other."""
        super().__init__()
        self.network = network
        self.patch = self.multiple = network.patch
        self.mean, self.std = network.backbone.mean, network.backbone.std
        with torch.inference_mode():
            seen = [network.look(*(_padded(t[None], network.patch) for t in pair)) for pair in _pairs(images, masks)]
            self.examples = cleaned(Examples(*(torch.cat(parts, dim=1) for parts in zip(*seen, strict=True))))

    @torch.inference_mode()
    def predict(self, image01: Tensor, scores: str = "decoder", with_cam: bool = False) -> tuple[Tensor, Tensor | None]:
        """Probabilities [B,2,h,w] float32 of windows [B,bands,H,W]; as activation map that of what is sought."""
        features = self.network.backbone(image01)
        answer = self.network.answer(features, self.examples.repeated(len(image01)))
        probabilities = torch.softmax(answer.logits.float(), dim=1)
        return probabilities, probabilities[:, 1:] if with_cam else None


def cleaned(examples: Examples) -> Examples:
    """Take for unknown what lies around the examples and is as like them as they are among themselves.

    Who draws a few polygons does not draw all that there is of a thing. Where nothing else is left, all is kept.
    """
    alike = as_alike(as_vectors(examples.deep), examples.share.flatten(1)).view_as(examples.share)
    other = examples.other.masked_fill(alike, 0.0)
    return examples._replace(other=other) if bool((other > 0).any()) else examples


def _pairs(images: Tensor, masks: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(images[i : i + 1], masks[i : i + 1]) for i in range(len(images))]


def _padded(values: Tensor, multiple: int) -> Tensor:
    """Images [1,S,C,H,W] or masks [1,S,H,W] with sides that are multiples; what is added to masks is unknown."""
    beyond = (0, -values.shape[-1] % multiple, 0, -values.shape[-2] % multiple)
    return functional.pad(values, beyond, value=0.0 if values.is_floating_point() else IGNORE)
