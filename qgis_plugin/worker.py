"""The engine's process: start it, follow its messages, end it with all its children.

Messages are JSON objects behind a prefix, one a line, on the worker's standard output; whatever else it or a library
prints belongs to the log. Nothing here needs QGIS but the feedback object that is handed in.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess  # nosec B404 - the engine is another program by design
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from .translate import fill, mark, tr

PREFIX = "@wsss-geo "
MODULE = "wsss_geo.worker"

_POLL = 0.1
_GRACE = 5.0
_LINE = 1 << 24
_QUEUED = 1000
_TEXT_EVERY = 2.0
_KILLED = 9
_NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows alone

_running: set[_Process] = set()
_last_failure: WorkerError | None = None


class WorkerError(Exception):
    """The job did not succeed; the message is a sentence for the user, ``log`` the last lines of the worker."""

    def __init__(self, sentence: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.log = log


def run_worker(
    python: str, job: Mapping[str, Any], environment: Mapping[str, str], feedback: Any, tracebacks: bool = False
) -> dict[str, Any] | None:
    """Do ``job`` in a process of ``python`` and return its result; otherwise as ``run_command``.

    With ``tracebacks`` the log of an error tells where in the engine it arose.
    """
    with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder:
        job_file = Path(folder) / "job.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        more = ["--debug"] if tracebacks else []
        return run_command([python, "-u", "-m", MODULE, str(job_file), *more], folder, environment, feedback)


def run_command(
    command: list[str], folder: str, environment: Mapping[str, str], feedback: Any
) -> dict[str, Any] | None:
    """Run a program that speaks the worker's messages; return its result, or None if the user cancelled.

    It runs in ``folder``, which should be its own: a Python looks for modules there first. ``feedback`` is a
    QgsProcessingFeedback. However this returns, no process of the program is left. Raises WorkerError.
    """
    try:
        with _process(command, folder, environment) as process:
            return _follow(process, feedback)
    except OSError as error:
        reason = error.strerror or error
        raise WorkerError(tr("The engine's Python {} cannot be started ({}).").format(command[0], reason)) from None
    except WorkerError as error:
        global _last_failure
        _last_failure = error
        raise


def run_program(
    command: list[str],
    folder: str,
    environment: Mapping[str, str],
    hear: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> int | None:
    """Run any program in ``folder`` and return its exit code (negative: the signal that ended it), None if cancelled.

    ``hear`` gets every line that it prints. However this returns, no process of the program is left. Raises OSError.
    """
    with _process(command, folder, environment) as process:
        for line, _ in process.lines(cancelled):
            hear(line)
        return None if cancelled() else process.wait()


def last_failure() -> WorkerError | None:
    """Return what went wrong last since QGIS was started."""
    return _last_failure


@contextlib.contextmanager
def _process(command: list[str], folder: str, environment: Mapping[str, str]) -> Iterator[_Process]:
    process = _Process(command, folder, environment)
    _running.add(process)
    try:
        yield process
    finally:
        process.end()
        _running.discard(process)


def stop_all() -> None:
    """End every worker that still runs; for the moment in which the plugin is unloaded."""
    for process in list(_running):
        process.end()


def _follow(process: _Process, feedback: Any) -> dict[str, Any] | None:
    listener = _Listener(feedback)
    for line, may_be_message in process.lines(feedback.isCanceled):
        listener.hear(line, may_be_message)
    if feedback.isCanceled():
        return None
    code = process.wait()
    if code == 0 and listener.result is not None and listener.error is None:
        return listener.result
    raise WorkerError(listener.error or _verdict(code), tuple(listener.tail))


def _verdict(code: int) -> str:
    if code == 0:
        return tr("The engine ended without a result; see the log.")
    if code == 130:
        return tr("The engine was interrupted from outside; run again to continue.")
    if code < 0:
        if code == -_KILLED:
            return tr(
                "The engine was killed by signal 9, most often for lack of memory; free some memory or lower the "
                "batch size and run again."
            )
        return tr("The engine was killed by signal {}; run again.").format(-code)
    return tr("The engine stopped unexpectedly (exit {}); see the log.").format(code)


class _Listener:
    """Turns the worker's lines into feedback and keeps its result, its error and the tail of its log."""

    def __init__(self, feedback: Any) -> None:
        self.result: dict[str, Any] | None = None
        self.error: str | None = None
        self.tail: deque[str] = deque(maxlen=40)
        self._feedback = feedback
        self._stage = ""
        self._said = 0.0

    def hear(self, line: str, may_be_message: bool) -> None:
        message = message_in(line) if may_be_message else None
        if message is None:
            if line.strip():
                self.tail.append(line)
                self._feedback.pushConsoleInfo(line)
            return
        getattr(self, "_on_" + message["type"])(message)

    def _on_progress(self, message: Mapping[str, Any]) -> None:
        done, total = (_number(message.get(k)) for k in ("done", "total"))
        if total > 0:
            self._feedback.setProgress(max(0.0, min(100.0, 100.0 * done / total)))
        stage = str(message.get("stage") or "")
        words = [*(_in_words(str(message.get(k) or "")) for k in ("stage", "note")), time_left(message.get("eta_s"))]
        text = ", ".join(w for w in words if w)
        now = time.monotonic()
        if text and (stage != self._stage or now - self._said > _TEXT_EVERY):
            self._stage, self._said = stage, now
            self._feedback.setProgressText(text)

    def _on_info(self, message: Mapping[str, Any]) -> None:
        self._feedback.pushInfo(str(message.get("message", "")))

    def _on_warn(self, message: Mapping[str, Any]) -> None:
        self._feedback.pushWarning(str(message.get("message", "")))

    def _on_error(self, message: Mapping[str, Any]) -> None:
        problem, hint = str(message.get("message") or tr("the engine failed")), str(message.get("hint") or "")
        self.error = problem if not hint or hint in problem else f"{problem}; {hint}"

    def _on_result(self, message: Mapping[str, Any]) -> None:
        self.result = {k: v for k, v in message.items() if k != "type"}


