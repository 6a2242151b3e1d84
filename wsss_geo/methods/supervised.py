"""Training from masks instead of tags: the upper bound that methods learning from tags are measured against.

Same network, views and pooled tag loss as ``aerial``, and the same moving average as product; only the labels of the
decoder come from drawn masks. Needs a tile set that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.methods.base import Batch, Method, Settings
from wsss_geo.nn.heads import top_pool
from wsss_geo.nn.losses import class_balanced_cross_entropy, multilabel_soft_margin
from wsss_geo.nn.network import Network
from wsss_geo.nn.schedule import ema_update
from wsss_geo.tileset.photometry import LAND, Jitter


@dataclass(frozen=True)
class SupervisedSettings(Settings):
    """Values for training from scratch; those shared with ``aerial`` are the same."""

    lr: float = 5e-4
    head_lr: float = 1.0
    weight_decay: float = 0.05
    middle: float = 0.5
    scale: tuple[float, float] = (1.0, 1.0)
    rare: float = 0.2
    balance: float = 0.5
    warmup: float = 0.05
    top: float = 1 / 12
    momentum: float = 0.99


class Supervised(Method):
    """See the module's text."""

    name = "supervised"
    terms = ("cls", "seg")
    settings_type = SupervisedSettings
    needs = frozenset({"masks"})
    cam_from = "middle"
    colours: ClassVar[Mapping[str, Jitter]] = {"image": LAND}
    settings: SupervisedSettings

    def __init__(self, network: Network, scheme: ClassScheme, settings: SupervisedSettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        self.average = deepcopy(network).requires_grad_(False)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the tag loss of the classifier and the cross-entropy of the decoder with the masks."""
        if batch.masks is None:
            raise ValueError("supervised needs masks")
        tokens = self.network.encode(batch.image)
        evidence = top_pool(self.network.aux_classifier(tokens.middle), self.settings.top)
        logits = self.network.decode(batch.image, tokens)
        return {
            "cls": multilabel_soft_margin(evidence, batch.tags),
            "seg": class_balanced_cross_entropy(logits, batch.masks, self.settings.balance),
        }

    def after_step(self, step: int) -> None:
        """Let the average follow, closely in the first steps."""
        ema_update(self.average, self.network, min(self.settings.momentum, (1 + step) / (10 + step)))

    @property
    def product(self) -> Network:
        """The moving average."""
        return self.average
