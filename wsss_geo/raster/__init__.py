"""Rasters: the pixel grid, reading windows of any raster, matching bands, writing cloud optimised GeoTIFFs."""
