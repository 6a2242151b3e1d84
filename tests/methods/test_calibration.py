"""Calibrated confidence: the temperature that tags alone ask for, and what prediction makes of it."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import wsss_geo
from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.nn.calibration import (
    FLOOR,
    HIGHEST,
    LOWEST,
    Bin,
    Calibration,
    calibrate,
    calibration_error,
    fit_temperature,
    reliability,
    tag_loss,
    tempered,
)
from wsss_geo.nn.model_file import build_network, load_model, read_card, save_card, save_model

CLASSES = 4


def drawn(pixels: int, excess: float, seed: int = 0):
    """Honest probabilities [n, C], classes drawn from them, and what a network ``excess`` times as sure says."""
    generator = torch.Generator().manual_seed(seed)
    honest = torch.softmax(2 * torch.randn(pixels, CLASSES, generator=generator), dim=1)
    truth = torch.multinomial(honest, 1, generator=generator)[:, 0]
    return honest, truth, torch.softmax(honest.log() * excess, dim=1)


def tags_of(truth, others: int, seed: int = 1):
    """The truth of each pixel and up to ``others`` further classes that its scene has, whichever the truth is."""
    generator = torch.Generator().manual_seed(seed)
    allowed = torch.nn.functional.one_hot(truth, CLASSES).bool()
    for _ in range(others):
        allowed |= torch.nn.functional.one_hot(
            torch.randint(0, CLASSES, truth.shape, generator=generator), CLASSES
        ).bool()
    return allowed


@pytest.mark.parametrize("excess", [0.7, 1.0, 1.6, 3.0])
@pytest.mark.parametrize("others", [0, 1, 2])
def test_tags_alone_find_by_how_much_a_network_is_too_sure(excess, others):
    _, truth, said = drawn(60_000, excess)
    found = fit_temperature(said, tags_of(truth, others))
    assert found == pytest.approx(excess, rel=0.05 if others < 2 else 0.12)


def test_calibration_makes_confidence_agree_with_truth():
    _, truth, said = drawn(40_000, 2.5)
    known = torch.nn.functional.one_hot(truth, CLASSES).bool()
    found = calibrate(said, tags_of(truth, 1), "val", 10)
    error = [calibration_error(reliability(tempered(said, t), known)) for t in (1.0, found.temperature)]
    assert error[0] > 0.1
    assert error[1] < 0.015
    assert found.loss_after < found.loss_before
    assert found.exact  # a quarter of the pixels drew their own class again
    assert calibration_error(found.after) < 0.03 < 0.1 < calibration_error(found.before)


def test_scenes_that_exclude_nothing_say_nothing():
    said = drawn(100, 3.0)[2]
    assert fit_temperature(said, torch.ones(100, CLASSES, dtype=torch.bool)) == 1.0
    assert fit_temperature(said[:0], torch.ones(0, CLASSES, dtype=torch.bool)) == 1.0


def test_few_right_answers_do_not_make_a_network_infallible():
    said = torch.tensor([[0.6, 0.4], [0.7, 0.3]])
    assert fit_temperature(said, torch.tensor([[True, False], [True, False]])) == pytest.approx(LOWEST, rel=0.01)
    assert fit_temperature(said, torch.tensor([[False, True], [False, True]])) == pytest.approx(HIGHEST, rel=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(LOWEST, HIGHEST))
def test_no_temperature_changes_the_winner_and_shares_sum_to_one(seed, temperature):
    said = drawn(50, 1.7, seed)[2]
    found = tempered(said, temperature)
    assert bool((found.argmax(1) == said.argmax(1)).all())
    torch.testing.assert_close(found.sum(1), torch.ones(50))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(LOWEST, HIGHEST))
def test_the_loss_is_that_of_the_sum_over_the_tags(seed, temperature):
    _, truth, said = drawn(20, 1.3, seed)
    allowed = tags_of(truth, 1, seed)
    powers = said.double().clamp_min(FLOOR).pow(1 / temperature)
    expected = -((powers * allowed).sum(1) / powers.sum(1)).log().mean()
    assert tag_loss(said.double(), allowed, temperature) == pytest.approx(float(expected), abs=1e-6)


def test_reliability_counts_each_pixel_once_in_its_tenth():
    said = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.0, 1.0]])
    allowed = torch.tensor([[True, False], [False, True], [True, False], [False, True]])
    low, high = reliability(said, allowed)
    assert low == Bin(pytest.approx(0.55), 1.0, 0.25)
    assert high == Bin(pytest.approx(0.96667, abs=1e-4), pytest.approx(0.66667, abs=1e-4), 0.75)
    assert calibration_error((low, high)) == pytest.approx(0.25 * 0.45 + 0.75 * 0.3, abs=1e-4)


def with_calibration(model, out, temperature):
    """A copy of ``model`` with this temperature."""
    curve = (Bin(0.9, 0.8, 1.0),)
    found = Calibration(temperature, "val", 3, True, 0.5, 0.4, curve, curve)
    save_card(model, out, dataclasses.replace(read_card(model), calibration=found))
    return out


def test_a_card_keeps_its_calibration_and_old_cards_have_none(tiny, tmp_path):
    warm = with_calibration(tiny.model, tmp_path / "warm.safetensors", 1.75)
    assert read_card(warm).temperature == 1.75
    assert Calibration.from_json(read_card(warm).calibration.to_json()) == read_card(warm).calibration
    old = tmp_path / "old.safetensors"
    card = read_card(warm).to_json()
    del card["calibration"]
    save_file(load_file(warm), old, metadata={"wsss_geo": json.dumps(card)})
    assert read_card(old).calibration is None
    assert load_model(old).card.temperature == 1.0


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0}, {"temperature": math.nan}, {"temperature": "warm"}, {"after": [[2, 0, 0]]}, {"before": [[1]]},
     {"scenes": None}, {"scenes": math.inf}],
)  # fmt: skip
def test_a_damaged_calibration_is_refused(tiny, tmp_path, wrong):
    warm = with_calibration(tiny.model, tmp_path / "warm.safetensors", 1.75)
    card = read_card(warm).to_json()
    card["calibration"] |= wrong
    save_file(load_file(warm), warm, metadata={"wsss_geo": json.dumps(card)})
    with pytest.raises(ModelError, match="damaged model card"):
        read_card(warm)


def test_another_card_leaves_the_weights_as_they_are(tiny, tmp_path):
    half = tmp_path / "half.safetensors"
    save_model(half, load_model(tiny.model).network, read_card(tiny.model), torch.float16)
    warm = with_calibration(half, tmp_path / "warm.safetensors", 1.5)
    before, after = load_file(half), load_file(warm)
    assert before.keys() == after.keys()
    assert all(after[k].dtype == torch.float16 and bool((after[k] == before[k]).all()) for k in before)
    save_card(warm, warm, read_card(half))
    assert warm.read_bytes() == half.read_bytes()


def test_training_ends_with_a_calibration(tiny):
    found = read_card(tiny.model).calibration
    assert found is not None
    assert found.split == "val"
    assert not found.exact  # no scene of this set has a single class
    assert found.scenes > 0
    assert found.loss_after <= found.loss_before


def test_calibrate_gives_the_same_model_with_the_temperature_that_training_found(tiny, tmp_path):
    plain = with_calibration(tiny.model, tmp_path / "plain.safetensors", 4.0)
    result = wsss_geo.calibrate(plain, tiles=tiny.tiles, out=tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == tiny.model.read_bytes()
    assert result.temperature == read_card(tiny.model).temperature
    record = json.loads((tmp_path / "m.safetensors.json").read_text())
    assert record["job"]["command"] == "calibrate"
    assert record["result"]["scenes"] == result.scenes
    train = wsss_geo.calibrate(plain, tiles=tiny.tiles, out=tmp_path / "t.safetensors", split="train")
    assert train.split == "train"


def test_neighbours_are_seen_together_where_the_view_is_wider_than_a_scene(tiny, tmp_path):
    wide = tmp_path / "wide.safetensors"
    save_card(tiny.model, wide, dataclasses.replace(read_card(tiny.model), tile_size=128))
    narrow, seen = [
        wsss_geo.calibrate(path, tiles=tiny.tiles, out=tmp_path / "m.safetensors", split="train")
        for path in (tiny.model, wide)
    ]
    assert 0 < seen.scenes <= narrow.scenes
    assert seen.error_before != narrow.error_before  # other surroundings, other answers


def test_calibrate_refuses_what_does_not_fit(tiny, tmp_path):
    with pytest.raises(UsageError, match="the model itself"):
        wsss_geo.calibrate(tiny.model, tiles=tiny.tiles, out=tiny.model)
    other = dataclasses.replace(read_card(tiny.model), classes=ClassScheme.from_names(["sea", "field", "wood"]))
    save_model(tmp_path / "other.safetensors", build_network(other), other)
    with pytest.raises(InputError, match="tags water, field, wood; the model knows sea, field, wood"):
        wsss_geo.calibrate(tmp_path / "other.safetensors", tiles=tiny.tiles, out=tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_the_temperature_moves_confidence_and_nothing_else(tiny, tmp_path):
    found = {}
    for name, temperature in (("sharp", 0.5), ("plain", 1.0), ("flat", 3.0)):
        model = with_calibration(tiny.model, tmp_path / f"{name}.safetensors", temperature)
        masks, sure = tmp_path / f"{name}.tif", tmp_path / f"{name}_sure.tif"
        wsss_geo.predict(tiny.scene, model=model, out=masks, confidence=sure, device="cpu")
        found[name] = read(masks), read(sure).astype(int)
    for name in ("sharp", "flat"):
        np.testing.assert_array_equal(found[name][0], found["plain"][0])
    data = found["plain"][0] != 255
    assert (found["sharp"][1] >= found["plain"][1])[data].all()
    assert (found["flat"][1] <= found["plain"][1])[data].all()
    assert found["sharp"][1][data].mean() > found["plain"][1][data].mean() > found["flat"][1][data].mean()


@pytest.mark.parametrize("options", [{"scores": "cam"}, {"scores": "both"}, {"refine": "par"}])
def test_the_temperature_is_for_what_it_was_found_for(tiny, tmp_path, options):
    found = []
    for temperature in (1.0, 3.0):
        model = with_calibration(tiny.model, tmp_path / "m.safetensors", temperature)
        wsss_geo.predict(
            tiny.scene, model=model, out=tmp_path / "m.tif", confidence=tmp_path / "c.tif", device="cpu", **options
        )
        found.append(read(tmp_path / "c.tif"))
    np.testing.assert_array_equal(*found)
