"""One raster as a model sees it: bands, resolution, windows, area of interest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel
from wsss_geo.progress import Progress
from wsss_geo.raster.bands import match_bands
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import RasterInfo, describe
from wsss_geo.raster.reader import RasterReader
from wsss_geo.streaming.area_of_interest import AreaOfInterest, AreaReader, read_area
from wsss_geo.streaming.layout import Layout, plan
from wsss_geo.streaming.refine import halo_pixels
from wsss_geo.streaming.strips import Reader, StripPlan


@dataclass(frozen=True)
class Scene:
    """A raster and everything about how it is read; ``native`` reads it at its own resolution (for validity)."""

    info: RasterInfo
    reader: RasterReader
    native: RasterReader
    layout: Layout
    strips: StripPlan
    area: AreaOfInterest | None

    @property
    def strip_reader(self) -> Reader:
        """Reads what the windows need: all, or what the area of interest asks for."""
        return self.reader if self.area is None else AreaReader(self.reader, self.area, self.layout)

    @property
    def megapixels(self) -> float:
        """Size of the grid that the model sees."""
        return self.reader.height * self.reader.width / 1e6

    def validity(self, first: int, last: int) -> NDArray[np.bool_] | None:
        """Return which pixels of the rows ``first`` .. ``last`` of the raster itself have data; None if all."""
        valid = self.native.read(Window(first, 0, last - first, self.info.width)).valid
        return None if valid.all() else valid

    def close(self) -> None:
        """Close the files."""
        self.reader.close()
        self.native.close()


def open_scene(path: str, job: PredictJob, model: LoadedModel, report: Progress) -> Scene:
    """Match the raster to the model and plan the windows; says what is noteworthy. Raises InputError, UsageError."""
    card, network = model.card, model.network
    info = describe(path)
    match = match_bands(info, card.bands or None, len(card.normalisation.mean), job.bands)
    report.info(f"{info.path}: bands {match.how}")
    gsd = card.gsd if job.resample else None
    reader = RasterReader(path, match.bands, gsd, match.palette)
    native = RasterReader(path, match.bands, None, match.palette)
    if info.crs is None:
        report.info(f"{info.path}: {info.georeference}; the mask keeps the pixel grid, areas are in pixels")
    if reader.resampled:
        report.info(f"{info.path}: read at {reader.gsd:.4g} m instead of {info.gsd:.4g} m, the scale of the model")
    elif job.resample and card.gsd and info.gsd is None:
        report.warn(f"{info.path}: resolution unknown, read as it is; the model was trained at {card.gsd:.4g} m")
    if info.dtypes[match.bands[0] - 1] != "uint8" and max(card.normalisation.high) <= 255:
        kind = info.dtypes[match.bands[0] - 1]
        report.warn(
            f"{info.path}: holds {kind}, the model was trained on values up to {max(card.normalisation.high):g}"
        )
    shape, target = (reader.height, reader.width), (info.height, info.width)
    window, halo = job.window or card.tile_size, halo_pixels(job.refine)
    layout = plan(shape, target, network.patch, window, job.overlap, job.batch_size, network.multiple, halo)
    area = None
    if job.aoi is not None:
        area = AreaOfInterest(read_area(job.aoi, info.grid), info.grid, network.patch, shape)
    return Scene(info, reader, native, layout, _strips(reader, info), area)


def _strips(reader: RasterReader, info: RasterInfo) -> StripPlan:
    block = info.block
    if reader.resampled:
        block = (16, reader.width)  # blocks of the file do not fall on this grid; GDAL's cache keeps those in use
    return StripPlan(reader.height, reader.width, block[0], block[1], reader.count * reader.dtype.itemsize)
