"""The process around a run: who owns standard output, what a signal does, which exit code an error means."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from wsss_geo.errors import EXIT_CANCELLED, EXIT_DONE, Cancelled, EnvironmentFault, WsssGeoError
from wsss_geo.progress import Progress

#: Control characters but tab and line feed, and halves of characters, of which names of files may consist.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def claim_stdout() -> TextIO:
    """Return a stream to the real standard output and send everything else that is printed to standard error.

    Works on file descriptors, so that neither a library nor compiled code can write between the lines of a protocol.
    """
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stream


def run_guarded(work: Callable[[], Any], report: Progress, *, debug: bool = False) -> int:
    """Call ``work``, tell ``report`` of its failure in one sentence, return the exit code."""
    _cancel_on_signals(report)
    _quieten(debug)
    # Helper processes, those that libraries start too, take no module from the folder somebody happens to be in.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        work()
    except BrokenPipeError:
        return EXIT_CANCELLED  # nobody listens any more, as when QGIS was closed
    except Exception as error:  # noqa: BLE001 - the last line of defence: a user never meets a traceback unasked
        if debug:
            traceback.print_exc()
        # Whatever was under way may have made another error of it, or had just met one.
        known = Cancelled() if report.cancelled else as_known(error)
        report.error(known.problem, known.exit_code, known.hint)
        return known.exit_code
    return EXIT_DONE


def as_known(error: Exception) -> WsssGeoError:
    """Turn an exception into one that has a sentence and an exit code."""
    if isinstance(error, WsssGeoError):
        return error
    reason = " ".join(str(error).split()) or type(error).__name__
    if _wants_memory(error):
        brief = ". ".join(reason.split(". ")[:2]).rstrip(".")  # PyTorch adds advice for programmers
        return EnvironmentFault(f"out of memory ({brief})", "lower --batch-size or close other programs")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFault(f"no space left on the disk ({reason})", "free some space and run again")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EnvironmentFault(f"no permission ({reason})", "choose another place or change its permissions")
    if isinstance(error, ImportError):
        return EnvironmentFault(f"a package is missing or broken ({reason})", "run `wsss-geo doctor`")
    return WsssGeoError(f"unexpected {type(error).__name__}: {reason}", "run again with --debug and report it")


def _wants_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("can't allocate memory", "CUDA error: out of memory")
    )


def _cancel_on_signals(report: Progress) -> None:
    def cancel(number: int, frame: Any) -> None:
        # A second signal must not interrupt the clean-up of the first.
        for known in (signal.SIGINT, signal.SIGTERM):
            signal.signal(known, signal.SIG_IGN)
        report.cancelled = True  # an exception raised inside a callback of compiled code is lost; the next step tells
        raise Cancelled

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, cancel)


def _quieten(debug: bool) -> None:
    """Keep the chatter of libraries away from users, also in child processes."""
    if debug:
        return
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    logging.disable(logging.CRITICAL)  # what went wrong is raised as well
    # What a thread or a destructor fails of is told where its work is missed; here it would be a traceback more.
    threading.excepthook = lambda _: None
    sys.unraisablehook = lambda _: None


class TerminalProgress(Progress):
    """tqdm bars and sentences on standard error; the result as a short table on standard output."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._shown = ""

    def emit(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Show one message."""
        if kind == "progress":
            self._advance(fields)
            return
        self._close()
        fields = {name: _visible(value) if isinstance(value, str) else value for name, value in fields.items()}
        if kind == "result":
            for name, value in fields.items():
                _show(name, value)
        elif kind == "error":
            hint = f"; {fields['hint']}" if fields["hint"] else ""
            sys.stderr.write(f"wsss-geo: {fields['message']}{hint}".replace("\n", "\\n") + "\n")
        else:
            sys.stderr.write(("warning: " if kind == "warn" else "") + f"{fields['message']}\n")

    def _advance(self, fields: Mapping[str, Any]) -> None:
        from tqdm import tqdm

        if self._bar is None or self._shown != fields["stage"]:
            self._close()
            self._shown = str(fields["stage"])
            self._bar = tqdm(
                total=fields["total"], initial=0, desc=self._shown or None, file=sys.stderr, leave=True,
                mininterval=0.5, dynamic_ncols=True,
            )  # fmt: skip
        self._bar.set_postfix_str(str(fields["note"]), refresh=False)
        self._bar.update(fields["done"] - self._bar.n)
        if fields["done"] >= fields["total"]:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _visible(text: str) -> str:
    """Text with what would move the cursor, change colours or fail to be written as escapes: names of strangers."""
    return _INVISIBLE.sub(lambda match: repr(match[0])[1:-1], text)


def _show(name: str, value: Any, indent: str = "") -> None:
    if value is None or (isinstance(value, (tuple, list)) and not value):
        return
    if isinstance(value, Mapping):
        sys.stdout.write(f"{indent}{name}\n")
        for key, item in value.items():
            _show(_visible(str(key)), item, indent + "  ")
    elif isinstance(value, (tuple, list)) and value and isinstance(value[0], Mapping):
        for number, item in enumerate(value):
            _show(f"{name} {number + 1}", item, indent)
    elif isinstance(value, (tuple, list)) and value and isinstance(value[0], (tuple, list)):
        sys.stdout.write(f"{indent}{name}\n")
        width = max(len(str(cell)) for row in value for cell in row)
        for row in value:
            sys.stdout.write(indent + "  " + " ".join(str(cell).rjust(width) for cell in row) + "\n")
    elif isinstance(value, (tuple, list)):
        sys.stdout.write(f"{indent}{name}  {_visible(', '.join(map(str, value)))}\n")
    else:
        shown = f"{value:.4f}" if isinstance(value, float) and abs(value) < 100 else value
        shown = f"{value:,.0f}" if isinstance(value, float) and abs(value) >= 100 else shown
        sys.stdout.write(f"{indent}{name}  {_visible(str(shown))}\n")
