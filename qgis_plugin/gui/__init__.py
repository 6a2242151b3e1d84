"""Docks and what they show on the map."""
