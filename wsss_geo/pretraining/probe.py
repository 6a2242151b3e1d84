"""The ``probe`` job: what a frozen backbone knows, and how alike its tokens are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.jobs import ProbeJob, ProbeResult
from wsss_geo.nn.backbones import Backbone, load_weights
from wsss_geo.nn.card import plan
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.self_supervision import token_similarity
from wsss_geo.nn.tensors import resize
from wsss_geo.nn.weights_file import BackboneCard, read_backbone
from wsss_geo.outputs import check_output, replacing
from wsss_geo.pretraining.ground import Region
from wsss_geo.pretraining.linear import f1_scores, fit_linear
from wsss_geo.progress import Progress
from wsss_geo.raster.grid import Window
from wsss_geo.raster.reader import RasterReader
from wsss_geo.tileset.index import is_tileset, read_tileset
from wsss_geo.tileset.tag_table import find_rasters

#: Images whose tokens are compared.
_COMPARED = 64


@dataclass(frozen=True)
class Labelled:
    """Images with one class each: ``labels`` are positions in ``classes``, ``train`` says which ones may be learned."""

    regions: tuple[Region, ...]
    labels: Tensor
    train: Tensor
    classes: tuple[str, ...]


def run(job: ProbeJob, report: Progress) -> ProbeResult:
    """Fit a linear classifier on frozen features and score it on images kept back; compare tokens block by block.

    Raises InputError for images that do not fit, ModelError for weights without a card.
    """
    if job.out:
        check_output(job.out)
    encoder, card = frozen_backbone(job.weights, job.untrained, job.seed)
    size = job.size or card.size
    if size % encoder.patch:
        hint = f"use {max(1, size // encoder.patch) * encoder.patch}"
        raise UsageError(f"probe.size: {size} px is no multiple of the patch of {encoder.patch} px", hint)
    images = _images(job, card)
    encoder.to(choose_device(job.device))
    features, similar = _look(encoder, images, card, size, job.batch_size, report)
    classes = len(images.classes)
    classifier = fit_linear(features[images.train], images.labels[images.train], classes)
    predicted = classifier(features[~images.train]).argmax(dim=1)
    truth = images.labels[~images.train]
    each = f1_scores(predicted, truth, classes)
    result = ProbeResult(
        top1=float((predicted == truth).double().mean()),
        f1=float(each.nanmean()),
        f1_by_class={n: float(v) for n, v in zip(images.classes, each.nan_to_num(0.0), strict=True)},
        train=int(images.train.sum()),
        test=len(truth),
        smoothness=similar,
    )
    if job.out:
        with replacing(job.out) as part:
            part.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    return result


def frozen_backbone(path: Path | str, untrained: bool = False, seed: int = 0) -> tuple[Backbone, BackboneCard]:
    """The backbone of a file of weights with its card; ``untrained`` leaves it at random weights of ``seed``.

    Raises ModelError for weights without a card or of another architecture.
    """
    card, weights = read_backbone(path)
    if card is None:
        raise ModelError(path, "does not say what it is", "give weights of `wsss-geo pretrain` or a model")
    torch.manual_seed(seed)
    try:
        plan(weights, card.build)
        encoder = card.build()
        if not untrained:
            load_weights(encoder, {n: v for n, v in weights.items() if n.startswith("encoder.")})
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(path, f"weights and card do not fit ({reason})", "make it again") from None
    return encoder.eval().requires_grad_(False), card


@torch.inference_mode()
def _look(
    encoder: Backbone, images: Labelled, card: BackboneCard, size: int, batch: int, report: Progress
) -> tuple[Tensor, dict[str, float]]:
    """Features [n,D] of all images, and the mean cosine of the tokens of some of the test's, by layer."""
    device = next(encoder.parameters()).device
    given = card.normalisation
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (given.mean, given.std))
    found = []
    total = len(images.regions)
    similar: dict[str, list[Tensor]] = {}
    held = set(torch.nonzero(~images.train).flatten()[:_COMPARED].tolist())
    for start in range(0, total, batch):
        report.step(start, total, "", "images")
        numbers = range(start, min(start + batch, total))
        shown = torch.stack([_read(images.regions[i], card, size) for i in numbers]).to(device)
        shown = (shown - mean) / std
        tokens, stages = encoder.forward_stages(shown)
        parts = [tokens.summary, *(maps.mean(dim=(2, 3)) for maps in (tokens.final, *stages))]
        found.append(torch.cat(parts, dim=1).float().cpu())
        compared = [i - start for i in numbers if i in held]
        if compared:
            for name, maps in encoder.layers(shown[compared]).items():
                similar.setdefault(name, []).append(token_similarity(maps).cpu())
    report.step(total, total, "", "images")
    return torch.cat(found), {name: float(torch.cat(values).mean()) for name, values in similar.items()}


