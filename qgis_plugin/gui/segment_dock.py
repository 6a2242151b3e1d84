"""The dock Segment Layer: a run, or a preview of what the map shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.PyQt.QtWidgets import QPushButton

from ..algorithms.segment import ALGORITHM
from ..translate import tr
from .results import load_results
from .run_dock import RunDock, Words
from .segment_form import SegmentForm


class SegmentDock(RunDock):
    """``open_dialog(parameters)`` opens the algorithm's own dialog with all its options."""

    form: SegmentForm

    def __init__(self, iface: Any, open_dialog: Callable[[dict[str, Any]], None]) -> None:
        words = Words("segment", tr("Segment Layer"), tr("Segment"), tr("Segment the extent and write the results"))
        super().__init__(iface, ALGORITHM, words, SegmentForm(iface.mapCanvas()), open_dialog)
        self._preview = False
        self.preview_button.clicked.connect(lambda: self.begin(self.form.preview_parameters, preview=True))

    def make_buttons(self) -> list[QPushButton]:
        """Make the button of the preview."""
        self.preview_button = self.button("preview", tr("Preview"), tr("Segment what the map shows"))
        return [self.preview_button]

    def begin(self, parameters: Callable[[], dict[str, Any]], preview: bool = False) -> bool:
        """Run the whole or the preview and return True, or say why not."""
        started = super().begin(parameters)
        if started:
            self._preview = preview
        return started

    def load(self, results: dict[str, Any]) -> list[str]:
        """Add the layers; a preview is one layer, which takes the place of the one before."""
        if self._preview:
            self.results.setTitle(tr("Preview"))
            self.status.setText(tr("Previewed what the map showed."))
        return load_results(self.raster.id, self.raster.name, results, self._preview)
