"""The classes as buttons: key, colour, name, and how many scenes have them."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QIcon, QPixmap
from qgis.PyQt.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from ...wsss_geo.classes import ClassScheme
from ..scenes.tags import Tags, TagStore
from ..translate import number, tr

#: Classes that have a key, 1 to 9.
KEYS = 9


class ClassRows(QWidget):
    """One checkable button a class; ``toggled(position)`` tells which was pressed."""

    toggled = pyqtSignal(int)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        self._rows: list[tuple[str, QPushButton, QLabel]] = []

    def set_classes(self, classes: ClassScheme | None) -> None:
        """Show the classes that are tags."""
        for _, button, count in self._rows:
            button.deleteLater()
            count.deleteLater()
        self._rows = []
        for position, name in enumerate(classes.taggable if classes else ()):
            color = classes.by_name(name).color  # type: ignore[union-attr]
            button = QPushButton(swatch(color), f"{position + 1}   {name}" if position < KEYS else f"     {name}")
            button.setCheckable(True)
            button.setObjectName(f"wsss_geo_class_{position}")
            # Chosen: a frame in the colour of the class, readable on light and dark themes alike.
            button.setStyleSheet(
                "QPushButton{text-align:left;padding:4px 8px}"
                f"QPushButton:checked{{font-weight:bold;border:2px solid {color};border-radius:4px}}"
            )
            button.setToolTip(tr("Key {}").format(position + 1) if position < KEYS else "")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, at=position: self.toggled.emit(at))
            count = QLabel("0")
            count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            count.setMinimumWidth(40)
            self._grid.addWidget(button, position, 0)
            self._grid.addWidget(count, position, 1)
            self._rows.append((name, button, count))

    def show_tags(self, tags: Tags, store: TagStore) -> None:
        """Show which classes the current scene has, and how many scenes have each."""
        for name, button, count in self._rows:
            button.setChecked(name in (tags or ()))
            count.setText(number(store.count(name), ","))


def swatch(color: str) -> QIcon:
    """Return a square of a colour."""
    picture = QPixmap(16, 16)
    picture.fill(QColor(color))
    return QIcon(picture)
