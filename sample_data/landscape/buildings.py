"""Buildings: footprint, roof shape and material, wear, chimneys, roof lights and solar panels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.canvas import BUILDING, ROAD, WATER, Array, Canvas, coverage, rgb

TILES = (
    (172, 104, 80), (160, 94, 74), (148, 92, 76), (134, 88, 74), (178, 118, 92), (122, 84, 74), (104, 96, 94),
    (90, 88, 90), (112, 110, 112), (140, 104, 88),
)  # fmt: skip
SHEETS = ((168, 166, 160), (186, 186, 184), (140, 140, 140), (150, 108, 92), (158, 164, 168), (128, 132, 134))


@dataclass(frozen=True)
class Building:
    """A rectangle with a roof; ``u`` runs along the ridge, lengths in metres, angle in radians."""

    x: float
    y: float
    angle: float
    length: float
    width: float
    eave: float
    rise: float
    roof: str  # gable hip flat round
    paint: tuple[float, float, float]
    chimney: bool = True

    def local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Coordinates along and across the ridge."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        dx, dy = x - self.x, y - self.y
        return dx * cos + dy * sin, dy * cos - dx * sin


def build(
    canvas: Canvas, house: Building, rng: np.random.Generator, gap: float = 1.5, over: bool = False, paved: bool = False
) -> bool:
    """Draw a building where it is free; a wing may go ``over`` its house, a barn may stand on a ``paved`` yard."""
    reach = float(np.hypot(house.length, house.width)) / 2 + gap
    where = canvas.patch(house.x, house.y, reach)
    if where is None:
        return False
    u, v = house.local(canvas.x[where], canvas.y[where])
    if house.roof == "round":
        inside = house.width / 2 - np.hypot(u, v)
    else:
        inside = np.minimum(house.length / 2 - np.abs(u), house.width / 2 - np.abs(v))
    taken = canvas.blocked[where] | np.isin(
        canvas.truth[where], (WATER, BUILDING) if paved else (WATER, BUILDING, ROAD)
    )
    if not over and bool((taken & (inside > -gap)).any()):
        return False
    half = house.width / 2
    if house.roof in ("flat", "round"):
        rise, slope_u, slope_v = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
    else:
        pitch = house.rise / half
        rise, slope_u, slope_v = house.rise - pitch * np.abs(v), np.zeros_like(u), -pitch * np.sign(v)
        if house.roof == "hip":
            end = pitch * 1.15 * (house.length / 2 - np.abs(u))
            hipped = end < rise
            rise = np.minimum(rise, end)
            slope_u, slope_v = np.where(hipped, -1.15 * pitch * np.sign(u), 0.0), np.where(hipped, 0.0, slope_v)
    top = house.eave + rise
    higher = (top > canvas.height[where]) | (not over)
    footprint = (inside > 0) & higher
    cover = coverage(inside) * higher
    canvas.blend(where, _roof_color(canvas, house, where, u, v, inside, rng), cover)
    cos, sin = np.cos(house.angle), np.sin(house.angle)
    slope = np.stack([slope_u * cos - slope_v * sin, slope_u * sin + slope_v * cos], axis=-1)
    canvas.roof_slope[where][footprint] = slope[footprint]
    canvas.height[where][footprint] = top[footprint]
    canvas.truth[where][inside > 0] = BUILDING
    canvas.blocked[where] |= inside > -0.6
    _roof_details(canvas, house, where, u, v, rng)
    return True


def _roof_color(
    canvas: Canvas, house: Building, where: tuple[slice, slice], u: Array, v: Array, inside: Array,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    shift = rng.uniform(0, 500, 2)
    streak = canvas.texture.sample(u / 0.7 + shift[0], v / 5.0 + shift[1])
    moss = canvas.texture.sample(u / 3.5 + shift[1], v / 3.0 + shift[0])
    tone = 4.5 * streak + rng.uniform(3.0, 9.0) * moss + 2.0 * canvas.fine[where] + 3.0 * canvas.grain[where]
    color = rgb(*house.paint) + rng.normal(0, 4, 3) + tone[..., None] * rgb(1.0, 0.9, 0.85)
    if house.roof == "flat":
        color = color + (6 * canvas.middle[where] - 9 * (inside < 0.7) * (inside > 0.35))[..., None]
        color = color + (14 * (inside < 0.4))[..., None]
    else:
        color = color + (10 * np.exp(-((v / 0.3) ** 2)) * (house.width > 5))[..., None]
    if house.roof == "gable" and house.width > 13:  # sheets with seams and a row of roof lights
        color = color + (3.5 * np.sign(np.sin(2 * np.pi * u / 4.5)))[..., None]
        lights = (np.abs(np.abs(v) - house.width / 4) < 0.9) & (np.mod(u, 9.0) < 1.8)
        color = np.where((lights & (rng.random() < 0.6))[..., None], color * 0.8 + 42, color)
    return np.asarray(color)


def _roof_details(
    canvas: Canvas, house: Building, where: tuple[slice, slice], u: Array, v: Array, rng: np.random.Generator
) -> None:
    half_l, half_w = house.length / 2, house.width / 2
    if house.roof == "round":
        return
    if house.roof == "flat":
        for _ in range(rng.poisson(house.length * house.width / 160)):  # vents and sky lights
            a, b = rng.uniform(-0.8, 0.8) * half_l, rng.uniform(-0.75, 0.75) * half_w
            box = (np.abs(u - a) < rng.uniform(0.5, 1.4)) & (np.abs(v - b) < rng.uniform(0.5, 1.0))
            canvas.color[where][box] = rgb(200, 202, 204) if rng.random() < 0.6 else rgb(96, 98, 100)
            canvas.height[where][box] += 0.6
        return
    if house.chimney:
        for _ in range(rng.integers(0, 3)):
            a, b = rng.uniform(-0.7, 0.7) * half_l, rng.uniform(-0.3, 0.3) * half_w
            box = (np.abs(u - a) < 0.5) & (np.abs(v - b) < 0.5)
            canvas.color[where][box] = rgb(130, 104, 94)
            canvas.height[where][box] += 1.3
            canvas.roof_slope[where][box] = 0
        for _ in range(rng.integers(0, 4)):
            a, b = rng.uniform(-0.7, 0.7) * half_l, rng.choice([-0.55, 0.55]) * half_w
            box = (np.abs(u - a) < 0.45) & (np.abs(v - b) < 0.6)
            canvas.color[where][box] = rgb(78, 86, 96)
    if rng.random() < 0.13:  # solar panels on the side of the sun
        sunny = 1.0 if np.cos(house.angle) > 0 else -1.0
        span, a = rng.uniform(0.3, 0.75) * half_l, rng.uniform(-0.15, 0.15) * half_l
        panel = (np.abs(u - a) < span) & (np.abs(v * sunny - half_w * 0.5) < half_w * 0.32)
        canvas.color[where][panel] = rgb(54, 60, 78)
        seams = panel & ((np.mod(u, 1.7) < 0.35) | (np.abs(v * sunny - half_w * 0.5) < 0.2))
        canvas.color[where][seams] = rgb(74, 80, 96)
