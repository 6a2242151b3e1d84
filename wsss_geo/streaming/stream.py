"""The engine: strips -> batches -> network -> token grid -> bands of mask rows, all overlapping in time.

Three stages run side by side: threads decode the raster and cut windows, the caller's thread runs the network and
blends, one thread interpolates finished bands and writes them. The queues between them are short, so memory depends
on the width of the raster and not on its height.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE
from wsss_geo.streaming.accumulator import TokenAccumulator, ramp
from wsss_geo.streaming.batches import Batch, GroupEnd
from wsss_geo.streaming.decode import Decoded, decode
from wsss_geo.streaming.layout import Band, Layout
from wsss_geo.streaming.refine import Refinement

T = TypeVar("T")

#: Returns which pixels of the mask rows first .. last have data, bool [rows, width]; None if all have.
Validity = Callable[[int, int], "NDArray[np.bool_] | None"]


@dataclass(frozen=True)
class Decoding:
    """How scores become a mask: ``ids`` uint8 [C] are mask values; see ``decode.decode`` for the rest.

    ``refinement`` must be of the layout that is streamed, and its halo in that. Refined scores are not tempered: the
    temperature was found without refinement, which takes excess confidence away by itself.
    """

    ids: NDArray[np.uint8]
    threshold: float = 0.0
    with_confidence: bool = False
    refinement: Refinement | None = None
    unsure: int = IGNORE
    temperature: float = 1.0


@dataclass(frozen=True)
class FinishedBand:
    """``pixels`` are its mask and confidence; ``cam`` uint8 [tokens, width, K] the token rows it owns (or None)."""

    band: Band
    pixels: Decoded
    cam: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Passed:
    """Told after each group: rows of the model's grid done, and windows run in this group."""

    group: int
    rows: int
    windows: int


def stream(
    batches: Iterator[Batch | GroupEnd],
    predict: Callable[[Batch], NDArray[np.uint16]],
    layout: Layout,
    decoding: Decoding,
    write: Callable[[FinishedBand], None],
    *,
    channels: int,
    bands: range | None = None,
    validity: Validity | None = None,
    mask_out: Validity | None = None,
    passed: Callable[[Passed], None] = lambda _: None,
) -> None:
    """Run all windows that ``bands``, a run of them, need, and ``write`` these bands from top to bottom.

    All bands unless given; ``batches`` must be those of ``layout.groups_of(bands)``. ``predict`` returns
    [B, n, n, channels], of which the first C are class scores and the others activation maps. ``validity`` tells the
    pixels with data where mask and model grid differ; without it the validity of the pixels read counts. ``mask_out``
    tells the pixels that are wanted (area of interest). ``write`` runs in one thread, in order; what it raises is
    raised here.
    """
    rows, cols = layout.rows, layout.cols
    size, overlap = rows.size, rows.size - rows.stride
    bands = range(len(layout.bands)) if bands is None else bands
    first_token = layout.first_token(bands[0])
    capacity = size + rows.stride * (layout.group_rows - 1)
    accumulator = TokenAccumulator(channels, rows.tokens, cols.tokens, ramp(size, overlap), capacity, first_token)
    tokens = _OpenTokens(first_token)
    seen = _SeenValidity()
    col_taps = cols.taps(0, cols.targets)
    classes = len(decoding.ids)

    def finish(band: Band, scores: NDArray[np.uint16], alive: NDArray[np.bool_], start: int, valid: Any) -> None:
        if valid is None and validity is not None:
            valid = validity(band.first, band.last)
        wanted = mask_out(band.first, band.last) if mask_out is not None else None
        valid = wanted if valid is None else valid if wanted is None else valid & wanted
        shares = np.ascontiguousarray(scores[:, :, :classes])
        how = decoding.ids, decoding.threshold, decoding.with_confidence, decoding.unsure
        if decoding.refinement is not None:
            pixels = decoding.refinement.decode(band, shares, alive, start, valid, *how)
        else:
            pixels = decode(
                shares, alive, valid, rows.taps(band.first, band.last), col_taps, start, *how, decoding.temperature
            )
        write(FinishedBand(band, pixels, _cam(scores, alive, start, band, classes)))

    waiting = deque(layout.bands[b] for b in bands)
    writes: deque[Future[None]] = deque()
    writer = ThreadPoolExecutor(1, thread_name_prefix="write")
    windows = 0
    try:
        for item in ahead_of(batches, 2):
            if isinstance(item, Batch):
                for scores, row, col, alive in zip(predict(item), item.rows, item.cols, item.alive, strict=True):
                    accumulator.add(scores, row, col, alive)
                windows += len(item.rows)
                continue
            done = layout.finished_tokens(item.group)
            tokens.append(*accumulator.pop(done))
            if validity is None:
                seen.append(item.validity)
            while waiting and max(waiting[0].tokens_to, waiting[0].owned_to) <= done:
                band = waiting.popleft()
                valid = seen.take(band.first, band.last, cols.pixels) if validity is None else None
                writes.append(writer.submit(finish, band, *tokens.rows(band), valid))
                if waiting:
                    tokens.drop(layout.first_token(waiting[0].index))
            while len(writes) > 2 or (writes and writes[0].done()):
                writes.popleft().result()
            passed(Passed(item.group, min(done * layout.patch, rows.pixels), windows))
            windows = 0
        while writes:
            writes.popleft().result()
    finally:
        writer.shutdown(wait=True, cancel_futures=True)