def _read(region: Region, card: BackboneCard, size: int) -> Tensor:
    """One image [N,size,size] in 0..1, pixels without data at the mean."""
    tile = region.reader.read(region.part)
    region.reader.close()
    stretched = card.normalisation.stretch(tile.pixels)
    mean = np.asarray(card.normalisation.mean, np.float32)[:, None, None]
    image = torch.from_numpy(np.where(tile.valid, stretched, mean).astype(np.float32))
    return resize(image[None], (size, size))[0]


def _images(job: ProbeJob, card: BackboneCard) -> Labelled:
    folder = Path(job.tiles)
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "give a tile set or a folder with one folder a class")
    images = _of_tileset(folder) if is_tileset(folder) else _of_folders(folder, job)
    bands = images.regions[0].reader.count
    if bands != len(card.bands):
        problem = f"has {bands} bands, the weights want {len(card.bands)} ({', '.join(card.bands)})"
        raise InputError(images.regions[0].reader.path, problem, "probe with other images or other weights")
    for part, name in ((images.train, "learn from"), (~images.train, "test on")):
        if len(images.labels[part].unique()) < 2:
            raise InputError(folder, f"has no two classes to {name}", "give more images, or another split")
    return images


def _of_tileset(folder: Path) -> Labelled:
    """Tiles with one tag: those of the train split are learned, the test's are kept back, or else the validation's."""
    tileset = read_tileset(folder)
    held = "test" if len(tileset.of_split("test")) else "val"
    tags = tileset.tags_matrix()
    split = tileset.tiles["split"].to_numpy()
    chosen = (tags.sum(axis=1) == 1) & ((split == "train") | (split == held))
    if not chosen.any():
        raise InputError(folder, "has no tile with a single tag", "give scenes of one class each")
    rows = tileset.tiles[chosen]
    readers = {source: tileset.reader(tileset.path(source)) for source in rows["source"].unique()}
    columns = rows[["source", "row_off", "col_off", "height", "width"]].to_numpy()
    regions = tuple(Region(readers[s], Window(int(r), int(c), int(h), int(w))) for s, r, c, h, w in columns)
    labels = torch.from_numpy(tags[chosen].argmax(axis=1))
    return Labelled(regions, labels, torch.from_numpy(split[chosen] == "train"), tileset.scheme.taggable)


def _of_folders(folder: Path, job: ProbeJob) -> Labelled:
    """Images below one folder a class; of each class the share ``held`` is kept back."""
    groups = {p.name: find_rasters(p) for p in sorted(folder.iterdir()) if p.is_dir()}
    groups = {name: paths for name, paths in groups.items() if len(paths) > 1}
    if len(groups) < 2:
        raise InputError(folder, "has no two folders of images", "give a tile set or a folder with one folder a class")
    rng = np.random.default_rng(job.seed)
    train: list[bool] = []
    for paths in groups.values():
        kept = min(len(paths) - 1, max(1, round(job.held * len(paths))))
        back = np.zeros(len(paths), np.bool_)
        back[rng.permutation(len(paths))[:kept]] = True
        train += (~back).tolist()
    regions = tuple(_whole(path) for paths in groups.values() for path in paths)
    labels = torch.tensor([i for i, paths in enumerate(groups.values()) for _ in paths])
    return Labelled(regions, labels, torch.tensor(train), tuple(groups))


def _whole(path: Path) -> Region:
    reader = RasterReader(path, palette=True)
    return Region(reader, Window(0, 0, reader.height, reader.width))
