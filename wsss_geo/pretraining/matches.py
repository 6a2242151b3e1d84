"""Which tokens of two views show the same ground."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.nn.tensors import full_precision
from wsss_geo.tileset.views import Views, view_points


@dataclass(frozen=True)
class Matches:
    """A tokens of the first view of each of B windows with their partners in the second.

    ``first`` and ``second`` int64 [B,A] are places on the row-major grids of the views. ``usable`` bool [B,A] marks
    true pairs. ``apart`` bool [B,A,A]: token i of ``first`` and partner k in ``second`` do not show the same ground.
    """

    first: Tensor
    second: Tensor
    usable: Tensor
    apart: Tensor


@full_precision
def match_tokens(
    one: Views,
    two: Views,
    valid_one: Tensor,
    valid_two: Tensor,
    stride: int,
    count: int,
    radius: float,
    generator: torch.Generator,
) -> Matches:
    """Draw up to ``count`` tokens of view ``one`` that have a partner in view ``two``, without replacement.

    Tokens are squares of ``stride`` pixels of the views. The partner is the token under the middle of the first; it
    must lie nearer than ``radius`` of a token's side on the ground, that of the view which sees less detail (as in Xie
    et al., CVPR 2021). Tokens less than half of which is ``valid_one`` or ``valid_two`` bool [B,size,size] are left
    out. ``generator`` lives on the CPU, so that what is drawn does not depend on the device.
    """
    side = -(-one.size // stride)
    ground = _to_ground(one, _centres(side, stride, one.scale))
    seen = view_points(two, ground)
    cell = torch.floor(seen / stride)
    inside = ((seen >= 0) & (seen < two.size)).all(dim=-1)
    cell = cell.clamp(0, side - 1)
    partner = _to_ground(two, (cell + 0.5) * stride)
    reach = radius * stride / torch.minimum(one.scale, two.scale)
    near = (ground - partner).norm(dim=-1) < reach[:, None]
    place = (cell[..., 0] * side + cell[..., 1]).long()
    usable = inside & near & _mostly(valid_one, stride) & _mostly(valid_two, stride).gather(1, place)
    count = min(count, side * side)
    noise = torch.rand(usable.shape, generator=generator).to(usable.device)
    first = noise.masked_fill(~usable, -1).topk(count, dim=1).indices
    there = ground.gather(1, first[..., None].expand(-1, -1, 2))
    other = partner.gather(1, first[..., None].expand(-1, -1, 2))
    apart = torch.cdist(there, other) >= reach[:, None, None]
    return Matches(first, place.gather(1, first), usable.gather(1, first), apart)


def pick(maps: Tensor, places: Tensor) -> Tensor:
    """Tokens [B,A,D] of maps [B,D,h,w] at ``places`` int64 [B,A] of the row-major grid."""
    flat = maps.flatten(2).transpose(1, 2)
    return flat.gather(1, places[..., None].expand(-1, -1, flat.shape[2]))


def _centres(side: int, stride: int, like: Tensor) -> Tensor:
    """Middles [B,side*side,2] (row, column) of the tokens in pixels of the view."""
    steps = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) * stride
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)
    return grid.expand(len(like), -1, -1)


def _to_ground(views: Views, points: Tensor) -> Tensor:
    """Positions [B,n,2] (row, column) in the window of positions in its view; the inverse of ``view_points``."""
    linear, shift = views.matrix().split([2, 1], dim=2)
    xy = (2 * points.flip(-1) / views.size - 1).transpose(1, 2)
    return ((linear @ xy + shift + 1) * views.source / 2).transpose(1, 2).flip(-1)


def _mostly(valid: Tensor, stride: int) -> Tensor:
    """Whether at least half of each token is valid: bool [B,side*side]."""
    short = -valid.shape[-1] % stride
    padded = functional.pad(valid[:, None].float(), (0, short, 0, short))
    return functional.avg_pool2d(padded, stride).flatten(1) >= 0.5
