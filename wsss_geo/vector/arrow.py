"""Polygons as a stream of Arrow batches, and GeoParquet files made of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow
import pyarrow.parquet
import shapely

_FIELDS = (
    ("class_id", pyarrow.int32()), ("class", pyarrow.string()), ("area_m2", pyarrow.float64()),
    ("conf", pyarrow.float64()), ("source", pyarrow.string()), ("model", pyarrow.string()),
)  # fmt: skip

#: The columns of `wsss_geo.vector.polygonize`; a text that no polygon has is still a text.
SCHEMA = pyarrow.schema(
    [
        *(pyarrow.field(name, kind) for name, kind in _FIELDS),
        pyarrow.field("geometry", pyarrow.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}),
    ]
)

#: GDAL groups of rows as other programs read them well.
_ROW_GROUP = 65_536


class Batches:
    """The frames of a stream, one after the other, as Arrow batches for whoever reads them through C.

    What making a frame raises, also KeyboardInterrupt, would come out of there as another error; ``failing`` turns it
    back.
    """

    def __init__(self, frames: Iterator[geopandas.GeoDataFrame]) -> None:
        self._frames = frames
        self._error: BaseException | None = None

    def reader(self) -> Any:
        """Return the stream as a RecordBatchReader."""
        return pyarrow.RecordBatchReader.from_batches(SCHEMA, self._batches())

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Raise what the frames raised in place of what came of it."""
        try:
            yield
        except BaseException:
            if self._error is not None:
                raise self._error from None
            raise
        if self._error is not None:
            raise self._error

    def _batches(self) -> Iterator[Any]:
        try:
            for frame in self._frames:
                yield from as_table(frame).to_batches()
        except GeneratorExit:
            raise
        except BaseException as error:
            self._error = error
            raise


def as_table(frame: geopandas.GeoDataFrame) -> Any:
    """Return a frame as an Arrow table of ``SCHEMA``; a confidence that is not known is null."""
    columns = [pyarrow.array(frame[name].to_numpy(), type=kind, from_pandas=True) for name, kind in _FIELDS]
    shapes = pyarrow.array(shapely.to_wkb(frame.geometry.values, include_srid=False), type=pyarrow.binary())
    return pyarrow.Table.from_arrays([*columns, shapes], schema=SCHEMA)


def write_geoparquet(frames: Iterator[geopandas.GeoDataFrame], path: Path) -> None:
    """Write GeoParquet 1.1 in row groups, frame by frame."""
    crs, kinds, boxes = None, set(), []
    plain = pyarrow.schema([field.remove_metadata() for field in SCHEMA])
    with pyarrow.parquet.ParquetWriter(path, plain, compression="zstd") as writer:
        for frame in frames:
            crs = frame.crs
            if not len(frame):
                continue
            kinds |= set(frame.geom_type.unique())
            boxes.append(frame.total_bounds)
            writer.write_table(as_table(frame).cast(plain), row_group_size=_ROW_GROUP)
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(kinds),
            "crs": None if crs is None else crs.to_json_dict(),
        }
        if boxes:
            lows, highs = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
            column["bbox"] = [float(v) for v in (*lows, *highs)]
        about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        writer.add_key_value_metadata({"geo": json.dumps(about)})
