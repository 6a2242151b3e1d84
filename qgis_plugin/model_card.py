"""A model's card: read from the head of its file, without the engine."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..wsss_geo.classes import ClassScheme
from ..wsss_geo.errors import WsssGeoError
from .translate import fill, tr

_KEY = "wsss_geo"
_BACKBONE_KEY = "wsss_geo_backbone"
_LARGEST_HEAD = 1 << 26


class ModelCardError(Exception):
    """A file is no model; the message is a sentence for the user."""


@dataclass(frozen=True)
class Calibration:
    """What makes a model's confidence mean how often it is right.

    ``temperature`` found by the tags of so many ``scenes``; ``before`` and ``after``: how far confidence and rightness
    are apart on average without and with it, as shares of 0..1.
    """

    temperature: float
    scenes: int
    before: float
    after: float


@dataclass(frozen=True)
class ModelCard:
    """What a user wants to know of a model.

    ``gsd`` is metres a pixel, ``score`` the training's own; both may lack. ``scores`` are all figures of the training,
    ``box`` west, south, east, north of where it was trained, in degrees, or empty. ``calibration`` is None where nobody
    has made one.
    """

    classes: ClassScheme
    bands: tuple[str, ...]
    method: str
    gsd: float | None
    tile_size: int
    score: float | None
    tag_counts: Mapping[str, int]
    scores: Mapping[str, float] = field(default_factory=dict)
    licence: str = ""
    box: tuple[float, ...] = ()
    backbone: str = ""
    version: str = ""
    calibration: Calibration | None = None


def read_model_card(path: str) -> ModelCard:
    """Read the card of a ``.safetensors`` file. Raises ModelCardError."""
    data = metadata_of(path, _KEY)
    if data is None:
        raise ModelCardError(tr("{} is no model of wsss-geo; choose one made by “Train model from tags”.").format(path))
    try:
        return _card(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, WsssGeoError):
        raise damaged(path) from None


def metadata_of(path: str, key: str) -> Any:
    """Return what JSON a ``.safetensors`` file keeps under ``key``, None if it has none. Raises ModelCardError."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEAD, os.path.getsize(path) - 8):
                return None
            text = json.loads(file.read(length).decode("utf-8"))["__metadata__"][key]
    except OSError as error:
        raise ModelCardError(tr("{} cannot be read ({}).").format(path, error.strerror)) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    try:
        data = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise damaged(path) from None
    if data is None:
        raise damaged(path)
    return data


def backbone_of(path: str) -> tuple[str, dict[str, Any]] | None:
    """Return name and arguments of the backbone whose weights a file holds, None if it does not say.

    Raises ModelCardError.
    """
    for key in (_KEY, _BACKBONE_KEY):
        data = metadata_of(path, key)
        try:
            if data is not None:
                own, arguments = (data["network"], "backbone_args") if key == _KEY else (data, "arguments")
                return str(own["backbone"]), dict(own.get(arguments) or {})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged(path) from None
    return None


def damaged(path: str) -> ModelCardError:
    """Return the error of a card that cannot be understood."""
    return ModelCardError(tr("The model card in {} is damaged; train or download the model again.").format(path))


def _card(data: Mapping[str, Any]) -> ModelCard:
    classes = data["classes"]
    listed = classes["classes"] if isinstance(classes, dict) else classes
    gsd, score = data.get("gsd"), (data.get("scores") or {}).get("score")
    return ModelCard(
        ClassScheme.from_json({"classes": listed, "background": data["background"]}),
        tuple(str(band) for band in data["bands"]),
        str(data["method"]),
        None if gsd is None else float(gsd),
        int(data["tile_size"]),
        None if score is None else float(score),
        {str(name): int(count) for name, count in (data.get("tag_counts") or {}).items()},
        {str(name): float(value) for name, value in (data.get("scores") or {}).items()},
        str(data.get("licence") or ""),
        tuple(float(v) for v in (data.get("area") or {}).get("bbox", ())),
        str((data.get("network") or {}).get("backbone") or ""),
        str((data.get("versions") or {}).get("wsss-geo") or ""),
        _calibration(data.get("calibration")),
    )


def _calibration(data: Mapping[str, Any] | None) -> Calibration | None:
    if data is None:
        return None
    apart = (sum(abs(sure - right) * share for sure, right, share in data[key]) for key in ("before", "after"))
    return Calibration(float(data["temperature"]), int(data["scenes"]), *apart)


def class_swatches(card: ModelCard) -> str:
    """Return the classes in their colours as rich text."""
    return " ".join(
        f'<span style="color:{c.color}">■</span>&nbsp;{html.escape(c.name).replace(" ", "&nbsp;")}'
        for c in card.classes.classes
    )


def card_html(card: ModelCard) -> str:
    """Return the card as rich text: classes in their colours, then a line of facts."""
    classes = class_swatches(card)
    facts = [tr("{} bands: {}").format(len(card.bands), ", ".join(card.bands))]
    if card.gsd is not None:
        facts.append(fill(tr("{:.3g} m a pixel"), card.gsd))
    if card.tag_counts:
        facts.append(fill(tr("method {}, trained on {:,} tags"), card.method, sum(card.tag_counts.values())))
    if card.score is not None:
        facts.append(fill(tr("training score {:.2f}"), card.score))
    facts.append(tr("confidence not calibrated") if card.calibration is None else tr("confidence calibrated"))
    return f"{classes}<br><small>{html.escape('; '.join(facts))}</small>"
