"""Files of weights: ``.safetensors``, in which nothing can hide that runs, with a card as JSON in the header."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from wsss_geo.errors import InputError, ModelError
from wsss_geo.nn.card import build_within
from wsss_geo.outputs import replacing

_Network = TypeVar("_Network", bound=nn.Module)


def check_file(path: Path, missing: str, hint: str) -> None:
    """Raise InputError where ``path`` is no file (then it says ``missing`` and ``hint``) or may not be read."""
    if not path.is_file():
        raise InputError(path, missing, hint)
    if not os.access(path, os.R_OK):
        raise InputError(path, "may not be read", "check the permissions of the file")


def read_file(path: Path | str, *, weights: bool = True) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the header of a file and, if asked, its weights as they are. Raises ValueError, which says why not."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            return header, {n: file.get_tensor(n) for n in file.keys()} if weights else {}  # noqa: SIM118 - no mapping
    except Exception as error:  # noqa: BLE001 - safetensors raises many kinds for a damaged file
        raise ValueError(" ".join(str(error).split())[:200]) from None


def write_file(path: Path | str, weights: Mapping[str, Tensor], key: str, card: Mapping[str, Any]) -> None:
    """Write ``weights`` with the ``card`` under ``key`` in the header, whole or not at all."""
    plain = {name: value.detach().to("cpu").contiguous() for name, value in weights.items()}
    with replacing(path) as part:
        # Not save_file: what that writes only its owner may read.
        part.write_bytes(save(plain, metadata={key: json.dumps(card)}))


def network_of(path: Path, weights: Mapping[str, Tensor], build: Callable[[], _Network], again: str) -> _Network:
    """Return what ``build`` makes, with ``weights``, for evaluation alone.

    Raises ModelError where they do not fit or are no numbers; ``again`` is what to do then.
    """
    try:
        network = build_within(weights, build)
    except ValueError as error:
        raise ModelError(path, f"weights and card do not fit ({error})", again) from error
    if not all(torch.isfinite(p).all() for p in network.parameters()):
        raise ModelError(path, "weights hold NaN or infinite values", again)
    return network.eval().requires_grad_(False)
