"""What happens beside the steps of training from tags: checkpoints to resume from and the best model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning

from wsss_geo.fitting.checkpoint import save_resume
from wsss_geo.training.lightning_module import TagTraining


class Checkpoints(lightning.Callback):
    """Every ``every`` steps: validation scores, a checkpoint to resume from, and the best model so far.

    Only the second half of a run competes: before, scores rise and fall with the schedule. Without validation tiles
    the latest model counts.
    """

    def __init__(self, folder: Path, every: int, validates: bool, save: Callable[[dict[str, float]], None]) -> None:
        self.folder = folder
        self.every = every
        self.validates = validates
        self.save = save
        self.best = -1.0
        self.best_scores: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self.best, "best_scores": self.best_scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over from the interrupted run."""
        self.best, self.best_scores = state_dict["best"], state_dict["best_scores"]

    def on_train_batch_end(self, trainer: Any, module: TagTraining, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save when it is time and no validation follows."""
        if not self.validates and (trainer.global_step % self.every == 0 or trainer.global_step == module.method.steps):
            self._save(trainer, module)

    def on_validation_end(self, trainer: Any, module: TagTraining) -> None:
        """Save with the scores of this validation."""
        self._save(trainer, module)

    def _save(self, trainer: Any, module: TagTraining) -> None:
        score = module.validated.get("score", 0.0)
        if score >= self.best and 2 * trainer.global_step >= module.method.steps:
            self.best, self.best_scores = score, dict(module.validated)
            if trainer.is_global_zero:
                self.save(self.best_scores)
        save_resume(trainer, self.folder)
