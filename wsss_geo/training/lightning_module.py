"""A method as Lightning trains it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from wsss_geo.methods import Method
from wsss_geo.nn.processes import summed
from wsss_geo.training.batches import make_batch
from wsss_geo.training.scores import TagScores


class TagTraining(lightning.LightningModule):
    """Views, losses, optimiser and validation of one method; ``size`` is the side of the views in pixels."""

    def __init__(self, method: Method, size: int, seed: int) -> None:
        super().__init__()
        self.method = method
        self.size = size
        self.seed = seed
        self.tag_scores = TagScores(method.product)
        self.latest: dict[str, float] = {}
        """Weighted loss terms of the last step."""
        self.validated: dict[str, float] = {}
        """Scores of the last validation."""

    def training_step(self, items: Mapping[str, Any], index: int) -> Tensor:
        """Sum of the method's weighted losses on the views of this step. Raises ArithmeticError when not finite."""
        step, world = self.global_step, self.trainer.world_size
        batch = make_batch(items, self.method, self.size, self.seed * 64, step, self.global_rank, world)
        terms = self.method.losses(batch, step)
        values = torch.stack([t.float() for t in terms.values()])
        loss = values.sum()
        # The mean over processes, which is what moves the weights, is the loss of the joint batch.
        joint = (summed(torch.cat([loss[None], values])) / world).tolist()
        self.latest = dict(zip(("loss", *terms), joint, strict=True))
        if not math.isfinite(self.latest["loss"]):
            raise ArithmeticError(f"step {step}: the loss is not finite ({self.latest})")
        self.log_dict({f"train/{k}": v for k, v in self.latest.items()})
        return loss

    def optimizer_step(self, *given: Any, **named: Any) -> None:
        """Step, and let the method's moving averages follow before anybody saves a checkpoint of this step."""
        super().optimizer_step(*given, **named)
        self.method.after_step(self.global_step)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self.tag_scores = TagScores(self.method.product)

    def validation_step(self, items: Mapping[str, Any], index: int) -> None:
        """Count one batch of whole tiles."""
        self.tag_scores.add(items["image01"], items["valid"], items.get("cell_tags", items["tags"]))

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self.validated = self.tag_scores.result()
        self.log_dict({f"val/{k}": v for k, v in self.validated.items()}, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with the method's schedule."""
        method = self.method
        # Fused goes through weights and moments once, which saves a processor three quarters of the time. In mixed
        # precision Lightning clips no gradients of a fused optimiser.
        fused = self.device.type == "cpu" and self.trainer.precision == "32-true"
        optimizer = torch.optim.AdamW(
            method.parameter_groups(), weight_decay=method.settings.weight_decay, fused=fused or None
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: method.learning_rate_factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
