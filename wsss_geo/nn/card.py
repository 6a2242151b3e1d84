"""Cards, the JSON in the header of a weights file. Anybody may have written it, so nothing in it is taken on trust."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

from wsss_geo.errors import ModelError, WsssGeoError

#: Most characters of a card, levels of lists in lists, the largest number among the arguments of a network, and the
#: longest side of a view in pixels. Real cards stay far below; beyond, one could take any memory and time.
_LARGEST_CARD, _DEEPEST, _LARGEST_NUMBER, _LARGEST_VIEW = 1 << 22, 32, 1 << 16, 1 << 13
#: Values of tables that a network may make for itself beside its weights.
_TABLES = 1 << 26

_FAULTS = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
_Card = TypeVar("_Card")
_Network = TypeVar("_Network", bound=nn.Module)


def parse_card(path: Path | str, text: str, newest: int, build: Callable[[Any], _Card], again: str) -> _Card:
    """Return what ``build`` makes of the card ``text`` of the file ``path``, of format 1 to ``newest``.

    Raises ModelError for a card that is damaged or of a newer format; ``again`` is what to do then.
    """
    version = None
    try:
        if len(text) > _LARGEST_CARD:
            raise ValueError(f"{len(text)} characters are too many")
        data = json.loads(text)
        _check_depth(data, _DEEPEST)
        version = data["format"]
        if isinstance(version, int) and 1 <= version <= newest:
            return build(data)
        problem = f"format {version!r}"
    except _FAULTS as error:
        problem = f"{type(error).__name__} {error}"
    if isinstance(version, int) and version > newest:
        raise ModelError(
            path, f"is of format {str(version)[:20]}, this program reads up to {newest}", "update wsss-geo"
        )
    raise ModelError(path, f"damaged model card ({' '.join(problem.split())[:200]})", again)


def backbone_name(value: Any) -> str:
    """Return the name of a backbone. Raises ValueError for what timm would take for an address."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.]{1,100}", value):
        raise ValueError(f"backbone {value!r}")
    return value


def side_of_views(name: str, value: Any) -> int:
    """Return a side in pixels. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST_VIEW:
        raise ValueError(f"{name} {value!r}")
    return value


def distance(value: Any) -> float | None:
    """Return a ground sample distance in metres or None. Raises ValueError, OverflowError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < float(value) < math.inf:
        raise ValueError(f"gsd {value!r}")
    return float(value)


def arguments(value: Any) -> dict[str, Any]:
    """Return the arguments of a network. Raises TypeError for what is no mapping, ValueError for absurd numbers."""
    found = plain(value)
    _check_numbers(found)
    return found


def plain(value: Any) -> dict[str, Any]:
    """Return a copy of a mapping; nothing counts as empty. Raises TypeError."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{str(value)[:40]!r} is no mapping of names to values")
    return dict(value)


def build_within(weights: Mapping[str, Tensor], build: Callable[[], _Network]) -> _Network:
    """Return the network that ``build`` makes as its card says, with ``weights`` in it.

    It is planned without memory first: only one of just such weights is made, so its size is that of the file. Raises
    ValueError where the two do not fit.
    """
    network = plan(weights, build)
    planned = network.state_dict()
    _check_same({name: value.shape for name, value in planned.items()}, weights)
    with _refusing():
        own = {name: weights[name].to(value.dtype, copy=True) for name, value in planned.items()}
        network.load_state_dict(own, strict=True, assign=True)
        if any(value.is_meta for value in (*network.parameters(), *network.buffers())):
            network = build()  # it has tables that its weights do not tell
            network.load_state_dict(own, strict=True)
    return network


def plan(weights: Mapping[str, Tensor], build: Callable[[], _Network]) -> _Network:
    """Return the network that ``build`` makes without the memory for its values.

    Raises ValueError where it cannot be made, or would be far larger than the file of its ``weights``.
    """
    with _refusing(), torch.device("meta"), _at_most(1000 + 10 * len(weights)):
        network = build()
    own = sum(value.numel() for value in (*network.parameters(), *network.buffers()))
    given = sum(value.numel() for value in weights.values())
    if own > 2 * given + _TABLES:
        raise ValueError(f"it would have {own} values, the file has {given}")
    return network


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Make a ValueError of whatever constructors make of a stranger's arguments."""
    try:
        yield
    except (MemoryError, WsssGeoError):
        raise
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from error


@contextlib.contextmanager
def _at_most(parts: int) -> Iterator[None]:
    """Let no network of more than so many parts be made meanwhile. Raises ValueError."""
    made = 0

    def note(*_: object) -> None:
        nonlocal made
        made += 1
        if made > parts:
            raise ValueError(f"it would have more than {parts} parts")

    handle = register_module_module_registration_hook(note)
    try:
        yield
    finally:
        handle.remove()


def _check_same(planned: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    for name, shape in planned.items():
        if name not in weights:
            raise ValueError(f"{name} is missing")
        if weights[name].shape != shape:
            raise ValueError(f"{name} is {tuple(weights[name].shape)}, the card means {tuple(shape)}")
    if strange := sorted(set(weights) - set(planned)):
        raise ValueError(f"{strange[0]} is not part of the network")


def _check_numbers(value: Any) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            _check_numbers(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, (int, float)) and not abs(value) <= _LARGEST_NUMBER:
        raise ValueError(f"{str(value)[:40]} as an argument")


def _check_depth(value: Any, left: int) -> None:
    if not left:
        raise ValueError(f"more than {_DEEPEST} levels")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(item, left - 1)
