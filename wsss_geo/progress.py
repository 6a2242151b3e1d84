"""How a run tells what it is doing: one small protocol, spoken to terminals, QGIS and scripts alike."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, TextIO

from .errors import Cancelled


class Progress:
    """Receives what a run has to say. This base keeps silent; subclasses override ``emit``.

    Setting ``cancelled`` stops the run at its next step: ``step`` then raises Cancelled.
    """

    cancelled = False

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stage = ""
        self._first = 0.0

    def emit(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Deliver one message; ``kind`` is progress, info, warn, error or result."""

    def step(self, done: float, total: float, note: str = "", stage: str = "") -> None:
        """Report ``done`` of ``total`` units of the current ``stage``; the time left is estimated from its pace."""
        if self.cancelled:
            raise Cancelled
        now = time.monotonic()
        if stage != self._stage or done < self._first:
            self._stage, self._started, self._first = stage, now, done
        worked = done - self._first
        left = (now - self._started) / worked * (total - done) if worked > 0 else None
        self.emit(
            "progress",
            {
                "stage": stage,
                "done": done,
                "total": total,
                "eta_s": None if left is None else round(left, 1),
                "note": note,
            },
        )

    def info(self, message: str) -> None:
        """Say something worth knowing."""
        self.emit("info", {"message": message})

    def warn(self, message: str) -> None:
        """Say something that the user should look at."""
        self.emit("warn", {"message": message})

    def error(self, message: str, code: int, hint: str = "") -> None:
        """Say why the run failed."""
        self.emit("error", {"message": message, "code": code, "hint": hint})

    def result(self, fields: Mapping[str, Any]) -> None:
        """Deliver the result of the run."""
        self.emit("result", fields)


class JsonProgress(Progress):
    """Writes one JSON object a line: ``{"type": "progress", "done": 3, "total": 10, "eta_s": 4.2, ...}``.

    ``prefix`` lets a reader tell these lines from anything a library may print to the same stream.
    """

    def __init__(self, stream: TextIO, prefix: str = "") -> None:
        super().__init__()
        self._stream = stream
        self._prefix = prefix

    def emit(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Write the line and flush it."""
        line = json.dumps({"type": kind, **fields}, ensure_ascii=True, default=str)
        self._stream.write(f"{self._prefix}{line}\n")
        self._stream.flush()
