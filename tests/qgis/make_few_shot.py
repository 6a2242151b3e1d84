"""Run by the engine's Python: write an untrained few-shot model for three bands of bytes."""

import sys

import torch

from wsss_geo.nn.fewshot_file import FewShotCard, save_few_shot
from wsss_geo.raster.normalisation import Normalisation

torch.manual_seed(0)
card = FewShotCard(
    network={
        "backbone": "mevt",
        "backbone_args": {
            "widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1], "fusion": 16, "stride": 4
        },
        "image_size": 32,
        "width": 16,
        "parts": 2,
        "regions": 2,
        "layers": 1,
    },
    seen=("water", "field"),
    held=(),
    bands=("red", "green", "blue"),
    normalisation=Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (0.25,) * 3),
    gsd=1.0,
    tile_size=32,
)  # fmt: skip
save_few_shot(sys.argv[1], card.build(), card)
