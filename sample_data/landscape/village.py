"""Houses, sheds, farms and halls with their roofs, driveways, yards and garden hedges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from landscape.canvas import BUILDING, CROPLAND, GRASS, ROAD, WATER, Array, Canvas, coverage, rgb
from landscape.parcels import HALF_WIDTH, Division, Parcel
from landscape.roads import draw_car

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
    roof: str  # gable hip flat
    paint: tuple[float, float, float]
    chimney: bool = True

    def local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Coordinates along and across the ridge."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        dx, dy = x - self.x, y - self.y
        return dx * cos + dy * sin, dy * cos - dx * sin


def build(canvas: Canvas, house: Building, rng: np.random.Generator, gap: float = 1.5, over: bool = False, paved: bool = False) -> bool:
    """Draw a building where it is free; a wing may go ``over`` its house, a barn may stand on a ``paved`` yard."""
    reach = float(np.hypot(house.length, house.width)) / 2 + gap
    where = canvas.patch(house.x, house.y, reach)
    if where is None:
        return False
    u, v = house.local(canvas.x[where], canvas.y[where])
    inside = np.minimum(house.length / 2 - np.abs(u), house.width / 2 - np.abs(v))
    taken = canvas.blocked[where] | np.isin(canvas.truth[where], (WATER, BUILDING) if paved else (WATER, BUILDING, ROAD))
    if not over and bool((taken & (inside > -gap)).any()):
        return False
    half = house.width / 2
    if house.roof == "flat":
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
    tone = 3.2 * streak + rng.uniform(2.0, 6.0) * moss + 2.0 * canvas.fine[where]
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


def pave(canvas: Canvas, center: Array, heading: Array, length: float, width: float, rng: np.random.Generator) -> None:
    """A driveway or yard: worn concrete, gravel or paving; counts as road where it is not built upon."""
    angle = float(np.arctan2(heading[1], heading[0]))
    where = canvas.patch(center[0], center[1], float(np.hypot(length, width)) / 2 + 1)
    if where is None:
        return
    u, v = Building(center[0], center[1], angle, length, width, 0, 0, "flat", (0, 0, 0)).local(
        canvas.x[where], canvas.y[where]
    )
    inside = np.minimum(length / 2 - np.abs(u), width / 2 - np.abs(v)) + 0.3 * canvas.middle[where]
    free = np.isin(canvas.truth[where], (GRASS, CROPLAND))
    worn = canvas.texture.sample(u / 6.0 + rng.uniform(0, 99), v / 5.0)
    base = rgb(*((166, 160, 148), (150, 148, 144), (176, 164, 144), (158, 142, 130))[rng.integers(4)])
    color = base + (6 * worn + 4 * canvas.middle[where] + 4 * canvas.fine[where])[..., None]
    cover = coverage(inside, 0.8) * free
    canvas.blend(where, color, cover)
    canvas.truth[where][cover > 0.5] = ROAD
    canvas.height[where][cover > 0.5] = 0


def settle(canvas: Canvas, division: Division, parcel: Parcel, rng: np.random.Generator) -> None:
    """Build on one plot: house towards the street, driveway, perhaps a garage, a shed, a hedge."""
    front = _front(division, parcel)
    if front is None:
        if rng.random() < 0.5:
            _shed(canvas, division, parcel, rng)
        return
    start, inward, along, width, depth = front
    big = rng.random() < 0.16
    length, breadth = rng.uniform(11, 16.5), rng.uniform(8.5, 11.5)
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
    cos, sin = np.cos(house.angle), np.sin(house.angle)
    u, v = np.array([cos, sin]), np.array([-sin, cos])
    if rng.random() < 0.4 and roof != "flat":  # a wing
        wing_at = at + u * rng.uniform(-0.3, 0.3) * house.length + v * rng.choice([-1, 1]) * house.width * 0.55
        wing = replace(
            house, x=wing_at[0], y=wing_at[1], angle=house.angle + np.pi / 2, length=house.width * 0.9,
            width=house.width * rng.uniform(0.55, 0.75), rise=house.rise * 0.7, chimney=False, roof="gable",
        )  # fmt: skip
        patch = canvas.patch(wing.x, wing.y, wing.length)
        if patch is not None and not np.isin(canvas.truth[patch], (ROAD, WATER)).any():
            build(canvas, wing, rng, over=True)
    sides = rng.permutation([-1.0, 1.0])
    for hand in sides:  # garage beside the house with a driveway
        place = start + (back + 1.0) * inward + hand * (width / 2 - 2.6) * along
        garage = Building(
            place[0], place[1], float(np.arctan2(inward[1], inward[0])), rng.uniform(6.0, 8.0), rng.uniform(3.4, 5.8),
            2.7, 1.0, rng.choice(["flat", "gable"]), (150, 148, 144) if rng.random() < 0.6 else house.paint, False,
        )  # fmt: skip
        if rng.random() < 0.75 and build(canvas, garage, rng, gap=0.8):
            run = back - 2.5 + HALF_WIDTH["street"]
            pave(canvas, place - inward * (garage.length / 2 + run / 2), inward, run + 1.0, rng.uniform(3.0, 4.6), rng)
            if rng.random() < 0.55:
                draw_car(canvas, place - inward * (garage.length / 2 + 3.2), inward, rng)
            break
    if rng.random() < 0.75:  # terrace behind the house
        patio = at + inward * (house.width / 2 + 2.0)
        where = canvas.patch(patio[0], patio[1], 2.6)
        if where is not None:
            pu, pv = house.local(canvas.x[where] - patio[0] + house.x, canvas.y[where] - patio[1] + house.y)
            slab = coverage(np.minimum(2.4 - np.abs(pu), 1.8 - np.abs(pv))) * (canvas.truth[where] == GRASS)
            canvas.blend(where, rgb(172, 164, 152) + 4 * canvas.fine[where][..., None], slab)
    _shed(canvas, division, parcel, rng)


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


def _front(division: Division, parcel: Parcel) -> tuple[Array, Array, Array, float, float] | None:
    """Middle of the street side on the ground, unit vectors into the plot and along the street, width, depth."""
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
    return (ground[0] + ground[1]) / 2 + half * inward, inward, along, length, 2 * toward


def hall(canvas: Canvas, x: float, y: float, angle: float, length: float, width: float, rng: np.random.Generator,
         flat: bool) -> bool:  # fmt: skip
    """A barn or workshop."""
    paint = SHEETS[rng.integers(len(SHEETS))] if flat or rng.random() < 0.6 else TILES[rng.integers(6)]
    roof = "flat" if flat else "gable"
    house = Building(x, y, angle, length, width, rng.uniform(5, 7.5), width * 0.17, roof, paint, False)
    return build(canvas, house, rng, gap=2.0, paved=True)


def farm(canvas: Canvas, at: Array, heading: Array, rng: np.random.Generator) -> None:
    """Barns and a farmhouse around a paved yard; ``heading`` points away from the track."""
    side = np.array([-heading[1], heading[0]])
    center = at + heading * 26
    pave(canvas, center, heading, rng.uniform(40, 50), rng.uniform(34, 44), rng)
    pave(canvas, at + heading * 2, heading, 14, 5, rng)
    base = float(np.arctan2(heading[1], heading[0]))
    for hand, reach in ((1.0, 27), (-1.0, 27)):
        spot = center + side * hand * rng.uniform(21, 24)
        hall(canvas, spot[0], spot[1], base + rng.normal(0, 0.03), rng.uniform(28, reach + 14), rng.uniform(13, 17), rng, False)
    back = center + heading * 30
    hall(canvas, back[0], back[1], base + np.pi / 2, rng.uniform(24, 36), rng.uniform(12, 18), rng, rng.random() < 0.2)
    house = at + heading * 11 + side * rng.choice([-1, 1]) * 8
    build(canvas, Building(house[0], house[1], base, 15, 10.5, 5.5, 4.2, "hip", TILES[rng.integers(6)]), rng, paved=True)
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
