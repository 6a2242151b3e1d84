"""Learning-rate rule and moving average of weights, as pure functions of the step."""

from __future__ import annotations

import math

import torch
from torch import nn


def learning_rate_factor(
    step: int, total_steps: int, warmup_steps: int = 1500, warmup_ratio: float = 1e-6, power: float = 0.9
) -> float:
    """Factor on the base learning rate at ``step`` (from 0): linear warm-up, then polynomial decay to 0.

    The decay counts from step 0 (Ru et al., CVPR 2023), so there is a small jump down where the warm-up ends. From
    ``total_steps`` on it is 0. A run shorter than ``warmup_steps`` never leaves the warm-up.
    """
    if step < warmup_steps:
        return 1 - (1 - step / warmup_steps) * (1 - warmup_ratio)
    return float(max(0.0, 1 - step / total_steps) ** power)


def growing_momentum(step: int) -> float:
    """Momentum after ``step`` (from 0) of a moving average that looks back on about a ninth of the steps so far.

    It follows closely at first, and steadies as changes become small, however long the run.
    """
    return (1 + step) / (10 + step)


@torch.no_grad()
def ema_update(target_module: nn.Module, source_module: nn.Module, momentum: float) -> None:
    """Move the weights of ``target_module`` towards ``source_module``, in place.

    Every parameter becomes ``momentum * target + (1 - momentum) * source``; buffers (running statistics, counters)
    are copied. Raises ValueError when the two differ in the names of parameters or buffers.
    """
    source_parameters = dict(source_module.named_parameters())
    source_buffers = dict(source_module.named_buffers())
    target_parameters = dict(target_module.named_parameters())
    target_buffers = dict(target_module.named_buffers())
    differing = (source_parameters.keys() ^ target_parameters.keys()) | (source_buffers.keys() ^ target_buffers.keys())
    if differing:
        raise ValueError(f"modules differ in {', '.join(sorted(differing))}; average only copies of one network")
    for name, weight in target_parameters.items():
        weight.lerp_(source_parameters[name].to(weight), 1 - momentum)
    for name, buffer in target_buffers.items():
        buffer.copy_(source_buffers[name])


def cosine_between(share: float, first: float, last: float) -> float:
    """Value at ``share`` (0..1) of the way from ``first`` to ``last`` along half a cosine, held at the ends."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, share))))
