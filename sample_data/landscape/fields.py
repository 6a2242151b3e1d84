"""Crops, meadows, gardens and forest floor: what each parcel is used for and how that looks from above."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.canvas import CROPLAND, GRASS, GSD, SIZE, WOODLAND, Array, Canvas, coverage, rgb
from landscape.parcels import Division, Parcel, Plan


@dataclass(frozen=True)
class Crop:
    """How a crop looks: plants over soil in rows."""

    plant: tuple[float, float, float]
    cover: float  # share of the soil that the plants hide
    row: float  # metres between visible rows or passes of a machine
    contrast: float  # of the rows, in shares of cover
    tramlines: bool
    patchy: float  # how much soil and wetness show through
    tall: float  # metres


CROPS = (
    Crop((92, 110, 64), 0.93, 1.3, 0.07, True, 0.10, 0.5),  # winter wheat, lush
    Crop((116, 124, 72), 0.88, 1.3, 0.08, True, 0.14, 0.6),  # barley turning
    Crop((186, 167, 120), 0.90, 1.6, 0.07, True, 0.10, 0.7),  # ripe grain
    Crop((84, 104, 58), 0.66, 1.5, 0.26, False, 0.16, 1.6),  # maize
    Crop((96, 118, 66), 0.52, 1.5, 0.28, True, 0.20, 0.3),  # beets
    Crop((120, 118, 84), 0.03, 1.2, 0.05, False, 0.20, 0.0),  # ploughed
    Crop((140, 132, 96), 0.10, 3.0, 0.07, True, 0.20, 0.0),  # seeded
    Crop((192, 178, 138), 0.60, 6.5, 0.22, False, 0.14, 0.1),  # stubble
    Crop((108, 128, 68), 0.80, 2.2, 0.10, True, 0.22, 0.4),  # oilseed after flowering
)
SOILS = (rgb(157, 136, 106), rgb(143, 122, 93), rgb(169, 150, 118), rgb(134, 116, 89))


@dataclass(frozen=True)
class View:
    """The pixels of one parcel and where they lie in it: along and across its rows, and from its border."""

    parcel: Parcel
    pixels: NDArray[np.int64]
    along: Array
    across: Array
    border: Array


def views(division: Division) -> Iterator[View]:
    """Every parcel that has pixels in the scene."""
    order = np.argsort(division.parcel, axis=None, kind="stable")
    ends = np.searchsorted(division.parcel.flat[order], np.arange(len(division.parcels) + 1))
    for parcel, start, stop in zip(division.parcels, ends[:-1], ends[1:], strict=True):
        if start == stop:
            continue
        pixels = order[start:stop]
        direction, _, _ = parcel.axes()
        dx, dy = division.qx.flat[pixels] - parcel.center[0], division.qy.flat[pixels] - parcel.center[1]
        along = dx * direction[0] + dy * direction[1]
        across = dy * direction[0] - dx * direction[1]
        yield View(parcel, pixels, along, across, np.asarray(division.border.flat[pixels]))


def assign_uses(
    plan: Plan, woods: tuple[tuple[float, float, float], ...], division: Division, wetness: Array,
    rng: np.random.Generator,
) -> dict[int, str]:  # fmt: skip
    """Use of every parcel: ``garden wood meadow orchard crop outside``; ``wetness`` [H, W]: metres into water."""
    uses = {parcel.number: "outside" for parcel in division.parcels}
    for view in views(division):
        center = view.parcel.center
        luck = rng.random()
        reach = wetness.flat[view.pixels]
        near_water = float(np.quantile(reach, 0.75)) > -60
        has_pond = float(np.quantile(reach, 0.995)) > 0 and not near_water
        if view.parcel.village:
            use = "garden"
        elif any(np.hypot(center[0] - x, center[1] - y) < radius for x, y, radius in woods):
            use = "wood"
        elif plan.in_village(center, 1.35):
            use = "orchard" if luck < 0.35 else "meadow" if luck < 0.7 else "crop"
        elif has_pond:
            use = "meadow" if luck < 0.85 else "crop"
        elif near_water:
            use = "meadow" if luck < 0.7 else "crop"
        else:
            use = "meadow" if luck < 0.13 else "crop"
        uses[view.parcel.number] = use
    return uses


def draw(canvas: Canvas, division: Division, uses: dict[int, str], rng: np.random.Generator) -> None:
    """Paint the ground of the whole scene; every border keeps a strip of rough grass."""
    canvas.color[...] = _rough_grass(canvas)
    paint = {"crop": _crop, "meadow": _meadow, "orchard": _meadow, "garden": _lawn, "wood": _floor}
    truths = {"crop": CROPLAND, "wood": WOODLAND}
    deck = rng.permutation(len(CROPS))
    for count, view in enumerate(views(division)):
        use = uses[view.parcel.number]
        margin = {"garden": 0.0, "wood": 0.5}.get(use, rng.uniform(0.5, 1.6))
        crop = CROPS[int(deck[count % len(CROPS)])] if rng.random() < 0.6 else CROPS[rng.integers(len(CROPS))]
        ground = paint[use](canvas, view, rng, crop)
        wobble = 0.35 * canvas.middle.flat[view.pixels] + 0.15 * canvas.fine.flat[view.pixels]
        cover = coverage(view.border - margin + wobble, 0.9)
        flat = canvas.color.reshape(-1, 3)
        flat[view.pixels] += cover[:, None] * (ground - flat[view.pixels])
        inside = view.pixels[cover > 0.5]
        canvas.truth.flat[inside] = truths.get(use, GRASS)
        if use == "crop":
            canvas.height.flat[inside] = crop.tall * crop.cover
            if crop.row > 5 and rng.random() < 0.6:
                _bales(canvas, inside, rng)


def mark_pitch(canvas: Canvas, division: Division, plan: Plan, uses: dict[int, str], wetness: Array) -> None:
    """Lay out a football pitch with mown stripes on the meadow closest to the village that is large enough."""
    fitting = []
    for parcel in division.parcels:
        _, length, width = parcel.axes()
        x, y = division.bend.to_ground(parcel.center[None])[0]
        inside = min(x, y, SIZE * GSD - x, SIZE * GSD - y) > 70
        large = uses[parcel.number] in ("meadow", "crop") and length > 125 and width > 88
        if large and inside and canvas.value_at(wetness, x, y) < -60:
            away = np.hypot(x - plan.village[0], y - plan.village[1])
            fitting.append((float(away), parcel.number, x, y))
    if not fitting:
        return
    _, number, x, y = min(fitting)
    uses[number] = "meadow"
    direction, _, _ = division.parcels[number].axes()
    where = canvas.patch(x, y, 72.0)
    if where is None:
        return
    dx, dy = canvas.x[where] - x, canvas.y[where] - y
    u, v = np.abs(dx * direction[0] + dy * direction[1]), np.abs(dy * direction[0] - dx * direction[1])
    inside_field = coverage(np.minimum(58.0 - u, 39.0 - v), 1.5)
    worn = np.exp(-(((u - 48) / 5) ** 2) - (v / 5) ** 2) * np.clip(0.6 + 0.3 * canvas.middle[where], 0, 1)
    stripes = 5.0 * np.sign(np.sin(np.pi * u / 5.5)) + 5 * canvas.middle[where] + 4 * canvas.fine[where]
    lawn = rgb(98, 124, 66) + (stripes + 3 * canvas.grain[where])[..., None]
    lawn = lawn + worn[..., None] * (rgb(158, 142, 108) - lawn)
    canvas.blend(where, lawn, inside_field)
    canvas.truth[where][inside_field > 0.5] = GRASS
    canvas.height[where][inside_field > 0.5] = 0
    box = np.maximum(np.abs(np.maximum(u - 52.5, v - 34.0)), 0)
    area = np.where(u < 52.5, np.abs(np.maximum(36.0 - u, v - 20.2)), 9.0)
    middle = np.minimum(np.where(v < 34, u, 9.0), np.abs(np.hypot(u, v) - 9.15))
    line = coverage(0.07 - np.minimum(np.minimum(box, area), middle))
    canvas.blend(where, np.broadcast_to(rgb(216, 218, 206), lawn.shape), np.clip(line * 1.2, 0, 0.8))
    canvas.blocked[where] |= inside_field > 0.5


def _bales(canvas: Canvas, pixels: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Round straw bales that wait on a stubble field."""
    for pixel in rng.choice(pixels, len(pixels) // 3500, replace=False):
        row, col = divmod(int(pixel), SIZE)
        x, y = (col + 0.5) * GSD, (row + 0.5) * GSD
        where = canvas.patch(x, y, 1.5)
        if where is None:
            continue
        cover = coverage(0.75 - np.hypot(canvas.x[where] - x, canvas.y[where] - y))
        canvas.blend(where, np.broadcast_to(rgb(212, 196, 150), (*cover.shape, 3)), cover)
        canvas.height[where][cover > 0.5] = 1.4


def _rough_grass(canvas: Canvas) -> Array:
    dry = np.clip(0.45 + 0.22 * canvas.middle + 0.15 * canvas.broad, 0, 1)[..., None]
    green, straw = rgb(102, 114, 68), rgb(148, 142, 98)
    return np.asarray(green + dry * (straw - green) + 6.0 * canvas.fine[..., None] + 2.0 * canvas.grain[..., None])


def _crop(canvas: Canvas, view: View, rng: np.random.Generator, crop: Crop) -> Array:
    pixels = view.pixels
    broad, middle, fine, grain = (f.flat[pixels] for f in (canvas.broad, canvas.middle, canvas.fine, canvas.grain))
    across, along = view.across, view.along
    headland = view.border < 11.0 if crop.tramlines else np.zeros(len(pixels), bool)
    across = np.where(headland, view.border, across)  # machines turn along the border
    shift = rng.uniform(0, 300, 2)
    wander = 0.12 * middle
    row = canvas.texture.sample((across + wander) / (crop.row * 0.55) + shift[0], along / 26.0 + shift[1])
    drill = canvas.texture.sample(across / 3.1 + shift[1], along / 240.0 + shift[0])
    blotch = crop.patchy * (0.5 * broad + 0.42 * middle + 0.10 * fine)
    cover = crop.cover * (1 + crop.contrast * row + 0.5 * crop.contrast * drill) - 0.35 * blotch
    if crop.row > 5:  # swaths left by the combine: light and dark passes
        wave = np.sin(2 * np.pi * (across + 0.3 * middle) / crop.row + 0.35 * drill)
        cover += 0.09 * wave + 0.06 * np.sign(np.sin(np.pi * across / crop.row))
    if crop.tramlines:
        spacing = float(rng.choice([15.0, 18.0, 21.0, 24.0]))
        phase = np.abs(np.mod(across + wander + spacing / 2, spacing) - spacing / 2)
        ruts = np.exp(-(((phase - 0.95) / 0.30) ** 2))
        cover -= ruts * np.clip(0.30 + 0.10 * middle, 0.1, 0.5)
    cover = np.clip(cover, 0, 1)[:, None]
    tint = rng.normal(0, [2.5, 2.5, 3]) + rng.normal(0, 6)
    soil = SOILS[rng.integers(len(SOILS))] + tint - (9 * broad + 5 * middle)[:, None] * [1.0, 0.98, 0.9]
    plant = rgb(*crop.plant) + tint + (6 * blotch / max(crop.patchy, 0.05))[:, None] * [1.0, 0.75, 0.4]
    noise = (3.4 * fine + 4.5 * grain + 2.0 * row)[:, None]
    return np.asarray(soil + cover * (plant - soil) + noise)


def _meadow(canvas: Canvas, view: View, rng: np.random.Generator, crop: Crop) -> Array:
    pixels = view.pixels
    broad, middle, fine, grain = (f.flat[pixels] for f in (canvas.broad, canvas.middle, canvas.fine, canvas.grain))
    vigour = 0.5 + rng.normal(0, 0.16) + 0.15 * broad + 0.11 * middle + 0.08 * fine
    if rng.random() < 0.45:  # mown in passes
        passes = canvas.texture.sample(view.across / 2.2 + rng.uniform(0, 99), view.along / 60.0)
        vigour += rng.uniform(0.05, 0.12) * passes
    tufts = np.clip(fine + 0.8 * middle - 1.3, 0, 2)
    vigour = np.clip(vigour, 0, 1)[:, None]
    dry, green = rgb(150, 144, 96), rgb(98, 118, 62)
    tint = rng.normal(0, 4, 3)
    return np.asarray(dry + tint + vigour * (green - dry) + (6.5 * fine + 6.0 * grain - 9 * tufts)[:, None])


def _lawn(canvas: Canvas, view: View, rng: np.random.Generator, crop: Crop) -> Array:
    pixels = view.pixels
    middle, fine, grain = (f.flat[pixels] for f in (canvas.middle, canvas.fine, canvas.grain))
    vigour = np.clip(rng.uniform(0.25, 0.85) + 0.2 * middle + 0.06 * fine, 0, 1)[:, None]
    dry, green = rgb(146, 140, 98), rgb(100, 122, 68)
    lawn = dry + rng.normal(0, 4, 3) + vigour * (green - dry) + (4.5 * fine + 4.0 * grain)[:, None]
    # flower beds, gravel and compost: blotches of garden soil
    beds = np.clip((canvas.texture.sample(view.along / 5.0 + rng.uniform(0, 99), view.across / 4.0) - 0.8) * 2.5, 0, 1)
    if rng.random() < 0.5:
        beds *= 0.3
    bed = rgb(122, 110, 84) + rng.normal(0, 8, 3) + (13 * fine)[:, None]
    return np.asarray(lawn + beds[:, None] * (bed - lawn))


def _floor(canvas: Canvas, view: View, rng: np.random.Generator, crop: Crop) -> Array:
    middle, fine = canvas.middle.flat[view.pixels], canvas.fine.flat[view.pixels]
    deep = np.clip((view.border - 2.0) / 10.0, 0, 1)[:, None]  # light reaches in from the side
    return np.asarray(rgb(104, 112, 68) - deep * rgb(30, 32, 18) + (7 * middle + 8 * fine)[:, None] * [1.0, 0.95, 0.7])
