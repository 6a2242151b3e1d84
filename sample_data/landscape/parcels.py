"""Division of the land: straight cuts, one inside the other, in a gently bent ground.

Each cut is a road, a farm track or a mere border, by the size of what it divides and by whether that lies in the
village. Evaluating the cuts pixel by pixel also gives the distance to every border, which is all that fields, roads
and hedges need.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landscape.canvas import GSD, SIZE, Array
from landscape.noise import fractal

#: Half widths in metres of the cuts that are roads.
HALF_WIDTH = {"main": 4.4, "minor": 3.2, "street": 3.1, "track": 1.9}
MARGIN = 80.0


@dataclass(frozen=True)
class Cut:
    """A line that divides a piece of land; ``kind`` is a key of HALF_WIDTH or ``border``."""

    point: Array
    along: Array
    kind: str
    hedge: bool = False

    @property
    def normal(self) -> Array:
        """The unit vector to the left of ``along``."""
        return np.array([-self.along[1], self.along[0]])


@dataclass
class Parcel:
    """A piece of land that is not divided further: a convex polygon in bent coordinates."""

    number: int
    corners: Array  # [k, 2]
    cuts: list[int]  # the cut along each edge (corner i to corner i + 1), -1 for the end of the world
    village: bool

    @property
    def center(self) -> Array:
        """Mean of the corners."""
        return np.asarray(self.corners.mean(axis=0))

    @property
    def area(self) -> float:
        """Square metres."""
        a, b = self.corners, np.roll(self.corners, -1, axis=0)
        return float(abs((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / 2)

    def axes(self) -> tuple[Array, float, float]:
        """Direction of the long axis of the smallest box around the parcel, its length and its width."""
        best: tuple[float, Array, float, float] | None = None
        for edge in np.roll(self.corners, -1, axis=0) - self.corners:
            u = edge / np.hypot(*edge)
            v = np.array([-u[1], u[0]])
            across = [float(np.ptp((self.corners * d).sum(axis=1))) for d in (u, v)]
            if across[1] > across[0]:
                u, across = v, across[::-1]
            if best is None or across[0] * across[1] < best[0] - 1e-6:
                best = (across[0] * across[1], u, across[0], across[1])
        assert best is not None
        return best[1:]


@dataclass
class Bend:
    """A gentle bending of the ground, so that no road or border of the divided land is quite straight."""

    rng: np.random.Generator
    shift: Array = field(init=False)  # [2, H, W] metres

    def __post_init__(self) -> None:
        slow = [fractal(self.rng, SIZE, longest=1400, shortest=420, beta=1.5) for _ in range(2)]
        quick = [fractal(self.rng, SIZE, longest=120, shortest=30, beta=1.0) for _ in range(2)]
        self.shift = np.stack([9.0 * s + 0.3 * q for s, q in zip(slow, quick, strict=True)])

    def to_ground(self, points: Array) -> Array:
        """Ground coordinates [n, 2] of bent coordinates [n, 2]."""
        ground = points.copy()
        for _ in range(6):
            where = [np.clip(ground[:, 1] / GSD - 0.5, 0, SIZE - 1), np.clip(ground[:, 0] / GSD - 0.5, 0, SIZE - 1)]
            ground = points - np.stack([ndimage.map_coordinates(s, where, order=1) for s in self.shift], axis=1)
        return ground


@dataclass
class Division:
    """The divided land, per pixel. Distances in metres; bent coordinates ``qx``, ``qy``."""

    bend: Bend
    cuts: list[Cut]
    parcels: list[Parcel]
    qx: Array
    qy: Array
    parcel: NDArray[np.int32]  # number of the parcel
    border: Array  # distance to the nearest cut
    road: NDArray[np.int32]  # number of the nearest road cut, -1 none
    road_edge: Array  # distance to the edge of that road, negative on the road
    road_side: Array  # signed distance to its centre line
    road_along: Array  # position along it


@dataclass(frozen=True)
class Plan:
    """What the division follows: the first cuts by hand, the village, and how large parcels are."""

    crossing: tuple[float, float]  # where the main road meets the side road, metres
    main_angle: float  # direction of the main road, degrees
    village: tuple[float, float, float, float]  # center x, y and half axes of an ellipse, metres
    field_area: tuple[float, float] = (9_000.0, 38_000.0)
    block_area: float = 7_000.0
    plot_area: float = 700.0

    def in_village(self, point: Array, scale: float = 1.0) -> bool:
        """Whether a point lies in the village ellipse, enlarged by ``scale``."""
        x, y, a, b = self.village
        return bool(((point[0] - x) / a) ** 2 + ((point[1] - y) / b) ** 2 < scale * scale)


def divide(plan: Plan, rng: np.random.Generator, x: Array, y: Array) -> Division:
    """Cut the scene into parcels."""
    bend = Bend(rng)
    qx, qy = x + bend.shift[0], y + bend.shift[1]
    n = SIZE * SIZE
    far = 1e3
    division = Division(
        bend, [], [], qx, qy, np.zeros((SIZE, SIZE), np.int32), np.full((SIZE, SIZE), far),
        np.full((SIZE, SIZE), -1, np.int32), np.full((SIZE, SIZE), far), np.full((SIZE, SIZE), far),
        np.zeros((SIZE, SIZE)),
    )  # fmt: skip
    low, high = -MARGIN, SIZE * GSD + MARGIN
    whole = Parcel(-1, np.array([[low, low], [high, low], [high, high], [low, high]]), [-1] * 4, False)
    _cut_down(plan, rng, division, whole, np.arange(n), 0)
    return division


def _cut_down(
    plan: Plan, rng: np.random.Generator, division: Division, land: Parcel, pixels: NDArray[np.int64], depth: int
) -> None:
    cut = _choose_cut(plan, rng, land, depth)
    if cut is None:
        land.number = len(division.parcels)
        division.parcels.append(land)
        division.parcel.flat[pixels] = land.number
        return
    number = len(division.cuts)
    division.cuts.append(cut)
    dx, dy = division.qx.flat[pixels] - cut.point[0], division.qy.flat[pixels] - cut.point[1]
    side = dx * cut.normal[0] + dy * cut.normal[1]
    division.border.flat[pixels] = np.minimum(division.border.flat[pixels], np.abs(side))
    if cut.kind in HALF_WIDTH:
        edge = np.abs(side) - HALF_WIDTH[cut.kind]
        near = edge < division.road_edge.flat[pixels]
        chosen = pixels[near]
        division.road_edge.flat[chosen] = edge[near]
        division.road_side.flat[chosen] = side[near]
        division.road.flat[chosen] = number
        division.road_along.flat[chosen] = (dx * cut.along[0] + dy * cut.along[1])[near]
    for sign in (1.0, -1.0):
        part = _clip(land, cut, number, sign)
        _cut_down(plan, rng, division, part, pixels[(side >= 0) == (sign > 0)], depth + 1)


def _choose_cut(plan: Plan, rng: np.random.Generator, land: Parcel, depth: int) -> Cut | None:
    """The next cut through a piece of land, or None when it is small enough."""
    if depth < 2:
        angle = np.deg2rad(plan.main_angle + depth * (90 + rng.uniform(-14, 14)))
        slide = rng.uniform(10, 45) * (1 if rng.random() < 0.5 else -1) * depth
        main = np.deg2rad(plan.main_angle)
        point = np.array(plan.crossing) + slide * np.array([np.cos(main), np.sin(main)])
        return Cut(point, np.array([np.cos(angle), np.sin(angle)]), ("main", "minor")[depth])
    area = land.area
    direction, length, width = land.axes()
    village = land.village or (area < 45_000 and plan.in_village(land.center))
    if village:
        land.village = True
        if area < plan.plot_area * rng.uniform(0.85, 1.35):
            return None
        street = area > plan.block_area * rng.uniform(0.75, 1.4)
        kind, tilt, slide = ("street", 7.0, 0.13) if street else ("border", 2.5, 0.08)
        lengthwise = False
    else:
        if area < 70_000 and area < rng.uniform(*plan.field_area):
            return None
        kind, tilt, slide = ("track" if area > 75_000 else "border"), 6.0, 0.16
        lengthwise = area < 60_000 and length < 1.9 * width and rng.random() < 0.4
    along = direction if lengthwise else np.array([-direction[1], direction[0]])
    reach = width if lengthwise else length
    across = np.array([-along[1], along[0]])
    middle = (land.corners * across).sum(axis=1)
    offset = (middle.min() + middle.max()) / 2 + rng.uniform(-slide, slide) * reach
    center = land.center
    point = center + (offset - float((center * across).sum())) * across
    turn = np.deg2rad(rng.uniform(-tilt, tilt))
    cos, sin = np.cos(turn), np.sin(turn)
    along = np.array([cos * along[0] - sin * along[1], sin * along[0] + cos * along[1]])
    hedge = kind == "border" and not village and rng.random() < 0.3
    return Cut(point, along, kind, hedge)


def _clip(land: Parcel, cut: Cut, number: int, sign: float) -> Parcel:
    """The part of a convex parcel on one side of a cut."""
    corners: list[Array] = []
    cuts: list[int] = []
    side = sign * ((land.corners - cut.point) * cut.normal).sum(axis=1)
    count = len(land.corners)
    for i in range(count):
        j = (i + 1) % count
        if side[i] >= 0:
            corners.append(land.corners[i])
            cuts.append(land.cuts[i])
        if (side[i] >= 0) != (side[j] >= 0):
            t = side[i] / (side[i] - side[j])
            corners.append(land.corners[i] + t * (land.corners[j] - land.corners[i]))
            cuts.append(number if side[i] >= 0 else land.cuts[i])
    return Parcel(-1, np.array(corners), cuts, land.village)
