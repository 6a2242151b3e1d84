"""Geometry of augmented views: drawn once, recorded, and applied alike to images, labels, masks of validity and boxes.

A view turns and mirrors a square tile, scales it, and cuts a square out of the result. Everything is affine, so a view
also carries class activation maps on a token grid, and ``invert`` brings what was computed on a view back to the tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.classes import IGNORE
from wsss_geo.errors import UsageError

#: All dihedral elements, for images from above; those of photographs, which have an up: as they are and mirrored.
DIHEDRAL, MIRRORED = tuple(range(8)), (0, 4)


@dataclass(frozen=True)
class Views:
    """One view for each of B tiles of ``source`` pixels a side, seen as ``size`` pixels a side.

    ``element`` int64 [B] in 0..7 is the dihedral element: ``element % 4`` quarter turns counter-clockwise (as
    ``torch.rot90``), then a left-right flip for 4..7. ``scale`` float [B] enlarges the turned tile. ``corner``
    float [B,2] is the row and column of the view's upper left pixel in the scaled tile; where the view reaches
    beyond it, also to negative rows and columns, it is padding.
    """

    element: Tensor
    scale: Tensor
    corner: Tensor
    source: int
    size: int

    def __len__(self) -> int:
        return len(self.element)

    def at(self, places: range) -> Views:
        """Every ``places.step``-th view from ``places.start``."""
        part = slice(places.start, None, places.step)
        return replace(self, element=self.element[part], scale=self.scale[part], corner=self.corner[part])

    def to(self, device: torch.device | str) -> Views:
        """The same views with tensors on ``device``."""
        return replace(
            self, element=self.element.to(device), scale=self.scale.to(device), corner=self.corner.to(device)
        )

    def matrix(self) -> Tensor:
        """Affine maps [B,2,3] from view to tile in normalised coordinates (x right, y down, -1..1 edge to edge)."""
        extent = self.source * self.scale
        gain = self.size / extent
        shift = (self.size + 2 * self.corner.flip(1)) / extent[:, None] - 1  # x, y
        turned = _turns(self.element).to(self.scale)
        return torch.cat([turned * gain[:, None, None], (turned @ shift[:, :, None])], dim=2)


def draw_views(
    count: int,
    source: int,
    size: int,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.8, 1.0),
    elements: Sequence[int] = DIHEDRAL,
) -> Views:
    """Draw views that turn, mirror and mildly scale; label-safe as long as a scaled tile fits into ``size``.

    A scaled tile smaller than the view is placed at random and padded, a larger one is cropped at random. ``scale``
    is relative to the view: at 1 a tile fills it exactly, so only factors above 1 can crop a tagged object away.
    Turns and flips are drawn from ``elements``. Raises UsageError for impossible numbers.
    """
    low, high = scale
    if not 0 < low <= high:
        raise UsageError(f"view scale {scale} is impossible", "use 0 < low <= high")
    factor = (low + (high - low) * torch.rand(count, generator=generator)) * (size / source)
    return _placed(factor, source, size, generator, elements)


def draw_resized_views(
    count: int,
    source: int,
    size: int,
    generator: torch.Generator,
    area: tuple[float, float] = (0.4, 1.0),
    elements: Sequence[int] = DIHEDRAL,
) -> Views:
    """Draw square crops that cover a random share ``area`` of the tile, resized to ``size`` (no padding)."""
    low, high = area
    if not 0 < low <= high <= 1:
        raise UsageError(f"view area {area} is impossible", "use 0 < low <= high <= 1")
    share = low + (high - low) * torch.rand(count, generator=generator)
    return _placed(size / (source * share.sqrt()), source, size, generator, elements)


def plain_views(count: int, source: int, size: int | None = None) -> Views:
    """Views that show the whole tile upright, resized to ``size``."""
    size = size or source
    return Views(
        torch.zeros(count, dtype=torch.int64),
        torch.full((count,), size / source),
        torch.zeros(count, 2),
        source,
        size,
    )


def _placed(factor: Tensor, source: int, size: int, generator: torch.Generator, elements: Sequence[int]) -> Views:
    count = len(factor)
    element = torch.tensor(elements)[torch.randint(8, (count,), generator=generator) % len(elements)]
    spare = (factor * source - size)[:, None]
    corner = (torch.rand(count, 2, generator=generator) * spare).round()
    # Rounding may push a crop over the edge by half a pixel.
    corner = torch.where(spare >= 0, corner.clamp(min=0).minimum(spare.clamp(min=0)), corner)
    return Views(element, factor, corner, source, size)


def view_image(views: Views, image: Tensor) -> Tensor:
    """Views [B,C,size,size] of images [B,C,S,S], bilinear; what lies outside the tile is zero."""
    inside = _sample(views.matrix(), torch.ones_like(image[:, :1]), views.size, "nearest", "zeros")
    return _sample(views.matrix(), image, views.size, "bilinear", "border") * inside


def view_label(views: Views, label: Tensor, fill: int = IGNORE) -> Tensor:
    """Views int64 [B,size,size] of labels int64 [B,S,S], nearest; outside is ``fill``."""
    shifted = (label - fill)[:, None].float()  # zero padding then means "fill"
    return _sample(views.matrix(), shifted, views.size, "nearest", "zeros")[:, 0].round().long() + fill


def view_valid(views: Views, valid: Tensor) -> Tensor:
    """Views bool [B,size,size] of validity bool [B,S,S]; outside is False."""
    return _sample(views.matrix(), valid[:, None].float(), views.size, "nearest", "zeros")[:, 0] > 0.5


def view_box(views: Views, box: Tensor | None = None) -> Tensor:
    """Boxes int64 [B,4] (row0, row1, col0, col1; ends excluded) in the view of boxes in the tile, by default all of it.

    Only pixels that lie wholly inside count; a box that is out of sight is empty (row0 = row1).
    """
    if box is None:
        box = torch.tensor([[0, views.source, 0, views.source]]).expand(len(views), 4)
    row0, row1, col0, col1 = (2 * box.to(views.scale) / views.source - 1).unbind(1)
    linear, shift = _inverse(views.matrix()).split([2, 1], dim=2)
    corners = torch.stack([torch.stack([col0, row0], 1), torch.stack([col1, row1], 1)], dim=2)
    x, y = ((linear @ corners + shift + 1) * views.size / 2).unbind(1)
    found = [y.amin(1), y.amax(1), x.amin(1), x.amax(1)]
    first = [torch.ceil(e - 1e-3) for e in found[::2]]
    last = [torch.floor(e + 1e-3) for e in found[1::2]]
    edges = torch.stack([first[0], last[0], first[1], last[1]], dim=1).clamp(0, views.size).long()
    empty = (edges[:, 0] >= edges[:, 1]) | (edges[:, 2] >= edges[:, 3])
    return torch.where(empty[:, None], torch.zeros_like(edges), edges)


def view_maps(views: Views, maps: Tensor, size: int) -> Tensor:
    """Views [B,C,size,size] of maps [B,C,h,h] over the whole tile on any grid, bilinear; zero outside."""
    return _sample(views.matrix(), maps, size, "bilinear", "zeros")


def invert(views: Views, maps: Tensor, size: int) -> Tensor:
    """Bring maps [B,C,h,h] that cover the views back to the whole tile on a grid of ``size``: [B,C,size,size].

    Bilinear; zero where the view did not look. The inverse of ``view_maps``.
    """
    return _sample(_inverse(views.matrix()), maps, size, "bilinear", "zeros")


def view_points(views: Views, points: Tensor) -> Tensor:
    """Positions [B,n,2] (row, column; pixel centres at .5) in the view of positions in the tile."""
    linear, shift = _inverse(views.matrix()).split([2, 1], dim=2)
    xy = (2 * points.flip(-1).to(views.scale) / views.source - 1).transpose(1, 2)
    return ((linear @ xy + shift + 1) * views.size / 2).transpose(1, 2).flip(-1)


def _turns(element: Tensor) -> Tensor:
    """Linear maps [B,2,2] from view to tile on (x, y) for the dihedral elements."""
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    flip = torch.tensor([[-1.0, 0.0], [0.0, 1.0]])
    turns = [torch.linalg.matrix_power(quarter, k) for k in range(4)]
    return torch.stack([*turns, *(t @ flip for t in turns)]).to(element.device)[element]


def _inverse(matrix: Tensor) -> Tensor:
    linear = torch.linalg.inv(matrix[:, :, :2])
    return torch.cat([linear, -linear @ matrix[:, :, 2:]], dim=2)


def _sample(matrix: Tensor, image: Tensor, size: int, mode: str, padding: str) -> Tensor:
    matrix = matrix.to(device=image.device, dtype=image.dtype)
    grid = functional.affine_grid(matrix, [len(matrix), image.shape[1], size, size], align_corners=False)
    if mode == "nearest" and padding == "zeros":
        # A position just outside rounds to the outermost pixel; it is padding all the same.
        sampled = functional.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)
        outside = (grid.abs() > 1 + 1e-5).any(dim=3)[:, None]
        return sampled.masked_fill(outside, 0)
    return functional.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=False)
