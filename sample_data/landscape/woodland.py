"""Trees: forests, hedgerows, river banks, orchards and gardens, crown by crown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landscape.canvas import GRASS, GSD, SIZE, WOODLAND, Array, Canvas, rgb
from landscape.parcels import Division, Parcel

#: Square metres that joined crowns must cover to count as woodland; less is part of what they stand on.
GROUP_AREA = 220.0


@dataclass(frozen=True)
class Tree:
    """One crown: position, radius and height in metres, colour, and whether it tapers like a spruce."""

    x: float
    y: float
    radius: float
    height: float
    color: tuple[float, float, float]
    conifer: bool = False


def plant(canvas: Canvas, trees: Iterable[Tree], rng: np.random.Generator) -> None:
    """Draw crowns, low ones first; the highest crown wins each pixel."""
    for tree in sorted(trees, key=lambda t: t.height):
        where = canvas.patch(tree.x, tree.y, tree.radius * 1.35)
        if where is None:
            continue
        dx, dy = canvas.x[where] - tree.x, canvas.y[where] - tree.y
        bearing = np.arctan2(dy, dx)
        a, b, c = rng.uniform(0, 2 * np.pi, 3)
        lobes = 1 + 0.10 * np.sin(2 * bearing + a) + 0.09 * np.sin(3 * bearing + b) + 0.06 * np.sin(5 * bearing + c)
        reach = np.sqrt(dx * dx + dy * dy) / (tree.radius * lobes) - 0.09 * canvas.fine[where]
        if tree.conifer:
            top = tree.height * (1 - 0.5 * reach)
        else:
            top = tree.height - 0.95 * tree.radius * (1 - np.sqrt(np.clip(1 - reach * reach, 0, 1)))
        wins = (reach < 1) & (top > canvas.height[where])
        canvas.height[where][wins] = top[wins]
        shade = (rng.normal(0, 5) + 5 * canvas.fine[where] + 3 * canvas.grain[where])[..., None]
        crown = rgb(*tree.color) + rng.normal(0, [4, 3, 3]) + shade * rgb(1.0, 1.0, 0.7)
        canvas.color[where][wins] = crown[wins]
        canvas.crown[where][wins] = True


def leaves(rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour of a broad-leaved crown."""
    kinds = ((88, 104, 62), (98, 114, 64), (78, 96, 58), (108, 116, 70), (92, 100, 66), (84, 106, 68))
    return kinds[rng.integers(len(kinds))]


def forest(canvas: Canvas, wooded: Array, mixture: Array, rng: np.random.Generator) -> list[Tree]:
    """Trees on a jittered grid over ``wooded`` [H, W] (distance into the wood, metres); ``mixture`` > 0.5 is spruce."""
    trees: list[Tree] = []
    step = 4.1
    for gy in np.arange(0, SIZE * GSD, step):
        for gx in np.arange(0, SIZE * GSD, step):
            x, y = gx + rng.uniform(0, step), gy + rng.uniform(0, step)
            depth = canvas.value_at(wooded, x, y)
            if depth < 0 or canvas.value_at(canvas.blocked, x, y):
                continue
            spruce = bool(canvas.value_at(mixture, x, y) + rng.normal(0, 0.25) > 0.75)
            stage = 0.78 + 0.14 * canvas.value_at(canvas.broad, x, y)  # age of the stand
            edge = np.clip(0.45 + depth / 9, 0, 1)
            color: tuple[float, float, float]
            if spruce:
                radius, height, color = rng.uniform(1.5, 2.5), rng.uniform(15, 21), (66, 84, 58)
            else:
                radius, height, color = rng.gamma(9, 0.36), rng.uniform(12, 19), leaves(rng)
                if rng.random() < 0.25 or canvas.value_at(canvas.middle, x, y) > 1.9:
                    continue
            radius *= 0.8 + 0.3 * edge
            trees.append(Tree(x, y, min(radius, 5.5), height * edge * max(stage, 0.35), color, spruce))
    return trees


def hedgerows(canvas: Canvas, division: Division, rng: np.random.Generator) -> list[Tree]:
    """Shrubs and trees along borders that carry a hedge, with gaps."""
    trees = []
    for parcel in division.parcels:
        for i, cut in enumerate(parcel.cuts):
            if cut < 0 or not division.cuts[cut].hedge:
                continue
            a, b = parcel.corners[i], parcel.corners[(i + 1) % len(parcel.corners)]
            if ((parcel.center - a) * division.cuts[cut].normal).sum() < 0:
                continue  # the parcel on the other side plants it
            length = float(np.hypot(*(b - a)))
            at = np.arange(0, length, 1.9)
            gaps = ndimage.gaussian_filter1d(rng.normal(size=len(at) + 1), 6)[: len(at)] * 3.5
            points = a + (at / max(length, 1e-6))[:, None] * (b - a) + rng.normal(0, 0.7, (len(at), 2))
            for (x, y), gap in zip(division.bend.to_ground(points), gaps, strict=True):
                if gap < -0.45 or canvas.value_at(canvas.blocked, x, y):
                    continue
                tall = rng.random() < 0.16
                radius = rng.uniform(2.6, 4.4) if tall else rng.uniform(1.2, 2.3)
                trees.append(Tree(x, y, radius, radius * rng.uniform(1.5, 2.6), leaves(rng)))
    return trees


