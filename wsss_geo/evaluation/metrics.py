"""From pairs of pixel values to scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix

from wsss_geo.classes import IGNORE

#: Stands for mask values beyond 0..255, which no class can have.
OTHER = 256
_VALUES = 257


def count_pairs(reference: NDArray[Any], prediction: NDArray[Any]) -> NDArray[np.int64]:
    """Count pixels by their two values: whole-numbered arrays of one shape, values 0..256 -> int64 [257, 257].

    Row = reference value, column = predicted value. Pixels whose reference is 255 are left out; column 255 holds those
    labelled pixels that have no prediction.
    """
    counts = multiclass_confusion_matrix(
        torch.from_numpy(np.ascontiguousarray(prediction, np.int64)),
        torch.from_numpy(np.ascontiguousarray(reference, np.int64)),
        num_classes=_VALUES,
        ignore_index=IGNORE,
        validate_args=False,
    )
    found: NDArray[np.int64] = counts.numpy().astype(np.int64)
    return found


@dataclass(frozen=True)
class Tally:
    """Pixels by class: ``confusion`` int64 [C, C], row = reference, column = prediction, in the order of ``classes``.

    ``unpredicted``: labelled pixels without prediction, which count neither as right nor as wrong: most are nodata of
    the image. ``foreign``: pixels of reference classes that the prediction does not know, by name; they do not count.
    ``unsure``: labelled pixels of which the prediction says that it is not sure; they count neither way too.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    unpredicted: int = 0
    foreign: Mapping[str, int] | None = None
    unsure: int = 0

    @property
    def coverage(self) -> float:
        """Share of the pixels that have label and prediction of which the prediction is sure; 0 where there is none."""
        return float(self.confusion.sum() / max(self.confusion.sum() + self.unsure, 1))


def tally(
    pairs: NDArray[np.int64], reference: Mapping[int, str], prediction: Mapping[int, str], unsure: int | None = None
) -> Tally:
    """Name the values of ``count_pairs``.

    ``reference`` and ``prediction`` map values to class names; equal names are one class. The classes are those of the
    prediction in its order, and, as wrong for any reference, predicted values that have no name. The predicted value
    ``unsure`` is no class: what has it is counted apart.
    """
    named = {value: name for value, name in prediction.items() if value != unsure}
    known = np.zeros(_VALUES, np.bool_)
    known[[v for v, name in reference.items() if name in named.values()]] = True
    stray = np.flatnonzero(pairs[known].sum(axis=0))
    named |= {int(v): _unnamed(int(v)) for v in stray if v not in named and v not in (IGNORE, unsure)}
    classes = tuple(dict.fromkeys(named.values()))
    place = {name: i for i, name in enumerate(classes)}
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    foreign: dict[str, int] = {}
    for value in np.flatnonzero(pairs.any(axis=1)).tolist():
        name = reference.get(value, _unnamed(value))
        if not known[value]:
            foreign[name] = foreign.get(name, 0) + int(pairs[value].sum())
            continue
        for predicted, as_name in named.items():
            confusion[place[name], place[as_name]] += pairs[value, predicted]
    hidden = 0 if unsure is None else int(pairs[known, unsure].sum())
    return Tally(classes, confusion, int(pairs[known, IGNORE].sum()), foreign, hidden)


def _unnamed(value: int) -> str:
    return "values beyond 255" if value == OTHER else f"value {value}"


@dataclass(frozen=True)
class Scores:
    """Scores in 0..1, by class where they are a mapping; None where nothing can be said.

    ``miou`` is the mean of ``iou`` over the classes that occur in the reference. A class that does not occur there has
    neither IoU nor F1 nor recall; where it was predicted, that counts against the classes that were there instead.
    """

    miou: float
    accuracy: float
    iou: Mapping[str, float | None]
    f1: Mapping[str, float | None]
    precision: Mapping[str, float | None]
    recall: Mapping[str, float | None]
    pixels: int


def score(found: Tally) -> Scores:
    """Derive the scores of a confusion matrix that is not empty."""
    matrix = found.confusion.astype(np.float64)
    hits, given, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)

    def by_class(part: NDArray[np.float64], whole: NDArray[np.float64], of: NDArray[np.float64]) -> dict[str, Any]:
        shares = part / np.maximum(whole, 1)
        return {n: float(s) if o else None for n, s, o in zip(found.classes, shares, of, strict=True)}

    iou = by_class(hits, given + predicted - hits, given)
    present = [v for v in iou.values() if v is not None]
    return Scores(
        miou=sum(present) / len(present),
        accuracy=float(hits.sum() / matrix.sum()),
        iou=iou,
        f1=by_class(2 * hits, given + predicted, given),
        precision=by_class(hits, predicted, predicted),
        recall=by_class(hits, given, given),
        pixels=int(matrix.sum()),
    )
