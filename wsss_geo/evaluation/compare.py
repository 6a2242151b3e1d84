"""A mask against a reference, strip by strip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.evaluation.figures import Panel
from wsss_geo.evaluation.masks import MaskRaster, Values, class_file, open_reference, scheme_names
from wsss_geo.evaluation.metrics import Tally, count_pairs, tally
from wsss_geo.jobs import EvaluateJob
from wsss_geo.progress import Progress

_STRIP_PIXELS = 1 << 22
_PICTURE_SIDE = 1024


def compare(
    mask: str, job: EvaluateJob, scheme: ClassScheme | None, report: Progress
) -> tuple[Tally, Panel, ClassScheme]:
    """Compare the mask raster ``mask`` with ``job.reference`` on the mask's grid; ``scheme`` names the mask's values.

    Classes meet by name; the values of a reference without names mean what they do in the mask. Pixels that the mask
    calls unsure are counted apart. Also returns both, thinned out, for the picture, and classes for its colours.
    Memory: one strip of rows and the picture, whatever the size of the rasters. Raises InputError where nothing can be
    compared.
    """
    wanted = str(job.reference)
    prediction = MaskRaster(mask)
    try:
        reference = open_reference(wanted, job.field, prediction.grid, report)
        try:
            pairs, given, predicted = _count(reference, prediction, report)
        finally:
            reference.close()
    finally:
        prediction.close()
    names, meant = _names(pairs, prediction, reference, scheme, class_file(job.classes), wanted)
    found = tally(pairs, meant, names, prediction.unsure)
    _check_overlap(found, pairs, wanted, mask, names)
    place = {name: i for i, name in enumerate(found.classes)}
    colours = scheme or prediction.scheme or getattr(reference, "scheme", None)
    colours = colours or ClassScheme.from_names(list(found.classes))
    return found, Panel(_placed(given, meant, place), _placed(predicted, names, place)), colours


def _count(
    reference: Values, prediction: MaskRaster, report: Progress
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of values of all pixels; reference and prediction thinned out to the size of the picture."""
    height, width = prediction.grid.height, prediction.grid.width
    block = prediction.info.block[0]
    step = min(height, max(1, _STRIP_PIXELS // (width * block)) * block)
    thin = -(-max(height, width) // _PICTURE_SIDE)
    pairs = np.zeros((257, 257), np.int64)
    rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for row in range(0, height, step):
        tall = min(step, height - row)
        given, predicted = reference.read(row, tall), prediction.read(row, tall)
        pairs += count_pairs(given, predicted)
        first = -row % thin
        rows.append((given[first::thin, ::thin].copy(), predicted[first::thin, ::thin].copy()))
        report.step(row + tall, height, "rows", "compare")
    return pairs, np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows])


def _names(
    pairs: NDArray[np.int64],
    prediction: MaskRaster,
    reference: Values,
    given: ClassScheme | None,
    classes: ClassScheme | None,
    path: str,
) -> tuple[dict[int, str], dict[int, str]]:
    """Names of the values of prediction and reference, equal where they mean the same class."""
    by_id = isinstance(reference, MaskRaster)
    occurring = np.flatnonzero(pairs.any(axis=0) | pairs.any(axis=1)).tolist()
    fallback = {int(v): str(v) for v in occurring if v < IGNORE}
    names = scheme_names(given) or prediction.names or (reference.names if by_id else None) or fallback
    if reference.names is None:
        return names, scheme_names(classes) or names
    known = {name.strip().casefold(): name for name in names.values()}
    known = {str(v): name for v, name in names.items()} | known
    same = {v: known.get(name.strip().casefold(), name) for v, name in reference.names.items()}
    if not set(same.values()) & set(names.values()):
        theirs, ours = ", ".join(sorted(set(same.values()))[:8]), ", ".join(list(names.values())[:8])
        raise InputError(path, f"no class in common: reference {theirs}; mask {ours}", "give --classes or --field")
    return names, same


def _check_overlap(found: Tally, pairs: NDArray[np.int64], reference: str, mask: str, names: dict[int, str]) -> None:
    if not pairs.any():
        raise InputError(reference, f"labels no pixel of {mask}", "give a reference that overlaps the mask")
    if found.confusion.any():
        return
    if found.unsure:
        raise InputError(mask, "is unsure wherever the reference has labels", "predict with a lower --threshold")
    if found.unpredicted:
        raise InputError(mask, "has no data where the reference has labels", "give a reference that overlaps the mask")
    theirs = ", ".join(list(found.foreign or {})[:8])
    ours = ", ".join(list(names.values())[:8])
    raise InputError(reference, f"no class in common: reference {theirs}; mask {ours}", "give --classes or --field")


def _placed(values: NDArray[np.int64], names: dict[int, str], place: dict[str, int]) -> NDArray[np.int64]:
    """Mask values as positions among the classes."""
    table = np.full(257, IGNORE, np.int64)
    for value, name in names.items():
        table[value] = place.get(name, IGNORE)
    return table[values]
