"""Roads on the cuts between parcels: asphalt with wear and markings, pavements, gravel tracks, bridges, cars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landscape.canvas import ROAD, Array, Canvas, coverage, rgb
from landscape.parcels import HALF_WIDTH, Cut, Division

CAR_PAINT = (
    (208, 208, 206), (188, 190, 192), (128, 130, 134), (58, 60, 64), (66, 68, 72), (150, 52, 46), (66, 84, 122),
    (222, 222, 220), (100, 104, 110),
)  # fmt: skip


def draw(canvas: Canvas, division: Division, shore: Array, rng: np.random.Generator) -> None:
    """Paint all roads; ``shore`` [H, W] is the distance into water (only main and minor roads bridge it)."""
    lush = np.clip(0.5 + 0.3 * canvas.middle, 0, 1)
    for number, cut in enumerate(division.cuts):
        if cut.kind not in HALF_WIDTH:
            continue
        reach = (division.road == number) & (division.road_edge < 4.0)
        if cut.kind in ("track", "street"):
            reach &= shore < -3.0
        pixels = np.flatnonzero(reach)
        if not len(pixels):
            continue
        side, along = division.road_side.flat[pixels], division.road_along.flat[pixels]
        fields = [f.flat[pixels] for f in (canvas.middle, canvas.fine, canvas.grain)]
        if cut.kind == "track":
            _track(canvas, pixels, side, along, fields, lush.flat[pixels], rng)
        else:
            _paved(canvas, pixels, side, along, fields, cut, rng, shore.flat[pixels])
    canvas.blocked |= division.road_edge < 0.8


def _paved(
    canvas: Canvas, pixels: NDArray[np.intp], side: Array, along: Array, fields: list[Array], cut: Cut,
    rng: np.random.Generator, shore: Array,
) -> None:  # fmt: skip
    middle, fine, grain = fields
    half = HALF_WIDTH[cut.kind]
    edge = half - np.abs(side) + 0.18 * middle * (cut.kind != "main")
    tone = rng.uniform(128, 160)
    wear = canvas.texture.sample(side / 0.8 + 40 * tone, along / 45.0)
    patches = canvas.texture.sample(side / 3.4, along / 14.0 + tone)
    grey = tone + 5.5 * wear + 4 * middle + 1.3 * fine + 3.0 * grain
    grey -= 15 * np.clip(patches - 1.1, 0, 0.7)  # mended asphalt
    grey += 5 * np.exp(-(((np.abs(side) - half / 2) / 0.6) ** 2))  # polished by wheels
    surface = grey[:, None] * rgb(1.0, 0.992, 0.975)
    flat = canvas.color.reshape(-1, 3)
    verge = np.clip(1 - np.abs(edge + 0.5) / 0.9, 0, 1) * np.clip(0.45 + 0.25 * middle, 0, 1)
    flat[pixels] += verge[:, None] * (rgb(162, 154, 130) - flat[pixels])
    if cut.kind == "main":
        dash = coverage(0.16 - np.abs(side)) * (np.mod(along, 12.0) < 6.0)
        lines = np.maximum(dash, coverage(0.14 - np.abs(edge - 0.45)))
        surface += lines[:, None] * (rgb(222, 221, 214) - surface) * np.clip(0.8 + 0.2 * middle, 0, 1)[:, None]
    elif cut.kind == "street":
        walk = coverage(1.25 - edge, 0.6) * (np.sign(side) * (1 if rng.random() < 0.5 else -1) > -0.5)
        surface += walk[:, None] * (rgb(168, 163, 154) + (4 * fine)[:, None] - surface)
    cover = coverage(edge, 0.7)
    flat[pixels] += cover[:, None] * (surface - flat[pixels])
    on = pixels[cover > 0.5]
    canvas.truth.flat[on] = ROAD
    canvas.height.flat[on] = 0.0
    bridge = (shore > -5.0) & (np.abs(edge) < 5)
    deck = bridge & (edge > -0.3)
    canvas.height.flat[pixels[deck]] = 3.2
    rail = bridge & (np.abs(edge - 0.1) < 0.45)
    flat[pixels[rail]] = rgb(184, 180, 170)
    canvas.height.flat[pixels[rail]] = 4.2


def _track(
    canvas: Canvas, pixels: NDArray[np.intp], side: Array, along: Array, fields: list[Array], lush: Array,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    middle, fine, grain = fields
    half = HALF_WIDTH["track"]
    drift = 0.12 * middle
    edge = half - np.abs(side + drift)
    grassy = rng.uniform(0.25, 0.85)
    gravel = rgb(166, 155, 133) + rng.normal(0, 6) + (5 * middle + 5 * fine + 2 * grain)[:, None]
    gravel += (7 * canvas.texture.sample(side / 0.9 + 50, along / 18.0))[:, None]
    center = np.exp(-(((side + drift) / 0.5) ** 2)) * grassy * (0.5 + 0.7 * lush)
    cover = coverage(edge + 0.15 * fine, 1.3)
    flat = canvas.color.reshape(-1, 3)
    flat[pixels] += (cover * (1 - np.clip(center, 0, 0.9)))[:, None] * (gravel - flat[pixels])
    on = pixels[edge > 0]
    canvas.truth.flat[on] = ROAD
    canvas.height.flat[on] = 0.0


def park_cars(canvas: Canvas, division: Division, rng: np.random.Generator, count: int) -> None:
    """Set cars on main roads, minor roads and streets, driving or parked at the side."""
    kinds = np.array([c.kind for c in division.cuts])
    busy = np.isin(kinds, ["main", "minor", "street"])
    on_road = np.flatnonzero((division.road >= 0) & busy[division.road] & (division.road_edge < -1.0))
    for pixel in rng.choice(on_road, count, replace=False):
        cut = division.cuts[division.road.flat[pixel]]
        half = HALF_WIDTH[cut.kind]
        lane = half * rng.choice([-0.5, 0.5]) if cut.kind == "main" else (half - 1.3) * rng.choice([-1, 1])
        here = np.array([division.qx.flat[pixel], division.qy.flat[pixel]])
        here = here + (lane - division.road_side.flat[pixel]) * cut.normal
        ground = division.bend.to_ground(np.stack([here, here + cut.along]))
        draw_car(canvas, ground[0], ground[1] - ground[0], rng)


def draw_car(canvas: Canvas, at: Array, heading: Array, rng: np.random.Generator) -> None:
    """One car of 4.4 m x 1.8 m (now and then a van) with a dark windscreen."""
    where = canvas.patch(at[0], at[1], 4.0)
    if where is None:
        return
    heading = heading / np.hypot(*heading)
    dx, dy = canvas.x[where] - at[0], canvas.y[where] - at[1]
    u, v = dx * heading[0] + dy * heading[1], dy * heading[0] - dx * heading[1]
    length, tall = (2.9, 2.3) if rng.random() < 0.12 else (2.2, 1.4)
    body = coverage(np.minimum(length - np.abs(u), 0.92 - np.abs(v)))
    paint = rgb(*CAR_PAINT[rng.integers(len(CAR_PAINT))])
    canvas.blend(where, np.broadcast_to(paint, (*body.shape, 3)), body)
    glass = coverage(np.minimum(0.35 - np.abs(u - 0.75), 0.75 - np.abs(v)))
    canvas.blend(where, np.broadcast_to(rgb(52, 56, 62), (*body.shape, 3)), 0.8 * glass)
    canvas.height[where][body > 0.5] += tall