def _cam(
    scores: NDArray[np.uint16], alive: NDArray[np.bool_], start: int, band: Band, classes: int
) -> NDArray[np.uint8] | None:
    """Return the activation maps in 0..255 of the token rows that ``band`` owns; 0 where there is no data."""
    if scores.shape[2] == classes:
        return None
    part = slice(band.owned_from - start, band.owned_to - start)
    maps = (scores[part, :, classes:].astype(np.uint32) * 255 + 32767) // 65535
    return (maps * alive[part, :, None]).astype(np.uint8)


class _OpenTokens:
    """Finished token rows that a band still waits for."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._scores: list[NDArray[np.uint16]] = []
        self._alive: list[NDArray[np.bool_]] = []

    def append(self, scores: NDArray[np.uint16], alive: NDArray[np.bool_]) -> None:
        if len(scores):
            self._scores.append(scores)
            self._alive.append(alive)

    def rows(self, band: Band) -> tuple[NDArray[np.uint16], NDArray[np.bool_], int]:
        """Return scores, alive and the first row of what ``band`` needs and owns."""
        if len(self._scores) > 1:
            self._scores, self._alive = [np.concatenate(self._scores)], [np.concatenate(self._alive)]
        start = min(band.tokens_from, band.owned_from)
        part = slice(start - self._first, max(band.tokens_to, band.owned_to) - self._first)
        return self._scores[0][part], self._alive[0][part], start

    def drop(self, upto: int) -> None:
        """Forget the rows before ``upto``."""
        count = upto - self._first
        self._scores, self._alive = [self._scores[0][count:].copy()], [self._alive[0][count:].copy()]
        self._first = upto


class _SeenValidity:
    """Validity of the strips that have been read and not yet been written."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, int, NDArray[np.bool_] | None]] = deque()

    def append(self, parts: list[tuple[int, int, NDArray[np.bool_] | None]]) -> None:
        self._parts.extend(parts)

    def take(self, first: int, last: int, width: int) -> NDArray[np.bool_] | None:
        """Return the rows ``first`` .. ``last`` (None: all valid) and forget what lies above ``last``."""
        touched = [p for p in self._parts if p[0] < last and p[1] > first]
        found = None
        if any(valid is not None for _, _, valid in touched):
            found = np.ones((last - first, width), np.bool_)
            for begin, end, valid in touched:
                if valid is not None:
                    top, bottom = max(begin, first), min(end, last)
                    found[top - first : bottom - first] = valid[top - begin : bottom - begin]
        while self._parts and self._parts[0][1] <= last:
            self._parts.popleft()
        return found


def ahead_of(items: Iterator[T], depth: int) -> Iterator[T]:
    """Yield ``items`` while a thread already computes up to ``depth`` more; what it raises is raised here.

    Closing the generator stops the thread and closes ``items``.
    """
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def offer(entry: tuple[bool, Any]) -> bool:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer((True, item)):
                    break
            else:
                offer((False, None))
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, who raises it
            offer((False, error))
        finally:
            if hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            more, value = ready.get()
            if more:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        stop.set()
        thread.join()
