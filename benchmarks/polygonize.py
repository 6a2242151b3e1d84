"""Polygons of a label raster: wsss-geo against rasterio's ``shapes`` and shapely's ``shape``, in one run.

Times are processor seconds of the one thread that both need, so that other work on the machine hardly matters.

    python benchmarks/polygonize.py               # 2048 x 2048, some seconds
    python benchmarks/polygonize.py --size 8192   # about 107 000 regions, some minutes
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import geopandas
import numpy as np
import shapely
from rasterio.features import shapes
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from shapely.geometry import shape

from wsss_geo.vector import polygonize

_TRANSFORM, _CRS = Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), 32631


def landscape(size: int, classes: int = 7, seed: int = 0) -> np.ndarray:
    """Return a label raster uint8 [size, size]: blobs of all sizes with ragged borders, some of it nodata."""
    rng = np.random.default_rng(seed)
    half = (size + 1) // 2
    best = np.full((half, half), -np.inf, np.float32)
    labels = np.zeros((half, half), np.uint8)
    for k in range(classes):
        field = gaussian_filter(rng.standard_normal((half, half), dtype=np.float32), 5.6)
        labels[field > best] = k
        np.maximum(best, field, out=best)
    mask = labels.repeat(2, axis=0).repeat(2, axis=1)[:size, :size]
    rough = gaussian_filter(rng.standard_normal((half, half), dtype=np.float32), 2).repeat(2, 0).repeat(2, 1)
    shift = (rough[:size, :size] > 0.08).astype(np.intp)  # every border frays by a pixel
    mask = mask[np.arange(size)[:, None], np.clip(np.arange(size)[None, :] + shift, 0, size - 1)]
    mask[: size // 20, : size // 3] = 255
    return mask


def with_rasterio(mask: np.ndarray) -> geopandas.GeoDataFrame:
    """Polygonize as most programs do."""
    found = [(shape(g), v) for g, v in shapes(mask, mask=mask != 255, connectivity=4, transform=_TRANSFORM)]
    return geopandas.GeoDataFrame({"class_id": [v for _, v in found]}, geometry=[g for g, _ in found], crs=_CRS)


def _timed(function: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """Return the result and the best time."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        result = function()
        times.append(time.process_time() - started)
    return result, min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="side of the raster in pixels")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each, of which the best counts")
    arguments = parser.parse_args()
    size, rounds = arguments.size, arguments.rounds
    polygonize(landscape(64), _TRANSFORM, _CRS, min_area_px=4, simplify_px=1)  # compile
    mask = landscape(size)
    theirs, reference = _timed(lambda: with_rasterio(mask), rounds)
    runs = {"rasterio shapes + shape": (theirs, reference)}
    for name, options in (
        ("wsss-geo polygonize", {}),
        ("  + simplify 1.5 px", {"simplify_px": 1.5}),
        ("  + sieve 20 px", {"min_area_px": 20}),
    ):
        runs[name] = _timed(lambda options=options: polygonize(mask, _TRANSFORM, _CRS, **options), rounds)
    print(f"{size} x {size} pixels, {len(theirs)} regions")
    print(f"{'':26}{'seconds':>9}{'ratio':>8}{'polygons':>10}{'valid':>9}{'coverage':>10}")
    for name, (frame, seconds) in runs.items():
        polygons = frame.geometry.values
        valid, coverage = shapely.is_valid(polygons).mean(), shapely.coverage_is_valid(polygons)
        print(f"{name:26}{seconds:9.2f}{seconds / reference:8.3f}{len(frame):10}{valid:9.1%}{coverage!s:>10}")


if __name__ == "__main__":
    main()
