"""Pre-training as Lightning runs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor

from wsss_geo.nn.processes import summed
from wsss_geo.nn.schedule import cosine_between
from wsss_geo.pretraining.batches import make_pair
from wsss_geo.pretraining.mevt import MEVT
from wsss_geo.raster.normalisation import Normalisation

_LAST_RATE = 1e-6


class Pretraining(lightning.LightningModule):
    """Views, losses and optimiser; ``size`` is the side of the views in pixels, ``rate`` the largest learning rate."""

    mean: Tensor
    std: Tensor

    def __init__(self, method: MEVT, normalisation: Normalisation, size: int, rate: float, seed: int) -> None:
        super().__init__()
        self.method = method
        self.size, self.rate, self.seed = size, rate, seed
        patch = method.product.patch
        self.local_size = max(1, round(size * method.settings.local_share / patch)) * patch
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normalisation.std).view(1, -1, 1, 1), persistent=False)
        self.latest: dict[str, float] = {}
        """Weighted loss terms of the last step."""

    def training_step(self, items: Mapping[str, Any], index: int) -> Tensor:
        """Sum of the weighted losses on the views of this step. Raises ArithmeticError when not finite."""
        step = self.global_step
        seed = (self.seed * 64 + self.global_rank) * 1_000_003 + step
        pair = make_pair(items, self.method.settings, self.size, self.local_size, self.mean, self.std, seed)
        terms = self.method.losses(pair, step)
        values = torch.stack([t.float() for t in terms.values()])
        loss = values.sum()
        joint = (summed(torch.cat([loss[None], values])) / self.trainer.world_size).tolist()
        self.latest = dict(zip(("loss", *terms), joint, strict=True))
        if not math.isfinite(self.latest["loss"]):
            raise ArithmeticError(f"step {step}: the loss is not finite ({self.latest})")
        self.log_dict({f"pretrain/{k}": v for k, v in self.latest.items()})
        return loss

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the weight decay of this step."""
        group = self.trainer.optimizers[0].param_groups[0]
        group["weight_decay"] = cosine_between(self.global_step / self.method.steps, *self.method.settings.decay)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Keep the prototypes as they are in the first steps: the teacher has to find its feet."""
        if self.global_step < self.method.settings.freeze_last * self.method.steps:
            for parameter in self.method.student.prototypes.last.parameters():
                parameter.grad = None

    def optimizer_step(self, *given: Any, **named: Any) -> None:
        """Step, and let the teacher follow before anybody saves a checkpoint of this step."""
        super().optimizer_step(*given, **named)
        self.method.after_step(self.global_step)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine; biases and norms do not decay."""
        learned = [p for p in self.method.student.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": self.method.settings.decay[0]},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.rate)
        steps = self.method.steps
        warmup = max(1, round(self.method.settings.warmup * steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return cosine_between((step - warmup) / max(1, steps - warmup), 1.0, min(1.0, _LAST_RATE / self.rate))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
