"""Tagging: the current scene's classes, by keys and buttons, and the way through the scenes."""

from __future__ import annotations

import html
from typing import Any

from qgis.core import QgsMapLayerProxyModel
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QKeySequence
from qgis.PyQt.QtWidgets import QFormLayout, QGridLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ..compat import QShortcut
from ..scenes.session import TagSession
from ..translate import fill, mark, tr
from .class_rows import KEYS, ClassRows
from .fitting import layer_box

#: Action, its keys, its button's text (none: keys alone). Keys work in the dock and on the map.
_ACTIONS = (
    ("next_untagged", ("Return", "Enter"), mark("Next Untagged")),
    ("least_certain", ("L",), mark("Least Certain")),
    ("previous", ("Left",), mark("Previous")),
    ("next", ("Right",), mark("Next")),
    ("above", ("Up",), ""),
    ("below", ("Down",), ""),
    ("none", ("0",), mark("None of These")),
    ("clear", ("Delete", "Backspace"), mark("Untag")),
    ("undo", ("Ctrl+Z",), mark("Undo")),
    ("redo", ("Ctrl+Y", "Ctrl+Shift+Z"), mark("Redo")),
)


class TagPage(QWidget):
    """Shows a session. ``acted(name)`` asks for an action, ``class:3`` toggles the class with position 3."""

    acted = pyqtSignal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setFormat(tr("%v of %m tagged"))
        self.rows = ClassRows()
        self.rows.toggled.connect(lambda at: self.acted.emit(f"class:{at}"))
        self.confidence = layer_box()
        self.confidence.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.confidence.setAllowEmptyLayer(True)
        self.confidence.setLayer(None)
        self.confidence.setToolTip(tr("Confidence raster of a segmentation; tells which scenes to tag next"))
        self.certainty = QLabel()
        self.certainty.setWordWrap(True)
        self.buttons = {name: self._button(name, keys, text) for name, keys, text in _ACTIONS if text}
        self.buttons["next_untagged"].setDefault(True)
        self._add = self._button("add_class", (), mark("Add Class…"))
        self.save = self._button("save", (), mark("Save As…"))
        self.tile = self._button("tile", (), mark("Make Tile Set…"))
        self.pick = self._button("pick", (), mark("Pick on Map"))
        self.pick.setToolTip(tr("Choose a scene by a click on the map"))
        self._leave = self._button("leave", (), mark("Other Scenes…"))
        self._shortcuts: list[Any] = []
        self._on_map: list[Any] = []
        self._lay_out()

    def show_session(self, session: TagSession) -> None:
        """Show the current scene."""
        tags, total = session.tags, len(session.scenes)
        words = tr("untagged") if tags is None else ", ".join(tags) or tr("none of the classes")
        words = html.escape(words, quote=False)
        self.where.setText(fill(tr("Scene <b>{:,}</b> of {:,}: {}"), session.current + 1, total, words))
        self.progress.setMaximum(total)
        self.progress.setValue(session.store.tagged)
        self.rows.show_tags(tags, session.store)
        self.buttons["undo"].setEnabled(session.store.can_undo)
        self.buttons["redo"].setEnabled(session.store.can_redo)
        self.buttons["least_certain"].setEnabled(bool(session.certainty))
        self.tile.setEnabled(bool(session.layer.path))

    def listen(self, canvas: Any) -> None:
        """Hear the keys in the dock and on the map."""
        self.deafen()
        keys = {key: name for name, keys, _ in _ACTIONS for key in keys}
        keys.update({str(at + 1): f"class:{at}" for at in range(KEYS)})
        for place in (self, canvas):
            for key, name in keys.items():
                shortcut = QShortcut(QKeySequence(key), place)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(lambda n=name: self.acted.emit(n))
                shortcut.activatedAmbiguously.connect(lambda n=name: self.acted.emit(n))
                self._shortcuts.append(shortcut)
                if place is canvas:
                    self._on_map.append(shortcut)

    def listen_on_map(self, listen: bool) -> None:
        """Hear the keys on the map or leave them to its tool."""
        for shortcut in self._on_map:
            shortcut.setEnabled(listen)

    def deafen(self) -> None:
        """Hear no keys."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts, self._on_map = [], []

    def _button(self, name: str, keys: tuple[str, ...], text: str) -> QPushButton:
        button = QPushButton(tr(text))
        button.setObjectName(f"wsss_geo_{name}")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        if keys:
            native = QKeySequence(keys[0]).toString(QKeySequence.SequenceFormat.NativeText)
            button.setToolTip(tr("Key {}").format(native))
        button.clicked.connect(lambda: self.acted.emit(name))
        return button

    def _lay_out(self) -> None:
        moves = QGridLayout()
        for place, name in enumerate(self.buttons):
            moves.addWidget(self.buttons[name], place // 2, place % 2)
        model = QFormLayout()
        model.addRow(tr("Confidence"), self.confidence)
        model.addRow(self.certainty)
        rest = QGridLayout()
        for place, button in enumerate((self._add, self.pick, self.save, self.tile, self._leave)):
            rest.addWidget(button, place // 2, place % 2)
        hint = QLabel(
            tr("<small>1-9 classes, 0 none of them, Enter next untagged, arrows move; here and on the map</small>")
        )
        hint.setWordWrap(True)
        whole = QVBoxLayout(self)
        for item in (self.where, self.progress, self.rows, hint):
            whole.addWidget(item)
        whole.addLayout(moves)
        whole.addLayout(model)
        whole.addLayout(rest)
        whole.addStretch(1)
