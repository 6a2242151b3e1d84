"""SFC: its weights, maps and losses against literal loops, its bank, and a run from tiles to masks."""

from __future__ import annotations

import math

import pytest
import rasterio
import torch
from safetensors.torch import load_file

import wsss_geo
from wsss_geo.classes import ClassScheme
from wsss_geo.methods import settings_from
from wsss_geo.methods.base import Batch
from wsss_geo.methods.sfc import (
    SFC,
    SFCSettings,
    Shown,
    activations,
    frequency_weights,
    lead,
    max_normalised,
    prototype_cam,
    spread,
    weighted_distance,
)
from wsss_geo.nn.network import Network

POLICIES = ("none", "explicit", "surrogate:b")
SIZE = 32
#: Images of the VOC training set that carry each of its 20 classes, as the published program counts them.
VOC = [4155, 1228, 1188, 1150, 1005, 714, 705, 649, 613, 590, 567, 522, 504, 503, 492, 468, 445, 393, 300, 267]


def method_of(policy: str, steps: int = 10, size: int = SIZE, **settings: object) -> SFC:
    torch.manual_seed(0)
    names = ["background", "a", "b", "c"] if policy == "explicit" else ["a", "b", "c"]
    scheme = ClassScheme.from_names(names, policy)
    cold = scheme.background_name
    network = Network(
        "vit_tiny_patch16_224", classes=len(scheme), taggable=len(scheme.taggable),
        cold=None if cold is None else scheme.names.index(cold), mean=[0.5] * 3, std=[0.25] * 3, image_size=size,
        decoder_width=16, dilation=1, backbone_args={"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8},
    )  # fmt: skip
    given = {"decoder_width": 16, "dilation": 1, "side_width": 16, "cam_scales": (1.0,), **settings}
    return SFC(network, scheme, settings_from(SFCSettings, given), steps)


def batch_of(method: SFC, count: int = 3, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, SIZE, SIZE, generator=generator)
    tags = torch.zeros(count, len(method.scheme.taggable))
    tags[:, 0] = 1
    tags[1:, 1] = 1
    return Batch(image, image, tags, torch.ones(count, SIZE, SIZE, dtype=torch.bool), generator=generator)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The weights


def test_weights_of_voc_are_the_published_ones():
    raw = [sum(abs(n - other) for other in VOC) / (n + 396) for n in VOC]
    expected = [value / (sum(raw) / 20) for value in raw]
    found = frequency_weights(torch.tensor(VOC, dtype=torch.float64), 396.0)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert found.argmax() == 19  # the rarest class
    assert 1.4 < found[0] < 1.6  # the most frequent one
    assert 0.6 < found[8] < 0.9
    low, high = SFCSettings().weight_range
    assert low < found.min()
    assert found.max() < high


def test_weights_survive_equal_rare_and_missing_classes():
    assert torch.equal(frequency_weights(torch.tensor([7.0, 7.0, 7.0]), 2.0), torch.ones(3))
    assert torch.equal(frequency_weights(torch.zeros(3), 0.0), torch.ones(3))
    without = frequency_weights(torch.tensor([100.0, 10.0]), 5.0)
    torch.testing.assert_close(frequency_weights(torch.tensor([100.0, 0.0, 10.0]), 5.0)[[0, 2]], without)
    method = method_of("explicit")
    method.meet_tiles(torch.tensor([10_000, 9_000, 1]))
    weights = method.class_weights(16)
    assert weights[0] == 1  # background
    assert ((weights >= 0.25) & (weights <= 4)).all()


def test_extra_follows_from_the_tiles_unless_given():
    counts = torch.tensor([100, 40, 0])
    method = method_of("none", bank=4, weight_range=(0.0, 100.0))
    method.meet_tiles(counts)
    torch.testing.assert_close(method.class_weights(16), frequency_weights(counts.float(), 4 / 16 * 70))
    method = method_of("none", extra=396, weight_range=(0.0, 100.0))
    method.meet_tiles(counts)
    torch.testing.assert_close(method.class_weights(16), frequency_weights(counts.float(), 396.0))


# The maps


@pytest.mark.parametrize("background", [True, False])
def test_activations_equal_the_literal_loop(background):
    maps = draw(0, 2, 3, 4, 5)
    maps[0, 1] = -1.0  # a class that is nowhere warm
    found = activations(maps, background)
    for b in range(2):
        for r in range(4):
            for c in range(5):
                warm = [max(0.0, float(m[r, c])) / (max(0.0, float(m.max())) + 1e-5) for m in maps[b]]
                expected = [1 - max(warm), *warm] if background else warm
                assert found[b, :, r, c].tolist() == pytest.approx(expected)


def test_spread_equals_the_literal_loop():
    cam, embedding = draw(0, 1, 2, 2, 3).abs(), draw(1, 1, 4, 2, 3)
    vectors = embedding.flatten(2)[0].T
    tokens = range(6)
    alike = [
        [max(0.0, float(vectors[i] @ vectors[j] / vectors[i].norm() / vectors[j].norm())) for j in tokens]
        for i in tokens
    ]
    maps = cam.flatten(2)[0].tolist()
    for _ in range(2):
        maps = [
            [
                sum(m[i] * alike[i][j] for i in tokens) / (sum(alike[i][j] for i in tokens) + 1e-5)
                for j in tokens
            ]
            for m in maps
        ]  # fmt: skip
    torch.testing.assert_close(spread(cam, embedding).flatten(2)[0], torch.tensor(maps, dtype=torch.float64))


def test_leads_are_one_channel_a_place_and_the_background_is_lowered():
    cam = torch.tensor([[[0.9, 0.5, 0.0]], [[0.3, 0.1, 0.0]]])[None]  # background, then one class
    assert lead(cam)[0].tolist() == [[[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]
    assert lead(cam, 0.3)[0].tolist() == [[[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]]
    assert cam[0, 0, 0, 0] == pytest.approx(0.9)


def test_prototype_maps_equal_the_literal_loop():
    features, seeds = draw(0, 2, 5, 3, 4), (draw(1, 2, 3, 3, 4) > 0).double()
    seeds[0, 2] = 0  # a channel without seeds
    found = prototype_cam(features, seeds)
    for b in range(2):
        for m in range(3):
            mean = torch.zeros(5, dtype=torch.float64)
            for r in range(3):
                for c in range(4):
                    mean += seeds[b, m, r, c] * features[b, :, r, c] / 12
            for r in range(3):
                for c in range(4):
                    vector = features[b, :, r, c]
                    norm = float(vector.norm() * mean.norm())
                    expected = max(0.0, float(vector @ mean) / norm) if norm else 0.0
                    assert float(found[b, m, r, c]) == pytest.approx(expected)


def test_distance_equals_the_literal_loop():
    first, second, weights = draw(0, 2, 3, 2, 2), draw(1, 2, 3, 2, 2), draw(2, 3).abs()
    total = 0.0
    for b in range(2):
        for m in range(3):
            for r in range(2):
                for c in range(2):
                    total += float(weights[m]) * abs(float(first[b, m, r, c] - second[b, m, r, c]))
    assert weighted_distance(first, second, weights).item() == pytest.approx(total / 24)


@pytest.mark.parametrize("policy", POLICIES)
def test_absent_classes_and_pixels_without_data_are_cold(policy):
    method = method_of(policy)
    batch = batch_of(method)
    batch.valid[:, :, SIZE // 2 :] = False
    seen = method.see(Shown(batch.image, batch.tags, batch.valid))
    first = int(policy != "none")
    assert seen.cam.shape == seen.prototype_cam.shape == (3, len(method.scheme.taggable) + first, 4, 4)
    for maps in (seen.cam, seen.prototype_cam):
        assert (maps[..., 2:] == 0).all()
        assert (maps[:, first:][batch.tags == 0] == 0).all()
        assert ((maps >= 0) & (maps <= 1 + 1e-5)).all()


def test_prototypes_teach_their_side_layers_and_the_classifier_only():
    method = method_of("explicit")
    batch = batch_of(method)
    seen = method.see(Shown(batch.image, batch.tags, batch.valid))
    target = torch.zeros_like(seen.prototype_cam)
    weighted_distance(target, max_normalised(seen.prototype_cam), torch.ones(4)).backward(retain_graph=True)
    trained = {n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert trained == {"side_middle.weight", "side_final.weight"}
    weighted_distance(seen.cam, target, torch.ones(4)).backward()
    trained = {n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"affinity.weight", "network.classifier.weight"} <= trained
    assert any(n.startswith("network.encoder.vit.blocks.0") for n in trained)


# The loss


@pytest.mark.parametrize("policy", POLICIES)
def test_terms_are_the_written_sums(policy):
    method = method_of(policy, bank=0)
    method.meet_tiles(torch.arange(1, len(method.scheme.taggable) + 1) * 20)
    batch = batch_of(method)
    terms = method.losses(batch, 0)
    assert set(terms) == {"cls", "dw", "ms"}
    shown = Shown(batch.image, batch.tags, batch.valid)
    whole, small = method.see(shown), method.see(method.reduce(shown))
    assert small.cam.shape[-1] == whole.cam.shape[-1] // 2
    weights, first = method.class_weights(3), int(policy != "none")
    near = torch.nn.functional.interpolate(whole.cam, size=(2, 2), mode="bilinear")
    apart, between = [], []
    for m in range(whole.cam.shape[1]):
        for b in range(3):
            other = whole.prototype_cam[b, m] / (whole.prototype_cam[b, m].max() + 1e-5)
            apart.append((weights[m] * (whole.cam[b, m] - other).abs()).mean())
            if m >= first:
                between.append((weights[m] * (near[b, m] - small.cam[b, m]).abs()).mean())
    torch.testing.assert_close(terms["dw"], 1.6 * torch.stack(apart).mean())
    torch.testing.assert_close(terms["ms"], 0.8 * torch.stack(between).mean())
    margin = 0.0
    for seen in (whole, small):
        for z, y in zip(seen.logits.flatten().tolist(), batch.tags.flatten().tolist(), strict=True):
            margin -= math.log(1 / (1 + math.exp(-z if y else z))) / seen.logits.numel() / 2
    assert terms["cls"].item() == pytest.approx(margin, rel=1e-5)


def test_pooling_leaves_out_pixels_without_data():
    method = method_of("none")
    batch = batch_of(method, 1)
    batch.valid[:, SIZE // 2 :] = False
    seen = method.see(Shown(batch.image, batch.tags, batch.valid))
    maps = method.network.classifier(seen.tokens.final)
    torch.testing.assert_close(seen.logits, maps[:, :, :2].mean(dim=(2, 3)))


@pytest.mark.parametrize("policy", POLICIES)
def test_scenes_without_tags_are_survived(policy):
    method = method_of(policy)
    batch = batch_of(method)
    for step in (5, 6):
        empty = Batch(batch.image * 0, batch.clean * 0, batch.tags * 0, batch.valid & False)
        terms = method.losses(empty, step)
        sum(terms.values()).backward()
        assert all(torch.isfinite(t) for t in terms.values())
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    assert not method.bank.filled.any()


def test_decoder_waits_for_its_start():
    method = method_of("none", steps=100, start=0.5)
    assert "seg" not in method.losses(batch_of(method), 49)
    assert "seg" in method.losses(batch_of(method), 50)


# The bank


def test_the_bank_brings_back_rare_classes():
    method = method_of("none", bank=6)
    rare = batch_of(method, 1)
    rare.tags[:] = torch.tensor([[0.0, 0.0, 1.0]])
    method.losses(rare, 0)
    later = batch_of(method, 3, seed=2)
    shown = method.with_bank(later)
    assert len(shown.image) == len(shown.tags) == len(shown.valid) == 9
    again = [i for i in range(3, 9) if shown.tags[i, 2] > 0]
    assert again
    assert all(torch.equal(shown.image[i], rare.image[0]) for i in again)
    # An image of two classes fills the slots of both; the latest one stays.
    assert torch.equal(method.bank.images[0], later.image[2])
    assert torch.equal(method.bank.images[1], later.image[2])


def test_nothing_empty_joins_the_batch():
    method = method_of("none", bank=4)
    batch = batch_of(method, 2)
    batch.tags[:] = torch.tensor([[1.0, 0.0, 0.0]])
    shown = method.with_bank(batch)
    assert torch.equal(shown.tags, torch.tensor([[1.0, 0.0, 0.0]]).expand(6, 3))


# Learning


@pytest.mark.parametrize("policy", ["none", "surrogate:flat"])
def test_few_tiles_are_overfitted(textures, policy):
    steps = 150
    torch.manual_seed(0)
    scheme = ClassScheme.from_names(["flat", "stripes", "noise"], policy)
    # Thresholds on a map need something cold in the scene: with a cold class only scenes that show it.
    tiles, first = (list(range(6)), 0) if policy == "none" else ([0, 3, 5], 1)
    image, tags, masks = textures.image[tiles], textures.tags[tiles, first:], textures.masks[tiles]
    valid = torch.ones(len(tiles), SIZE, SIZE, dtype=torch.bool)
    network = Network(
        "vit_tiny_patch16_224", classes=3, taggable=len(scheme.taggable), cold=None if policy == "none" else 0,
        mean=[0.5] * 3, std=[0.25] * 3, image_size=SIZE, decoder_width=16, dilation=1,
        backbone_args={"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8},
    )  # fmt: skip
    given = {"lr": 2e-3, "head_lr": 1.0, "w_seg": 1.0, "bank": 2, "side_width": 16, "cam_scales": (1.0,), "start": 0.4}
    method = SFC(network, scheme, settings_from(SFCSettings, given), steps)
    method.meet_tiles(tags.sum(0).long())
    optimizer = torch.optim.AdamW(method.parameter_groups())
    for step in range(steps):
        batch = Batch(image, image, tags, valid, generator=torch.Generator().manual_seed(step))
        loss = sum(method.losses(batch, step).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
    seen = method.see(Shown(image, tags, valid))
    assert torch.equal(seen.logits > 0, tags > 0.5)
    found = network.eval().predict(image)[0].argmax(1)
    assert (found == masks[:, 4::8, 4::8]).float().mean() > 0.85


def test_run_resumes_to_the_bit_and_predicts(tiny, broken_run, tmp_path):
    runs = broken_run("sfc", {"side_width": 16, "bank": 2, "start": 0.0, "cam_scales": [1.0]})
    state = runs.checkpoint["state_dict"]
    assert runs.checkpoint["global_step"] == 2
    assert state["method.bank.filled"].any()
    assert state["method.counts"].sum() > 0
    one, two = load_file(runs.whole), load_file(runs.cut)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert not any("bank" in n or "side" in n for n in one)
    wsss_geo.predict(tiny.scene, model=runs.whole, out=tmp_path / "mask.tif", cam=tmp_path / "cam.tif", device="cpu")
    with rasterio.open(tmp_path / "mask.tif") as mask, rasterio.open(tmp_path / "cam.tif") as cam:
        assert set(mask.read().flatten().tolist()) <= {3, 5, 9, 255}
        assert cam.count == 3
