"""The two sample scenes: where things lie, and the order in which they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landscape import camera, fields, roads, village, water, woodland
from landscape.camera import Tone
from landscape.canvas import BUILDING, GSD, ROAD, SIZE, Array, Canvas
from landscape.parcels import HALF_WIDTH, Division, Plan, divide
from landscape.water import Course


@dataclass(frozen=True)
class Scene:
    """A landscape by its seed, its layout (metres from the upper left corner) and the tone of its flight."""

    name: str
    seed: int
    origin: tuple[float, float]  # map coordinates of the upper left corner
    plan: Plan
    course: Course
    woods: tuple[tuple[float, float, float], ...]  # x, y, radius
    tone: Tone
    farms: int = 5


SCENES = (
    Scene(
        "scene_a", 20240611, (612_000.0, 5_412_000.0),
        Plan((352.0, 610.0), 17.0, (345.0, 600.0, 245.0, 200.0)),
        Course(((600, -160), (700, 60), (860, 250), (760, 480), (880, 720), (800, 930), (870, 1190)), 17.0,
               ((590.0, 850.0, 25.0),)),
        ((150.0, 130.0, 190.0), (930.0, 420.0, 120.0), (520.0, 960.0, 110.0)),
        Tone(),
    ),
    Scene(
        "scene_b", 20240723, (618_500.0, 5_409_000.0),
        Plan((668.0, 690.0), -62.0, (690.0, 700.0, 200.0, 225.0)),
        Course(((-170, 420), (60, 330), (230, 180), (430, 250), (600, 400), (790, 360), (960, 255), (1190, 330)), 18.0,
               ((170.0, 640.0, 24.0), (905.0, 455.0, 17.0))),
        ((300.0, 900.0, 180.0), (760.0, 60.0, 150.0), (60.0, 90.0, 120.0)),
        Tone((1.035, 1.0, 0.955), haze=0.016, pallor=0.16, noise=1.1),
    ),
)  # fmt: skip


def render(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The picture [3, H, W] and the class ids [H, W] of a scene."""
    rng = np.random.Generator(np.random.PCG64(scene.seed))
    canvas = Canvas(rng)
    division = divide(scene.plan, rng, canvas.x, canvas.y)
    river = water.measure(canvas, scene.course)
    uses = fields.assign_uses(scene.plan, scene.woods, division, river.inside, rng)
    fields.draw(canvas, division, uses, rng)
    fields.mark_pitch(canvas, division, scene.plan, uses, river.inside)
    water.draw(canvas, river)
    roads.draw(canvas, division, river.inside, rng)
    _build(canvas, division, scene, uses, river.inside, rng)
    woodland.garden_hedges(canvas, division, uses, rng)
    _plant(canvas, division, uses, river.inside, rng)
    roads.park_cars(canvas, division, rng, 90)
    picture = camera.expose(canvas, scene.tone, rng)
    return np.ascontiguousarray(np.moveaxis(picture, -1, 0)), canvas.truth


def _build(
    canvas: Canvas, division: Division, scene: Scene, uses: dict[int, str], shore: Array, rng: np.random.Generator
) -> None:
    sites = _sites(canvas, division, scene, uses, shore, rng)
    for i, (at, heading) in enumerate(sites):
        (village.yard if i < 2 else village.farm)(canvas, at, heading, rng)
    for parcel in division.parcels:
        if uses[parcel.number] == "garden":
            village.settle(canvas, division, parcel, rng)
    canvas.blocked |= np.isin(canvas.truth, (BUILDING, ROAD))


def _sites(
    canvas: Canvas, division: Division, scene: Scene, uses: dict[int, str], shore: Array, rng: np.random.Generator
) -> list[tuple[Array, Array]]:
    """Places beside a road in open land for works yards (near the village) and farms: point and direction inwards."""
    found: list[tuple[Array, Array]] = []
    for wanted, near in ((2, True), (2 + scene.farms, False)):
        for number in rng.permutation(len(division.parcels)):
            parcel = division.parcels[number]
            if len(found) == wanted:
                break
            if uses[parcel.number] not in ("crop", "meadow", "orchard") or parcel.area < 9_000:
                continue
            if near and not scene.plan.in_village(parcel.center, 2.2):
                continue
            for i, cut in enumerate(parcel.cuts):
                if cut < 0 or division.cuts[cut].kind not in HALF_WIDTH:
                    continue
                a, b = parcel.corners[i], parcel.corners[(i + 1) % len(parcel.corners)]
                if np.hypot(*(b - a)) < 95:
                    continue
                ends = division.bend.to_ground(np.stack([a, b, parcel.center]))
                along = (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0]))
                inward = np.array([-along[1], along[0]])
                inward = inward if ((ends[2] - ends[0]) * inward).sum() > 0 else -inward
                at = (ends[0] + ends[1]) / 2 + HALF_WIDTH[division.cuts[cut].kind] * inward
                spot = at + 40 * inward
                inside = (spot > 60).all() and (spot < SIZE * GSD - 60).all()
                apart = all(np.hypot(*(spot - other[0] - 40 * other[1])) > 130 for other in found)
                if inside and apart and canvas.value_at(shore, *spot) < -75:
                    found.append((at, inward))
                    break
    return found


def _plant(canvas: Canvas, division: Division, uses: dict[int, str], shore: Array, rng: np.random.Generator) -> None:
    wood, garden = (
        np.array([uses[i] == use for i in range(len(division.parcels))])[division.parcel] for use in ("wood", "garden")
    )
    bound = GSD * (ndimage.distance_transform_edt(wood) - ndimage.distance_transform_edt(~wood))
    bound += 1.8 * canvas.middle + 5.5 * canvas.broad  # a forest's edge does not follow the deeds
    bound = np.where(garden, -1.0, bound)
    bound = np.minimum(bound, np.minimum(division.road_edge - 1.5, -shore - 2.0))
    mixture = 0.45 + 0.5 * canvas.broad
    trees = woodland.forest(canvas, bound, mixture, rng)
    trees += woodland.hedgerows(canvas, division, rng)
    trees += woodland.river_side(canvas, shore, rng)
    trees += woodland.alley(canvas, division, rng)
    for parcel in division.parcels:
        if uses[parcel.number] != "wood":
            trees += woodland.scattered(canvas, parcel, division, uses[parcel.number], rng)
    woodland.plant(canvas, trees, rng)
    woodland.settle_truth(canvas, wood & (bound > 1.0))
