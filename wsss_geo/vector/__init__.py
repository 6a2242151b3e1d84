"""Polygons from masks: edge-matched coverages, their files and their styles."""

from __future__ import annotations

from wsss_geo.vector.coverage import Outlining, polygonize, polygonize_bands, polygonize_stream
from wsss_geo.vector.files import SUFFIXES, check_polygon_suffix, write_polygons

__all__ = [
    "SUFFIXES",
    "Outlining",
    "check_polygon_suffix",
    "polygonize",
    "polygonize_bands",
    "polygonize_stream",
    "write_polygons",
]
