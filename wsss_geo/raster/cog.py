"""Writing rasters from top to bottom into cloud optimised GeoTIFFs (COG) that appear whole or not at all."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.windows
from affine import Affine
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.outputs import check_output, replacing
from wsss_geo.raster.files import GDAL_ERRORS, open_raster, writing
from wsss_geo.raster.grid import Window
from wsss_geo.raster.info import GeoGrid
from wsss_geo.record import versions

#: Side of the square blocks of the files written, in pixels.
BLOCK = 512

#: Name of the tag (see ``RasterWriter``) with the value of pixels of which the mask is not sure enough.
UNSURE = "unsure"

_CLASSES_TAG, _TAG = "WSSS_GEO_CLASSES", "WSSS_GEO_{}"


class RasterWriter:
    """Writes the raster ``path`` on ``grid``, one band for each of ``names``, in row bands from top to bottom.

    ``scale`` is stored as the factor from pixel to value; ``overviews`` is nearest, mode or average; ``tags`` become
    TIFF tags ``WSSS_GEO_<NAME>``; ``classes`` add a colour table, category names (in ``<path>.aux.xml``, where GDAL and
    QGIS look for them) and the scheme itself (see ``read_scheme``).

    A context manager: leaving it well builds the COG and renames it to ``path``; leaving it by an exception removes
    everything written. The same input gives the same bytes. Memory: one row of blocks, and GDAL's cache.

    Raises InputError when the folder cannot be written, EnvironmentFault when the disk is full or fails, UsageError
    when rows are missing or come out of order.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        grid: GeoGrid,
        names: Sequence[str],
        *,
        dtype: str = "uint8",
        nodata: float | None = None,
        scale: float | None = None,
        overviews: str = "nearest",
        classes: ClassScheme | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.path = check_output(Path(path))
        self.grid = grid
        self._names = tuple(names)
        self._overviews = overviews
        self._classes = classes
        self._rows = self.path.with_name(f"{self.path.stem}.rows.part.tif")
        self._buffer = np.empty((len(self._names), BLOCK, grid.width), dtype)
        self._next = 0
        profile: dict[str, Any] = {
            "driver": "GTiff", "height": grid.height, "width": grid.width, "count": len(self._names), "dtype": dtype,
            "nodata": nodata, "crs": grid.crs, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
            "compress": "deflate", "zlevel": 1, "interleave": "band", "bigtiff": "IF_SAFER",
        }  # fmt: skip
        if grid.transform != Affine.identity():  # as the input has none; written, QGIS would draw it mirrored
            profile["transform"] = grid.transform
        try:
            with writing(self.path):
                self._dataset = rasterio.open(self._rows, "w", **profile)
                self._describe(scale, tags or {})
        except BaseException:
            self._rows.unlink(missing_ok=True)
            raise

    def _describe(self, scale: float | None, tags: Mapping[str, str]) -> None:
        software = f"wsss-geo {versions().get('wsss-geo', '')}".rstrip()
        texts = {"TIFFTAG_SOFTWARE": software, **{_TAG.format(k.upper()): str(v) for k, v in tags.items()}}
        if self._classes is not None:
            texts[_CLASSES_TAG] = json.dumps(self._classes.to_json(), ensure_ascii=False)
            colors = {c.id: (*c.rgb, 255) for c in self._classes.classes}
            self._dataset.write_colormap(1, {**colors, IGNORE: (0, 0, 0, 0)})
        self._dataset.update_tags(**texts)
        self._dataset.descriptions = self._names
        if scale is not None:
            self._dataset.scales = (scale,) * len(self._names)

    def write(self, window: Window, array: NDArray[Any]) -> None:
        """Write ``array`` [h, w] or [bands, h, w] to ``window``: all columns, any height, next below the last one."""
        if (window.row_off, window.col_off, window.width) != (self._next, 0, self.grid.width) or (
            window.row_end > self.grid.height
        ):
            raise UsageError(f"{self.path}: {window} is not a band of whole rows from row {self._next} on")
        planes = array if array.ndim == 3 else array[None]
        if planes.shape != (len(self._names), window.height, window.width):
            raise UsageError(f"{self.path}: an array of {array.shape} does not fill {window}")
        done = 0
        while done < window.height:
            fill = self._next % BLOCK
            taken = min(BLOCK - fill, window.height - done)
            self._buffer[:, fill : fill + taken] = planes[:, done : done + taken]
            done, self._next = done + taken, self._next + taken
            if self._next % BLOCK == 0 or self._next == self.grid.height:
                self._flush(fill + taken)

    def _flush(self, height: int) -> None:
        place = rasterio.windows.Window(0, self._next - height, self.grid.width, height)
        with writing(self.path):
            self._dataset.write(self._buffer[:, :height], window=place)

    def __enter__(self) -> RasterWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                with contextlib.suppress(*GDAL_ERRORS):
                    self._dataset.close()
                return
            with writing(self.path):
                self._dataset.close()
            if self._next != self.grid.height:
                raise UsageError(f"{self.path}: only {self._next} of {self.grid.height} rows were written")
            self._finish()
        finally:
            self._rows.unlink(missing_ok=True)

    def _finish(self) -> None:
        sidecar = self.path.with_name(f"{self.path.name}.aux.xml")
        with writing(self.path), replacing(self.path) as part:
            try:
                _to_cog(self._rows, part, self._overviews)
            finally:
                for scratch in part.parent.glob(f"{part.name}.*tmp"):
                    scratch.unlink(missing_ok=True)
            sidecar.unlink(missing_ok=True)  # it may hold statistics and names of an older file
        if self._classes is not None:
            with writing(sidecar), replacing(sidecar) as part:
                part.write_text(_category_names(self._classes), encoding="utf-8")


