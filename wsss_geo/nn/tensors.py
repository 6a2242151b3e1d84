"""Small tensor helpers shared by the losses and the label makers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` outside autocast, its half-precision tensor arguments widened to float32.

    Exponentials, sums over many pixels and comparisons with thresholds lose too much in bfloat16. Float64
    stays float64. Tensors are looked for among the direct arguments only.
    """

    @wraps(function)
    def widened(*args: P.args, **kwargs: P.kwargs) -> R:
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        with torch.autocast(tensors[0].device.type if tensors else "cpu", enabled=False):
            return function(*map(_widen, args), **{k: _widen(v) for k, v in kwargs.items()})

    return widened


def _widen(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize [B,C,H,W] bilinearly (pixel centres at half integers) to ``size`` = (rows, columns)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    if maps.requires_grad and maps.device.type == "cpu":
        # Two matrix products, whose gradient is two more; that of the operator takes a processor many times as long.
        rows, columns = (_resizing(old, new, maps) for old, new in zip(maps.shape[-2:], size, strict=True))
        return rows @ (maps @ columns.T)
    return functional.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def _resizing(old: int, new: int, like: Tensor) -> Tensor:
    """Matrix [new,old] that resizes bilinearly along one axis, in the type of ``like``."""
    unit = torch.eye(old, dtype=like.dtype, device=like.device)
    return functional.interpolate(unit[None], size=new, mode="linear", align_corners=False)[0].T


def resize_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize [B,C,H,W] or [B,H,W] floats to ``size`` = (rows, columns) by picking pixels."""
    flat = maps.unsqueeze(1) if maps.dim() == 3 else maps
    picked = functional.interpolate(flat, size=tuple(size), mode="nearest")
    return picked.squeeze(1) if maps.dim() == 3 else picked


def tagged_channels(tags: Tensor) -> tuple[Tensor, Tensor]:
    """The tagged classes of every image first, in their order, and as few others as give all images the same number P.

    ``tags`` [B,K], above 0.5 = present; channels int64 [B,P] and which of them are tagged, bool [B,P]. What is costly
    and concerns tagged classes only need not run on all.
    """
    present = tags > 0.5
    most = max(1, int(present.sum(dim=1).max()))
    channels = present.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    return channels, present.gather(1, channels)


def pick_channels(maps: Tensor, channels: Tensor) -> Tensor:
    """Channels int64 [B,P] of ``maps`` [B,K,h,w], another choice for every image: [B,P,h,w]."""
    return maps.gather(1, channels[:, :, None, None].expand(-1, -1, *maps.shape[-2:]))


def split_cells(maps: Tensor, rows: int, cols: int) -> Tensor:
    """Cut [B,C,h,w] into ``rows`` x ``cols`` equal cells: [B * rows * cols, C, h // rows, w // cols], row by row.

    What is left over at the lower and right edge is dropped.
    """
    batch, channels, height, width = maps.shape
    high, wide = height // rows, width // cols
    split = maps[:, :, : rows * high, : cols * wide].reshape(batch, channels, rows, high, cols, wide)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(batch * rows * cols, channels, high, wide)


def inside_box(box: Tensor, height: int, width: int) -> Tensor:
    """Pixels inside the boxes: ``box`` [B,4] = (row0, row1, col0, col1), ends excluded -> bool [B,H,W]."""
    row0, row1, col0, col1 = (edge.view(-1, 1, 1) for edge in box.unbind(1))
    rows = torch.arange(height, device=box.device).view(1, -1, 1)
    cols = torch.arange(width, device=box.device).view(1, 1, -1)
    return (rows >= row0) & (rows < row1) & (cols >= col0) & (cols < col1)


def usable_pixels(like: Tensor, box: Tensor | None, valid: Tensor | None) -> Tensor:
    """Pixels [B,H,W] of the label map ``like`` inside ``box`` (where given) and ``valid`` (where given)."""
    usable = torch.ones(like.shape, dtype=torch.bool, device=like.device)
    if box is not None:
        usable &= inside_box(box.to(like.device), *like.shape[-2:])
    if valid is not None:
        usable &= valid.to(device=like.device, dtype=torch.bool)
    return usable
