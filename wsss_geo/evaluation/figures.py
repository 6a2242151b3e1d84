"""The figures of an evaluation: confusion matrix, and image | reference | prediction | errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.evaluation.metrics import Scores, Tally
from wsss_geo.outputs import replacing

_UNKNOWN = (0.93, 0.93, 0.93)
_RIGHT, _WRONG = (0.80, 0.88, 0.80), (0.78, 0.13, 0.13)


@dataclass(frozen=True)
class Panel:
    """One row of the picture: class positions int64 [h, w], 255 where unknown; ``image`` [h, w, 3] in 0..1."""

    reference: NDArray[np.int64]
    prediction: NDArray[np.int64]
    image: NDArray[np.float32] | None = None
    title: str = ""


def write_confusion(path: Path, found: Tally, scores: Scores) -> None:
    """Write the confusion matrix as a picture: shares of each reference class, and the IoU of each."""
    matrix = found.confusion.astype(np.float64)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count = len(found.classes)
    figure = Figure(figsize=(3.2 + 0.75 * count, 2.6 + 0.6 * count), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, col in np.ndindex(count, count):
        if matrix[row].any():
            color = "white" if share[row, col] > 0.55 else "black"
            axes.text(col, row, f"{share[row, col]:.1%}", ha="center", va="center", color=color, fontsize=8)
    ious = [scores.iou[n] for n in found.classes]
    labels = [f"{n}\n{'absent' if v is None else f'IoU {v:.1%}'}" for n, v in zip(found.classes, ious, strict=True)]
    axes.set_yticks(range(count), labels, fontsize=8)
    axes.set_xticks(range(count), list(found.classes), rotation=40, ha="right", fontsize=8)
    axes.set_ylabel("reference")
    axes.set_xlabel("prediction")
    sure = f" sure pixels, coverage {found.coverage:.1%}" if found.unsure else " pixels"
    axes.set_title(f"mIoU {scores.miou:.1%}, accuracy {scores.accuracy:.1%}, {scores.pixels:,}{sure}", fontsize=9)
    with replacing(path) as part:
        figure.savefig(part, dpi=130)


def write_comparison(path: Path, panels: list[Panel], names: tuple[str, ...], scheme: ClassScheme) -> None:
    """Write image (where there is one), reference, prediction and errors side by side, a row a panel."""
    colours = np.array([_UNKNOWN] * 256)
    for position, rgb in enumerate(class_colours(names, scheme)):
        colours[position] = rgb
    images = any(p.image is not None for p in panels)
    titles = [*(["image"] if images else []), "reference", "prediction", "errors"]
    height, width = panels[0].reference.shape
    side = 2.4 if len(panels) > 1 else 4.5
    figure = Figure(
        figsize=(side * len(titles), side * min(max(height / width, 0.25), 4) * len(panels) + 1.0), layout="constrained"
    )
    grid = figure.subplots(len(panels), len(titles), squeeze=False)
    for row, (axes_row, panel) in enumerate(zip(grid, panels, strict=True)):
        shown = [colours[panel.reference], colours[panel.prediction], _errors(panel)]
        if images:
            blank = np.ones((*panel.reference.shape, 3), np.float32)
            shown.insert(0, np.clip(blank if panel.image is None else panel.image, 0, 1))
        for axes, picture, title in zip(axes_row, shown, titles, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(title, fontsize=9)
        axes_row[0].set_ylabel(panel.title, fontsize=7)
    legend = [Patch(facecolor=colours[i], edgecolor="0.5", label=n) for i, n in enumerate(names)]
    legend += [Patch(facecolor=_UNKNOWN, edgecolor="0.5", label="not compared"), Patch(facecolor=_WRONG, label="wrong")]
    figure.legend(handles=legend, loc="outside lower center", ncols=min(len(legend), 6), fontsize=8, frameon=False)
    with replacing(path) as part:
        figure.savefig(part, dpi=130)


def class_colours(names: tuple[str, ...], scheme: ClassScheme) -> list[tuple[float, float, float]]:
    """Colours in 0..1 of the classes called ``names``; dark grey for those that ``scheme`` does not know."""
    known = {c.name: c.rgb for c in scheme.classes}
    found = [known.get(name, (70, 70, 70)) for name in names]
    return [(r / 255, g / 255, b / 255) for r, g, b in found]


def _errors(panel: Panel) -> NDArray[np.float64]:
    """Right in pale green, wrong in red, grey where there is nothing to compare."""
    wrong = panel.reference != panel.prediction
    picture = np.where(wrong[..., None], np.array(_WRONG), np.array(_RIGHT))
    picture[(panel.reference == IGNORE) | (panel.prediction == IGNORE)] = _UNKNOWN
    return picture
