"""What a run will take, said before it starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from wsss_geo.errors import EnvironmentFault
from wsss_geo.streaming.layout import BAND_ROWS, Layout
from wsss_geo.streaming.limits import PROGRAM, Limits
from wsss_geo.streaming.probe import Cost
from wsss_geo.streaming.strips import StripPlan, ahead

#: Bytes a pixel of mask, of confidence and of activation maps takes on disk when compressed, as upper guesses.
_MASK, _CONFIDENCE, _CAM = 0.15, 0.7, 0.7

#: Seconds that a pixel takes beside the network on one core: decoding, cutting, blending, interpolating, writing.
_PIPELINE = 150e-9

#: What refining a tile of a band holds: weights of its neighbours a cell, and several copies of its maps.
_REFINEMENT = 128 << 20

#: A band lies in the work folder, in the temporary file of the writer and in the finished file at once.
_COPIES = 3


@dataclass(frozen=True)
class Estimate:
    """``memory`` and ``disk`` in bytes, ``seconds`` of the network and of all that runs beside it."""

    memory: int
    disk: int
    seconds: float

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"needs about {size(self.memory)} of memory, up to {size(self.disk)} of disk and about "
            f"{duration(self.seconds)}"
        )


def estimate(
    layout: Layout, strips: StripPlan, limits: Limits, cost: Cost, channels: int, confidence: bool, cam: int
) -> Estimate:
    """Return what the run takes in all; memory does not depend on the height of the raster."""
    batch, threads = limits.batch, limits.threads
    rows, cols = layout.rows, layout.cols
    group = rows.size + rows.stride * (layout.group_rows - 1)
    held = min(-(-layout.window // strips.rows) + 1 + ahead(strips, threads), -(-strips.height // strips.rows))
    windows = batch * layout.window**2 * (4 * (strips.pixel_bytes + 1) + 3 * 4 * strips.pixel_bytes)
    tokens = (group * (channels + 1) * 8 + (2 * group + BAND_ROWS) * channels * 2) * cols.tokens
    bands = 4 * min(BAND_ROWS, rows.targets) * cols.targets * (2 + confidence)
    stream = held * strips.bytes + windows + tokens + bands + limits.cache + (_REFINEMENT if layout.halo else 0)
    memory = PROGRAM + cost.weights + batch * cost.bytes + stream
    seconds = len(rows.starts) * len(cols.starts) * cost.seconds + rows.targets * cols.targets * _PIPELINE
    pixels = rows.targets * cols.targets * (_MASK + _CONFIDENCE * confidence)
    disk = int(_COPIES * (pixels + rows.tokens * cols.tokens * cam * _CAM)) + (1 << 20)
    return Estimate(memory, disk, seconds)


def check_disk(needed: Estimate, folder: Path) -> None:
    """Raise EnvironmentFault if ``folder`` lies on a disk with less room than ``needed``."""
    free = shutil.disk_usage(folder).free
    if free < needed.disk:
        raise EnvironmentFault(
            f"{folder}: {size(free)} are free on this disk, up to {size(needed.disk)} are needed",
            "free some space or choose another output",
        )


def size(number: int) -> str:
    """Return bytes as people read them."""
    return f"{number / 2**30:.1f} GiB" if number >= 1 << 30 else f"{number / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """Return a time as people read it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"
