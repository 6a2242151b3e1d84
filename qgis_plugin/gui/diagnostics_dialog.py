"""The dialog Diagnostics: a report to copy, and the engine's own test."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QVBoxLayout

from ..diagnose import diagnostics, without_home
from ..translate import tr
from .algorithm_run import AlgorithmRun, RefusedError


class DiagnosticsDialog(QDialog):
    """Shows the report; the test adds versions and devices, or why there are none."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setObjectName("wsss_geo_diagnostics")
        self.setWindowTitle(tr("Diagnostics of wsss-geo"))
        self.run: AlgorithmRun | None = None
        about = QLabel(tr("Send this text to whoever helps you. Your own folder is written as ~."))
        about.setWordWrap(True)
        self.text = QPlainTextEdit(diagnostics())
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        roles = QDialogButtonBox.ButtonRole
        self.copy_button = buttons.addButton(tr("Copy"), roles.ActionRole)
        self.test_button = buttons.addButton(tr("Test Engine"), roles.ActionRole)
        self.copy_button.clicked.connect(lambda: QgsApplication.clipboard().setText(self.text.toPlainText()))
        self.test_button.clicked.connect(self.test)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        for widget in (about, self.text, buttons):
            whole.addWidget(widget)
        self.resize(760, 520)

    def test(self) -> None:
        """Let the engine load its packages and do a small job; the outcome is added to the text."""
        if self.run is not None:
            return
        try:
            self.run = AlgorithmRun("wsss_geo:selftest", {}, self._on_ended)
        except RefusedError as error:
            self._add(str(error))
            return
        self.test_button.setEnabled(False)
        self.test_button.setText(tr("Testing"))

    def stop(self) -> None:
        """Leave nothing running, before the dialog is deleted."""
        run, self.run = self.run, None
        if run is not None:
            run.abandon(wait=True)

    def _on_ended(self, results: dict[str, Any] | None) -> None:
        run, self.run = self.run, None
        self.test_button.setEnabled(True)
        self.test_button.setText(tr("Test Engine"))
        if results is not None:
            versions = ", ".join(f"{name} {version}" for name, version in json.loads(results["VERSIONS"]).items())
            self._add(f"{versions}\n{tr('Devices')}: {', '.join(json.loads(results['DEVICES']))}")
        elif run is not None:
            self._add(run.feedback.error or tr("The test gave no result."))

    def _add(self, words: str) -> None:
        self.text.appendPlainText(f"== {tr('Test of the engine')}\n{without_home(words)}\n")
