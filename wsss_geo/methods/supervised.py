"""Training from masks instead of tags: the upper bound that methods learning from tags are measured against.

Same network, settings and views as ``aerial``, and the same moving average as product; only the labels of the
decoder come from drawn masks. Needs a tile set that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar

from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.methods.base import Batch, Method, ScratchSettings
from wsss_geo.nn.heads import top_pool
from wsss_geo.nn.losses import class_balanced_cross_entropy, multilabel_soft_margin
from wsss_geo.nn.network import Network
from wsss_geo.nn.schedule import ema_update, growing_momentum
from wsss_geo.tileset.photometry import LAND, Jitter


class Supervised(Method):
    """See the module's text."""

    name = "supervised"
    terms = ("cls", "seg")
    settings_type = ScratchSettings
    needs = frozenset({"masks"})
    cam_from = "middle"
    colours: ClassVar[Mapping[str, Jitter]] = {"image": LAND}
    settings: ScratchSettings

    def __init__(self, network: Network, scheme: ClassScheme, settings: ScratchSettings, steps: int) -> None:
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
        """Let the average follow."""
        ema_update(self.average, self.network, growing_momentum(step))

    @property
    def product(self) -> Network:
        """The moving average."""
        return self.average
