"""Tracing: rasters of class ids, or activation maps, become polygons."""
