"""A trained network calibrated on the tagged scenes of a tile set."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.nn.calibration import Calibration, calibrate
from wsss_geo.nn.model_file import LoadedModel
from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import split_cells
from wsss_geo.nn.whole_tiles import answer_tiles
from wsss_geo.progress import Progress
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet
from wsss_geo.tileset.mosaic import MosaicDataset

#: Most views that are looked at, evenly spread over the tiles; how often each tile is seen where neighbours are seen
#: together; answers that are kept of all.
_VIEWS, _LOOKS, _ANSWERS = 384, 4, 1 << 19


def calibrate_model(
    model: LoadedModel, tileset: TileSet, split: str | None, batch_size: int, report: Progress
) -> Calibration:
    """Calibrate the decoder of ``model`` on the tagged tiles of ``split``: val, or train where that is empty, if None.

    Tiles are seen as in training: neighbours together where the model's view is some tiles wide. Raises InputError for
    tiles of other classes or bands, and where no tile says anything.
    """
    _check_fit(model, tileset)
    split, rows = _rows(tileset, split)
    tileset = dataclasses.replace(tileset, normalisation=model.card.normalisation)
    tiles = TileDataset(tileset, rows, cache_bytes=1 << 28)
    cells = _cells(model.card.tile_size, tileset)
    data: Any = MosaicDataset(tiles, cells) if cells > 1 else tiles
    count = min(_VIEWS, len(data) if cells == 1 else math.ceil(_LOOKS * len(data) / cells**2))
    chosen = np.unique(np.linspace(0, len(data) - 1, count).round().astype(int)).tolist()
    columns = _columns(model.card.classes, tileset.scheme)
    probabilities, allowed = [], []
    most = max(1, _ANSWERS // len(chosen))
    for begin in range(0, len(chosen), batch_size):
        items = [data[i] for i in chosen[begin : begin + batch_size]]
        image01, valid = (torch.stack([item[name] for item in items]) for name in ("image01", "valid"))
        tags = torch.stack([item.get("cell_tags", item["tags"][:, None, None]) for item in items])
        found = _answers(model.network, image01, valid, tags[:, columns], most * len(items))
        probabilities.append(found[0])
        allowed.append(found[1])
        report.step(min(begin + batch_size, len(chosen)), len(chosen), "", "calibrate")
    if not sum(map(len, allowed)):
        raise InputError(tileset.root, f"no scene of its {split} split tells which class a pixel is", "tag some")
    scenes = np.unique(data.members[chosen]) if cells > 1 else np.array(chosen)
    return calibrate(torch.cat(probabilities), torch.cat(allowed), split, int((scenes >= 0).sum()))


@torch.inference_mode()
def _answers(network: Network, image01: Tensor, valid: Tensor, tags: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Probabilities [n, C] of up to ``most`` valid answers, and the classes that are possible there, bool [n, C].

    Images [B,N,H,W] in 0..1, validity bool [B,H,W], tags [B,K,g,g] of the scenes in each image.
    """
    device = network.mean.device
    answers = answer_tiles(network, image01.to(device), valid.to(device))
    found, seen = answers.probabilities.cpu(), answers.valid.cpu() > 0.999
    possible = tags > 0.5
    if network.cold is not None:
        always = torch.ones_like(possible[:, :1])
        possible = torch.cat([possible[:, : network.cold], always, possible[:, network.cold :]], dim=1)
    rows, cols = possible.shape[-2:]
    cells, usable = split_cells(found, rows, cols), split_cells(seen, rows, cols)
    classes = split_cells(possible, rows, cols)
    usable = usable & classes.any(dim=1, keepdim=True)
    flat = cells.permute(0, 2, 3, 1)[usable[:, 0]]
    told = classes.expand_as(cells).permute(0, 2, 3, 1)[usable[:, 0]]
    step = max(1, -(-len(flat) // most))
    return flat[::step], told[::step]


def _rows(tileset: TileSet, split: str | None) -> tuple[str, Any]:
    for name in ("val", "train") if split is None else (split,):
        rows = tileset.of_split(name)
        rows = rows[rows["tagged"]]
        if len(rows):
            return name, rows
    raise InputError(tileset.root, f"has no tagged tile in its {split or 'train'} split", "choose one with --split")


def _cells(view: int, tileset: TileSet) -> int:
    """Tiles along the side of what the model sees at once; 1 where they cannot be put together."""
    whole = view > tileset.size and view % tileset.size == 0 and not tileset.materialized
    return view // tileset.size if whole else 1


def _columns(model: ClassScheme, tiles: ClassScheme) -> list[int]:
    return [tiles.taggable.index(name) for name in model.taggable]


def _check_fit(model: LoadedModel, tileset: TileSet) -> None:
    card = model.card
    if set(card.classes.taggable) != set(tileset.scheme.taggable):
        theirs, ours = ", ".join(tileset.scheme.taggable), ", ".join(card.classes.taggable)
        raise InputError(tileset.root, f"tags {theirs}; the model knows {ours}", "give tiles with the model's classes")
    if len(card.bands) != len(tileset.band_names):
        needed, given = len(card.bands), len(tileset.band_names)
        raise InputError(tileset.root, f"has {given} bands, the model needs {needed}", "give tiles with its bands")
