"""What a run will take, said before it starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from wsss_geo.errors import EnvironmentFault
from wsss_geo.inference.layout import BAND_ROWS, Layout
from wsss_geo.inference.strips import StripPlan, ahead

#: Bytes a pixel of mask, of confidence and of activation maps takes on disk when compressed, as upper guesses.
_MASK, _CONFIDENCE, _CAM = 0.15, 0.7, 0.7

#: A band lies in the work folder, in the temporary file of the writer and in the finished file at once.
_COPIES = 3

GDAL_CACHE = 128 << 20


@dataclass(frozen=True)
class Estimate:
    """``memory`` beside the model and ``disk``, in bytes."""

    memory: int
    disk: int

    def __str__(self) -> str:
        """One line for people."""
        return f"needs about {_size(self.memory)} of memory beside the model and up to {_size(self.disk)} of disk"


def estimate(
    layout: Layout, strips: StripPlan, batch: int, threads: int, channels: int, confidence: bool, cam: int
) -> Estimate:
    """Return what the run takes; memory does not depend on the height of the raster."""
    rows, cols = layout.rows, layout.cols
    group = rows.size + rows.stride * (layout.group_rows - 1)
    held = min(-(-layout.window // strips.rows) + 1 + ahead(strips, threads), -(-strips.height // strips.rows))
    windows = batch * layout.window**2 * (4 * (strips.pixel_bytes + 1) + 3 * 4 * strips.pixel_bytes)
    tokens = (group * (channels + 1) * 8 + (2 * group + BAND_ROWS) * channels * 2) * cols.tokens
    bands = 4 * min(BAND_ROWS, rows.targets) * cols.targets * (2 + confidence)
    memory = held * strips.bytes + windows + tokens + bands + GDAL_CACHE
    pixels = rows.targets * cols.targets * (_MASK + _CONFIDENCE * confidence)
    return Estimate(memory, int(_COPIES * (pixels + rows.tokens * cols.tokens * cam * _CAM)) + (1 << 20))


def check_disk(needed: Estimate, folder: Path) -> None:
    """Raise EnvironmentFault if ``folder`` lies on a disk with less room than ``needed``."""
    free = shutil.disk_usage(folder).free
    if free < needed.disk:
        raise EnvironmentFault(
            f"{folder}: {_size(free)} are free on this disk, up to {_size(needed.disk)} are needed",
            "free some space or choose another output",
        )


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 1 << 30 else f"{number / 2**20:.0f} MiB"
