"""Instances as COCO writes them, polygons and run lengths, and their drawing into masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize


@dataclass(frozen=True)
class Instance:
    """An object: ``place`` of its class (from 1), ``area`` in pixels, and its outline.

    The outline is rings float32 [n, 2] (x, y from the upper left corner), or for crowds ``runs``: lengths of runs of
    pixels down the columns, outside and inside in turn, in an image of ``size`` (height, width).
    """

    place: int
    area: float
    rings: tuple[NDArray[np.float32], ...] = ()
    runs: NDArray[np.int64] | None = None
    size: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, note: Mapping[str, Any], places: Mapping[int, int]) -> Instance:
        """Read an annotation. Raises KeyError, TypeError or ValueError for what is none."""
        shape, place, area = note["segmentation"], places[int(note["category_id"])], float(note["area"])
        if isinstance(shape, list):
            rings = (np.array(ring, dtype=np.float32).reshape(-1, 2) for ring in shape)
            return cls(place, area, tuple(r for r in rings if len(r) >= 3))
        counts = shape["counts"]
        runs = np.array(unpack_runs(counts) if isinstance(counts, str) else counts, dtype=np.int64)
        height, width = map(int, shape["size"])
        if runs.sum() != height * width:
            raise ValueError(f"runs of {runs.sum()} pixels for an image of {height} x {width}")
        return cls(place, area, runs=runs, size=(height, width))


def unpack_runs(text: str) -> list[int]:
    """Run lengths from COCO's compressed form: five bits a character, little end first, from the fourth run on as the
    difference to the run before the last."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # more to come
            continue
        if bits & 16:  # negative
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def run_mask(runs: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels inside the runs, bool [height, width]."""
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside.reshape(size[::-1]).T


def draw_instances(instances: Sequence[Instance], height: int, width: int) -> NDArray[np.uint8]:
    """Class places uint8 [height, width], 0 where there is none; large instances first, pixels by their centre."""
    mask = np.zeros((height, width), np.uint8)
    for instance in sorted(instances, key=lambda i: -i.area):
        if instance.runs is not None and instance.size == (height, width):
            mask[run_mask(instance.runs, instance.size)] = instance.place
        elif instance.rings:
            shapes = [{"type": "Polygon", "coordinates": [np.vstack([r, r[:1]]).tolist()]} for r in instance.rings]
            rasterize(shapes, out=mask, default_value=instance.place)
    return mask
