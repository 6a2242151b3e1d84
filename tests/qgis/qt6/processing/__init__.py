"""Stands in for the Processing plugin."""
