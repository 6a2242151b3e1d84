"""From a job and a tile set to a method ready to train and the card of its model."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import Any

import torch

from wsss_geo.errors import EnvironmentFault, InputError, UsageError
from wsss_geo.fitting.trainer import building, suit_attention
from wsss_geo.jobs import TrainJob
from wsss_geo.methods import METHODS, Method, Settings, settings_from
from wsss_geo.nn.model_file import ModelCard, build_network, load_model
from wsss_geo.nn.network import Network
from wsss_geo.nn.weights_file import start_from
from wsss_geo.record import versions
from wsss_geo.tileset.index import INDEX, TileSet


def check_tiles(tileset: TileSet, rows: Any) -> None:
    """Refuse what cannot be learned from: no tagged training tile, or a single class. Raises InputError."""
    if not len(rows):
        raise InputError(tileset.root, "has no tagged tile in its train split", "tag some scenes and tile again")
    if len(tileset.scheme) < 2:
        raise InputError(
            tileset.root,
            f"has the one class {tileset.scheme.names[0]!r}",
            "tag at least one other class, or background",
        )
    counts = tileset.tags_matrix(rows).sum(axis=0)
    if tileset.scheme.background == "none" and (counts == len(rows)).sum() == len(counts):
        raise InputError(
            tileset.root,
            "carries every class in every tile, which says nothing",
            "tag smaller scenes, so that tags differ",
        )


def make_card(job: TrainJob, tileset: TileSet, rows: Any, settings: Settings, size: int) -> ModelCard:
    """Describe the model that this training makes."""
    kind = METHODS[job.method]
    counts = tileset.tags_matrix(rows).sum(axis=0)
    footprint = rows.geometry.dropna()
    area = None
    if len(footprint):
        area = {"bbox": [round(float(v), 7) for v in footprint.total_bounds], "crs": "EPSG:4326"}
    digest = hashlib.sha256((tileset.root / INDEX).read_bytes()).hexdigest()
    network = {
        "backbone": job.backbone,
        "image_size": size,
        "middle": settings.middle,
        "cam_from": kind.cam_from,
        "decoder_width": settings.decoder_width,
        "dilation": settings.dilation,
        "decoder_stride": settings.decoder_stride,
        "backbone_args": dict(job.backbone_args),
    }
    if kind.class_tokens:
        network["class_tokens"] = True
    return ModelCard(
        method=job.method,
        network=network,
        classes=tileset.scheme,
        bands=tileset.band_names,
        normalisation=tileset.normalisation,
        gsd=tileset.gsd,
        tile_size=size,
        tag_counts={n: int(c) for n, c in zip(tileset.scheme.taggable, counts, strict=True)},
        area=area,
        data_hash=digest,
        versions=versions(),
        settings=dict(job.settings),
    )


def make_method(job: TrainJob, card: ModelCard, settings: Settings) -> Method:
    """Build network and method, with the starting weights the job asks for. Raises WsssGeoError leaves."""
    torch.manual_seed(job.seed)
    network = _network(job, card)
    if card.tile_size % network.multiple:
        raise UsageError(
            f"train.crop: {card.tile_size} px is no multiple of the patch of {network.multiple} px of {job.backbone}",
            f"use {max(1, card.tile_size // network.multiple) * network.multiple}",
        )
    if job.weights:
        start_from(network.encoder, job.weights, job.backbone)
    if job.from_model:
        _train_on(network, card, job.from_model)
    kind = METHODS[job.method]
    if kind.freezes_position and (job.weights or job.pretrained) and network.encoder.position is not None:
        network.encoder.position.requires_grad_(False)  # as in the published family; from scratch it has to learn
    suit_attention(network, job)
    method = kind(network, card.classes, settings, job.steps)
    method.meet_tiles(torch.tensor([card.tag_counts[name] for name in card.classes.taggable]))
    if job.compile:
        _compile(network)
    return method


def _train_on(network: Network, card: ModelCard, path: str) -> None:
    """Load all weights of the model in ``path``. Raises ModelError if damaged, UsageError if of another network."""
    given = load_model(path)
    for what in ("classes", "bands", "network"):
        if getattr(given.card, what) != getattr(card, what):
            raise UsageError(
                f"train.from_model: {path} has other {what} than this training",
                "use tiles and a recipe like those it was trained with, or give it as --weights of the backbone",
            )
    network.load_state_dict(given.network.state_dict())


def make_settings(job: TrainJob) -> Settings:
    """The method's settings with what the job overrules. Raises UsageError."""
    given = dict(job.settings)
    if job.learning_rate is not None:
        given["lr"] = job.learning_rate
    return settings_from(METHODS[job.method].settings_type, given)


def _compile(network: Network) -> None:
    """Compile the encoder: block by block where it has blocks, which are alike, so that one is compiled for all.

    Raises EnvironmentFault without a compiler.
    """
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++", "c++", "cl")))):
        raise EnvironmentFault("train.compile: no C++ compiler is installed", "install g++, or leave --compile out")
    blocks = getattr(getattr(network.encoder, "vit", None), "blocks", None)
    for part in (network.encoder,) if blocks is None else blocks:
        part.compile()


def _network(job: TrainJob, card: ModelCard) -> Network:
    with building(job, "use mevt or see `timm.list_models('vit*')`"):
        return build_network(card, pretrained=job.pretrained)
