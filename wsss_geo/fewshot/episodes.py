"""Episodes: a class, a query tile and example tiles that hold it. All of it follows from seed and key alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.tileset.dataset import TileDataset


@dataclass(frozen=True)
class Episode:
    """``position`` of the class sought in the class scheme, number of the ``query`` tile and of its ``examples``."""

    position: int
    query: int
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Pool:
    """Tiles that episodes draw from.

    ``holders``: by position of each class that is sought, the tiles that hold enough of it; ``without``: those that
    hold none of it at all. ``tiles`` counts those that take part.
    """

    holders: dict[int, NDArray[np.int64]]
    without: dict[int, NDArray[np.int64]]
    tiles: int

    def draw(self, generator: np.random.Generator, shots: int, absent: float = 0.0) -> Episode:
        """Draw an episode of ``shots`` examples; with the chance ``absent`` its query holds nothing of the class."""
        position = int(generator.choice(list(self.holders)))
        chosen = generator.permutation(self.holders[position])[: shots + 1]
        query = int(chosen[0])
        if generator.random() < absent and len(self.without[position]):
            query = int(generator.choice(self.without[position]))
        return Episode(position, query, tuple(int(t) for t in chosen[1:]))


def class_pixels(tiles: TileDataset, report: Progress) -> NDArray[np.int64]:
    """Pixels [n,C] of every class in every tile."""
    classes = len(tiles.tileset.scheme)
    found = np.zeros((len(tiles), classes), np.int64)
    for number in range(len(tiles)):
        if number % 100 == 0:
            report.step(number, len(tiles), "masks", "classes")
        mask = tiles[number]["mask"].numpy()
        found[number] = np.bincount(mask[mask != IGNORE], minlength=classes)[:classes]
    return found


def make_pool(
    pixels: NDArray[np.int64], scheme: ClassScheme, sought: Sequence[str], held: Sequence[str], least: int, shots: int,
    where: object,
) -> Pool:  # fmt: skip
    """Which of the tiles of ``class_pixels`` serve episodes of the classes ``sought``.

    Tiles with a single pixel of a class in ``held`` take no part. A tile holds a class from ``least`` pixels. Classes
    with too few tiles for ``shots`` examples and a query are left out. Raises InputError if none is left.
    """
    positions = {name: i for i, name in enumerate(scheme.names)}
    free = (pixels[:, [positions[n] for n in held]] == 0).all(axis=1)
    holders, without = {}, {}
    for name in sought:
        place = positions[name]
        found = np.flatnonzero(free & (pixels[:, place] >= least))
        if len(found) > shots:
            holders[place] = found
            without[place] = np.flatnonzero(free & (pixels[:, place] == 0))
    if not holders:
        beside = f" that show nothing of {', '.join(held)}" if held else ""
        raise InputError(
            where,
            f"has no {shots + 1} tiles{beside} with {least} px of one of {', '.join(sought)}",
            "give more tiles, fewer --shots, or leave other classes out",
        )
    return Pool(holders, without, int(free.sum()))


class EpisodeDataset(Dataset[dict[str, Any]]):
    """The episode that a key (number, shots) stands for.

    ``query`` float32 [N,S,S] in 0..1, the mean where there is no data, and ``target`` int64 [S,S]: 1 what is sought, 0
    what is not, 255 unknown; ``images`` [shots,N,S,S] and ``masks`` [shots,S,S] likewise; ``position`` of the class.
    With ``turned``, every picture is one of its eight mirror images and quarter turns.
    """

    def __init__(self, tiles: TileDataset, pool: Pool, seed: int, absent: float = 0.0, turned: bool = False) -> None:
        self.tiles, self.pool, self.seed = tiles, pool, seed
        self.absent, self.turned = absent, turned

    def __len__(self) -> int:
        return len(self.tiles)

    def episode(self, number: int, shots: int) -> Episode:
        """The tiles of an episode."""
        return self.pool.draw(np.random.default_rng((self.seed, 1, number)), shots, self.absent)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        number, shots = key
        episode = self.episode(number, shots)
        generator = np.random.default_rng((self.seed, 2, number))
        query, target = self._seen(episode.query, episode.position, generator)
        seen = [self._seen(tile, episode.position, generator) for tile in episode.examples]
        return {
            "query": query,
            "target": target,
            "images": torch.stack([image for image, _ in seen]),
            "masks": torch.stack([mask for _, mask in seen]),
            "position": episode.position,
        }

    def _seen(self, number: int, position: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        item = self.tiles[number]
        mean = torch.tensor(self.tiles.tileset.normalisation.mean).view(-1, 1, 1)
        image = torch.where(item["valid"], item["image01"], mean)
        mask = torch.where(item["mask"] == IGNORE, IGNORE, (item["mask"] == position).long())
        if self.turned:
            turns, mirrored = int(generator.integers(4)), bool(generator.integers(2))
            image, mask = (torch.rot90(t.flip(-1) if mirrored else t, turns, (-2, -1)) for t in (image, mask))
        return image.contiguous(), mask.contiguous()


class EpisodeSampler(Sampler[list[tuple[int, int]]]):
    """Keys of the episodes of each step: all of one step have one example, or all ``shots``, by turns at random.

    ``start`` skips the steps already done.
    """

    def __init__(self, batch_size: int, steps: int, shots: int, seed: int) -> None:
        self.batch_size, self.steps, self.shots, self.seed = batch_size, steps, shots, seed
        self.start = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.steps):
            shots = int(np.random.default_rng((self.seed, 3, step)).choice([1, self.shots]))
            yield [(step * self.batch_size + i, shots) for i in range(self.batch_size)]
