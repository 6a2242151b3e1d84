"""Models of strangers: what is in them cannot make the program run code, take any memory or leave the sentence out."""

from __future__ import annotations

import json
import pickle
import struct

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from trap import Trap


def parts(model):
    """Card and weights of a model file."""
    with safe_open(model, framework="pt") as file:
        return json.loads(file.metadata()["wsss_geo"]), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118


@pytest.fixture
def model_with(tiny, tmp_path):
    """Function ``(card changes, weights changes)`` that writes a changed copy of the small model."""

    def write(weights=None, **changes):
        card, given = parts(tiny.model)
        network = {**card["network"], **changes.pop("network", {})}
        path = tmp_path / "stranger.safetensors"
        save_file(
            {**given, **(weights or {})},
            path,
            metadata={"wsss_geo": json.dumps({**card, "network": network, **changes})},
        )
        return path

    return write


@pytest.fixture
def predicted(tame, tiny, tmp_path):
    """Predict with a model, which must be refused; returns the sentence."""

    def run(model, code=5):
        return tame("predict", tiny.scene, "--model", model, "--out", tmp_path / "out.tif", code=code).err

    return run


ARGUMENTS = {
    "a million blocks": {"depth": 65_536},
    "blocks of 65 536": {"embed_dim": 65_536},
    "half a terabyte": {"embed_dim": 65_000, "mlp_ratio": 60_000},
    "no heads": {"num_heads": 0},
    "no width": {"embed_dim": 0},
    "negative depth": {"depth": -1},
    "a text as depth": {"depth": "many"},
    "a text as layer": {"block_fn": "os.system"},
    "a number beyond all": {"embed_dim": 10**30},
    "what does not exist": {"wings": 2},
    "patches of nothing": {"patch_size": 0},
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_of_a_network_that_its_weights_do_not_bear_out(model_with, predicted, arguments):
    card = {"backbone_args": {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 1, **arguments}}
    assert "stranger.safetensors" in predicted(model_with(network=card))


@pytest.mark.parametrize(
    "network",
    [
        {"decoder_width": 65_536}, {"image_size": 65_536}, {"decoder_stride": 3}, {"dilation": -1}, {"middle": 7},
        {"backbone": "resnet50"}, {"backbone": "vit_giant_patch14_dinov2"}, {"backbone": "hf-hub:some/body"},
        {"backbone": "local-dir:/tmp"}, {"backbone": None}, {"backbone": ["vit"]}, {"class_tokens": True},
        {"pretrained": True}, {"classes": 7}, {"mean": [1.0]}, {"backbone_args": "depth=2"}, {"backbone_args": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_networks_that_are_not_what_the_weights_are(model_with, predicted, network):
    assert "stranger.safetensors" in predicted(model_with(network=network))


def test_no_argument_makes_timm_load_another_file(model_with, predicted, tmp_path, marker):
    pickled = tmp_path / "evil.pth"
    pickled.write_bytes(pickle.dumps(Trap(marker)))
    for own in ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        card = {"backbone_args": {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 1, own: str(pickled)}}
        assert f"takes no argument {own}" in predicted(model_with(network=card))
    assert not marker.exists()


@pytest.mark.parametrize("backbone", ["vit_giant_patch14_dinov2", "mevt", "vit_tiny_patch16_224"])
def test_backbones_far_larger_than_their_file(tame, tiny, tmp_path, backbone):
    import torch

    card = {
        "format": 1, "backbone": backbone, "bands": ["red", "green", "blue"], "size": 224, "gsd": None,
        "method": "mevt",
        "arguments": {"widths": [8192] * 4, "fusion": 8192} if backbone == "mevt" else {}, "images": 1, "data_hash": "",
        "normalisation": {"low": [0] * 3, "high": [255] * 3, "mean": [0.5] * 3, "std": [0.2] * 3}, "versions": {},
        "settings": {},
    }  # fmt: skip
    path = tmp_path / "stranger.safetensors"
    save_file({"encoder.x": torch.zeros(3)}, path, metadata={"wsss_geo_backbone": json.dumps(card)})
    assert "do not fit" in tame("probe", path, "--tiles", tiny.tiles, code=5).err


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"format": 10**30}, {"format": "1"}, {"format": None}, {"format": -1}, {"classes": []},
        {"classes": [{"id": 1, "name": "a\u0000b", "color": "#000000"}]}, {"gsd": 0}, {"gsd": 1e999}, {"gsd": "half"},
        {"gsd": 10**400}, {"tile_size": 10**9}, {"tile_size": 2.5}, {"bands": ["red"]}, {"bands": None},
        {"normalisation": {"low": [0], "high": [1], "mean": [0], "std": [0]}}, {"area": "here"}, {"scores": [1]},
        {"area": {"bbox": [1, 2], "crs": "EPSG:4326"}}, {"tag_counts": {"water": "x"}}, {"settings": "lr=1"},
        {"settings": {"x": "y" * (1 << 23)}}, {"versions": 3}, {"calibration": {"temperature": 0}},
        {"background": "surrogate:lava"},
    ],
    ids=lambda c: str(c)[:60],
)  # fmt: skip
def test_cards_that_make_no_sense(model_with, predicted, tame, changes):
    model = model_with(**changes)
    assert len(predicted(model)) < 700
    tame("info", model, code=5)


def test_statistics_that_are_no_numbers(model_with, predicted, tiny):
    card, _ = parts(tiny.model)
    for name, value in (("std", 0.0), ("std", -1.0), ("mean", float("nan")), ("high", float("inf")), ("low", 1e300)):
        statistics = {**card["normalisation"], name: [value] * 3}
        assert "damaged model card" in predicted(model_with(normalisation=statistics))


def test_weights_that_are_no_numbers_or_of_other_shapes(model_with, predicted, tiny):
    import torch

    _, weights = parts(tiny.model)
    name = next(iter(weights))
    assert "NaN" in predicted(model_with({name: torch.full_like(weights[name], float("nan"))}))
    assert "NaN" in predicted(model_with({name: torch.full_like(weights[name], 1e300, dtype=torch.float64)}))
    assert name in predicted(model_with({name: weights[name][..., None]}))
    assert "extra" in predicted(model_with({"extra": torch.zeros(1)}))


def test_weights_that_overflow_are_told(model_with, predicted, tiny):
    import torch

    _, weights = parts(tiny.model)
    huge = {name: torch.full_like(value, 3e38) for name, value in weights.items()}
    predicted(model_with(huge))


HEADS = {
    "a header of 1 GB": struct.pack("<Q", 1 << 30) + b"{}" + b"\0" * 100,
    "a header of 16 EB": struct.pack("<Q", 2**64 - 1) + b"{}",
    "no header": struct.pack("<Q", 0),
    "three bytes": b"\1\2\3",
    "nothing": b"",
    "a pickle": pickle.dumps({"a": 1}),
    "lists in lists": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "tensors beyond the file": struct.pack("<Q", 64)
    + b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4]}}'.ljust(64)
    + b"\0" * 4,
}


@pytest.mark.parametrize("content", HEADS.values(), ids=HEADS)
def test_heads_of_weights_that_lie(predicted, tame, tmp_path, content):
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(content)
    predicted(path)
    tame("info", path, code=5)
    path.with_suffix(".pth").write_bytes(content)
