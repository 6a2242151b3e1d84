"""What a run says, kept for tests to look at."""

from __future__ import annotations

from wsss_geo.progress import Progress


class Hearing(Progress):
    """Keeps all that is reported: ``heard`` is a list of (kind, fields)."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def emit(self, kind, fields):
        self.heard.append((kind, dict(fields)))

    def said(self, *kinds):
        """The messages, a line each; those of some kinds alone (info, warn) if any are given."""
        return "\n".join(f["message"] for k, f in self.heard if "message" in f and (not kinds or k in kinds))
