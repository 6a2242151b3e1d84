"""What a step sees: which windows, and which views of them. All of it follows from seed and step alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from wsss_geo.nn.tensors import full_precision, resize, resize_nearest
from wsss_geo.pretraining.ground import Ground, Survey
from wsss_geo.pretraining.mevt import MEVTSettings, Pair
from wsss_geo.tileset.photometry import LAND, TOCO_LOCAL, TOCO_MAIN, TOCO_SECOND, Jitter, jitter
from wsss_geo.tileset.views import Views, draw_resized_views, view_image, view_valid

#: Colour changes of the first, the second and the small views.
COLOURS: Mapping[str, tuple[Jitter, Jitter, Jitter]] = {
    "strong": (TOCO_MAIN, TOCO_SECOND, TOCO_LOCAL),
    "land": (LAND, LAND, LAND),
}


class WindowSampler(Sampler[list[int]]):
    """Keys of the windows of each step; processes of a data-parallel run take their part of the joint batch.

    ``start`` skips the steps already done.
    """

    def __init__(self, batch_size: int, steps: int) -> None:
        self.batch_size, self.steps = batch_size, steps
        self.rank, self.world, self.start = 0, 1, 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        joint = self.batch_size * self.world
        for step in range(self.start, self.steps):
            yield list(range(step * joint + self.rank, (step + 1) * joint, self.world))


class WindowDataset(Dataset[dict[str, Tensor]]):
    """The window that a key stands for: ``image01`` float32 [N,W,W] in 0..1, zero where invalid, ``valid`` bool [W,W].

    A window smaller than W, of a raster that is, is enlarged.
    """

    def __init__(self, ground: Ground, survey: Survey, seed: int, length: int) -> None:
        self.ground, self.survey, self.seed, self.length = ground, survey, seed, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int) -> dict[str, Tensor]:
        tile = self.ground.draw_valid(np.random.default_rng((self.seed, 1, key)), self.survey.valid)
        stretched = self.survey.normalisation.stretch(tile.pixels) * tile.valid
        image, valid = torch.from_numpy(stretched.astype(np.float32)), torch.from_numpy(tile.valid)
        size = (self.ground.side, self.ground.side)
        if tuple(valid.shape) != size:
            image = resize(image[None], size)[0]
            valid = resize_nearest(valid[None].float(), size)[0] > 0.5
        return {"image01": image, "valid": valid.contiguous()}


@full_precision
def make_pair(
    items: Mapping[str, Any],
    settings: MEVTSettings,
    size: int,
    local_size: int,
    mean: Tensor,
    std: Tensor,
    seed: int,
) -> Pair:
    """Draw the views of a step from B collated windows: ``size`` and ``local_size`` are sides in pixels.

    ``mean`` and ``std`` [1,N,1,1] normalise; pixels without data become zero, that is the mean.
    """
    image, valid = items["image01"], items["valid"]
    generator = torch.Generator().manual_seed(seed)
    colours = COLOURS[settings.colours]

    def drawn(side: int, area: tuple[float, float], change: Jitter) -> tuple[Tensor, Tensor, Views]:
        views = draw_resized_views(len(image), image.shape[-1], side, generator, area).to(image.device)
        seen = view_valid(views, valid)
        changed = jitter(view_image(views, image), change, generator, seen)
        return (changed - mean) / std * seen[:, None], seen, views

    first = drawn(size, settings.area, colours[0])
    second = drawn(size, settings.area, colours[1])
    small = [drawn(local_size, settings.local_area, colours[2])[0] for _ in range(settings.local)]
    return Pair(
        torch.stack([first[0], second[0]]),
        torch.stack([first[1], second[1]]),
        (first[2], second[2]),
        torch.stack(small) if small else None,
        generator,
    )
