"""A model so small that tests can run it often: random weights, three classes, windows of 32 px."""

from __future__ import annotations

import torch

from wsss_geo.classes import ClassScheme
from wsss_geo.nn.model_file import ModelCard, build_network, save_model
from wsss_geo.raster.normalisation import Normalisation

CARD = ModelCard(
    "aerial",
    {
        "backbone": "vit_tiny_patch16_224",
        "image_size": 32,
        "decoder_width": 8,
        "backbone_args": {"depth": 1, "embed_dim": 16, "num_heads": 1, "patch_size": 8},
    },
    ClassScheme.from_names(["sea", "land", "town"]),
    ("red", "green", "blue"),
    Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (0.2,) * 3),
    None,
    32,
)


def write_model(path, card=CARD, seed=1):
    """Write a model of the network in ``card`` that tells several classes apart."""
    torch.manual_seed(seed)
    network = build_network(card)
    for layer in network.decoder.modules():  # random weights alone would give one class everywhere
        if isinstance(layer, torch.nn.Conv2d) and layer.out_channels == len(card.classes):
            layer.weight.data *= 40
    save_model(path, network, card)
