"""Stands in for QGIS's Python modules with Qt 6: its Qt is the real one, of its own classes just enough."""
