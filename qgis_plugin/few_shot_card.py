"""The card of a few-shot model: read from the head of its file, without the engine."""

from __future__ import annotations

import html
from dataclasses import dataclass

from .model_card import ModelCardError, damaged, metadata_of
from .translate import fill, tr

_KEY = "wsss_geo_fewshot"


@dataclass(frozen=True)
class FewShotCard:
    """Bands, ground sample distance in metres (None if unknown), side of a view in pixels, classes of the training.

    ``held`` are the classes left out of it, ``episodes`` how many searches it played.
    """

    bands: tuple[str, ...]
    gsd: float | None
    tile_size: int
    seen: tuple[str, ...]
    held: tuple[str, ...] = ()
    episodes: int = 0
    backbone: str = ""


def is_few_shot(path: str) -> bool:
    """Whether a file says that it is a few-shot model. Raises ModelCardError."""
    return metadata_of(path, _KEY) is not None


def read_few_shot_card(path: str) -> FewShotCard:
    """Read the card of a ``.safetensors`` file of ``wsss-geo fewshot-train``. Raises ModelCardError."""
    data = metadata_of(path, _KEY)
    if data is None:
        raise ModelCardError(tr("{} is no few-shot model; choose one made by “Train few-shot model”.").format(path))
    try:
        gsd = data["gsd"]
        return FewShotCard(
            tuple(map(str, data["bands"])),
            None if gsd is None else float(gsd),
            int(data["tile_size"]),
            tuple(map(str, data["seen"])),
            tuple(map(str, data.get("held") or ())),
            int(data.get("episodes") or 0),
            str((data.get("network") or {}).get("backbone") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(path) from None


def few_shot_html(card: FewShotCard) -> str:
    """Return the card as a line of rich text."""
    facts = [tr("{} bands: {}").format(len(card.bands), ", ".join(card.bands))]
    if card.gsd is not None:
        facts.append(fill(tr("{:.3g} m a pixel"), card.gsd))
    facts.append(tr("trained on {}").format(", ".join(card.seen)))
    return f"<small>{html.escape('; '.join(facts))}</small>"
