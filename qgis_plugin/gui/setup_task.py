"""The set-up of the engine in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from qgis.core import QgsApplication, QgsTask

from ..engine.install import SetUpError, set_up
from ..engine.pythons import Python
from ..engine.record import Record
from ..engine.steps import Source
from ..translate import tr

_WAIT_MS = 12_000

#: Tasks that go on: QGIS keeps a bare pointer to them.
_running: set[SetUpTask] = set()


class _Heard:
    """What the set-up says, for the window's thread to look at; knows the part of a feedback that it needs."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self.step = ""
        self.lines: deque[str] = deque()
        self.isCanceled = cancelled  # QGIS's name
        self.pushConsoleInfo = self.lines.append
        self.pushInfo = self.lines.append
        self.pushWarning = self.lines.append

    def pushCommandInfo(self, command: str) -> None:  # noqa: N802 - QGIS's name
        """Keep a command."""
        self.lines.append(f"$ {command}")

    def setProgressText(self, text: str) -> None:  # noqa: N802 - QGIS's name
        """Keep what is going on."""
        self.step = text

    def setProgress(self, percent: float) -> None:  # noqa: N802 - QGIS's name
        """Parts of a step say nothing of the whole."""


class SetUpTask(QgsTask):
    """One set-up; ``ended(task)`` hears in the main thread that it is over: ``record``, ``error`` or cancelled."""

    def __init__(self, python: Python, source: Source, ended: Callable[[SetUpTask], None]) -> None:
        super().__init__(tr("Set up the engine of wsss-geo"), QgsTask.Flag.CanCancel)
        self._python, self._source = python, source
        self._ended: Callable[[SetUpTask], None] | None = ended
        self.heard = _Heard(self.isCanceled)
        self.record: Record | None = None
        self.error: SetUpError | None = None

    def start(self) -> None:
        """Begin."""
        _running.add(self)
        QgsApplication.taskManager().addTask(self)

    def abandon(self) -> None:
        """End it, tell nobody, and return when it is over."""
        self._ended = None
        self.cancel()
        if self in _running:
            self.waitForFinished(_WAIT_MS)

    def run(self) -> bool:
        """Work, in a thread of its own."""
        try:
            self.record = set_up(self._python, self._source, self.heard)
        except SetUpError as error:
            self.error = error
        return self.record is not None

    def finished(self, ok: bool) -> None:
        """Tell of the end, in the main thread."""
        _running.discard(self)
        if self._ended is not None:
            self._ended(self)
