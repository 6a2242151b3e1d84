"""The models in a folder, with their cards."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .few_shot_card import FewShotCard, is_few_shot, read_few_shot_card
from .model_card import Calibration, ModelCard, ModelCardError, class_swatches, read_model_card
from .report import percent, table
from .translate import fill, mark, number, tr

SUFFIX = ".safetensors"
#: More files than this are not listed, and folders deeper than this are not entered.
MOST_MODELS = 500
_DEEPEST = 3
#: The names that every run gives its model.
_RUNS = (f"model{SUFFIX}", f"fewshot{SUFFIX}")

#: What the figures of a training mean.
_SCORES = {
    "score": mark("Mean of the next two, which chose the checkpoint"),
    "tag_f1": mark("Tags found again in scenes held out (F1)"),
    "within": mark("Share of their pixels whose class is among the tags"),
    "cam_f1": mark("Tags found again by the classifier alone (F1)"),
}


@dataclass(frozen=True)
class Model:
    """A file of a folder: its card, of either kind, or in ``problem`` why it has none."""

    path: str
    name: str
    card: ModelCard | FewShotCard | None
    problem: str = ""


def list_models(folder: str) -> list[Model]:
    """Return the models in ``folder`` and its folders, by name; files that are no models come last."""
    found = [_model(path, Path(folder)) for path in _files(folder)]
    return sorted(found, key=lambda m: (m.card is None, m.name.lower()))


def model_html(model: Model) -> str:
    """Return all that is known of a model as rich text."""
    title = f"<h3>{html.escape(model.name)}</h3><p><small>{html.escape(model.path)}</small></p>"
    card = model.card
    if card is None:
        return f"{title}<p>{html.escape(model.problem)}</p>"
    parts = _few_shot(card, model.path) if isinstance(card, FewShotCard) else _model_of_classes(card, model.path)
    return "".join((title, *parts)).replace("<table>", '<table cellpadding="3">').replace('class="n"', 'align="right"')


def _model_of_classes(card: ModelCard, path: str) -> list[str]:
    unknown = tr("not given")
    rows = [
        (tr("Method"), card.method),
        *_common(card, path),
        (tr("Trained where"), _where(card.box) if len(card.box) == 4 else unknown),
        (tr("Trained with"), f"wsss-geo {card.version}" if card.version else unknown),
        (tr("Licence"), card.licence or unknown),
        (tr("Confidence"), _confidence(card.calibration)),
    ]
    parts = [f"<p>{class_swatches(card)}</p>", table(("", ""), rows)]
    if card.scores:
        scores = [(tr(_SCORES.get(n, n)), number(v, ".3f")) for n, v in card.scores.items()]
        parts.append(table((tr("Score of the training"), ""), scores))
    if card.tag_counts:
        parts.append(table((tr("Class"), tr("Tagged scenes")), card.tag_counts.items()))
    return parts


def _few_shot(card: FewShotCard, path: str) -> list[str]:
    rows = [
        (tr("Kind"), tr("few-shot model, for “Find similar”")),
        *_common(card, path),
        (tr("Classes learned from"), ", ".join(card.seen)),
        (tr("Classes left out"), ", ".join(card.held) or tr("none")),
        (tr("Episodes"), card.episodes),
    ]
    return [table(("", ""), rows)]


def _common(card: ModelCard | FewShotCard, path: str) -> list[tuple[str, str]]:
    unknown = tr("not given")
    return [
        (tr("Backbone"), card.backbone or unknown),
        (tr("Bands"), ", ".join(card.bands)),
        (tr("Ground sample distance"), fill(tr("{:.3g} m"), card.gsd) if card.gsd is not None else unknown),
        (tr("Tile size"), tr("{} pixels").format(card.tile_size)),
        (tr("File size"), fill(tr("{:,.1f} MB"), os.path.getsize(path) / 1e6) if os.path.isfile(path) else unknown),
    ]


def _confidence(found: Calibration | None) -> str:
    if found is None:
        return tr("not calibrated: it says which pixels are surer than others, not how often they are right")
    return fill(
        tr("calibrated by {:,} tagged scenes, temperature {:.2f}; {} from how often it is right, {} without"),
        found.scenes,
        found.temperature,
        percent(found.after),
        percent(found.before),
    )


def _files(folder: str) -> Iterator[str]:
    """Yield the files that may be models, the same ones every time."""
    if not folder:
        return
    count = 0
    for place, folders, files in os.walk(folder):
        deep = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if deep < _DEEPEST else []
        for name in sorted(files):
            if name.endswith(SUFFIX) and ".part" not in name and count < MOST_MODELS:
                count += 1
                yield os.path.join(place, name)


def _model(path: str, folder: Path) -> Model:
    inside = Path(path).relative_to(folder)
    # A run folder says more than the name that every run gives its model.
    short = inside.parent if inside.name in _RUNS and inside.parent.parts else inside.with_suffix("")
    try:
        card = read_few_shot_card(path) if is_few_shot(path) else read_model_card(path)
    except ModelCardError as error:
        return Model(path, short.as_posix(), None, str(error))
    return Model(path, short.as_posix(), card)


def _where(box: tuple[float, ...]) -> str:
    return fill(tr("{:.4f} to {:.4f}° east, {:.4f} to {:.4f}° north"), box[0], box[2], box[1], box[3])
