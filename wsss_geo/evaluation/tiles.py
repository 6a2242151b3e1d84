"""A model on the tiles of a tile set that has masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import InputError, ModelError
from wsss_geo.evaluation.figures import Panel
from wsss_geo.evaluation.metrics import Tally, count_pairs, tally
from wsss_geo.jobs import SPLITS, EvaluateJob
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.model_file import LoadedModel, load_model
from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import resize
from wsss_geo.nn.whole_tiles import answer_tiles
from wsss_geo.progress import Progress
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet, read_tileset

_PANELS = 6


def score_tiles(job: EvaluateJob, report: Progress) -> tuple[Tally, list[Panel], ClassScheme]:
    """Run ``job.model`` on the tiles of ``job.split`` and compare its classes with their masks, pixel by pixel.

    ``job.with_tags`` lets only the tagged classes of a tile and the background compete. Also returns some tiles for
    the picture and the classes of the model. Memory: one batch. Raises InputError, ModelError.
    """
    path = str(job.model)
    tileset = read_tileset(str(job.tiles))
    rows = _rows(job, tileset, report)
    device = choose_device(job.device)
    model = load_model(path, device)
    scheme = model.card.classes
    _check_fit(path, model, tileset, report)
    tileset = dataclasses.replace(tileset, normalisation=model.card.normalisation)
    data = TileDataset(tileset, rows, with_masks=True, cache_bytes=0)
    columns = [tileset.scheme.taggable.index(n) if n in tileset.scheme.taggable else -1 for n in scheme.names]
    pairs, panels = np.zeros((257, 257), np.int64), []
    shown = set(np.linspace(0, len(data) - 1, min(_PANELS, len(data))).round().astype(int).tolist())
    done = 0
    for batch in DataLoader(data, job.batch_size):
        allowed = _allowed(batch["tags"], columns, model.network.cold).to(device) if job.with_tags else None
        image, valid = batch["image01"].to(device), batch["valid"].to(device)
        predicted = classify(model.network, image, valid, job.scores, allowed).cpu().numpy()
        pairs += count_pairs(batch["mask"].numpy(), predicted)
        for i in shown & set(range(done, done + len(image))):
            panels.append(_panel({k: v[i - done] for k, v in batch.items()}, predicted[i - done], tileset, scheme))
        done += len(image)
        report.step(done, len(data), "", "tiles")
    return tally(pairs, dict(enumerate(tileset.scheme.names)), dict(enumerate(scheme.names))), panels, scheme


@torch.inference_mode()
def classify(
    network: Network, image01: Tensor, valid: Tensor, scores: str = "decoder", allowed: Tensor | None = None
) -> Tensor:
    """Classes of pixels: images [B,N,H,W] in 0..1, validity bool [B,H,W] -> channel positions int64 [B,H,W].

    As in ``answer_tiles``; scores are upsampled bilinearly from the token grid before the arg-max. Only channels
    ``allowed`` (bool [B,C]) compete, all unless given.
    """
    probabilities = answer_tiles(network, image01, valid, scores).probabilities
    if allowed is not None:
        probabilities = probabilities.masked_fill(~allowed[:, :, None, None], -1.0)
    return resize(probabilities, (image01.shape[-2], image01.shape[-1])).argmax(dim=1)


def _rows(job: EvaluateJob, tileset: TileSet, report: Progress) -> Any:
    rows = tileset.of_split(job.split)
    if not len(rows):
        counts = {s: len(tileset.of_split(s)) for s in SPLITS}
        listed = ", ".join(f"{s} has {n}" for s, n in counts.items() if n)
        raise InputError(tileset.root, f"has no tile in its {job.split} split ({listed})", "choose one with --split")
    masked = rows["mask"].map(lambda m: isinstance(m, str))
    if not masked.any():
        raise InputError(tileset.root, f"no tile of split {job.split} has a mask", "make the tile set from masks")
    if not masked.all():
        report.warn(f"{tileset.root}: {int((~masked).sum())} of {len(rows)} tiles have no mask and are left out")
    rows = rows[masked]
    if job.with_tags:
        tagged = rows[rows["tagged"]]
        if not len(tagged):
            raise InputError(tileset.root, f"no tile of split {job.split} is tagged", "evaluate without --with-tags")
        if len(tagged) < len(rows):
            report.warn(f"{tileset.root}: {len(rows) - len(tagged)} untagged tiles are left out")
        rows = tagged
    return rows


def _check_fit(path: str, model: LoadedModel, tileset: TileSet, report: Progress) -> None:
    card = model.card
    if len(card.normalisation.mean) != len(tileset.bands):
        needed, given = len(card.normalisation.mean), len(tileset.bands)
        raise ModelError(path, f"needs {needed} bands, {tileset.root} has {given}", "choose another model or tile set")
    if not set(card.classes.names) & set(tileset.scheme.names):
        theirs, ours = ", ".join(tileset.scheme.names), ", ".join(card.classes.names)
        raise InputError(tileset.root, f"no class in common: masks {theirs}; model {ours}", "choose another model")
    if card.gsd and tileset.gsd and abs(tileset.gsd / card.gsd - 1) > 0.05:
        report.warn(f"{tileset.root}: tiles of {tileset.gsd:.4g} m, the model was trained at {card.gsd:.4g} m")


def _allowed(tags: Tensor, columns: list[int], cold: int | None) -> Tensor:
    """Channels that may win, bool [B,C]: the tagged and the cold; ``columns`` of ``tags`` by channel, -1 for none."""
    padded = torch.cat([tags > 0.5, torch.zeros(len(tags), 1, dtype=torch.bool)], dim=1)
    allowed = padded[:, columns]
    if cold is not None:
        allowed[:, cold] = True
    return allowed


def _panel(item: Mapping[str, Any], predicted: NDArray[np.int64], tileset: TileSet, scheme: ClassScheme) -> Panel:
    table = np.full(256, IGNORE, np.int64)
    for position, name in enumerate(tileset.scheme.names):
        table[position] = scheme.names.index(name) if name in scheme.names else IGNORE
    bands = item["image01"].numpy()
    image = np.moveaxis(bands[:3] if len(bands) >= 3 else bands[:1].repeat(3, axis=0), 0, -1)
    seen = np.where(item["valid"].numpy(), predicted, IGNORE)
    return Panel(table[item["mask"].numpy()], seen, image, str(item["tile_id"]))
