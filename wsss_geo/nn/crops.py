"""Local crops around pixels whose class is in doubt, flagged by what they show (Ru et al., CVPR 2023).

Coordinates are pixels (row, column) of the image the regions were computed for: cut the crops from that image or one of
the same geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wsss_geo.errors import UsageError
from wsss_geo.nn.tensors import full_precision

#: Values of a region map: no tagged class is warm, one is lukewarm, one is hot.
COLD, DOUBTFUL, HOT = 0, 1, 2


@dataclass(frozen=True)
class LocalCrops:
    """Square crops of a batch: ``corners`` [B,n,2] int64 (upper row, left column), ``positive`` [B,n] bool, ``size``.

    ``positive`` is False where a crop shows (nearly) only confident background.
    """

    corners: Tensor
    positive: Tensor
    size: int

    def cut(self, image: Tensor) -> Tensor:
        """Crops [B,n,C,size,size] of ``image`` [B,C,H,W]."""
        return cut_crops(image, self.corners, self.size)


@full_precision
def region_map(cam: Tensor, tags: Tensor, high: float, low: float) -> Tensor:
    """Regions of ``cam`` [B,K,H,W] in 0..1 by the hottest class of ``tags`` [B,K]: int64 [B,H,W].

    0 where it is at most ``low``, 2 where it is at least ``high``, else 1.
    """
    heat = cam.masked_fill(~(tags > 0.5)[:, :, None, None], 0).amax(dim=1)
    return torch.where(heat <= low, COLD, torch.where(heat >= high, HOT, DOUBTFUL))


@torch.no_grad()
def sample_crops(
    regions: Tensor,
    count: int = 8,
    size: int = 96,
    background_share: float = 0.2,
    valid: Tensor | None = None,
    generator: torch.Generator | None = None,
    places: range | None = None,
) -> LocalCrops:
    """Draw ``count`` crops an image, centred on pixels that are doubtful or background, without replacement.

    Crops lie wholly inside the image, and inside ``valid`` bool [B,H,W] where enough do. An image with fewer than
    ``count`` candidates draws from all its positions. A crop is negative if its mean of ``regions`` [B,H,W]
    is at most ``background_share``. ``generator`` must live on the device of ``regions``. ``places`` of the images in
    a joint batch of ``places.stop`` images: noise is drawn for all of it, so that its parts may be seen by several
    processes.
    Raises UsageError when the image has fewer than ``count`` positions for such crops.
    """
    batch, height, width = regions.shape
    rows, cols = height - size + 1, width - size + 1
    if min(rows, cols) < 1 or rows * cols < count:
        raise UsageError(f"{count} crops of {size} px do not fit into {height} x {width} px", "choose smaller crops")
    half = size // 2
    allowed = torch.ones(batch, rows * cols, dtype=torch.bool, device=regions.device)
    if valid is not None:
        allowed = _narrow(allowed, (box_sums(valid, size) == size * size).flatten(1), count)
    centres = regions[:, half : half + rows, half : half + cols]
    allowed = _narrow(allowed, (centres <= DOUBTFUL).flatten(1), count)
    # The largest of independent noise values are a uniform draw without replacement, for all images at once.
    places = places or range(batch)
    noise = torch.rand((places.stop, rows * cols), device=regions.device, generator=generator)
    noise = noise[places.start :: places.step].masked_fill(~allowed, -1)
    picked = noise.topk(count, dim=1).indices
    mean = box_sums(regions, size).flatten(1).gather(1, picked) / (size * size)
    corners = torch.stack([picked // cols, picked % cols], dim=-1)
    return LocalCrops(corners, mean > background_share, size)


def cut_crops(image: Tensor, corners: Tensor, size: int) -> Tensor:
    """Cut squares: ``image`` [B,C,H,W], ``corners`` [B,n,2] (row, column) -> [B,n,C,size,size]."""
    steps = torch.arange(size, device=image.device)
    rows = (corners[..., 0, None] + steps)[..., :, None]
    cols = (corners[..., 1, None] + steps)[..., None, :]
    batch = torch.arange(len(image), device=image.device).view(-1, 1, 1, 1)
    return image.permute(0, 2, 3, 1)[batch, rows, cols].permute(0, 1, 4, 2, 3).contiguous()


@torch.no_grad()
def shows_main_class(labels: Tensor, crops: LocalCrops, classes: int) -> Tensor:
    """Flags [B,n] for data without background: does a crop's most frequent label equal its image's?

    ``labels`` int [B,H,W] in 0..``classes``-1 or 255. A crop of ignored pixels only agrees: nothing speaks
    against it.
    """
    picked = crops.corners[..., 0] * (labels.shape[-1] - crops.size + 1) + crops.corners[..., 1]
    members = [labels == c for c in range(classes)]
    inside = torch.stack([box_sums(m, crops.size).flatten(1).gather(1, picked) for m in members], dim=-1)
    overall = torch.stack([m.flatten(1).sum(1) for m in members], dim=-1)
    return (inside.argmax(-1) == overall.argmax(-1, keepdim=True)) | (inside.sum(-1) == 0)


def box_sums(values: Tensor, size: int) -> Tensor:
    """Sums of integers [B,H,W] over all ``size`` x ``size`` squares, by upper left corner: [B,H-size+1,W-size+1]."""
    sums = values.new_zeros(len(values), values.shape[1] + 1, values.shape[2] + 1, dtype=torch.int32)
    sums[:, 1:, 1:] = values.to(torch.int32).cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    return sums[:, size:, size:] - sums[:, :-size, size:] - sums[:, size:, :-size] + sums[:, :-size, :-size]


def _narrow(allowed: Tensor, wanted: Tensor, count: int) -> Tensor:
    """Positions that are also ``wanted``, in the images where at least ``count`` remain."""
    both = allowed & wanted
    return torch.where(both.sum(1, keepdim=True) >= count, both, allowed)
