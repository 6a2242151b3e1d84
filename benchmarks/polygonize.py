"""Polygons of a label raster: wsss-geo against rasterio's ``shapes`` and shapely's ``shape``, in one run.

Times are processor seconds of the one thread that both need, medians of rounds in which all take turns, so that other
work on the machine hardly matters.

    python benchmarks/polygonize.py                       # 2048 x 2048, some seconds
    python benchmarks/polygonize.py --size 8192           # about 107 000 regions, some minutes
    python benchmarks/polygonize.py --size 8192 --plain   # without simplifying and sieving
"""

from __future__ import annotations

import argparse
import statistics
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


def _timed(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[Any, float]]:
    """Return the result and the median time of each."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    results = {}
    for _ in range(rounds):
        for name, function in functions.items():
            results[name] = None  # not two of a kind at once
            started = time.process_time()
            results[name] = function()
            times[name].append(time.process_time() - started)
    return {name: (results[name], statistics.median(spent)) for name, spent in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="side of the raster in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--plain", action="store_true", help="leave out simplifying and sieving")
    arguments = parser.parse_args()
    size = arguments.size
    polygonize(landscape(64), _TRANSFORM, _CRS, min_area_px=4, simplify_px=1)  # compile
    mask = landscape(size)
    asked: dict[str, dict[str, float]] = {"wsss-geo polygonize": {}}
    if not arguments.plain:
        asked |= {"  + simplify 1.5 px": {"simplify_px": 1.5}, "  + sieve 20 px": {"min_area_px": 20}}
    functions: dict[str, Callable[[], Any]] = {"rasterio shapes + shape": lambda: with_rasterio(mask)}
    for name, options in asked.items():
        functions[name] = lambda options=options: polygonize(mask, _TRANSFORM, _CRS, **options)
    runs = _timed(functions, arguments.rounds)
    theirs, reference = runs["rasterio shapes + shape"]
    print(f"{size} x {size} pixels, {len(theirs)} regions")
    print(f"{'':26}{'seconds':>9}{'ratio':>8}{'polygons':>10}{'valid':>9}{'coverage':>10}")
    for name, (frame, seconds) in runs.items():
        polygons = frame.geometry.values
        valid, coverage = shapely.is_valid(polygons).mean(), shapely.coverage_is_valid(polygons)
        print(f"{name:26}{seconds:9.2f}{seconds / reference:8.3f}{len(frame):10}{valid:9.1%}{coverage!s:>10}")


if __name__ == "__main__":
    main()
