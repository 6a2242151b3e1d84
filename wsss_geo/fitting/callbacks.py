"""What happens beside the steps of any training: progress and the metrics file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning

from wsss_geo.fitting.checkpoint import save_resume
from wsss_geo.outputs import replacing
from wsss_geo.progress import Progress

METRICS = "metrics.csv"


class Reporter(lightning.Callback):
    """Tell how far the run is; the module's ``latest`` holds the loss, its ``validated``, if any, a score."""

    def __init__(self, report: Progress, steps: int, stage: str) -> None:
        self.report = report
        self.steps = steps
        self.stage = stage

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Report the step and its loss."""
        if trainer.is_global_zero:
            note = f"loss {module.latest['loss']:.3f}"
            validated = getattr(module, "validated", {})
            if "score" in validated:
                note += f", score {validated['score']:.3f}"
            self.report.step(trainer.global_step, self.steps, note, self.stage)


class MetricsFile(lightning.Callback):
    """Append losses and scores to ``metrics.csv``: a row every ``every`` steps, kept over a resume.

    ``columns`` are the names in the module's ``latest`` and, for a module that validates, in its ``validated``.
    """

    def __init__(self, folder: Path, columns: list[str], every: int) -> None:
        self.path = folder / METRICS
        self.every = every
        self.columns = ["step", *columns]
        self.sums: dict[str, float] = {}
        self.count = 0

    def cut(self, step: int) -> None:
        """Drop rows beyond ``step`` and torn ones, which an interrupted run may have left."""
        if not self.path.exists():
            return
        with open(self.path, newline="", encoding="utf-8") as file:
            whole = [r for r in csv.DictReader(file) if None not in (*r, *r.values())]
        rows = [r for r in whole if r["step"].isdigit() and int(r["step"]) <= step]
        with replacing(self.path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Add the step to the running means and write them now and then."""
        for name, value in module.latest.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if trainer.is_global_zero and trainer.global_step % self.every == 0:
            self._write({"step": trainer.global_step, **{k: v / self.count for k, v in self.sums.items()}})
            self.sums, self.count = {}, 0

    def on_validation_end(self, trainer: Any, module: Any) -> None:
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


class KeepLatest(lightning.Callback):
    """Every ``every`` steps: ``save`` what is learned so far, and a checkpoint to resume from in ``folder``."""

    def __init__(self, folder: Path, every: int, save: Callable[[], None]) -> None:
        self.folder, self.every, self.save = folder, every, save

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save when it is time."""
        if trainer.global_step % self.every:
            return
        if trainer.is_global_zero:
            self.save()
        save_resume(trainer, self.folder)


def last_losses(folder: Path) -> dict[str, float]:
    """The last row of the metrics file in ``folder``."""
    with open(folder / METRICS, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {k: float(v) for k, v in rows[-1].items() if k != "step"} if rows else {}
