"""The models in a folder, with their cards."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .model_card import ModelCard, ModelCardError, class_swatches, read_model_card
from .report import table
from .translate import fill, number, tr

SUFFIX = ".safetensors"
#: More files than this are not listed, and folders deeper than this are not entered.
MOST_MODELS = 500
_DEEPEST = 3


@dataclass(frozen=True)
class Model:
    """A file of a folder: its card, or in ``problem`` why it has none."""

    path: str
    name: str
    card: ModelCard | None
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
    unknown = tr("not given")
    megabytes = fill(tr("{:,.1f} MB"), os.path.getsize(model.path) / 1e6) if os.path.isfile(model.path) else unknown
    rows = [
        (tr("Method"), card.method),
        (tr("Bands"), ", ".join(card.bands)),
        (tr("Ground sample distance"), fill(tr("{:.3g} m"), card.gsd) if card.gsd is not None else unknown),
        (tr("Tile size"), tr("{} pixels").format(card.tile_size)),
        (tr("Trained where"), _where(card.box) if len(card.box) == 4 else unknown),
        (tr("Licence"), card.licence or unknown),
        (tr("File size"), megabytes),
    ]
    parts = [title, f"<p>{class_swatches(card)}</p>", table(("", ""), rows)]
    if card.scores:
        parts.append(table((tr("Score of the training"), ""), [(n, number(v, ".3f")) for n, v in card.scores.items()]))
    if card.tag_counts:
        parts.append(table((tr("Class"), tr("Tagged scenes")), card.tag_counts.items()))
    return "".join(parts).replace("<table>", '<table cellpadding="3">').replace('class="n"', 'align="right"')


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
    short = inside.parent if inside.name == f"model{SUFFIX}" and inside.parent.parts else inside.with_suffix("")
    try:
        return Model(path, short.as_posix(), read_model_card(path))
    except ModelCardError as error:
        return Model(path, short.as_posix(), None, str(error))


def _where(box: tuple[float, ...]) -> str:
    return fill(tr("{:.4f} to {:.4f}° east, {:.4f} to {:.4f}° north"), box[0], box[2], box[1], box[3])
