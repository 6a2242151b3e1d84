"""What the colours around a place are like, without any learning: the finest of the scales that are compared."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Cells of a patch's side, and how many of them around each cell count as its surroundings.
_CELLS, _REACHES = 4, (0, 1, 3)
#: Least variance, which keeps the square root from falling too steeply.
_LEAST = 1e-6


def colour_statistics(image: Tensor, patch: int) -> Tensor:
    """Mean and deviation of every band within a cell of a quarter ``patch``, and within its surroundings.

    ``image`` [B,N,H,W] with sides that are multiples of ``patch`` -> [B,6N,H/patch,W/patch], averaged over the patch.
    Surroundings end where the image does.
    """
    side = next(s for s in range(max(1, patch // _CELLS), 0, -1) if patch % s == 0)
    mean, square = functional.avg_pool2d(image, side), functional.avg_pool2d(image**2, side)
    found = []
    for reach in _REACHES:
        around = [
            functional.avg_pool2d(m, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
            for m in (mean, square)
        ]
        found += [around[0], (around[1] - around[0] ** 2).clamp_min(_LEAST).sqrt()]
    return functional.avg_pool2d(torch.cat(found, dim=1), patch // side)
