"""What happens beside the steps: progress, the metrics file, checkpoints to resume from, the best model, previews."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning

from wsss_geo.outputs import replacing
from wsss_geo.progress import Progress
from wsss_geo.training.lightning_module import TagTraining

RESUME = "resume.ckpt"
METRICS = "metrics.csv"


class Reporter(lightning.Callback):
    """Tell how far the run is."""

    def __init__(self, report: Progress, steps: int) -> None:
        self.report = report
        self.steps = steps

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Report the step and its loss."""
        if trainer.is_global_zero:
            note = f"loss {module.latest['loss']:.3f}"
            if "score" in module.validated:
                note += f", score {module.validated['score']:.3f}"
            self.report.step(trainer.global_step, self.steps, note, "train")


class MetricsFile(lightning.Callback):
    """Append losses and scores to ``metrics.csv``: a row every ``every`` steps, kept over a resume."""

    def __init__(self, folder: Path, terms: list[str], every: int) -> None:
        self.path = folder / METRICS
        self.every = every
        self.columns = ["step", "loss", *terms, "score", "tag_f1", "within", "cam_f1"]
        self.sums: dict[str, float] = {}
        self.count = 0

    def cut(self, step: int) -> None:
        """Drop rows beyond ``step``, which a killed run may have left."""
        if not self.path.exists():
            return
        with open(self.path, newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if r["step"].isdigit() and int(r["step"]) <= step]
        with replacing(self.path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)

    def on_train_batch_end(self, trainer: Any, module: TagTraining, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Add the step to the running means and write them now and then."""
        for name, value in module.latest.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if trainer.is_global_zero and trainer.global_step % self.every == 0:
            self._write({"step": trainer.global_step, **{k: v / self.count for k, v in self.sums.items()}})
            self.sums, self.count = {}, 0

    def on_validation_end(self, trainer: Any, module: TagTraining) -> None:
        """Write the scores of a validation."""
        if trainer.is_global_zero and module.validated and not trainer.sanity_checking:
            self._write({"step": trainer.global_step, **module.validated})

    def _write(self, row: dict[str, Any]) -> None:
        fresh = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            if fresh:
                writer.writeheader()
            writer.writerow({k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()})


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
        part = self.folder / f"{RESUME}.part"
        try:
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                os.replace(part, self.folder / RESUME)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
