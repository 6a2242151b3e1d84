"""What the docks that run an algorithm share: run, progress, cancel, result, threshold, areas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

from ..algorithms.base import cannot_write
from ..confident import set_threshold
from ..report import area_table
from ..translate import tr
from .algorithm_run import AlgorithmRun, RefusedError, command_for
from .fitting import scrolling
from .run_form import FormError, RunForm

_TICK_MS = 200
_REDRAW_MS = 40


@dataclass(frozen=True)
class Raster:
    """The layer that a run works on, which may be gone when it ends; ``metric``: it has a CRS."""

    id: str
    name: str
    metric: bool


@dataclass(frozen=True)
class Words:
    """What a dock calls itself: ``name`` in object names, the rest for the user."""

    name: str
    title: str
    run: str
    run_tip: str


class RunDock(QgsDockWidget):
    """One run at a time; ``open_dialog(parameters)`` opens the algorithm's own dialog with all its options.

    Subclasses load the results. ``layers`` are the ids of those shown.
    """

    def __init__(
        self,
        iface: Any,
        algorithm: str,
        words: Words,
        form: RunForm,
        open_dialog: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__(words.title, iface.mainWindow())
        self._words = words
        self.setObjectName(f"wsss_geo_{words.name}_dock")
        self._iface, self._algorithm, self.form = iface, algorithm, form
        self.run: AlgorithmRun | None = None
        self.layers: list[str] = []
        self.raster = Raster("", "", False)
        self._report = ""
        self._more_buttons = self.make_buttons()
        self.run_button = self.button("run", words.run, words.run_tip)
        self.cancel_button = self.button("cancel", tr("Cancel"), "")
        self.more_button = self.button("more", tr("All Options…"), tr("Open the dialog of the algorithm"))
        self.copy_button = self.button(
            "copy", tr("Copy as Command"), tr("Copy what is set up as a “wsss-geo” command for a terminal")
        )
        self.progress = QProgressBar()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName(f"wsss_geo_{words.name}_threshold")
        self.slider.setRange(0, 100)
        self._share = QLabel(tr("{} %").format(0))
        self.areas = QLabel()
        self.report_button = self.button("report", tr("Open Report"), tr("Areas as a page to keep"))
        self.results = QGroupBox(tr("Result"))
        self._lay_out()
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._show_progress)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._set_threshold)
        self.run_button.clicked.connect(lambda: self.begin(self.form.parameters))
        self.cancel_button.clicked.connect(self.cancel)
        self.more_button.clicked.connect(lambda: open_dialog(self.form.dialog_parameters()))
        self.copy_button.clicked.connect(self.copy_command)
        self.report_button.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(self._report)))
        self.slider.valueChanged.connect(self._on_slider)
        project = QgsProject.instance()
        project.cleared.connect(self.forget)
        project.layersRemoved.connect(self._on_layers_removed)
        self._show_state()

    # -- what subclasses say ------------------------------------------------------------------------------------

    def make_buttons(self) -> list[QPushButton]:
        """Make the buttons that stand before the one which runs."""
        return []

    def load(self, results: dict[str, Any]) -> list[str]:
        """Add what a run wrote to the project; return the ids of the layers. Raises OSError."""
        raise NotImplementedError

    def shares(self, results: Mapping[str, Any], areas: Mapping[str, float]) -> dict[str, float]:
        """Return the share of each class in what was seen."""
        whole = sum(areas.values())
        return {c: v / whole for c, v in areas.items()} if whole else {}

    # -- actions ------------------------------------------------------------------------------------------------

    def begin(self, parameters: Callable[[], dict[str, Any]]) -> bool:
        """Run with these parameters and return True, or say why not."""
        if self.run is not None:
            return False
        try:
            layer = self.form.layer()
            self.run = AlgorithmRun(self._algorithm, parameters(), self._on_ended)
        except (FormError, RefusedError) as error:
            self.say(str(error), Qgis.MessageLevel.Warning)
            return False
        self.raster = Raster(layer.id(), layer.name(), layer.crs().isValid())
        self.status.setText(tr("Starting the engine"))
        self.progress.setRange(0, 0)
        self._tick.start()
        self._show_state()
        return True

    def cancel(self) -> None:
        """Ask the run to end."""
        if self.run is not None:
            self.run.cancel()
            self.status.setText(tr("Cancelling"))

    def copy_command(self) -> None:
        """Copy what a run would do as a command, or say what is missing."""
        try:
            said = command_for(self._algorithm, self.form.parameters()).copy()
        except (FormError, RefusedError) as error:
            self.say(str(error), Qgis.MessageLevel.Warning)
            return
        self.say(said, Qgis.MessageLevel.Success)

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

    def say(self, sentence: str, level: Any, more: str = "") -> None:
        """Say something in QGIS's message bar; ``more`` opens by a click."""
        bar = self._iface.messageBar()
        if more:
            bar.pushMessage(self._words.title, sentence, more, level)
        else:
            bar.pushMessage(self._words.title, sentence, level)

    def button(self, name: str, text: str, tip: str) -> QPushButton:
        """Return a button that tests and screen readers find by its name."""
        button = QPushButton(text)
        button.setObjectName(f"wsss_geo_{self._words.name}_{name}")
        button.setToolTip(tip)
        return button

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
                self.say(sentence, Qgis.MessageLevel.Critical, run.feedback.textLog())
        else:
            self._show_results(results)
        self._show_state()

    def _show_results(self, results: dict[str, Any]) -> None:
        self.status.setText(tr("Done."))
        self.results.setTitle(tr("Result"))
        try:
            self.layers = self.load(results)
        except OSError as error:
            self.layers = []
            self.status.setText(cannot_write(error))
            self.say(cannot_write(error), Qgis.MessageLevel.Critical)
        areas = {c: float(v) for c, v in json.loads(results["AREAS"]).items()}
        table = area_table(areas, self.shares(results, areas), self.raster.metric)  # a label knows no style sheet
        self.areas.setText(table.replace("<table>", '<table cellpadding="3">').replace('class="n"', 'align="right"'))
        self._report = str(results.get("REPORT") or "")
        self._set_threshold()

    def _abandon(self, wait: bool) -> None:
        run, self.run = self.run, None
        self._tick.stop()
        self.layers = []
        if run is not None:
            run.abandon(wait)
            self.status.setText(tr("Cancelled, because the project was closed."))

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
        for widget in (self.form, *self._more_buttons, self.run_button, self.copy_button):
            widget.setEnabled(not running)
        for widget in (self.cancel_button, self.progress):
            widget.setVisible(running)
        self.results.setVisible(bool(self.layers) and not running)
        self.report_button.setEnabled(bool(self._report))

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        first = [*self._more_buttons, self.run_button]
        for at, button in enumerate(first):
            buttons.addWidget(button, 0, at, 1, 2 // len(first))
        buttons.addWidget(self.more_button, 1, 0)
        buttons.addWidget(self.copy_button, 1, 1)
        running = QHBoxLayout()
        running.addWidget(self.progress, 1)
        running.addWidget(self.cancel_button)
        threshold = QHBoxLayout()
        threshold.addWidget(QLabel(tr("Confidence at least")))
        threshold.addWidget(self.slider, 1)
        threshold.addWidget(self._share)
        inner = QVBoxLayout(self.results)
        inner.addLayout(threshold)
        inner.addWidget(self.areas)
        inner.addWidget(self.report_button)
        page = QWidget()
        whole = QVBoxLayout(page)
        whole.addWidget(self.form)
        whole.addLayout(buttons)
        whole.addLayout(running)
        whole.addWidget(self.status)
        whole.addWidget(self.results)
        whole.addStretch(1)
        self.setWidget(scrolling(page))
