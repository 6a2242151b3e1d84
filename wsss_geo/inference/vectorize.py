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
from wsss_geo.inference.areas import pixel_areas
from wsss_geo.inference.mask_classes import classes_of_values, read_mask_classes
from wsss_geo.jobs import VectorizeJob, VectorizeResult
from wsss_geo.outputs import check_output
from wsss_geo.progress import Progress
from wsss_geo.raster.files import open_raster, reading
from wsss_geo.raster.info import GeoGrid, RasterInfo, describe
from wsss_geo.record import write_record
from wsss_geo.vector.coverage import Band, polygonize_bands
from wsss_geo.vector.files import check_polygon_suffix, write_polygons

_BAND_PIXELS = 1 << 24


def run(job: VectorizeJob, report: Progress) -> VectorizeResult:
    """Trace the regions of ``job.mask`` and write them to ``job.out``.

    The mask is read in bands of rows; memory grows with the polygons. Raises InputError, UsageError,
    EnvironmentFault.
    """
    check_polygon_suffix(job.out)
    out = check_output(job.out)
    info = _checked_mask(job.mask)
    if job.confidence is not None:
        _check_confidence(job.confidence, info)
    classes = read_classes(job.classes) if job.classes else read_mask_classes(job.mask)
    if info.crs is None:
        report.info(f"{job.mask}: {info.georeference}; polygons are in pixel or plain map units, areas in square units")
    started = time.monotonic()
    frame = trace_mask(job.mask, info, classes, report, job.confidence, job.min_area, job.simplify)
    traced = time.monotonic()
    if classes is None:
        report.warn(f"{job.mask}: the values have no class names; give --classes to name them")
        classes = classes_of_values(job.mask, {int(v) for v in frame["class_id"].unique()})
    report.info(f"writing {len(frame)} polygons to {job.out}")
    write_polygons(frame, out, classes, report.warn)
    result = VectorizeResult(polygons=str(out), count=len(frame), area_m2=class_areas(frame, classes))
    seconds = {"trace": traced - started, "write": time.monotonic() - traced}
    inputs = [p for p in (job.mask, job.confidence, job.classes) if p]
    write_record(f"{out}.json", job, result, inputs, seconds)
    return result


def trace_mask(
    mask: str,
    info: RasterInfo,
    classes: ClassScheme | None,
    report: Progress,
    confidence: str | None = None,
    min_area: float = 0.0,
    simplify: float = 0.0,
    source: str | None = None,
    model: str = "",
) -> geopandas.GeoDataFrame:
    """Polygonize the mask raster ``mask`` (band 1), described by ``info``, without holding it in memory.

    ``confidence`` is a raster on the same grid; ``min_area`` is in square metres (pixels without CRS), ``simplify`` in
    pixels; ``source`` fills the column of that name and is the name of the mask unless given.
    """
    min_area_px = min_area_pixels(info.grid, min_area)
    nodata = IGNORE if info.dtypes[0] == "uint8" else -1
    passes = 0

    def bands() -> Iterator[Band]:
        nonlocal passes
        passes += 1
        stage = "tracing" if passes == 2 or min_area_px <= 1 else "regions"
        return _bands(mask, info, confidence, nodata, report, stage)

    return polygonize_bands(
        bands, info.width, info.transform, info.crs, classes, nodata, min_area_px=min_area_px, simplify_px=simplify,
        source=Path(mask).name if source is None else source, model=model,
    )  # fmt: skip


def min_area_pixels(grid: GeoGrid, min_area: float) -> int:
    """Return the pixels that cover ``min_area`` square metres at the centre, rounded up (pixels without CRS)."""
    if min_area <= 0:
        return 0
    middle = grid.height // 2
    return math.ceil(min_area / float(pixel_areas(grid, middle, middle + 1)[0]) - 1e-9)


def class_areas(frame: geopandas.GeoDataFrame, classes: ClassScheme | None) -> dict[str, float]:
    """Return the area of each class; classes of the scheme that do not occur have 0."""
    sums = frame.groupby("class")["area_m2"].sum().to_dict() if len(frame) else {}
    names = [] if classes is None else classes.names
    return dict.fromkeys(names, 0.0) | {str(name): float(area) for name, area in sums.items()}


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
                if nodata < 0:
                    rows = rows.astype(np.int64)
                if masked:
                    rows[labels.read_masks(1, window=window) == 0] = nodata
            share = None
            if confidence is not None:
                with reading(confidence):
                    share = weights.read(1, window=window)
            yield rows, share
            report.step(row + window.height, info.height, "rows", stage)


def _checked_mask(path: str) -> RasterInfo:
    info = describe(path)
    if len(info.image_bands) != 1:
        raise InputError(path, f"has {len(info.image_bands)} bands", "give a mask, which has one")
    if np.dtype(info.dtypes[0]).kind not in "iu":
        hint = "give class ids as whole numbers, for example after gdal_translate -ot Byte"
        raise InputError(path, f"has values of type {info.dtypes[0]}", hint)
    return info


def _check_confidence(path: str, mask: RasterInfo) -> None:
    info = describe(path)
    if (info.height, info.width) != (mask.height, mask.width) or not info.transform.almost_equals(mask.transform, 1e-6):
        raise InputError(path, "does not lie on the grid of the mask", "give the confidence of the same prediction")
    if info.dtypes[0] not in ("uint8", "float32", "float64"):
        raise InputError(path, f"has values of type {info.dtypes[0]}", "give uint8 scaled by 255, or float 0..1")
