"""CTFA: contrastive tokens and foreground activation for aerial imagery (TGRS 2024, doi 10.1109/TGRS.2024.3385747).

ToCo with a second decoder, the foreground decoder, and a loss on the joint probability of both:

    L = L_ToCo + w_joi L_joint,      L_joint = CE(f + log sigmoid(d), label)

with f the logits of the foreground decoder and d those of the ordinary one, which alone predicts. The joint loss
gives the ordinary decoder a second, softer supervision and the tokens gradients from two heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.methods.base import Batch
from wsss_geo.methods.toco import ToCo, ToCoSettings
from wsss_geo.nn.encoder import Tokens
from wsss_geo.nn.heads import LargeFOV
from wsss_geo.nn.losses import joint_loss
from wsss_geo.nn.network import Network


@dataclass(frozen=True)
class CTFASettings(ToCoSettings):
    """Published values for iSAID; the recipes of other data sets carry theirs."""

    head_lr: float = 8.0
    clip: float = 1.0
    start: float = 0.2
    w_ptc: float = 0.3
    w_joi: float = 0.3
    crop_share: float = 96 / 320


class CTFA(ToCo):
    """See the module's text."""

    name = "ctfa"
    terms: ClassVar[tuple[str, ...]] = (*ToCo.terms, "joint")
    settings_type = CTFASettings
    settings: CTFASettings

    def __init__(self, network: Network, scheme: ClassScheme, settings: CTFASettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        self.foreground_decoder = LargeFOV(
            network.encoder.width, network.classes, settings.decoder_width, settings.dilation
        )

    def decoder_losses(self, batch: Batch, tokens: Tokens, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What ToCo has, with both decoders taught by the joint loss as well."""
        foreground = self.labeller.ordered(self.foreground_decoder(tokens.final))
        joint = self.settings.w_joi * joint_loss(foreground, logits, labels)
        return {**super().decoder_losses(batch, tokens, logits, labels), "joint": joint}
