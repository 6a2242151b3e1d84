"""A choice of layers that is as wide as its form."""

from __future__ import annotations

from qgis.gui import QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import QSizePolicy


def layer_box() -> QgsMapLayerComboBox:
    """Return a box of layers that takes the width there is and asks for little."""
    box = QgsMapLayerComboBox()
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setMinimumContentsLength(12)
    box.setSizeAdjustPolicy(QgsMapLayerComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
