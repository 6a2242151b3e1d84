"""Refinement of finished bands: class borders move to where the image has some.

The blended scores are interpolated on cells of 2 x 2 mask pixels, filtered there together with the image, and decoded
from the cells as they would be from tokens. Each band is done tile by tile, with as much around every tile as the
filter reaches, so no border of bands or tiles shows and memory stays small.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsss_geo.classes import IGNORE
from wsss_geo.nn.crf import LocalCRF
from wsss_geo.nn.par import PAR
from wsss_geo.raster.grid import Window
from wsss_geo.streaming.accumulator import SCALE
from wsss_geo.streaming.decode import Decoded, decode
from wsss_geo.streaming.layout import Axis, Band, Layout, Taps

#: Side of a cell in mask pixels, and columns of cells that are filtered at once.
CELL, _COLUMNS = 2, 512

#: Fewer and nearer than in the publication, which refines from half the image's size: much faster, about as good.
_PAR_ITERATIONS, _PAR_DILATIONS = 3, (1, 2, 4, 8)

#: Reads a window of the raster that lies inside it: pixels [C, h, w] and valid bool [h, w].
Read = Callable[[Window], Any]
#: Turns pixels [1, C, h, w] and valid [1, h, w] into the network's image in 0..1, float32 on its device.
ToImage = Callable[[NDArray[Any], "NDArray[np.bool_] | None"], Tensor]


class CellFilter(Protocol):
    """Changes class probabilities [1, C, h, w] by an image [1, N, h, w]; only pixels that are ``known`` bool
    [1, 1, h, w] have any. A pixel has an influence as far as ``reach``."""

    reach: int

    def __call__(self, image01: Tensor, maps: Tensor, known: Tensor) -> Tensor: ...  # noqa: D102


class Diffusion:
    """Pixel-adaptive refinement; what is not known neither gives nor takes."""

    def __init__(self) -> None:
        self._par = PAR(_PAR_ITERATIONS, _PAR_DILATIONS)
        self.reach = self._par.iterations * self._par.reach

    def __call__(self, image01: Tensor, maps: Tensor, known: Tensor) -> Tensor:
        """See ``CellFilter``."""
        if bool(known.all()):
            return self._par(image01, maps) / self._par.growth
        weight = known.to(maps.dtype)
        grown = self._par(image01, torch.cat([maps * weight, weight], dim=1))
        share = grown[:, -1:]
        return torch.where(share > 1e-6, grown[:, :-1] / share.clamp_min(1e-6), maps)


class RandomField:
    """The local conditional random field."""

    def __init__(self) -> None:
        self._field = LocalCRF()
        self.reach = self._field.reach

    def __call__(self, image01: Tensor, maps: Tensor, known: Tensor) -> Tensor:
        """See ``CellFilter``."""
        return self._field(image01, maps, known)


_FILTERS: dict[str, Callable[[], CellFilter]] = {"par": Diffusion, "crf": RandomField}


def halo_pixels(method: str) -> int:
    """Return how many mask pixels around a band the refinement ``method`` looks at."""
    return 0 if method == "none" else CELL * (_FILTERS[method]().reach + 2)


class Refinement:
    """Decodes bands of ``layout`` with refinement ``method`` (a key of ``jobs.REFINEMENTS`` other than none)."""

    def __init__(self, method: str, layout: Layout, read: Read, to_image: ToImage) -> None:
        self._filter = _FILTERS[method]()
        self._layout, self._read, self._to_image = layout, read, to_image
        self._rows, self._cols = (Axis(a.targets, a.targets, CELL, 1, 1) for a in (layout.rows, layout.cols))

    @torch.inference_mode()
    def decode(
        self,
        band: Band,
        scores: NDArray[np.uint16],
        alive: NDArray[np.bool_],
        first_token: int,
        valid: NDArray[np.bool_] | None,
        ids: NDArray[np.uint8],
        threshold: float = 0.0,
        with_confidence: bool = False,
        unsure: int = IGNORE,
    ) -> Decoded:
        """Decode ``band`` as ``decode.decode`` does, with refined scores in between.

        ``scores`` [T, tokens, C] and ``alive`` [T, tokens] hold the token rows from ``first_token`` that the band and
        its halo need; ``valid`` bool [h, w] are the band's own pixels.
        """
        parts = []
        width, shape = self._cols.targets, (band.last - band.first, len(ids))
        for left in range(0, width, _COLUMNS * CELL):
            right = min(left + _COLUMNS * CELL, width)
            part = None if valid is None else np.ascontiguousarray(valid[:, left:right])
            row_taps, col_taps = self._rows.taps(band.first, band.last), self._cols.taps(left, right)
            if part is not None and not part.any():
                parts.append(_nothing(right - left, shape, unsure != IGNORE, with_confidence))
                continue
            row, row_end = self._rows.tokens_needed(band.first, band.last)
            col, col_end = self._cols.tokens_needed(left, right)
            cells, known = self._cells(row, row_end, col, col_end, scores, alive, first_token)
            how = ids, threshold, with_confidence, unsure
            parts.append(decode(cells, known, part, row_taps, _from(col_taps, col), row, *how))
        confidence = np.concatenate([_given(p.confidence) for p in parts], axis=1) if with_confidence else None
        counts = np.sum([p.counts for p in parts], axis=0)
        expected = np.sum([_given(p.expected) for p in parts], axis=0) if with_confidence else None
        return Decoded(np.concatenate([p.mask for p in parts], axis=1), confidence, counts, expected)

    def _cells(
        self,
        row: int,
        row_end: int,
        col: int,
        col_end: int,
        scores: NDArray[np.uint16],
        alive: NDArray[np.bool_],
        first_token: int,
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """Return the refined scores [h, w, C] of these cells and which of them have any, bool [h, w]."""
        reach = self._filter.reach
        top, bottom = max(row - reach, 0), min(row_end + reach, self._rows.tokens)
        left, right = max(col - reach, 0), min(col_end + reach, self._cols.tokens)
        image, seen = self._image(top, bottom, left, right)
        row_taps = _from(self._layout.rows.taps(top, bottom, CELL), first_token)
        maps, near = _interpolated(scores, alive, row_taps, self._layout.cols.taps(left, right, CELL), image.device)
        known = seen & near
        refined = self._filter(image, maps, known) if bool(known.any()) else maps
        core = (slice(row - top, row_end - top), slice(col - left, col_end - left))
        whole = (refined[0].clamp(0, 1) * SCALE).round().to(torch.int32)[:, *core]
        found = whole.permute(1, 2, 0).cpu().numpy().astype(np.uint16)
        return np.ascontiguousarray(found), near[0, 0][core].cpu().numpy()

    def _image(self, top: int, bottom: int, left: int, right: int) -> tuple[Tensor, Tensor]:
        """Return the mean colours of cells [1, N, h, w] and which of them hold data, bool [1, 1, h, w]."""
        height, width = self._rows.targets, self._cols.targets
        rows, cols = min(bottom * CELL, height) - top * CELL, min(right * CELL, width) - left * CELL
        tile = self._read(Window(top * CELL, left * CELL, rows, cols))
        image = self._to_image(tile.pixels[None], None if tile.valid.all() else tile.valid[None])
        beyond = (0, (right - left) * CELL - cols, 0, (bottom - top) * CELL - rows)
        image = functional.pad(image, beyond, mode="replicate")
        valid = torch.from_numpy(tile.valid).to(image.device, torch.float32)[None, None]
        seen = functional.max_pool2d(functional.pad(valid, beyond), CELL) > 0
        return functional.avg_pool2d(image, CELL), seen


def _interpolated(
    scores: NDArray[np.uint16], alive: NDArray[np.bool_], rows: Taps, cols: Taps, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Interpolate scores between tokens that are alive; returns [1, C, h, w] in 0..1, and bool [1, 1, h, w]."""
    first, last = int(cols.lower[0]), int(cols.lower[-1]) + 2
    weight = alive[:, first:last].astype(np.float32)
    stack = np.concatenate([scores[:, first:last] * (weight[..., None] / np.float32(SCALE)), weight[..., None]], axis=2)
    found = torch.from_numpy(stack).to(device).permute(2, 0, 1)
    for axis, taps in ((1, rows), (2, _from(cols, first))):
        lower = torch.from_numpy(taps.lower).to(device)
        upper = (lower + 1).clamp(max=found.shape[axis] - 1)
        shape = (-1, 1) if axis == 1 else (1, -1)
        share = torch.from_numpy((taps.upper_weight / taps.steps).astype(np.float32)).to(device).view(shape)
        found = found.index_select(axis, lower) * (1 - share) + found.index_select(axis, upper) * share
    near = found[-1:] > 0
    return (found[:-1] / found[-1:].clamp_min(1e-6))[None], near[None]


def _from(taps: Taps, first: int) -> Taps:
    """Count tokens from ``first``."""
    return dataclasses.replace(taps, lower=taps.lower - first)


def _nothing(width: int, shape: tuple[int, int], unsure: bool, with_confidence: bool) -> Decoded:
    """What is decoded where there is no data; ``shape`` is (rows, classes)."""
    mask = np.full((shape[0], width), IGNORE, np.uint8)
    counts = np.zeros((shape[0], shape[1] + unsure), np.int64)
    return Decoded(mask, *((np.zeros_like(mask), counts, np.zeros(shape)) if with_confidence else (None, counts, None)))


def _given(array: NDArray[Any] | None) -> NDArray[Any]:
    if array is None:
        raise RuntimeError("decoding left the confidence out")
    return array