def river_side(canvas: Canvas, shore: Array, rng: np.random.Generator) -> list[Tree]:
    """Alders and willows in groups along the water; ``shore`` [H, W] is the distance into water."""
    trees = []
    spots = np.flatnonzero((shore > -11) & (shore < -2.2) & (canvas.broad + 0.5 * canvas.middle > 0.15))
    for pixel in rng.choice(spots, len(spots) // 75, replace=False):
        y, x = np.divmod(pixel, SIZE)
        if canvas.value_at(canvas.crown, x * GSD, y * GSD) or canvas.truth[y, x] != GRASS:
            continue
        color = (118.0, 126.0, 92.0) if rng.random() < 0.3 else leaves(rng)
        trees.append(Tree(x * GSD, y * GSD, rng.uniform(1.4, 4.2), rng.uniform(4, 14), color))
    return trees


def scattered(canvas: Canvas, parcel: Parcel, division: Division, use: str, rng: np.random.Generator) -> list[Tree]:
    """Trees of one garden, orchard or meadow."""
    trees = []
    low, high = division.bend.to_ground(parcel.corners).min(axis=0), division.bend.to_ground(parcel.corners).max(axis=0)
    if use == "orchard":
        direction, length, width = parcel.axes()
        across = np.array([-direction[1], direction[0]])
        step = rng.uniform(9.5, 11.5)
        grid = np.mgrid[-length / 2 : length / 2 : step, -width / 2 : width / 2 : step].reshape(2, -1).T
        points = parcel.center + grid[:, :1] * direction + grid[:, 1:] * across + rng.normal(0, 0.7, (len(grid), 2))
        points = division.bend.to_ground(points[rng.random(len(points)) < 0.85])
    else:
        count = {"garden": parcel.area / 75, "meadow": parcel.area / 9_000}.get(use, parcel.area / 60_000)
        points = rng.uniform(low, high, (rng.poisson(count), 2))
    for x, y in points:
        if not (0 <= x < SIZE * GSD and 0 <= y < SIZE * GSD):
            continue
        if use == "orchard":
            radius = rng.uniform(1.7, 2.8)
        elif use == "garden":
            radius = min(rng.gamma(2.2, 0.85) + 0.7, 5.2)
        else:
            radius = rng.uniform(2.0, 5.2)
        if canvas.value_at(division.parcel, x, y) != parcel.number or not _free(canvas, x, y, radius):
            continue
        conifer = use == "garden" and rng.random() < 0.2
        height = radius * (rng.uniform(2.6, 4.0) if conifer else rng.uniform(1.3, 2.3))
        color = (70, 90, 62) if conifer else leaves(rng)
        trees.append(Tree(x, y, radius * (0.75 if conifer else 1.0), height, color, conifer))
    return trees


def alley(canvas: Canvas, division: Division, rng: np.random.Generator) -> list[Tree]:
    """Road-side trees along stretches of the larger roads."""
    trees = []
    for cut in division.cuts:
        if cut.kind not in ("main", "minor"):
            continue
        for at in np.arange(-1300, 1300, 11.0):
            for hand in (-1, 1):
                if rng.random() < 0.35 or np.sin(at / 90 + hand) + rng.normal(0, 0.3) < 0.1:
                    continue
                bent = cut.point + at * cut.along + hand * rng.uniform(8.0, 9.0) * cut.normal
                if not (0 < bent[0] < SIZE * GSD and 0 < bent[1] < SIZE * GSD):
                    continue
                x, y = division.bend.to_ground(bent[None])[0]
                radius = rng.uniform(1.8, 3.6)
                if _free(canvas, x, y, radius * 0.8):
                    trees.append(Tree(x, y, radius, radius * 2.4, leaves(rng)))
    return trees


def _free(canvas: Canvas, x: float, y: float, radius: float) -> bool:
    where = canvas.patch(x, y, radius * 0.8)
    return where is not None and not bool(canvas.blocked[where].any())


def garden_hedges(canvas: Canvas, division: Division, uses: dict[int, str], rng: np.random.Generator) -> None:
    """Clipped hedges and fences along the borders of garden plots."""
    garden = np.array([uses[i] == "garden" for i in range(len(division.parcels))])
    style = rng.random(len(division.parcels))
    thick = (0.35 + 0.5 * style)[division.parcel] + 0.18 * canvas.fine
    free = ~canvas.blocked & (canvas.truth == GRASS) & garden[division.parcel]
    line = free & (np.minimum(division.border, np.maximum(division.road_edge - 1.2, 0)) < thick)
    green = line & (style < 0.62)[division.parcel]
    canvas.color[green] = (rgb(84, 100, 60) + 8 * canvas.fine[..., None] + 4 * canvas.grain[..., None])[green]
    canvas.height[green] = 1.4 + 0.35 * canvas.fine[green]
    fence = line & (style > 0.8)[division.parcel] & (division.border < 0.3)
    canvas.color[fence] = rgb(140, 130, 114)
    canvas.height[fence] = 0.9


def settle_truth(canvas: Canvas, woods: NDArray[np.bool_]) -> None:
    """Crowns that form groups, and gaps inside them, become woodland; ``woods`` [H, W] bool is planted forest."""
    joined = ndimage.binary_closing(canvas.crown, np.ones((3, 3)), iterations=2)
    labels, _ = ndimage.label(joined)
    large = np.bincount(labels.ravel()) * GSD * GSD >= GROUP_AREA
    large[0] = False
    canvas.truth[(canvas.truth == WOODLAND) & ~joined & ~woods] = GRASS
    group = large[labels]
    canvas.truth[group & (canvas.crown | (canvas.truth == GRASS))] = WOODLAND
