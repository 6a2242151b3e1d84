"""Plots with houses, garages, sheds and terraces; farms and works yards with paved ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landscape.buildings import SHEETS, TILES, Building, build
from landscape.canvas import CROPLAND, GRASS, ROAD, WATER, Array, Canvas, coverage, rgb
from landscape.parcels import HALF_WIDTH, Division, Parcel
from landscape.roads import draw_car


def pave(canvas: Canvas, center: Array, heading: Array, length: float, width: float, rng: np.random.Generator) -> None:
    """A driveway or yard: worn concrete, gravel or paving; counts as road where it is not built upon."""
    angle = float(np.arctan2(heading[1], heading[0]))
    where = canvas.patch(center[0], center[1], float(np.hypot(length, width)) / 2 + 1)
    if where is None:
        return
    u, v = Building(center[0], center[1], angle, length, width, 0, 0, "flat", (0, 0, 0)).local(
        canvas.x[where], canvas.y[where]
    )
    inside = np.minimum(length / 2 - np.abs(u), width / 2 - np.abs(v)) + 0.15 * canvas.middle[where]
    free = np.isin(canvas.truth[where], (GRASS, CROPLAND))
    worn = canvas.texture.sample(u / 6.0 + rng.uniform(0, 99), v / 5.0)
    base = rgb(*((166, 160, 148), (150, 148, 144), (176, 164, 144), (158, 142, 130))[rng.integers(4)])
    stain = canvas.texture.sample(u / 1.7 + 7, v / 2.3 + rng.uniform(0, 99))
    tone = 6 * worn + 5 * canvas.middle[where] + 4.0 * canvas.grain[where] - 16 * np.clip(stain - 1.0, 0, 1)
    color = base + (tone - 5 * ((np.mod(u, 6.0) < 0.4) | (np.mod(v, 6.0) < 0.4)))[..., None]
    cover = coverage(inside, 0.8) * free
    canvas.blend(where, color, cover)
    canvas.truth[where][cover > 0.5] = ROAD
    canvas.height[where][cover > 0.5] = 0


def settle(canvas: Canvas, division: Division, parcel: Parcel, rng: np.random.Generator) -> None:
    """Build on one plot: house towards the street, driveway, perhaps a garage, a shed, a hedge."""
    front = _front(division, parcel)
    if front is None or rng.random() < 0.05:
        if rng.random() < 0.5:
            _shed(canvas, division, parcel, rng)
        return
    start, inward, along, width = front
    big = rng.random() < 0.16
    length, breadth = rng.uniform(11.5, 17.5), rng.uniform(9.0, 11.8)
    if big:
        length, breadth = rng.uniform(16, 22), rng.uniform(11, 13)
    facing = rng.random() < 0.35  # gable to the street
    angle = float(np.arctan2(*(inward if facing else along)[::-1])) + rng.normal(0, 0.03)
    back = rng.uniform(3.5, 7.5) + (length if facing else breadth) / 2
    roof = "hip" if rng.random() < 0.3 else "flat" if rng.random() < 0.1 else "gable"
    house = Building(
        0, 0, angle, length, breadth, rng.uniform(3.6, 6.2), breadth * rng.uniform(0.26, 0.46), roof,
        TILES[rng.integers(len(TILES))] if roof != "flat" else (156, 154, 150),
    )  # fmt: skip
    for attempt in range(8):
        at = start + (back + 1.3 * (attempt // 2)) * inward + rng.uniform(-0.28, 0.28) * width * along
        trial = replace(house, x=at[0], y=at[1], length=house.length * (1 - 0.05 * attempt))
        if build(canvas, trial, rng, gap=1.8):
            break
    else:
        return
    house = trial
    if rng.random() < 0.4 and roof != "flat":
        _wing(canvas, house, rng)
    if rng.random() < 0.75:
        _garage(canvas, house, start + (back + 1.0) * inward, inward, along * (width / 2 - 2.6), back, rng)
    if rng.random() < 0.75:
        _terrace(canvas, house, at + inward * (house.width / 2 + 2.0))
    _shed(canvas, division, parcel, rng)


def _wing(canvas: Canvas, house: Building, rng: np.random.Generator) -> None:
    """A lower part across the ridge of the house."""
    u = np.array([np.cos(house.angle), np.sin(house.angle)])
    v = np.array([-u[1], u[0]])
    at = u * rng.uniform(-0.3, 0.3) * house.length + v * rng.choice([-1, 1]) * house.width * 0.55
    wing = replace(
        house, x=house.x + at[0], y=house.y + at[1], angle=house.angle + np.pi / 2, length=house.width * 0.9,
        width=house.width * rng.uniform(0.55, 0.75), rise=house.rise * 0.7, chimney=False, roof="gable",
    )  # fmt: skip
    patch = canvas.patch(wing.x, wing.y, wing.length)
    if patch is not None and not np.isin(canvas.truth[patch], (ROAD, WATER)).any():
        build(canvas, wing, rng, over=True)


def _garage(
    canvas: Canvas, house: Building, beside: Array, inward: Array, offset: Array, back: float, rng: np.random.Generator
) -> None:
    """A garage at ``beside`` plus or minus ``offset``, with a driveway of length ``back`` and perhaps a car."""
    for hand in rng.permutation([-1.0, 1.0]):
        place = beside + hand * offset
        garage = Building(
            place[0], place[1], float(np.arctan2(inward[1], inward[0])), rng.uniform(6.0, 8.0), rng.uniform(3.4, 5.8),
            2.7, 1.0, rng.choice(["flat", "gable"]), (150, 148, 144) if rng.random() < 0.6 else house.paint, False,
        )  # fmt: skip
        if build(canvas, garage, rng, gap=0.8):
            run = back - 2.5 + HALF_WIDTH["street"]
            pave(canvas, place - inward * (garage.length / 2 + run / 2), inward, run + 1.0, rng.uniform(3.0, 4.6), rng)
            if rng.random() < 0.55:
                draw_car(canvas, place - inward * (garage.length / 2 + 3.2), inward, rng)
            return


def _terrace(canvas: Canvas, house: Building, at: Array) -> None:
    """Slabs behind the house; they stay part of the garden."""
    where = canvas.patch(at[0], at[1], 3.5)
    if where is not None:
        u, v = replace(house, x=at[0], y=at[1]).local(canvas.x[where], canvas.y[where])
        slab = coverage(np.minimum(2.4 - np.abs(u), 1.8 - np.abs(v))) * (canvas.truth[where] == GRASS)
        canvas.blend(where, rgb(172, 164, 152) + 4 * canvas.fine[where][..., None], slab)


def _shed(canvas: Canvas, division: Division, parcel: Parcel, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        weight = rng.dirichlet(np.ones(len(parcel.corners)) * 1.2)
        at = division.bend.to_ground((weight[:, None] * parcel.corners).sum(axis=0)[None])[0]
        paint = SHEETS[rng.integers(len(SHEETS))] if rng.random() < 0.6 else TILES[rng.integers(len(TILES))]
        direction, _, _ = parcel.axes()
        angle = float(np.arctan2(direction[1], direction[0])) + rng.normal(0, 0.06)
        length = rng.uniform(3, 8)
        shed = Building(at[0], at[1], angle, length, length * rng.uniform(0.6, 0.9), 2.3, 0.9, "gable", paint, False)
        build(canvas, shed, rng, gap=0.8)


def _front(division: Division, parcel: Parcel) -> tuple[Array, Array, Array, float] | None:
    """Middle of the street side on the ground, unit vectors into the plot and along the street, width."""
    best = None
    for i, cut in enumerate(parcel.cuts):
        if cut < 0 or division.cuts[cut].kind not in ("street", "minor", "main"):
            continue
        a, b = parcel.corners[i], parcel.corners[(i + 1) % len(parcel.corners)]
        length = float(np.hypot(*(b - a)))
        if length > 9 and (best is None or length > best[0]):
            best = (length, a, b, HALF_WIDTH[division.cuts[cut].kind])
    if best is None:
        return None
    length, a, b, half = best
    center = parcel.center
    ground = division.bend.to_ground(np.stack([a, b, center]))
    along = (ground[1] - ground[0]) / np.hypot(*(ground[1] - ground[0]))
    inward = np.array([-along[1], along[0]])
    toward = float(((ground[2] - ground[0]) * inward).sum())
    if toward < 0:
        inward, toward = -inward, -toward
    return (ground[0] + ground[1]) / 2 + half * inward, inward, along, length


def hall(canvas: Canvas, x: float, y: float, angle: float, length: float, width: float, rng: np.random.Generator,
         flat: bool) -> bool:  # fmt: skip
    """A barn or workshop."""
    paint = SHEETS[rng.integers(len(SHEETS))] if flat or rng.random() < 0.6 else TILES[rng.integers(6)]
    roof = "flat" if flat else "gable"
    house = Building(x, y, angle, length, width, rng.uniform(5, 7.5), width * 0.17, roof, paint, False)
    return build(canvas, house, rng, gap=2.0, paved=True)


def farm(canvas: Canvas, at: Array, heading: Array, rng: np.random.Generator) -> None:
    """Barns, a silo and a farmhouse around a paved yard; ``heading`` points away from the track."""
    side = np.array([-heading[1], heading[0]])
    long, wide = rng.uniform(30, 52), rng.uniform(24, 44)
    center = at + heading * (6 + long / 2)
    pave(canvas, center, heading, long, wide, rng)
    pave(canvas, at + heading * 2, heading, 14, 5, rng)
    base = float(np.arctan2(heading[1], heading[0]))
    hand = float(rng.choice([-1, 1]))
    for sign, chance in ((hand, 1.0), (-hand, 0.7)):
        if rng.random() < chance:
            width = rng.uniform(11, 19)
            spot = center + side * sign * (wide / 2 + rng.uniform(-1, 3)) + heading * rng.uniform(0, 8)
            hall(canvas, spot[0], spot[1], base + rng.normal(0, 0.05), rng.uniform(22, 46), width, rng, False)
    if rng.random() < 0.8:
        back = center + heading * (long / 2 + rng.uniform(3, 9)) + side * rng.uniform(-8, 8)
        turn = base + np.pi / 2 + rng.normal(0, 0.08)
        hall(canvas, back[0], back[1], turn, rng.uniform(20, 40), rng.uniform(11, 20), rng, rng.random() < 0.2)
    for _ in range(rng.integers(1, 4)):
        spot = center + heading * rng.uniform(10, 34) + side * rng.uniform(-34, 34)
        across = rng.uniform(4, 14)
        paint = SHEETS[rng.integers(len(SHEETS))]
        tank = Building(spot[0], spot[1], 0.0, across, across, rng.uniform(3, 8), 0.0, "round", paint, False)
        build(canvas, tank, rng, gap=1.0, paved=True)
    house = at + heading * rng.uniform(10, 13) - side * hand * rng.uniform(8, 16)
    roof = "hip" if rng.random() < 0.5 else "gable"
    home = Building(house[0], house[1], base, rng.uniform(13, 18), 10.5, 5.5, 4.2, roof, TILES[rng.integers(6)])
    build(canvas, home, rng, paved=True)
    for _ in range(3):
        draw_car(canvas, center + rng.normal(0, 8, 2), rng.normal(0, 1, 2), rng)


def yard(canvas: Canvas, at: Array, heading: Array, rng: np.random.Generator) -> None:
    """A works yard: two large halls, asphalt and rows of parked cars."""
    side = np.array([-heading[1], heading[0]])
    base = float(np.arctan2(heading[1], heading[0]))
    center = at + heading * 42
    pave(canvas, center, heading, 92, 74, rng)
    for hand in (-1, 1):
        spot = center + side * hand * 19 + heading * rng.uniform(2, 10)
        hall(canvas, spot[0], spot[1], base, rng.uniform(50, 62), rng.uniform(22, 27), rng, hand > 0)
    for i in range(14):
        if rng.random() < 0.7:
            draw_car(canvas, center - heading * 41 + side * (i - 7) * 2.9, heading + rng.normal(0, 0.03, 2), rng)
