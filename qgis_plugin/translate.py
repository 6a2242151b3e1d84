"""The user's language."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication


def tr(text: str) -> str:
    """Return ``text`` in the user's language."""
    return QCoreApplication.translate("wsss_geo", text)
