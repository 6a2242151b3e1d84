"""The job that turns a mask raster into polygons."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from rasterio.windows import Window

from wsss_geo.classes import IGNORE, ClassScheme, read_classes
from wsss_geo.errors import InputError
from wsss_geo.jobs import VectorizeJob, VectorizeResult
from wsss_geo.lock import alone
from wsss_geo.outputs import check_output
from wsss_geo.progress import Progress
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.info import GeoGrid, RasterInfo, describe
from wsss_geo.raster.mask_classes import classes_of_values, describe_mask, read_mask_classes
from wsss_geo.raster.pixel_areas import pixel_areas
from wsss_geo.record import write_record
from wsss_geo.tracing.cam_labels import cam_labels
from wsss_geo.tracing.labels import Labels
from wsss_geo.vector.coverage import Band, Outlining, polygonize_stream
from wsss_geo.vector.files import check_polygon_suffix, write_polygons

_BAND_PIXELS = 1 << 24
_LARGEST_ID = 2**31 - 1


def run(job: VectorizeJob, report: Progress) -> VectorizeResult:
    """Trace the regions of ``job.mask``, or those that its activation maps show, and write them to ``job.out``.

    The raster is read in bands of rows and polygons are written as soon as they are whole, so memory does not grow
    with either; but simplified borders and Shapefiles need all polygons at once. Raises InputError, UsageError,
    EnvironmentFault.
    """
    check_polygon_suffix(job.out)
    out = check_output(job.out)
    labels = _labels(job, report)
    if labels.grid.crs is None:
        where = describe(job.mask).georeference
        report.info(f"{job.mask}: {where}; polygons are in pixel or plain map units, areas in square units")
    started = time.monotonic()
    tally = Tally(labels.classes)
    frames = tally.watched(trace(labels, report, job.min_area, job.simplify))

    def classes() -> ClassScheme | None:
        if labels.classes is None:
            report.warn(f"{job.mask}: the values have no class names; give --classes to name them")
            return classes_of_values(job.mask, tally.values)
        return labels.classes

    with alone(out, report=report):
        write_polygons(frames, out, classes, report.warn)
        report.info(f"{tally.count} polygons in {out}")
        result = VectorizeResult(polygons=str(out), count=tally.count, area_m2=tally.areas)
        inputs = [p for p in (job.mask, job.confidence, job.classes) if p]
        write_record(f"{out}.json", job, result, inputs, {"all": time.monotonic() - started})
    return result


def trace(
    labels: Labels, report: Progress, min_area: float = 0.0, simplify: float = 0.0
) -> Iterator[geopandas.GeoDataFrame]:
    """Yield the polygons of ``labels`` as soon as they are whole, at least one frame.

    ``min_area`` is in square metres (pixels without CRS), ``simplify`` in pixels.
    """
    min_area_px = min_area_pixels(labels.grid, min_area)
    passes = 0

    def bands() -> Iterator[Band]:
        nonlocal passes
        passes += 1
        return labels.bands("tracing" if passes == 2 or min_area_px <= 1 else "regions")

    outlining = Outlining(
        labels.grid.transform, labels.grid.crs, labels.classes, labels.nodata,
        min_area_px=min_area_px, simplify_px=simplify, source=labels.source, model=labels.model,
    )  # fmt: skip
    return polygonize_stream(bands, labels.grid.width, outlining)


def mask_labels(
    mask: str, report: Progress, confidence: str | None = None, classes: ClassScheme | None = None, **texts: str
) -> Labels:
    """Return band 1 of the mask raster ``mask`` with, of the same grid, its confidence. Raises InputError."""
    info = describe_mask(mask)
    if confidence is not None:
        _check_confidence(confidence, info)
    nodata = IGNORE if info.dtypes[0] == "uint8" else -1

    def bands(stage: str) -> Iterator[Band]:
        return _bands(mask, info, confidence, nodata, report, stage)

    return Labels(info.grid, classes, nodata, bands, **{"source": Path(mask).name, **texts})


def _labels(job: VectorizeJob, report: Progress) -> Labels:
    classes = read_classes(job.classes) if job.classes else None
    if job.from_cam:
        return cam_labels(job.mask, report, job.threshold, job.detail, classes)
    return mask_labels(job.mask, report, job.confidence, classes or read_mask_classes(describe_mask(job.mask).path))


class Tally:
    """Counts the polygons that pass: how many, their ``values``, and the area of each class (0 where none occurs)."""

    def __init__(self, classes: ClassScheme | None) -> None:
        self.count = 0
        self.values: set[int] = set()
        self.areas = dict.fromkeys(() if classes is None else classes.names, 0.0)

    def watched(self, frames: Iterator[geopandas.GeoDataFrame]) -> Iterator[geopandas.GeoDataFrame]:
        """Yield the ``frames``."""
        for frame in frames:
            self.count += len(frame)
            self.values |= {int(v) for v in frame["class_id"].unique()}
            for name, area in frame.groupby("class")["area_m2"].sum().items():
                self.areas[str(name)] = self.areas.get(str(name), 0.0) + float(area)
            yield frame


def min_area_pixels(grid: GeoGrid, min_area: float) -> int:
    """Return the pixels that cover ``min_area`` square metres at the centre, rounded up (pixels without CRS)."""
    if min_area <= 0:
        return 0
    middle = grid.height // 2
    return math.ceil(min_area / float(pixel_areas(grid, middle, middle + 1)[0]) - 1e-9)


def _bands(
    mask: str, info: RasterInfo, confidence: str | None, nodata: int, report: Progress, stage: str
) -> Iterator[Band]:
    """Yield rows of the mask, with ``nodata`` wherever it is not valid, and of the confidence."""
    block = info.block[0]
    step = min(info.height, max(1, _BAND_PIXELS // (info.width * block)) * block)
    with open_raster(mask) as labels, open_raster(confidence or mask) as weights:
        masked = "all_valid" not in {flag.name for flag in labels.mask_flag_enums[0]}
        for row in range(0, info.height, step):
            window = Window(0, row, info.width, min(step, info.height - row))
            with reading(mask):
                rows: np.ndarray[Any, Any] = labels.read(1, window=window)
                hidden = labels.read_masks(1, window=window) == 0 if masked else None
            if nodata < 0:
                _check_ids(mask, rows if hidden is None else rows[~hidden])
                rows = rows.astype(np.int64)
            if hidden is not None:
                rows[hidden] = nodata
            share = None
            if confidence is not None:
                with reading(confidence):
                    share = weights.read(1, window=window)
            yield rows, share
            report.step(row + window.height, info.height, "rows", stage)


def _check_ids(path: str, values: np.ndarray[Any, Any]) -> None:
    if values.size and (values.min() < 0 or values.max() > _LARGEST_ID):
        problem = f"has values from {values.min()} to {values.max()}, which are no class ids"
        raise InputError(path, problem, "declare what is nodata with gdal_edit.py -a_nodata, or write ids from 0 on")


def _check_confidence(path: str, mask: RasterInfo) -> None:
    info = describe(path)
    if not info.grid.same_pixels(mask.grid):
        raise InputError(path, "does not lie on the grid of the mask", "give the confidence of the same prediction")
    if info.dtypes[0] not in ("uint8", "float32", "float64"):
        raise InputError(path, f"has values of type {info.dtypes[0]}", "give uint8 scaled by 255, or float 0..1")
