"""A meandering river and a pond: shape, depth tones, ripples, glint, and their banks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

from landscape.canvas import GRASS, GSD, SIZE, WATER, Array, Canvas, coverage, rgb


@dataclass(frozen=True)
class Course:
    """Where water lies: the river's bends (metres), its half width, and ponds (x, y, radius)."""

    bends: tuple[tuple[float, float], ...]
    half_width: float
    ponds: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Water:
    """Distance to the shore in metres, positive in water, and the position across the flow."""

    inside: Array
    depth: Array


def measure(canvas: Canvas, course: Course) -> Water:
    """Lay out the water; nothing is drawn."""
    bends = np.array(course.bends)
    steps = np.hypot(*np.diff(bends, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    spline = CubicSpline(at, bends)
    line = spline(np.arange(0.0, at[-1], GSD / 2))
    pad = 160  # the line may leave the scene and come back
    near = np.ones((SIZE + 2 * pad, SIZE + 2 * pad), bool)
    cell = np.floor(line / GSD).astype(int) + pad
    keep = ((cell >= 0) & (cell < SIZE + 2 * pad)).all(axis=1)
    near[cell[keep, 1], cell[keep, 0]] = False
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(near), 3.0)[pad:-pad, pad:-pad] * GSD
    bays = ndimage.gaussian_filter(canvas.middle, 5.0)
    rough = 2.6 * bays + 2.2 * canvas.broad + 0.35 * canvas.middle
    inside = course.half_width - distance + rough
    for x, y, radius in course.ponds:
        inside = np.maximum(inside, radius - np.hypot(canvas.x - x, (canvas.y - y) * 1.35) + 1.6 * rough)
    depth = 1 - np.exp(-np.maximum(inside, 0) / 7.0 * (1 + 0.25 * canvas.broad).clip(0.4, 2.0))
    return Water(inside, depth)


def draw(canvas: Canvas, water: Water) -> None:
    """Paint water and its banks over what is there."""
    strip = coverage(4.0 + 1.2 * canvas.middle + water.inside, 1.5)  # nobody ploughs up to the shore
    straw = np.clip(0.4 + 0.3 * canvas.middle, 0, 1)[..., None]
    speckle = (6 * canvas.fine + 4 * canvas.grain)[..., None]
    grass = np.asarray(rgb(106, 116, 70) + straw * rgb(36, 24, 26) + speckle, dtype=np.float64)
    canvas.blend(np.s_[:], grass, strip)
    canvas.truth[strip > 0.5] = GRASS
    canvas.height[strip > 0.5] = 0.0
    bank = np.exp(-((np.maximum(-water.inside, 0) / 3.2) ** 2))
    reed = (canvas.middle + 0.6 * canvas.fine > 0.3) * bank
    canvas.blend(np.s_[:], rgb(128, 126, 84) + 9 * canvas.fine[..., None], 0.55 * bank)
    canvas.blend(np.s_[:], rgb(92, 104, 58) + 12 * canvas.fine[..., None], np.asarray(0.6 * reed, np.float64))
    mud: Array = coverage(0.7 + 0.7 * canvas.middle + water.inside, 1.6)
    canvas.blend(np.s_[:], rgb(136, 128, 104) + 5 * canvas.fine[..., None], 0.7 * mud)
    canvas.height += 0.35 * reed * (water.inside < 0) * np.abs(canvas.fine).clip(0, 2)

    shoal = np.clip(canvas.broad * 0.5 + canvas.middle * 0.35 - 0.55, 0, 1)[..., None]
    depth = water.depth[..., None] * (1 - 0.35 * shoal)
    bottom = rgb(124, 118, 88) + 7 * canvas.middle[..., None]
    deep = rgb(56, 74, 68) + 4.0 * canvas.broad[..., None] + 2.0 * canvas.middle[..., None]
    ripple = canvas.texture.sample(canvas.x / 1.1 + 0.8 * canvas.middle, canvas.y / 2.6 + canvas.x / 6.0)
    calm = np.clip(0.5 + 0.5 * canvas.middle + 0.4 * canvas.broad, 0.05, 1.6)
    surface = bottom + depth * (deep - bottom) + (3.2 * ripple * calm + 1.1 * canvas.fine)[..., None]
    glint = np.clip(ripple + 0.8 * canvas.fine - 3.0, 0, 1.5) * np.clip(canvas.broad + 0.4, 0, 1)
    surface += (glint * 48)[..., None]
    wet = coverage(water.inside, 0.9)
    canvas.blend(np.s_[:], surface, wet)
    under = water.inside > 0
    canvas.height[under] = 0.0
    canvas.truth[under] = WATER
    canvas.blocked |= water.inside > -2.0
