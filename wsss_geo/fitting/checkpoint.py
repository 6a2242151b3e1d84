"""The checkpoint that an interrupted training goes on from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from wsss_geo.errors import InputError

RESUME = "resume.ckpt"


def save_resume(trainer: Any, folder: Path) -> None:
    """Write the checkpoint to resume from, whole or not at all."""
    part = folder / f"{RESUME}.part"
    try:
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, folder / RESUME)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def resumed_step(path: Path) -> int:
    """The step a checkpoint was written after. Raises InputError for a damaged one."""
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:  # noqa: BLE001 - a damaged checkpoint raises many kinds
        raise InputError(
            path, f"checkpoint cannot be read ({type(error).__name__})", "delete it to start anew"
        ) from None
