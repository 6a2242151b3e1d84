"""Tile sets: tiles, their tags, and how training sees them."""
