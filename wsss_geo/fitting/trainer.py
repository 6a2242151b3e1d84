"""The Lightning trainer of a job, the checkpoint to resume from and the interval at which it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import TensorBoardLogger

from wsss_geo.errors import InputError, UsageError
from wsss_geo.fitting.group import Group
from wsss_geo.jobs import FewShotTrainJob, PretrainJob, TrainJob

RESUME = "resume.ckpt"
#: Most steps between two rows of the metrics.
LOG_EVERY = 50


def make_trainer(
    job: TrainJob | PretrainJob | FewShotTrainJob,
    folder: Path,
    every: int,
    clip: float,
    callbacks: list[Any],
    group: Group | None = None,
    **more: Any,
) -> lightning.Trainer:
    """The trainer of ``job``; ``clip`` is the largest gradient norm (0 does not clip), ``more`` goes to Lightning.

    With a ``group`` of several processes, all of which are running, it is the part of this process in it.

    Raises UsageError for a device that is not there.
    """
    accelerator = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}[job.device]
    bf16 = job.precision == "bfloat16" or (
        job.precision == "auto" and uses_cuda(job) and torch.cuda.is_bf16_supported()
    )
    group = group or Group(getattr(job, "devices", 1))
    if group.world > 1:
        # Before a schedule lets a part of the network join, it has no gradients.
        more = {"strategy": "ddp_find_unused_parameters_true", **more}
    if group.starter not in ("torchrun", "slurm"):
        more = {"plugins": [LightningEnvironment()], **more}  # even within a SLURM job of one task
    try:
        return lightning.Trainer(
            accelerator=accelerator,
            devices=group.devices,
            num_nodes=group.nodes,
            max_steps=job.steps,
            precision="bf16-mixed" if bf16 else "32-true",
            gradient_clip_val=clip or None,
            callbacks=callbacks,
            logger=TensorBoardLogger(folder, name="", version="tensorboard"),
            log_every_n_steps=min(LOG_EVERY, every),
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **more,
        )
    except lightning.fabric.utilities.exceptions.MisconfigurationException as error:
        raise UsageError(f"{job.command}.device: {error}", "choose --device cpu") from None


def uses_cuda(job: TrainJob | PretrainJob | FewShotTrainJob) -> bool:
    """Whether the job runs on a CUDA device."""
    return job.device in ("auto", "cuda") and torch.cuda.is_available()


def check_interval(steps: int, check_every: int) -> int:
    """Steps between checks: at most ``check_every``, so that the last check falls on the last step."""
    checks = -(-steps // check_every)
    while steps % checks:
        checks += 1
    return steps // checks


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
