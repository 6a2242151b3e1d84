"""The engine: the separate Python with torch and rasterio that does the work."""