def mask_writer(
    path: str | os.PathLike[str], grid: GeoGrid, classes: ClassScheme, tags: Mapping[str, str] | None = None
) -> RasterWriter:
    """Return a writer for a class mask: uint8 ids of ``classes``, nodata 255."""
    # overviews by nearest: the most frequent class looks a little better and doubles the time of the whole file
    return RasterWriter(path, grid, ["land cover"], nodata=IGNORE, overviews="nearest", classes=classes, tags=tags)


def score_writer(
    path: str | os.PathLike[str],
    grid: GeoGrid,
    names: Sequence[str],
    *,
    nodata: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> RasterWriter:
    """Return a writer for scores in 0..1 as uint8, value = pixel / 255, one band for each of ``names``."""
    return RasterWriter(path, grid, names, nodata=nodata, scale=1 / 255, overviews="average", tags=tags)


def read_scheme(path: str | os.PathLike[str]) -> ClassScheme | None:
    """Return the classes that ``mask_writer`` stored in the raster ``path``, None if it holds none.

    Raises InputError when it is no raster or what it holds is damaged.
    """
    with open_raster(os.fspath(path)) as dataset:
        text = dataset.tags().get(_CLASSES_TAG)
    if text is None:
        return None
    try:
        return ClassScheme.from_json(json.loads(text))
    except (ValueError, RecursionError) as error:  # UsageError is a ValueError
        raise InputError(path, f"its class names are damaged ({error})", "give a classes.json") from error


def read_unsure(path: str | os.PathLike[str]) -> int | None:
    """Return the value in the mask ``path`` that means "not sure enough", None if it has none.

    Raises InputError when it is no raster.
    """
    with open_raster(os.fspath(path)) as dataset:
        text = dataset.tags().get(_TAG.format(UNSURE.upper()), "")
    return int(text) if re.fullmatch("[0-9]{1,3}", text) and int(text) < IGNORE else None


def _to_cog(source: Path, target: Path, overviews: str) -> None:
    rasterio.shutil.copy(
        source, target, driver="COG", compress="DEFLATE", blocksize=BLOCK, bigtiff="IF_SAFER", num_threads="ALL_CPUS",
        overview_resampling=overviews.upper(), overviews="IGNORE_EXISTING",
    )  # fmt: skip
    with rasterio.open(target) as dataset:  # a last look: the end of the file must be there
        dataset.read(1, window=rasterio.windows.Window(dataset.width - 1, dataset.height - 1, 1, 1))


def _category_names(classes: ClassScheme) -> str:
    names = {c.id: c.name for c in classes.classes}
    texts = (html.escape(names.get(i, ""), quote=False) for i in range(max(names) + 1))
    listed = "".join(f"      <Category>{text}</Category>\n" for text in texts)
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{listed}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )
