"""The rasters that a prediction writes, side by side: mask, confidence, activation maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from affine import Affine

from wsss_geo.classes import ClassScheme
from wsss_geo.inference.finished import BandArrays
from wsss_geo.raster.cog import RasterWriter, mask_writer, score_writer
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import GeoGrid
from wsss_geo.streaming.layout import Band
from wsss_geo.streaming.scene import Scene


@dataclass(frozen=True)
class Products:
    """The open writers; None for what was not asked for."""

    mask: RasterWriter
    confidence: RasterWriter | None
    cam: RasterWriter | None

    def write(self, band: Band, arrays: BandArrays) -> None:
        """Write the next band to all of them."""
        rows = band.last - band.first
        self.mask.write(Window(band.first, 0, rows, arrays.mask.shape[1]), arrays.mask)
        if self.confidence is not None and arrays.confidence is not None:
            self.confidence.write(Window(band.first, 0, rows, arrays.mask.shape[1]), arrays.confidence)
        if self.cam is not None and arrays.cam is not None and len(arrays.cam):
            tokens, width = arrays.cam.shape[:2]
            self.cam.write(Window(band.owned_from, 0, tokens, width), arrays.cam.transpose(2, 0, 1))


@contextmanager
def open_products(
    scene: Scene,
    classes: ClassScheme,
    maps: Sequence[str],
    tags: dict[str, str],
    mask: Path,
    confidence: Path | None,
    cam: Path | None,
) -> Iterator[Products]:
    """Open the writers; on leaving well the files appear, otherwise nothing stays.

    ``classes`` are those of the mask, ``maps`` name the activation maps.
    """
    grid = scene.info.grid
    with ExitStack() as stack:
        yield Products(
            stack.enter_context(mask_writer(mask, grid, classes, tags)),
            stack.enter_context(score_writer(confidence, grid, ["confidence"], nodata=0, tags=tags))
            if confidence
            else None,
            stack.enter_context(score_writer(cam, token_grid(scene), maps, tags=tags)) if cam else None,
        )


def token_grid(scene: Scene) -> GeoGrid:
    """Return the grid whose pixels are the tokens; the last ones may reach beyond the raster."""
    axes, model = scene.layout, scene.reader.grid
    transform = model.transform * Affine.scale(axes.patch)
    return GeoGrid(axes.rows.tokens, axes.cols.tokens, transform, model.crs)
