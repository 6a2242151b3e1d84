"""Scenes of a raster and their tags: the grid, the tags with their undo, the layer that keeps them."""
