"""The tile job: rasters and tags in, tile set out."""
