"""The ways a window is looked at when several are averaged: mirrored, turned, at other scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wsss_geo.nn.tensors import resize


@dataclass(frozen=True)
class View:
    """A window mirrored left to right (if ``mirrored``), then turned counterclockwise by ``turns`` quarters, then
    enlarged by ``scale``."""

    scale: float = 1.0
    turns: int = 0
    mirrored: bool = False

    def of(self, image: Tensor, multiple: int) -> Tensor:
        """Return this view of square windows [B, C, s, s]; its side is a whole number of ``multiple`` pixels."""
        seen = image.flip(3) if self.mirrored else image
        seen = torch.rot90(seen, self.turns, (2, 3))
        if self.scale == 1:
            return seen
        side = max(1, round(image.shape[2] * self.scale / multiple)) * multiple
        return resize(seen, (side, side))

    def undone(self, maps: Tensor, tokens: int) -> Tensor:
        """Bring maps [B, C, n', n'] of this view back onto the window's grid [B, C, tokens, tokens]."""
        maps = torch.rot90(resize(maps, (tokens, tokens)), -self.turns, (2, 3))
        return maps.flip(3) if self.mirrored else maps


def list_views(scales: Sequence[float] | None = None, flips: bool = False, rotations: bool = False) -> tuple[View, ...]:
    """Return the views to average: each of ``scales`` (1 unless given) with each way to lay the window.

    ``flips``: the window and its mirror images left to right, top to bottom and both. ``rotations``: its four quarter
    turns. Together they are the eight symmetries of the square.
    """
    turns = range(4) if rotations else (0, 2) if flips else (0,)
    ways = [(turn, mirrored) for mirrored in ((False, True) if flips else (False,)) for turn in turns]
    return tuple(View(scale, turn, mirrored) for scale in dict.fromkeys(scales or (1.0,)) for turn, mirrored in ways)
