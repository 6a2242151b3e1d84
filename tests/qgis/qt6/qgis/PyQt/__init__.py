"""Qt 6 as PyQt6 has it, without what QGIS adds for old plugins."""

from PyQt6 import sip

__all__ = ["sip"]
