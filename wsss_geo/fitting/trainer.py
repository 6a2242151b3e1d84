"""The Lightning trainer of a job: made, run, resumed; and what can be wrong with its backbone."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from wsss_geo.errors import EnvironmentFault, UsageError, WsssGeoError
from wsss_geo.fitting.callbacks import MetricsFile
from wsss_geo.fitting.checkpoint import RESUME, WholeCheckpoints, resumed_step
from wsss_geo.fitting.group import Group
from wsss_geo.fitting.memory import kept_memory
from wsss_geo.jobs import FewShotTrainJob, PretrainJob, TrainJob
from wsss_geo.progress import Progress

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
    plugins: list[Any] = [WholeCheckpoints()]
    if group.starter not in ("torchrun", "slurm"):
        plugins.append(LightningEnvironment())  # even within a SLURM job of one task
    try:
        return lightning.Trainer(
            accelerator=accelerator,
            devices=group.devices,
            num_nodes=group.nodes,
            max_steps=job.steps,
            precision="bf16-mixed" if bf16 else "32-true",
            gradient_clip_val=clip or None,
            callbacks=callbacks,
            plugins=plugins,
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


def suit_attention(network: nn.Module, job: TrainJob | PretrainJob | FewShotTrainJob) -> None:
    """Leave the fused kernel of attention where the job trains in bfloat16 on a processor.

    There it takes about twice the time of plain matrix products.
    """
    if job.precision != "bfloat16" or uses_cuda(job):
        return
    for module in network.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - timm gives the attribute, not its type


def check_interval(steps: int, check_every: int) -> int:
    """Steps between checks: at most ``check_every``, so that the last check falls on the last step."""
    checks = -(-steps // check_every)
    while steps % checks:
        checks += 1
    return steps // checks


def go_on(folder: Path, sampler: Any, metrics: MetricsFile, leads: bool, report: Progress) -> Path | None:
    """The checkpoint that an interrupted run left in ``folder``; ``sampler`` and ``metrics`` are set to its step.

    Only the process that ``leads`` touches the metrics and speaks. Raises InputError for a damaged checkpoint.
    """
    path = folder / RESUME
    begun = path.is_file()
    sampler.start = resumed_step(path) if begun else 0
    if leads:
        metrics.cut(sampler.start)
        if begun:
            report.info(f"{folder}: going on after step {sampler.start}")
    return path if begun else None


def fit(
    trainer: lightning.Trainer, module: Any, loader: Any, val_loader: Any, resume: Path | None, what: str = "training"
) -> None:
    """Run ``trainer`` from ``resume`` on.

    Raises WsssGeoError, which names ``what`` diverged, for a loss that is not finite, EnvironmentFault where a process
    that reads tiles is lost.
    """
    try:
        with warnings.catch_warnings(), kept_memory():
            # The sampler starts where the checkpoint ends, which Lightning cannot know.
            warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
            trainer.fit(module, loader, val_loader, ckpt_path=resume, weights_only=True)
    except ArithmeticError as error:
        raise WsssGeoError(f"{what} diverged ({error})", "lower --learning-rate") from None
    except (RuntimeError, ConnectionError, EOFError) as error:
        # torch says so itself, unless the process was lost while it handed over a batch.
        if not getattr(loader, "num_workers", 0) or (
            isinstance(error, RuntimeError) and "DataLoader worker" not in str(error)
        ):
            raise
        raise EnvironmentFault(
            f"a process that reads for the {what} was lost, perhaps for want of memory",
            "run again, it goes on from the last checkpoint; use fewer --workers if this comes again",
        ) from error


@contextlib.contextmanager
def building(job: TrainJob | PretrainJob | FewShotTrainJob, hint: str) -> Iterator[None]:
    """Say what is wrong with the backbone of ``job`` that the block builds.

    Raises UsageError with ``hint`` for one that cannot be built and EnvironmentFault where its weights cannot be had.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{job.command}.backbone: {error}", hint) from None
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EnvironmentFault(
            f"published weights of {job.backbone} could not be fetched ({reason})", "go online or use --weights FILE"
        ) from None
