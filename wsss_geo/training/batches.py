"""What a training step sees: which tiles, and which views of them. All of it follows from seed and step alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from wsss_geo.methods import Batch, Method
from wsss_geo.tileset.photometry import jitter
from wsss_geo.tileset.views import (
    DIHEDRAL,
    MIRRORED,
    Views,
    draw_resized_views,
    draw_views,
    view_image,
    view_label,
    view_maps,
    view_valid,
)


class StepSampler(Sampler[list[int]]):
    """Indices of the tiles of each step, drawn by weight without replacement within a step where possible.

    The draw of a step depends on ``seed`` and step only, so a resumed run goes on with the very batches it would have
    seen; ``start`` skips the steps already done. Processes of a data-parallel run take their part of the joint batch.
    """

    def __init__(
        self, weights: NDArray[np.float64], batch_size: int, steps: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.weights = weights / weights.sum()
        self.batch_size, self.steps, self.seed = batch_size, steps, seed
        self.rank, self.world = rank, world
        self.start = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.steps):
            yield self.indices(step)

    def indices(self, step: int) -> list[int]:
        """Tiles of one step for this process."""
        rng = np.random.default_rng((self.seed, step))
        count = self.batch_size * self.world
        replace = bool(count > np.count_nonzero(self.weights))
        joint = rng.choice(len(self.weights), count, replace=replace, p=self.weights)
        return [int(i) for i in joint[self.rank :: self.world]]


def make_batch(
    items: Mapping[str, Any], method: Method, size: int, seed: int, step: int, rank: int = 0, world: int = 1
) -> Batch:
    """Draw the views of a step: ``items`` are B collated tiles, ``size`` the side of the views in pixels.

    All processes of a data-parallel run draw for the joint batch, each keeps what belongs to its tiles.
    """
    # Autocast would round the coordinates of views to a quarter of a pixel.
    with torch.autocast(items["image01"].device.type, enabled=False):
        return _draw_batch(items, method, size, seed, step, rank, world)


def _draw_batch(
    items: Mapping[str, Any], method: Method, size: int, seed: int, step: int, rank: int, world: int
) -> Batch:
    image, valid = items["image01"], items["valid"]
    mean = method.network.mean.to(image)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    source, count = image.shape[-1], len(image) * world
    places = range(rank, count, world)
    elements = DIHEDRAL if method.settings.turns else MIRRORED
    views = draw_views(count, source, size, generator, method.settings.scale, elements).at(places)
    clean, seen = view_image(views, image), view_valid(views, valid)

    def coloured(name: str, view: Tensor, mask: Tensor) -> Tensor:
        """Jittered view; pixels without data get the training mean, as in prediction."""
        change = method.colours.get(name)
        changed = view if change is None else jitter(view, change, generator, mask, places)
        return torch.where(mask[:, None], changed, mean)

    second = local = None
    if "second" in method.needs:
        other: Views = draw_resized_views(count, source, size, generator, elements=elements).at(places)
        second = coloured("second", view_image(other, image), view_valid(other, valid))
    if "local" in method.needs:
        local = coloured("local", clean, seen)
    masks = view_label(views, items["mask"]) if "mask" in items else None
    cells = None
    if "cell_tags" in items:
        cells = view_maps(views, items["cell_tags"], items["cell_tags"].shape[-1]).round()
    own = torch.Generator(image.device).manual_seed(seed * 1_000_003 + step + 500_009)
    return Batch(
        coloured("image", clean, seen),
        coloured("clean", clean, seen),
        items["tags"],
        seen,
        local,
        second,
        masks,
        cells,
        own,
        items.get("scene"),
        places,
    )
