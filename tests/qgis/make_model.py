"""Run by the engine's Python: write an untrained model of two classes for three bands of bytes."""

import sys

import torch

from wsss_geo.classes import ClassScheme
from wsss_geo.nn.model_file import ModelCard, build_network, save_model
from wsss_geo.raster.normalisation import Normalisation

torch.manual_seed(0)
card = ModelCard(
    method="aerial",
    network={
        "backbone": "vit_tiny_patch16_224",
        "image_size": 64,
        "decoder_width": 32,
        "backbone_args": {"depth": 2, "embed_dim": 48, "num_heads": 3},
    },
    classes=ClassScheme.from_names(["water", "field"]),
    bands=("red", "green", "blue"),
    normalisation=Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (0.25,) * 3),
    gsd=1.0,
    tile_size=64,
)
save_model(sys.argv[1], build_network(card), card)
