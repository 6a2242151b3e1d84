"""What there is to trace: a raster of class ids that comes in bands of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wsss_geo.classes import ClassScheme
from wsss_geo.raster.info import GeoGrid
from wsss_geo.vector.coverage import Band


@dataclass(frozen=True)
class Labels:
    """A raster of class ids to trace: ``bands`` starts a pass over it and hears what the pass is called.

    ``source`` and ``model`` fill the columns of that name.
    """

    grid: GeoGrid
    classes: ClassScheme | None
    nodata: int
    bands: Callable[[str], Iterator[Band]]
    source: str
    model: str = ""
