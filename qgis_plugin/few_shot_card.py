"""The card of a few-shot model: read from the head of its file, without the engine."""

from __future__ import annotations

import html
from dataclasses import dataclass

from .model_card import ModelCardError, damaged, metadata_of
from .translate import fill, tr

_KEY = "wsss_geo_fewshot"


@dataclass(frozen=True)
class FewShotCard:
    """Bands, ground sample distance in metres (None if unknown), side of a view in pixels, classes of the training."""

    bands: tuple[str, ...]
    gsd: float | None
    tile_size: int
    seen: tuple[str, ...]


def read_few_shot_card(path: str) -> FewShotCard:
    """Read the card of a ``.safetensors`` file of ``wsss-geo fewshot-train``. Raises ModelCardError."""
    data = metadata_of(path, _KEY)
    if data is None:
        raise ModelCardError(tr("{} is no few-shot model; choose one made by “wsss-geo fewshot-train”.").format(path))
    try:
        gsd = data["gsd"]
        return FewShotCard(
            tuple(map(str, data["bands"])),
            None if gsd is None else float(gsd),
            int(data["tile_size"]),
            tuple(map(str, data["seen"])),
        )
    except (ValueError, KeyError, TypeError):
        raise damaged(path) from None


def few_shot_html(card: FewShotCard) -> str:
    """Return the card as a line of rich text."""
    facts = [tr("{} bands: {}").format(len(card.bands), ", ".join(card.bands))]
    if card.gsd is not None:
        facts.append(fill(tr("{:.3g} m a pixel"), card.gsd))
    facts.append(tr("trained on {}").format(", ".join(card.seen)))
    return f"<small>{html.escape('; '.join(facts))}</small>"
