"""What a window costs, found out by running one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel
from wsss_geo.streaming.batches import Batch
from wsss_geo.streaming.predictor import Predictor

#: Times of the largest output of a layer that lives at once: its input, itself, what an activation makes of it, and
#: the tokens that skip the layer.
_LIVE = 3


@dataclass(frozen=True)
class Cost:
    """``seconds`` and ``bytes`` (of what layers put out) that a window takes, ``weights`` bytes of the network."""

    seconds: float
    bytes: int
    weights: int


def probe(model: LoadedModel, predictor: Predictor, job: PredictJob) -> Cost:
    """Run a grey window twice: to load and measure what is loaded late, then to take the time.

    Raises ModelError, EnvironmentFault.
    """
    network: Any = model.network
    multiple, bands = network.multiple, len(model.card.normalisation.mean)
    side = max(1, (job.window or model.card.tile_size) // multiple) * multiple
    tokens = side // network.patch
    batch = Batch(
        np.zeros((1, bands, side, side), np.uint8), None, np.ones((1, tokens, tokens), np.bool_), [0], [0]
    )  # fmt: skip
    if not isinstance(network, nn.Module):
        predictor(batch)
        return Cost(_timed(predictor, batch), 0, 0)
    largest = [0]

    def note(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            largest[0] = max(largest[0], output.numel() * output.element_size())

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        predictor(batch)
    finally:
        for hook in hooks:
            hook.remove()
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    return Cost(_timed(predictor, batch), _LIVE * largest[0], weights)


def _timed(predictor: Callable[[Batch], Any], batch: Batch) -> float:
    started = time.perf_counter()
    predictor(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
