"""Class activation maps as labels: the warmest class of each place, where it is warm enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.progress import Progress
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.info import RasterInfo, describe
from wsss_geo.raster.mask_classes import read_mask_classes
from wsss_geo.streaming.accumulator import SCALE
from wsss_geo.streaming.decode import decode
from wsss_geo.streaming.layout import Axis
from wsss_geo.tracing.labels import Labels
from wsss_geo.vector.coverage import Band

_CELLS = 1 << 20


def cam_labels(
    path: str, report: Progress, threshold: float = 0.5, detail: int = 4, classes: ClassScheme | None = None
) -> Labels:
    """Return the labels that the activation maps ``path`` show: one band a class, uint8 scaled by 255 or float 0..1.

    Every cell is divided in ``detail`` x ``detail`` pixels, between which the maps are interpolated. Where no class
    reaches ``threshold`` (0..1), or all are exactly 0, there is no label. Ids are those of ``classes``, or of a
    ``classes.json`` beside the maps, by the names of the bands; without it bands count from 0. The confidence is the
    activation. Raises InputError.
    """
    info = describe(path)
    if not {info.dtypes[b - 1] for b in info.image_bands} <= {"uint8", "float32", "float64"}:
        raise InputError(path, f"has values of type {info.dtypes[0]}", "give activation maps as predict --cam writes")
    if len(info.image_bands) > IGNORE:
        raise InputError(path, f"has {len(info.image_bands)} bands", "give activation maps, one band a class")
    named = tuple(info.descriptions[b - 1] or f"band {b}" for b in info.image_bands)
    scheme = classes or (read_mask_classes(path) if Path(path).exists() else None) or _numbered(path, named)
    unknown = [name for name in named if name not in scheme.names]
    if unknown:
        hint = f"name the bands after {', '.join(scheme.names)}, or give other --classes"
        raise InputError(path, f"band {unknown[0]!r} is no class of the scheme", hint)
    ids = np.array([scheme.by_name(name).id for name in named], np.uint8)
    grid = info.grid.resized(info.height * detail, info.width * detail)

    def bands(stage: str) -> Iterator[Band]:
        return _bands(path, info, ids, threshold, detail, report, stage)

    return Labels(grid, scheme, IGNORE, bands, Path(path).name)


def _bands(
    path: str, info: RasterInfo, ids: NDArray[np.uint8], threshold: float, detail: int, report: Progress, stage: str
) -> Iterator[Band]:
    """Decode rows of cells, with the row above and below them."""
    rows, cols = (Axis(n * detail, n * detail, detail, 1, 1) for n in (info.height, info.width))
    col_taps = cols.taps(0, cols.targets)
    step = max(1, _CELLS // info.width)
    with open_raster(path) as file:
        for first in range(0, info.height, step):
            last = min(first + step, info.height)
            top, bottom = max(first - 1, 0), min(last + 1, info.height)
            window = Window(0, top, info.width, bottom - top)
            with reading(path):
                scores, alive = _scores(file, info, window)
            found = decode(
                scores, alive, None, rows.taps(first * detail, last * detail), col_taps, top, ids, threshold, True
            )
            yield found.mask, found.confidence
            report.step(last, info.height, "rows", stage)


def _scores(file: Any, info: RasterInfo, window: Window) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return the maps [h, w, K] in 0..SCALE and where there are any."""
    values = file.read(list(info.image_bands), window=window)
    known = (file.read_masks(list(info.image_bands), window=window) != 0).all(axis=0)
    if values.dtype == np.uint8:
        scores = values.astype(np.uint16) * np.uint16(SCALE // 255)
    else:
        finite = np.isfinite(values)
        known &= finite.all(axis=0)
        scores = np.rint(np.where(finite, values, 0).clip(0, 1) * SCALE).astype(np.uint16)
    return np.ascontiguousarray(scores.transpose(1, 2, 0)), known & (scores > 0).any(axis=0)


def _numbered(path: str, names: tuple[str, ...]) -> ClassScheme:
    if len(set(names)) < len(names):
        raise InputError(path, "two bands have the same name", "name each band after its class")
    return ClassScheme.from_names(list(names), "none")
