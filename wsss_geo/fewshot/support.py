"""The examples of a search: polygons and the raster they were drawn in, as views with masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from wsss_geo.classes import IGNORE
from wsss_geo.errors import InputError
from wsss_geo.fewshot.comparison import Look, look_at
from wsss_geo.jobs import FewShotJob
from wsss_geo.nn.fewshot_file import FewShotCard
from wsss_geo.progress import Progress
from wsss_geo.raster.bands import match_bands
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import GeoGrid, describe
from wsss_geo.raster.reader import RasterReader
from wsss_geo.vector.layers import in_crs_of, read_layer

_POLYGONS = (3, 6)  # shapely type ids of Polygon and MultiPolygon


@dataclass(frozen=True)
class Support:
    """Views ``images`` float32 [S,bands,T,T] in 0..1, the mean where there is no data, and ``masks`` uint8 [S,T,T].

    Masks are 1 inside the polygons, 0 around them, 255 where there is no data. ``drawn`` polygons lie in the raster,
    which is read at ``gsd`` metres a pixel if that is known; ``look`` is what it is like.
    """

    images: NDArray[np.float32]
    masks: NDArray[np.uint8]
    drawn: int
    gsd: float | None
    look: Look


def read_support(job: FewShotJob, card: FewShotCard, report: Progress) -> Support:
    """Read the examples on the grid that the model sees. Raises InputError where polygons and raster do not meet."""
    info = describe(job.support_raster)
    match = match_bands(info, card.bands or None, len(card.bands), job.bands)
    gsd = card.gsd if job.resample else None
    with RasterReader(job.support_raster, match.bands, gsd, match.palette) as reader:
        if reader.resampled:
            report.info(f"{info.path}: examples read at {reader.gsd:.4g} m instead of {info.gsd:.4g} m")
        elif gsd and info.gsd is None:
            report.warn(f"{info.path}: resolution unknown, read as it is; the model was trained at {gsd:.4g} m")
        polygons = _polygons(job, reader.grid, report)
        windows = view_windows(polygons, reader.grid, card.tile_size, job.most)
        views = [_view(reader, window, polygons, card) for window in windows]
        look, seen = look_at(reader), reader.gsd
    views = [(image, mask) for image, mask in views if (mask == 1).any()]
    if not views:
        problem = f"no pixel of {info.path} with data lies under its polygons"
        raise InputError(job.support, problem, "draw examples where the raster has data")
    if not any((mask == 0).any() for _, mask in views):
        problem = "the examples fill everything that is seen of them, so there is nothing to tell them from"
        raise InputError(job.support, problem, "draw smaller examples, with surroundings that are something else")
    images, masks = (np.stack(part) for part in zip(*views, strict=True))
    if len(polygons) == 1:
        report.info(f"{job.support}: one polygon, a single example; a few more make the result surer")
    return Support(images, masks, len(polygons), seen, look)


def view_windows(polygons: NDArray[Any], grid: GeoGrid, side: int, most: int) -> list[Window]:
    """Windows of ``side`` px of ``grid`` around ``polygons`` (in its CRS), at most ``most``.

    A window shows as many polygons as lie in it whole. One around a polygon that does not fit lies on its edge, so that
    some of what is around it is seen. Windows lie inside the raster where that is large enough.
    """
    inverse = ~grid.transform
    pixels = shapely.transform(polygons, lambda xy: np.column_stack(inverse * (xy[:, 0], xy[:, 1])))
    boxes = shapely.bounds(pixels)
    waiting = list(range(len(pixels)))
    windows: list[Window] = []
    while waiting and len(windows) < most:
        shape, (left, top, right, bottom) = pixels[waiting[0]], boxes[waiting[0]]
        middle = ((left + right) / 2, (top + bottom) / 2)
        if max(right - left, bottom - top) > side:
            inner = shape.representative_point()
            edge = shapely.boundary(shape)
            middle = edge.interpolate(edge.project(inner)).coords[0]
        col, row = (
            int(np.clip(round(m - side / 2), 0, max(0, n - side)))
            for m, n in zip(middle, (grid.width, grid.height), strict=True)
        )
        windows.append(Window(row, col, side, side))
        whole = (boxes[:, 0] >= col) & (boxes[:, 1] >= row) & (boxes[:, 2] <= col + side) & (boxes[:, 3] <= row + side)
        waiting = [i for i in waiting[1:] if not whole[i]]
    return windows


def _view(
    reader: RasterReader, window: Window, polygons: NDArray[Any], card: FewShotCard
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    tile = reader.read(window)
    part = reader.grid.part(window.row_off, window.col_off, window.height, window.width)
    mask = _burnt(polygons, part.transform, (window.height, window.width))
    mask[~tile.valid] = IGNORE
    mean = np.asarray(card.normalisation.mean, np.float32)[:, None, None]
    image = np.where(tile.valid, card.normalisation.stretch(tile.pixels), mean)
    return image.astype(np.float32), mask


def _burnt(polygons: NDArray[Any], transform: Affine, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels whose centre is inside; of polygons too small to hold any centre, the pixels they touch."""
    found: NDArray[np.uint8] = rasterize(polygons, out_shape=shape, transform=transform, dtype="uint8")
    pixel = abs(transform.determinant)
    small = polygons[shapely.area(polygons) < 4 * pixel]
    if len(small):
        found |= rasterize(small, out_shape=shape, transform=transform, dtype="uint8", all_touched=True)
    return found


def _polygons(job: FewShotJob, grid: GeoGrid, report: Progress) -> NDArray[Any]:
    """The polygons in the CRS of ``grid`` that overlap it, largest first."""
    frame = _layer(Path(job.support))
    if frame.crs is not None and grid.crs is None:
        raise InputError(job.support, f"has a CRS but {job.support_raster} has none", "georeference the raster")
    if frame.crs is not None:
        frame = in_crs_of(grid, frame, job.support)
    elif grid.crs is not None:
        report.warn(f"{job.support}: has no CRS, taken to be that of {job.support_raster}")
    shapes = frame.geometry.dropna().to_numpy()
    shapes = shapes[np.isin(shapely.get_type_id(shapes), _POLYGONS) & ~shapely.is_empty(shapes)]
    shapes = shapely.make_valid(shapely.force_2d(shapes))
    if not len(shapes):
        raise InputError(job.support, "holds no polygon", "draw polygons around a few examples")
    if grid.transform == Affine.identity() and shapely.bounds(shapes)[:, 3].max() <= 0:
        # QGIS draws a raster without georeference below y = 0.
        shapes = shapely.transform(shapes, lambda xy: xy * (1, -1))
    corners = [grid.transform * c for c in ((0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height))]
    inside = shapely.area(shapely.intersection(shapes, shapely.Polygon(corners))) > 0
    if not inside.any():
        raise InputError(job.support, f"no polygon overlaps {job.support_raster}", "check coordinates and CRS")
    if not inside.all():
        report.warn(f"{job.support}: {(~inside).sum()} of {len(inside)} polygons lie outside {job.support_raster}")
    shapes = shapes[inside]
    found: NDArray[Any] = shapes[np.argsort(-shapely.area(shapes), kind="stable")]
    return found


def _layer(path: Path) -> Any:
    if not path.exists():
        raise InputError(path, "no such file", "give a layer of polygons around a few examples")
    return read_layer(path, "give a layer of polygons", attributes=False)
