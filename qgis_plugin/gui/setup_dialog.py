"""The dialog Set Up Engine: what will be installed, from where, where to; then progress; nothing without consent."""

from __future__ import annotations

import time
from typing import Any

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QRadioButton,
    QVBoxLayout,
)

from ..engine.install import SetUpError, build_folder, remove_environment
from ..engine.locate import own_environment
from ..engine.pythons import Python, PythonError, examine, find_python
from ..engine.record import read_record
from ..engine.steps import CPU, CUDA, INDEX, Source, bytes_needed, download_command, shown, steps
from ..options import PYTHON
from ..translate import fill, tr
from .setup_task import SetUpTask

_TICK_MS = 200
_MOST_LINES = 5000


class SetUpDialog(QDialog):
    """Asks, shows every command, and runs them once the user says so."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setObjectName("wsss_geo_set_up")
        self.setWindowTitle(tr("Set Up Engine"))
        self.task: SetUpTask | None = None
        self._python: Python | None = None
        self._started = 0.0
        self._about = QLabel()
        self._about.setWordWrap(True)
        self.python = QgsFileWidget()
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.network = QRadioButton(tr("Package index, by the network"))
        self.network.setChecked(True)
        self.build = QComboBox()
        for name, build in (
            (tr("Processor"), CPU),
            (tr("Nvidia graphics card"), CUDA),
            (tr("As the index has it"), INDEX),
        ):
            self.build.addItem(name, build)
        self.offline = QRadioButton(tr("Folder of wheels, without network"))
        self.wheels = QgsFileWidget()
        self.wheels.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(_MOST_LINES)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1)
        self.bar.setTextVisible(False)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self._lay_out()
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._show_progress)
        self.python.fileChanged.connect(self._judge)
        self.wheels.fileChanged.connect(self._show_plan)
        self.build.currentIndexChanged.connect(self._show_plan)
        self.network.toggled.connect(self._show_plan)
        found = find_python()
        self.python.setFilePath(found.path if found else "")
        if found is None:
            self._judge()

    def source(self) -> Source:
        """Return where the packages come from."""
        if self.offline.isChecked():
            return Source(self.wheels.filePath().strip())
        return Source(build=str(self.build.currentData() or ""))

    def start(self) -> None:
        """Begin the set-up."""
        if self.task is not None or self._python is None:
            return
        self.text.clear()
        self._started = time.monotonic()
        self.task = SetUpTask(self._python, self.source(), self._on_ended)
        self.task.start()
        self._tick.start()
        self.bar.setRange(0, 0)
        self._show_state()

    def cancel(self) -> None:
        """Ask the set-up to end."""
        if self.task is not None:
            self.status.setText(tr("Cancelling"))
            self.task.cancel()  # one that has not begun ends at once

    def remove(self) -> None:
        """Remove the environment that was set up before."""
        try:
            remove_environment()
            if QgsSettings().value(PYTHON) == str(own_environment()):
                QgsSettings().remove(PYTHON)
            self.status.setText(tr("The environment was removed."))
        except SetUpError as error:
            self.status.setText(str(error))
        self._show_state()

    def stop(self) -> None:
        """Leave nothing running, before the dialog is deleted."""
        self._tick.stop()
        task, self.task = self.task, None
        if task is not None:
            task.abandon()

    def reject(self) -> None:
        """Close; a set-up that runs must be cancelled first."""
        if self.task is None:
            super().reject()
        else:
            self.cancel()

    # -- within -------------------------------------------------------------------------------------------------

    def _on_ended(self, task: SetUpTask) -> None:
        self.task = None
        self._tick.stop()
        self._show_lines(task)
        self.bar.setRange(0, 1)
        self.bar.setValue(int(task.record is not None))
        if task.record is not None:
            QgsSettings().setValue(PYTHON, str(own_environment()))  # before any other that is named
            devices = ", ".join(task.record.devices)
            self.status.setText(tr("The engine is ready: Python {}, {}.").format(task.record.python, devices))
        elif task.error is not None:
            self.status.setText(str(task.error))
        else:
            self.status.setText(tr("Cancelled; nothing was left behind."))
        self._show_state()

    def _judge(self, *_: Any) -> None:
        self._python = None
        path = self.python.filePath().strip()
        if path:
            try:
                self._python = examine(path)
                sentence = tr("Python {}").format(self._python.version)
            except PythonError as error:
                sentence = str(error)
        else:
            sentence = tr(
                "No Python of version 3.11 or later was found; install one (python.org, conda) and choose it."
            )
        self.problem.setText(sentence)
        self._show_plan()

    def _show_plan(self, *_: Any) -> None:
        source = self.source()
        self.wheels.setEnabled(self.offline.isChecked())
        self.build.setEnabled(self.network.isChecked())
        lines = []
        if self._python is not None and (source.folder or self.network.isChecked()):
            lines = [shown(s.command) for s in steps(self._python.path, source, build_folder() / "env")]
        if lines and source.folder:
            lines += ["", tr("The folder is filled, where there is a network, by"), ""]
            lines += [download_command(self._python.path, source.folder)]  # type: ignore[union-attr]
        self.text.setPlainText("\n".join(lines))
        self.status.setText(fill(tr("Needs about {:.1f} GB."), bytes_needed(source) / 1e9) if lines else "")
        self._show_state()

    def _show_state(self) -> None:
        running = self.task is not None
        ready = self._python is not None and (self.network.isChecked() or bool(self.wheels.filePath().strip()))
        self.start_button.setEnabled(ready and not running)
        self.cancel_button.setEnabled(running)
        self.remove_button.setEnabled(own_environment().exists() and not running)
        self._close.setEnabled(not running)
        for widget in (self.python, self.network, self.offline):
            widget.setEnabled(not running)
        self.wheels.setEnabled(self.offline.isChecked() and not running)
        self.build.setEnabled(self.network.isChecked() and not running)
        record = read_record(own_environment())
        before = tr("It was set up on {} with Python {}; it is replaced once the new one is whole.")
        self._about.setText(
            tr(
                "The engine computes in a Python of its own; that of QGIS stays as it is. If you press Set Up, the "
                "commands below make an environment in<br><b>{}</b><br>with packages from the place you choose. "
                "Remove takes it away, as does deleting the folder."
            ).format(own_environment())
            + ("<br>" + before.format(record.made[:10], record.python) if record else "")
        )

    def _show_progress(self) -> None:
        if self.task is None:
            return
        self._show_lines(self.task)
        if not self.task.isCanceled():
            minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
            self.status.setText(f"{self.task.heard.step} ({minutes}:{seconds:02d})")

    def _show_lines(self, task: SetUpTask) -> None:
        while task.heard.lines:
            self.text.appendPlainText(task.heard.lines.popleft())

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(tr("Python"), self.python)
        form.addRow("", self.problem)
        form.addRow(self.network)
        form.addRow(tr("PyTorch for"), self.build)
        form.addRow(self.offline)
        form.addRow(tr("Folder"), self.wheels)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        roles = QDialogButtonBox.ButtonRole
        self.start_button = buttons.addButton(tr("Set Up"), roles.ActionRole)
        self.cancel_button = buttons.addButton(tr("Cancel Set-Up"), roles.ActionRole)
        self.remove_button = buttons.addButton(tr("Remove"), roles.ActionRole)
        self._close = buttons.button(QDialogButtonBox.StandardButton.Close)
        self.start_button.setObjectName("wsss_geo_set_up_start")
        self.start_button.clicked.connect(self.start)
        self.cancel_button.clicked.connect(self.cancel)
        self.remove_button.clicked.connect(self.remove)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addWidget(self._about)
        whole.addLayout(form)
        for widget in (self.text, self.bar, self.status, buttons):
            whole.addWidget(widget)
        self.resize(760, 560)
