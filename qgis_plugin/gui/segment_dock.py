"""The dock Segment Layer: preview, run, threshold, areas."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from qgis.core import Qgis, QgsProject
from qgis.gui import QgsDockWidget
from qgis.PyQt.QtCore import Qt, QTimer, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from ..algorithms.segment import ALGORITHM
from ..confident import set_threshold
from ..report import area_table
from ..translate import tr
from .algorithm_run import AlgorithmRun, RefusedError
from .fitting import scrolling
from .results import load_results
from .segment_form import FormError, SegmentForm

_TICK_MS = 200
_REDRAW_MS = 40


class SegmentDock(QgsDockWidget):
    """One run at a time; ``open_dialog(parameters)`` opens the algorithm's own dialog with all its options."""

    def __init__(self, iface: Any, open_dialog: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(tr("Segment Layer"), iface.mainWindow())
        self.setObjectName("wsss_geo_segment_dock")
        self._iface = iface
        self.run: AlgorithmRun | None = None
        self.layers: list[str] = []
        self._preview = False
        self._raster = ("", "", False)
        self._report = ""
        self.form = SegmentForm(iface.mapCanvas())
        self.preview_button = self._button("preview", tr("Preview"), tr("Segment what the map shows"))
        self.run_button = self._button("run", tr("Segment"), tr("Segment the extent and write the results"))
        self.cancel_button = self._button("cancel", tr("Cancel"), "")
        self.more_button = self._button("more", tr("All Options…"), tr("Open the dialog of the algorithm"))
        self.progress = QProgressBar()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("wsss_geo_threshold")
        self.slider.setRange(0, 100)
        self._share = QLabel(tr("{} %").format(0))
        self.areas = QLabel()
        self.report_button = self._button("report", tr("Open Report"), tr("Areas as a page to keep"))
        self._results = QGroupBox(tr("Result"))
        self._lay_out()
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._show_progress)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._set_threshold)
        self.preview_button.clicked.connect(lambda: self.start(preview=True))
        self.run_button.clicked.connect(lambda: self.start(preview=False))
        self.cancel_button.clicked.connect(self.cancel)
        self.more_button.clicked.connect(lambda: open_dialog(self.form.dialog_parameters()))
        self.report_button.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(self._report)))
        self.slider.valueChanged.connect(self._on_slider)
        project = QgsProject.instance()
        project.cleared.connect(self.forget)
        project.layersRemoved.connect(self._on_layers_removed)
        self._show_state()

    def start(self, preview: bool) -> None:
        """Run the preview or the whole, or say why not."""
        if self.run is not None:
            return
        try:
            layer = self.form.layer()
            parameters = self.form.preview_parameters() if preview else self.form.parameters()
            self._preview, self._raster = preview, (layer.id(), layer.name(), layer.crs().isValid())
            self.run = AlgorithmRun(ALGORITHM, parameters, self._on_ended)
        except (FormError, RefusedError) as error:
            self._say(str(error), Qgis.MessageLevel.Warning)
            return
        self.status.setText(tr("Starting the engine"))
        self.progress.setRange(0, 0)
        self._tick.start()
        self._show_state()

    def cancel(self) -> None:
        """Ask the run to end."""
        if self.run is not None:
            self.run.cancel()
            self.status.setText(tr("Cancelling"))

    def forget(self) -> None:
        """End the run without a word and forget the results: the project they belong to is closed."""
        self._abandon(wait=False)
        self._show_state()

    def stop(self) -> None:
        """Let go of everything, before the dock is deleted."""
        project = QgsProject.instance()
        project.cleared.disconnect(self.forget)
        project.layersRemoved.disconnect(self._on_layers_removed)
        self._redraw.stop()
        self._abandon(wait=True)

    # -- within -------------------------------------------------------------------------------------------------

    def _on_ended(self, results: dict[str, Any] | None) -> None:
        run, self.run = self.run, None
        self._tick.stop()
        if run is None:
            return
        if results is None:
            sentence = tr("Cancelled.") if run.cancelled else run.feedback.error or tr("The engine gave no result.")
            self.status.setText(sentence)
            if not run.cancelled:
                self._say(sentence, Qgis.MessageLevel.Critical, run.feedback.textLog())
        else:
            self._load(results)
        self._show_state()

    def _abandon(self, wait: bool) -> None:
        run, self.run = self.run, None
        self._tick.stop()
        self.layers = []
        if run is not None:
            run.abandon(wait)
            self.status.setText(tr("Cancelled, because the project was closed."))

    def _load(self, results: dict[str, Any]) -> None:
        raster, name, metric = self._raster
        self.layers = load_results(raster, name, results, self._preview)
        areas = {c: float(v) for c, v in json.loads(results["AREAS"]).items()}
        whole = sum(areas.values())
        shares = {c: v / whole for c, v in areas.items()} if whole else {}
        table = area_table(areas, shares, metric)  # a label knows no style sheet
        self.areas.setText(table.replace("<table>", '<table cellpadding="3">').replace('class="n"', 'align="right"'))
        self._report = str(results.get("REPORT") or "")
        self._results.setTitle(tr("Preview") if self._preview else tr("Result"))
        self.status.setText(tr("Previewed what the map showed.") if self._preview else tr("Done."))
        self._set_threshold()

    def _on_slider(self, value: int) -> None:
        self._share.setText(tr("{} %").format(value))
        self._redraw.start()

    def _set_threshold(self) -> None:
        for layer in filter(None, map(QgsProject.instance().mapLayer, self.layers)):
            set_threshold(layer, self.slider.value() / 100)

    def _on_layers_removed(self, layers: list[str]) -> None:
        self.layers = [x for x in self.layers if x not in layers]
        self._show_state()

    def _show_progress(self) -> None:
        if self.run is None:
            return
        feedback = self.run.feedback
        if feedback.progress() > 0:
            self.progress.setRange(0, 100)
            self.progress.setValue(int(feedback.progress()))
        if feedback.text and not self.run.cancelled:
            self.status.setText(feedback.text)

    def _show_state(self) -> None:
        running = self.run is not None
        for widget in (self.form, self.preview_button, self.run_button):
            widget.setEnabled(not running)
        for widget in (self.cancel_button, self.progress):
            widget.setVisible(running)
        self._results.setVisible(bool(self.layers) and not running)
        self.report_button.setEnabled(bool(self._report))

    def _say(self, sentence: str, level: Any, more: str = "") -> None:
        bar = self._iface.messageBar()
        if more:
            bar.pushMessage(tr("Segment Layer"), sentence, more, level)
        else:
            bar.pushMessage(tr("Segment Layer"), sentence, level)

    def _button(self, name: str, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(f"wsss_geo_segment_{name}")
        button.setToolTip(tip)
        return button

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        buttons.addWidget(self.preview_button, 0, 0)
        buttons.addWidget(self.run_button, 0, 1)
        buttons.addWidget(self.more_button, 1, 0)
        buttons.addWidget(self.cancel_button, 1, 1)
        threshold = QHBoxLayout()
        threshold.addWidget(QLabel(tr("Confidence at least")))
        threshold.addWidget(self.slider, 1)
        threshold.addWidget(self._share)
        inner = QVBoxLayout(self._results)
        inner.addLayout(threshold)
        inner.addWidget(self.areas)
        inner.addWidget(self.report_button)
        page = QWidget()
        whole = QVBoxLayout(page)
        whole.addWidget(self.form)
        whole.addLayout(buttons)
        for widget in (self.progress, self.status, self._results):
            whole.addWidget(widget)
        whole.addStretch(1)
        self.setWidget(scrolling(page))
