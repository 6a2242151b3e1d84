"""What a stranger would put into a pickle."""

from __future__ import annotations

import os


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)
