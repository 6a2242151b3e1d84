"""A small method of any name and policy, and tiles for it: what several files of tests build."""

from __future__ import annotations

import torch

from wsss_geo.classes import ClassScheme
from wsss_geo.methods import METHODS, Method, settings_from
from wsss_geo.nn.class_tokens import ClassTokenNetwork
from wsss_geo.nn.network import Network

SIZE = 64


def scheme_of(policy: str) -> ClassScheme:
    names = ["background", "a", "b"] if policy == "explicit" else ["a", "b", "c"]
    return ClassScheme.from_names(names, policy)


def network_of(scheme: ClassScheme, seed: int = 0, kind: type[Network] = Network) -> Network:
    torch.manual_seed(seed)
    cold = scheme.background_name
    return kind(
        "vit_tiny_patch16_224",
        classes=len(scheme),
        taggable=len(scheme.taggable),
        cold=None if cold is None else scheme.names.index(cold),
        mean=[0.5] * 3,
        std=[0.25] * 3,
        image_size=SIZE,
        decoder_width=8,
        dilation=1,
        backbone_args={"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8},
    )


def method_of(name: str, policy: str, steps: int = 10, **settings: object) -> Method:
    scheme = scheme_of(policy)
    kind = METHODS[name]
    given = {"decoder_width": 8, "dilation": 1, **settings}
    network = network_of(scheme, kind=ClassTokenNetwork if kind.class_tokens else Network)
    return kind(network, scheme, settings_from(kind.settings_type, given), steps)


def items_of(scheme: ClassScheme, count: int = 3, cells: int = 0, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    classes = len(scheme.taggable)
    tags = torch.zeros(count, classes)
    tags[:, 0] = 1
    tags[1:, 1] = 1
    items = {
        "image01": torch.rand(count, 3, SIZE, SIZE, generator=generator),
        "valid": torch.ones(count, SIZE, SIZE, dtype=torch.bool),
        "tags": tags,
        "mask": torch.randint(len(scheme), (count, SIZE, SIZE), generator=generator),
    }
    if cells:
        items["cell_tags"] = tags[:, :, None, None].repeat(1, 1, cells, cells)
    return items