_KINDS = ("progress", "info", "warn", "error", "result")


def message_in(line: str) -> dict[str, Any] | None:
    """Return the message that ``line`` is, or None if it is something else."""
    if not line.startswith(PREFIX):
        return None
    try:
        message = json.loads(line[len(PREFIX) :])
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and message.get("type") in _KINDS else None


#: What the engine is doing, in its own words.
_STAGES = (
    mark("calibrate"), mark("chips"), mark("classes"), mark("compare"), mark("images"), mark("loading"),
    mark("masks"), mark("packages"), mark("polygons"), mark("predict"), mark("rasters"), mark("rows"), mark("search"),
    mark("tiles"), mark("train"),
)  # fmt: skip


def _in_words(text: str) -> str:
    return tr(text) if text in _STAGES else text


def _number(value: Any) -> float:
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")
    return float(value) if ok else 0.0


def time_left(seconds: Any) -> str:
    """Return the remaining time in words, or an empty text if it is unknown."""
    if seconds is None or _number(seconds) <= 0:
        return ""
    seconds = _number(seconds)
    if seconds < 90:
        return fill(tr("about {:.0f} s left"), seconds)
    if seconds < 5400:
        return fill(tr("about {:.0f} min left"), seconds / 60)
    return fill(tr("about {:.1f} h left"), seconds / 3600)


class _Process:
    """A process in a group of its own, with its two streams read line by line."""

    def __init__(self, command: list[str], folder: str, environment: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(  # nosec B603 - a list of arguments, no shell; the user chose the program
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            creationflags=_NO_WINDOW,
        )
        # Bounded: a worker that floods its log waits for us, and our memory stays as it is.
        self._queue: queue.Queue[tuple[str, bool]] = queue.Queue(_QUEUED)
        self._readers = [
            threading.Thread(target=self._read, args=(stream, messages), daemon=True)
            for stream, messages in ((self._popen.stdout, True), (self._popen.stderr, False))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: TextIO, messages: bool) -> None:
        with contextlib.suppress(ValueError, OSError), stream:  # the stream may be torn from under us at the end
            for line in iter(lambda: stream.readline(_LINE), ""):
                self._queue.put((line.rstrip("\n"), messages))

    def lines(self, cancelled: Any) -> Any:
        """Yield (line, from standard output) until the process is gone and has been read, or ``cancelled()``."""
        gone = 0.0
        while not cancelled():
            try:
                yield self._queue.get(timeout=_POLL)
                continue
            except queue.Empty:
                pass
            if self._popen.poll() is None:
                continue
            if not any(r.is_alive() for r in self._readers):
                if self._queue.empty():
                    return
            elif gone and time.monotonic() - gone > 1.0:
                self._kill()  # a child that outlived the worker holds the pipe
                gone = time.monotonic()
            gone = gone or time.monotonic()

    def wait(self) -> int:
        """Return the exit code; negative is the signal that killed it."""
        return self._popen.wait()

    def end(self) -> None:
        """Ask the whole group to end, insist after some seconds, and let go of the streams."""
        if self._popen.poll() is None:
            self._terminate()
            deadline = time.monotonic() + _GRACE
            while self._popen.poll() is None and time.monotonic() < deadline:
                self._drain(0.02)
        self._kill()
        deadline = time.monotonic() + 2.0
        while any(r.is_alive() for r in self._readers) and time.monotonic() < deadline:
            self._drain(0.02)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=2.0)

    def _drain(self, seconds: float) -> None:
        """Keep the readers going, so that a process that prints while it cleans up does not block."""
        until = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while (left := until - time.monotonic()) > 0:
                self._queue.get(timeout=left)

    def _terminate(self) -> None:
        if sys.platform == "win32":
            self._kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGTERM)

    def _kill(self) -> None:
        if sys.platform == "win32":
            if self._popen.poll() is None:
                tool = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "taskkill.exe"
                subprocess.run(  # nosec B603 - a fixed system tool with the number of our own process
                    [str(tool), "/F", "/T", "/PID", str(self._popen.pid)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    creationflags=_NO_WINDOW,
                )
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
