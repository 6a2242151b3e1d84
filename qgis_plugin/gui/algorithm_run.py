"""One algorithm in the background, as the toolbox runs it, with its progress to be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
)

from ..command import Command, command_of
from ..translate import tr

_WAIT_MS = 8000

#: Runs that go on: the task has bare pointers to their context and feedback.
_running: set[AlgorithmRun] = set()


class RefusedError(Exception):
    """The algorithm does not start; the message is a sentence for the user."""


class Feedback(QgsProcessingFeedback):
    """Keeps the last words; the algorithm's thread writes them, the window's reads them."""

    def __init__(self) -> None:
        super().__init__(False)
        self.text = ""
        self.error = ""

    def setProgressText(self, text: str) -> None:  # noqa: N802 - QGIS's name
        """Keep what is going on."""
        self.text = text
        super().setProgressText(text)

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N802 - QGIS's name
        """Keep what went wrong."""
        self.error = error
        super().reportError(error, fatalError)


class AlgorithmRun:
    """Starts an algorithm; ``ended(results)`` hears its outputs in the main thread, None if it gave none.

    Raises RefusedError if the algorithm cannot run or refuses its parameters.
    """

    def __init__(
        self, algorithm: str, parameters: Mapping[str, Any], ended: Callable[[dict[str, Any] | None], None]
    ) -> None:
        made = _made(algorithm)
        self.feedback = Feedback()
        self._context = QgsProcessingContext()
        self._context.setProject(QgsProject.instance())
        self._context.setFeedback(self.feedback)
        for ok, reason in (made.canExecute(), made.checkParameterValues(dict(parameters), self._context)):
            if not ok:
                raise RefusedError(reason)
        self._ended: Callable[[dict[str, Any] | None], None] | None = ended
        self._task = QgsProcessingAlgRunnerTask(made, dict(parameters), self._context, self.feedback)
        self._task.executed.connect(self._on_executed)
        _running.add(self)
        QgsApplication.taskManager().addTask(self._task)

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to end."""
        return self.feedback.isCanceled()

    def cancel(self) -> None:
        """Ask it to end; ``ended`` hears None soon after."""
        self.feedback.cancel()

    def abandon(self, wait: bool) -> None:
        """Ask it to end and say nothing to anybody; ``wait`` until it has ended."""
        self._ended = None
        self.feedback.cancel()
        if wait and self in _running:
            self._task.waitForFinished(_WAIT_MS)

    def _on_executed(self, ok: bool, results: dict[str, Any]) -> None:
        _running.discard(self)
        if self._ended is not None:
            self._ended(dict(results) if ok and results and not self.cancelled else None)


def command_for(algorithm: str, parameters: Mapping[str, Any]) -> Command:
    """Return the command that does what a run with these parameters would do. Raises RefusedError."""
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    try:
        return command_of(_made(algorithm).job(dict(parameters), context))
    except QgsProcessingException as error:
        raise RefusedError(str(error)) from None


def _made(algorithm: str) -> Any:
    found = QgsApplication.processingRegistry().algorithmById(algorithm)
    if found is None:
        raise RefusedError(tr("{} is not among the Processing algorithms; load the plugin again.").format(algorithm))
    return found.create()
