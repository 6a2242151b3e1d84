"""The checkpoint that an interrupted training goes on from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from wsss_geo.errors import InputError
from wsss_geo.outputs import replacing

RESUME = "resume.ckpt"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them when whole.

    Lightning would write them to the folder for temporary files first, where a kill leaves them for good.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint``, whole or not at all. Raises EnvironmentFault when the disk is full."""
        content = io.BytesIO()  # to a file itself, PyTorch would not say why it cannot write
        torch.save(checkpoint, content)
        with replacing(path) as part:
            part.write_bytes(content.getbuffer())


def save_resume(trainer: Any, folder: Path) -> None:
    """Write the checkpoint to resume from, whole or not at all."""
    trainer.save_checkpoint(folder / RESUME)


def resumed_step(path: Path) -> int:
    """The step a checkpoint was written after. Raises InputError for a damaged one."""
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:  # noqa: BLE001 - a damaged checkpoint raises many kinds
        raise InputError(
            path, f"checkpoint cannot be read ({type(error).__name__})", "delete it to start anew"
        ) from None
