"""One picture of a map: image, reference, map and confidence of a scene, with classes and scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from rasterio.enums import Resampling

from wsss_geo.classes import ClassScheme
from wsss_geo.jobs import EvaluateResult
from wsss_geo.outputs import replacing

_INK, _FAINT, _PAPER, _NODATA = "#1a202c", "#5a6577", "#ffffff", 0.93
_SIDE = 820
"""Longest side of a panel in pixels."""
_DPI = 110
_WIDTH, _HEIGHT = 16.4, 13.3
"""Of the picture in inches."""


@dataclass(frozen=True)
class SceneFiles:
    """The rasters of one scene, all on the same grid."""

    image: Path
    reference: Path
    mask: Path
    confidence: Path


def write_overview(path: Path, scene: SceneFiles, classes: ClassScheme, scores: EvaluateResult, title: str) -> None:
    """Write the picture of ``scene`` as PNG. Raises EnvironmentFault when the disk is full.

    Rasters are read at the size they are shown at, so their own size does not matter.
    """
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI, facecolor=_PAPER)
    # In inches, from the top left: two by two panels, the legend on the right.
    side, gap, left, top = 6.05, 0.42, 0.3, 0.5
    shown = _panels(scene, classes)
    for number, (name, picture) in enumerate(shown.items()):
        row, col = divmod(number, 2)
        axes = _axes(figure, left + col * (side + 0.2), top + row * (side + gap), side, side)
        axes.imshow(picture, interpolation="nearest" if number else "antialiased")
        axes.set_axis_off()
        axes.set_title(name, loc="left", fontsize=13, color=_INK, pad=7, fontweight="bold")
    right = left + 2 * side + 0.2 + 0.35
    _write_side(figure, right, top, _WIDTH - right - 0.3, title, classes, scores, shown)
    with replacing(path) as part:
        figure.savefig(part, dpi=_DPI, facecolor=_PAPER)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Any:
    """Axes at a place given in inches from the top left corner."""
    place = (left / _WIDTH, 1 - (top + height) / _HEIGHT, width / _WIDTH, height / _HEIGHT)
    return figure.add_axes(place)


def _panels(scene: SceneFiles, classes: ClassScheme) -> dict[str, NDArray[np.float64]]:
    """The pictures [h, w, 3] in 0..1 by their titles."""
    colours = np.full((256, 3), _NODATA)
    for c in classes.classes:
        colours[c.id] = np.array(c.rgb) / 255
    image = np.moveaxis(_read(scene.image, Resampling.average)[:3], 0, -1) / 255
    return {
        "Image (never tagged, never trained on)": image,
        "Truth": colours[_read(scene.reference, Resampling.nearest)[0]],
        "Map": colours[_read(scene.mask, Resampling.nearest)[0]],
        "Confidence": _confidence_colours(_read(scene.confidence, Resampling.average)[0] / 255),
    }


def _read(path: Path, resampling: Resampling) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        scale = min(1.0, _SIDE / max(dataset.height, dataset.width))
        shape = (dataset.count, round(dataset.height * scale), round(dataset.width * scale))
        pixels: NDArray[Any] = dataset.read(out_shape=shape, resampling=resampling)
    return pixels


def _confidence_colours(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    import matplotlib

    shown: NDArray[np.float64] = matplotlib.colormaps["magma"](confidence)[..., :3]
    return shown


def _write_side(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    title: str,
    classes: ClassScheme,
    scores: EvaluateResult,
    shown: dict[str, NDArray[np.float64]],
) -> None:
    """Write title, score and classes with their IoU, and the scale of confidence, into a column."""
    height = _HEIGHT - top - 0.3
    axes = _axes(figure, left, top, width, height)
    axes.text(0, 0, title, fontsize=15, fontweight="bold", color=_INK, va="top", linespacing=1.3)
    axes.text(0, 1.5, f"{scores.miou:.1%}", fontsize=38, fontweight="bold", color=_INK, va="center")
    axes.text(0, 2.05, "mean IoU against the truth", fontsize=11, color=_FAINT, va="center")
    axes.text(0, 2.35, f"{scores.accuracy:.1%} of the pixels are right", fontsize=11, color=_FAINT, va="center")
    axes.text(width, 3.25, "IoU", fontsize=11, color=_FAINT, va="center", ha="right")
    for row, c in enumerate(classes.classes):
        y = 3.7 + 1.1 * row
        iou = scores.iou.get(c.name)
        axes.add_patch(Rectangle((0, y - 0.12), 0.24, 0.24, facecolor=c.color))
        axes.text(0.36, y, c.name, fontsize=13, color=_INK, va="center")
        axes.text(width, y, "absent" if iou is None else f"{iou:.1%}", fontsize=13, color=_INK, va="center", ha="right")
        axes.add_patch(Rectangle((0, y + 0.25), width, 0.08, facecolor="#e8ebf0"))
        axes.add_patch(Rectangle((0, y + 0.25), width * (iou or 0), 0.08, facecolor=c.color))
    y = 3.7 + 1.1 * len(classes) + 0.3
    axes.text(0, y, "Confidence", fontsize=13, color=_INK, va="center")
    scale = _confidence_colours(np.linspace(0, 1, 256)[None])
    axes.imshow(scale, extent=(0, width, y + 0.42, y + 0.2), aspect="auto", interpolation="nearest")
    for value, side in ((0.0, "left"), (0.5, "center"), (1.0, "right")):
        axes.text(width * value, y + 0.6, f"{value:g}", fontsize=11, color=_FAINT, va="center", ha=side)
    axes.set_xlim(0, width)  # last: showing the scale of confidence has moved them
    axes.set_ylim(height, 0)
    axes.set_axis_off()
