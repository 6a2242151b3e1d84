"""The model file: what comes back, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, ModelError
from wsss_geo.nn.model_file import FORMAT, ModelCard, build_network, load_model, read_card, save_model
from wsss_geo.raster.normalisation import Normalisation

CARD = ModelCard(
    method="aerial",
    network={
        "backbone": "vit_tiny_patch16_224",
        "image_size": 32,
        "decoder_width": 8,
        "backbone_args": {"depth": 1, "embed_dim": 16, "num_heads": 1, "patch_size": 8},
    },
    classes=ClassScheme.from_names(["background", "sea", "land"]),
    bands=("red", "green", "blue"),
    normalisation=Normalisation((0.0,) * 3, (255.0,) * 3, (0.4,) * 3, (0.2,) * 3),
    gsd=0.5,
    tile_size=32,
    scores={"tag_f1": 0.5},
)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.safetensors"
    torch.manual_seed(0)
    save_model(path, build_network(CARD), CARD)
    return path


def rewrite(path, change):
    """Write the model again with ``change`` applied to its card (a dictionary)."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        card = json.loads(file.metadata()["wsss_geo"])
    change(card)
    save_file(load_file(path), path, metadata={"wsss_geo": json.dumps(card)})


def test_card_and_weights_come_back(model):
    loaded = load_model(model)
    assert loaded.card == CARD
    assert read_card(model) == CARD
    torch.manual_seed(0)
    for name, value in build_network(CARD).state_dict().items():
        torch.testing.assert_close(loaded.network.state_dict()[name], value)
    assert not loaded.network.training
    assert len(loaded.sha256) == 64


def test_half_precision_files_are_half_the_size_and_load_as_float32(model, tmp_path):
    small = tmp_path / "small.safetensors"
    save_model(small, load_model(model).network, CARD, torch.float16)
    assert small.stat().st_size < 0.6 * model.stat().st_size
    assert next(load_model(small).network.parameters()).dtype == torch.float32


def test_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such model file"):
        load_model(tmp_path / "absent.safetensors")


def test_newer_format_says_so(model):
    rewrite(model, lambda card: card.update(format=FORMAT + 1))
    with pytest.raises(ModelError, match=f"format {FORMAT + 1}.*update wsss-geo"):
        load_model(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("classes"),
        lambda c: c.update(format="x"),
        lambda c: c.update(tile_size=-1),
        lambda c: c.update(gsd="near"),
        lambda c: c["network"].update(backbone="hf-hub:someone/something"),
        lambda c: c["network"].update(surprise=1),
        lambda c: c["network"].update(decoder_width=9),
        lambda c: c.update(classes=["a"]),
    ],
)
def test_damaged_cards_are_refused(model, change):
    rewrite(model, change)
    with pytest.raises(ModelError):
        load_model(model)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.99])
def test_truncated_files_are_refused(model, keep):
    data = model.read_bytes()
    model.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError):
        load_model(model)


def test_foreign_weights_and_pickles_are_refused(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    with pytest.raises(ModelError, match="no wsss-geo model card"):
        load_model(foreign)
    pickled = tmp_path / "pickled.safetensors"
    torch.save({"a": torch.zeros(2)}, pickled)
    with pytest.raises(ModelError, match="not a readable model file"):
        load_model(pickled)


def test_nan_weights_are_refused(model):
    weights = load_file(model)
    weights["classifier.weight"][0, 0] = float("nan")
    from safetensors import safe_open

    with safe_open(model, "pt") as file:
        metadata = file.metadata()
    save_file(weights, model, metadata=metadata)
    with pytest.raises(ModelError, match="NaN"):
        load_model(model)
