"""The network that every weakly supervised method trains and that prediction runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wsss_geo.nn.backbones import build_backbone
from wsss_geo.nn.encoder import Encoder, Tokens
from wsss_geo.nn.heads import ClassMaps, DetailDecoder, LargeFOV
from wsss_geo.nn.tensors import resize


class Network(nn.Module):
    """Encoder, classifiers on final and on middle tokens, and decoder.

    ``classes`` = C outputs of the decoder, ``taggable`` = K outputs of the classifiers; with an explicit background
    C = K + 1 and channel 0 is background, otherwise C = K or, for a surrogate, ``cold`` is the channel that no
    classifier speaks of. Images come stretched to 0..1; mean and deviation are applied here.

    ``patch`` is the side in pixels of what the network answers for: that of a token, or ``decoder_stride`` where given,
    for a decoder that sees the image as well. Sides of images are multiples of ``multiple``.

    ``cam_from`` says whose tokens, final or middle, give the activation maps that prediction shows.

    ``arguments`` of the constructor are plain values, so a model file can carry them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        *,
        classes: int,
        taggable: int,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int = 224,
        pretrained: bool = False,
        cold: int | None = None,
        middle: float = 10 / 12,
        cam_from: str = "final",
        decoder_width: int = 512,
        dilation: int = 5,
        decoder_stride: int = 0,
        backbone_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if classes - taggable != (cold is not None):
            raise ValueError(f"{classes} classes and {taggable} taggable ones do not fit a cold channel {cold}")
        self.encoder = build_backbone(
            backbone,
            bands=len(mean),
            image_size=image_size,
            pretrained=pretrained,
            middle=middle,
            arguments=backbone_args,
        )
        if cam_from not in ("final", "middle"):
            raise ValueError(f"cam_from {cam_from!r} is neither final nor middle")
        self.classes, self.taggable, self.cold, self.cam_from = classes, taggable, cold, cam_from
        self.multiple = self.encoder.patch
        self.patch = decoder_stride or self.encoder.patch
        width = self.encoder.width
        self.classifier: nn.Module = ClassMaps(width, taggable)
        self.aux_classifier: nn.Module = ClassMaps(width, taggable)
        self.decoder = (
            DetailDecoder(width, len(mean), classes, decoder_width, self.multiple, decoder_stride)
            if decoder_stride
            else LargeFOV(width, classes, decoder_width, dilation)
        )
        for name, values in (("mean", mean), ("std", std)):
            # on a device of their own where the rest is only planned (torch.device("meta"))
            channels = torch.tensor(list(values), dtype=torch.float32, device="cpu").view(1, -1, 1, 1)
            self.register_buffer(name, channels, persistent=False)

    def encode(self, image01: Tensor) -> Tokens:
        """Encode images [B, bands, H, W] in 0..1."""
        tokens: Tokens = self.encoder(self._normalised(image01))
        return tokens

    def summarise(self, image01: Tensor) -> Tensor:
        """``summary`` [B, D] of images [B, bands, H, W] in 0..1, for less than their other tokens would cost."""
        summary: Tensor = self.encoder.summarise(self._normalised(image01))
        return summary

    def encode_beside(self, image01: Tensor, other01: Tensor) -> tuple[Tokens, Tensor]:
        """``encode(image01)`` and ``summarise(other01)``, for less than one after the other where sizes are equal."""
        images = self._normalised(image01), self._normalised(other01)
        if not isinstance(self.encoder, Encoder):
            return self.encoder(images[0]), self.encoder.summarise(images[1])
        return self.encoder.forward_beside(*images)

    def _normalised(self, image01: Tensor) -> Tensor:
        return (image01 - self.mean) / self.std

    def class_maps(self, image01: Tensor) -> tuple[Tensor, Tensor]:
        """Raw activation maps of final and of middle tokens, [B, K, h, w] each; the decoder does not run."""
        tokens = self.encode(image01)
        return self.classifier(tokens.final), self.aux_classifier(tokens.middle)

    def middle_maps(self, image01: Tensor) -> tuple[Tensor]:
        """The second of ``class_maps`` alone, for which a plain ViT runs no further than to the intermediate block."""
        images = self._normalised(image01)
        plain = isinstance(self.encoder, Encoder)
        middle = self.encoder.see_middle(images) if plain else self.encoder(images).middle  # type: ignore[operator]
        return (self.aux_classifier(middle),)

    def decode(self, image01: Tensor, tokens: Tokens | None = None) -> Tensor:
        """Decoder logits [B, C, H/patch, W/patch]; ``tokens`` of the same images save a second encoding."""
        final = (self.encode(image01) if tokens is None else tokens).final
        sees_image = isinstance(self.decoder, DetailDecoder)
        logits: Tensor = self.decoder(final, self._normalised(image01)) if sees_image else self.decoder(final)
        return logits

    def predict(self, image01: Tensor, scores: str = "decoder", with_cam: bool = False) -> tuple[Tensor, Tensor | None]:
        """Class probabilities [B, C, h, w] and, on request, activations in 0..1 [B, K, h, w], both float32.

        As ``predict_with_cam``; classifiers that are not asked for do not run.
        """
        probabilities, activations = self._predict(image01, scores, with_cam)
        return probabilities, activations if with_cam else None

    def predict_with_cam(self, image01: Tensor, scores: str = "decoder") -> tuple[Tensor, Tensor]:
        """Class probabilities [B, C, h, w] and activations in 0..1 [B, K, h, w], both float32, without gradient.

        ``scores``: ``decoder`` is its softmax; ``cam`` the activations of the taggable classes, where the cold channel
        gets what the strongest one leaves, divided by their sum; ``both`` the mean of the two. Raises ValueError for
        other ``scores``.
        """
        return self._predict(image01, scores, True)

    @torch.inference_mode()
    def _predict(self, image01: Tensor, scores: str, with_cam: bool) -> tuple[Tensor, Tensor]:
        if scores not in ("decoder", "cam", "both"):
            raise ValueError(f"scores {scores!r} is none of decoder, cam, both")
        if with_cam or scores != "decoder":
            tokens, activations = self.see(image01)
            activations = resize(activations, (image01.shape[-2] // self.patch, image01.shape[-1] // self.patch))
        else:
            tokens = self.encode(image01)
            activations = tokens.final[:, :0]
        found = []
        if scores != "cam":
            found.append(torch.softmax(self.decode(image01, tokens).float(), dim=1))
        if scores != "decoder":
            found.append(self._as_probabilities(activations))
        return torch.stack(found).mean(dim=0), activations

    def see(self, image01: Tensor) -> tuple[Tokens, Tensor]:
        """Tokens, and the activations in 0..1 that prediction shows, one a token and class: [B, K, h, w] float32."""
        tokens = self.encode(image01)
        return tokens, torch.sigmoid(self.cam_logits(tokens).float())

    def cam_logits(self, tokens: Tokens) -> Tensor:
        """The class activation maps that prediction shows, by ``cam_from`` of the tokens [B, K, h, w]."""
        logits: Tensor = (
            self.classifier(tokens.final) if self.cam_from == "final" else self.aux_classifier(tokens.middle)
        )
        return logits

    def _as_probabilities(self, activations: Tensor) -> Tensor:
        if self.cold is not None:
            left = 1 - activations.amax(dim=1, keepdim=True)
            activations = torch.cat([activations[:, : self.cold], left, activations[:, self.cold :]], dim=1)
        return activations / activations.sum(dim=1, keepdim=True).clamp_min(1e-6)
