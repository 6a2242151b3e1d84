"""Episodic training as Lightning runs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor

from wsss_geo.nn.fewshot_network import FewShotNetwork

TERMS = ("segment", "scales", "panet", "panet_align")
#: Settings that the network is built with.
NETWORK = ("width", "parts", "regions", "layers", "correction")


@dataclass(frozen=True)
class FewShotSettings:
    """Settings of `fewshot-train`."""

    width: int = 256
    """Width of the features that are compared."""
    parts: int = 5
    """Part prototypes of what is sought, and of the rest."""
    regions: int = 8
    """Regions of the query in the graph."""
    layers: int = 2
    """Rounds of attention in the graph."""
    correction: float = 0.1
    """Share of what the decoder would add to the metrics that is added: more for thousands of steps on many classes."""
    lr: float = 1e-3
    decay: float = 1e-4
    """Weight decay."""
    power: float = 0.9
    """Power of the falling learning rate."""
    clip: float = 1.0
    """Largest norm of the gradients."""
    scales: float = 1.0
    """Weight of the loss of the scales."""
    align: float = 1.0
    """Weight of the loss by which PANet's queries segment the examples."""
    absent: float = 0.2
    """Share of episodes whose query holds nothing of the class: large rasters are full of such windows."""
    least: float = 0.01
    """Share of a tile that a class has to cover for the tile to be an example or a query of it."""


class EpisodeTraining(lightning.LightningModule):
    """Losses and optimiser; DSMF-Net and the baseline PANet learn from the same episodes, each from its own loss."""

    def __init__(self, network: FewShotNetwork, settings: FewShotSettings, steps: int) -> None:
        super().__init__()
        self.network, self.settings, self.steps = network, settings, steps
        self.latest: dict[str, float] = {}
        """Weighted loss terms of the last step."""

    def training_step(self, items: Mapping[str, Any], index: int) -> Tensor:
        """Sum of the weighted losses of this step's episodes. Raises ArithmeticError when not finite."""
        terms = self.network.losses(items["query"], items["target"], items["images"], items["masks"])
        weights = {"scales": self.settings.scales, "panet_align": self.settings.align}
        weighted = {name: terms[name] * weights.get(name, 1.0) for name in TERMS}
        loss = torch.stack(list(weighted.values())).sum()
        self.latest = {"loss": float(loss.detach()), **{n: float(t.detach()) for n, t in weighted.items()}}
        if not math.isfinite(self.latest["loss"]):
            raise ArithmeticError(f"step {self.global_step}: the loss is not finite ({self.latest})")
        self.log_dict({f"fewshot/{k}": v for k, v in self.latest.items()})
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW whose rate falls as a polynomial of the steps left."""
        learned = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": self.settings.decay},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.settings.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: max(0.0, 1 - step / self.steps) ** self.settings.power
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
