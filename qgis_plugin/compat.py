"""What differs between Qt 5 and Qt 6 and between QGIS 3.22 and later ones."""

from __future__ import annotations

from typing import Any

try:
    from qgis.PyQt.QtGui import QAction, QShortcut  # Qt 6
except ImportError:
    from qgis.PyQt.QtWidgets import QAction, QShortcut

__all__ = ["QAction", "QShortcut", "group_layer", "is_well"]


def group_layer(details: Any, name: str) -> None:
    """Put the layer that ``details`` describes into the group ``name``; QGIS before 3.32 keeps it at the root."""
    if hasattr(details, "groupName"):
        details.groupName = name


def is_well(result: Any) -> bool:
    """Whether a writer's result says that nothing failed; with Qt 6 an enum is no number any more."""
    return int(getattr(result, "value", result)) == 0
