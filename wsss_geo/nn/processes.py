"""Data-parallel training: what the processes of a group know of each other's share of a step.

Gradients are averaged over the processes. A loss whose average runs over pixels, pairs or crops of the whole batch is
therefore that of the joint batch only if every process divides by the joint count; ``joint_mean`` does. All calls here
are collective: every process must make them, in the same order. Outside a group they do nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def world_size() -> int:
    """Number of processes that train together; 1 outside a group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


@torch.no_grad()
def summed(values: Tensor) -> Tensor:
    """Sum of ``values`` over all processes, without gradient."""
    if world_size() == 1:
        return values.detach()
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


def joint_mean(total: Tensor, count: Tensor) -> Tensor:
    """``total`` / max(``count``, 1); the mean of this over processes is the sum of totals over that of counts.

    The gradient is that of ``total``; both have the same shape.
    """
    return total * world_size() / summed(count).clamp(min=1)
