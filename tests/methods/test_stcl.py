"""STCL: its contrast and gates against literal loops, its memory over steps, and a run from tiles to masks."""

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
from wsss_geo.methods.stcl import STCL, LikenessGate, Regions, STCLSettings, agreement, memory_contrast
from wsss_geo.nn.heads import Projection
from wsss_geo.nn.network import Network

POLICIES = ("none", "explicit", "surrogate:b")
SIZE = 32


def method_of(policy: str, steps: int = 10, **settings: object) -> STCL:
    torch.manual_seed(0)
    names = ["background", "a", "b", "c"] if policy == "explicit" else ["a", "b", "c"]
    scheme = ClassScheme.from_names(names, policy)
    cold = scheme.background_name
    network = Network(
        "vit_tiny_patch16_224", classes=len(scheme), taggable=len(scheme.taggable),
        cold=None if cold is None else scheme.names.index(cold), mean=[0.5] * 3, std=[0.25] * 3, image_size=SIZE,
        decoder_width=16, dilation=1, backbone_args={"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8},
    )  # fmt: skip
    given = {
        "decoder_width": 16, "dilation": 1, "cam_scales": (1.0,), "crops": 2, "crop_share": 0.5, "memory": 6,
        "memory_width": 8, "least": 1, "gate": 0.0, **settings,
    }  # fmt: skip
    method = STCL(network, scheme, settings_from(STCLSettings, given), steps)
    method.projection = Projection(32, 16, 8, 16)
    method.teacher_projection = Projection(32, 16, 8, 16).requires_grad_(False)
    return method


def batch_of(method: STCL, count: int = 3, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 3, SIZE, SIZE, generator=generator)
    tags = torch.zeros(count, len(method.scheme.taggable))
    tags[torch.arange(count), torch.arange(count) % tags.shape[1]] = 1
    valid = torch.ones(count, SIZE, SIZE, dtype=torch.bool)
    return Batch(image, image, tags, valid, image, image.flip(-1), generator=generator)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The contrast


def literal_contrast(vectors, classes, weights, entries, used, temperature):
    total = norm = 0.0
    for i, c in enumerate(classes.tolist()):
        own = [entries[c, q] for q in range(entries.shape[1]) if used[c, q]]
        others = [
            entries[m, q] for m in range(len(entries)) if m != c for q in range(entries.shape[1]) if used[m, q]
        ]  # fmt: skip
        if not own or not others:
            continue
        against = sum(math.exp(float(vectors[i] @ n) / temperature) for n in others)
        terms = []
        for entry in own:
            positive = math.exp(float(vectors[i] @ entry) / temperature)
            terms.append(-math.log(positive / (positive + against)))
        total += float(weights[i]) * sum(terms) / len(terms)
        norm += float(weights[i])
    return total / norm if norm else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_contrast_equals_the_literal_loop(seed):
    vectors, entries = draw(seed, 7, 4), draw(seed + 9, 3, 5, 4)
    classes = torch.randint(3, (7,), generator=torch.Generator().manual_seed(seed))
    weights = draw(seed + 20, 7).abs()
    used = torch.arange(5) < torch.tensor([[5], [2], [0 if seed % 2 else 1]])
    expected = literal_contrast(vectors, classes, weights, entries, used, 0.5)
    assert memory_contrast(vectors, classes, weights, entries, used, 0.5).item() == pytest.approx(expected)
    single = memory_contrast(vectors.float(), classes, weights.float(), entries.float(), used, 0.5)
    assert single.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("filled", [(0, 0, 0), (4, 0, 0), (4, 4, 0)])
def test_contrast_is_finite_with_empty_classes_and_huge_products(filled):
    used = torch.arange(4) < torch.tensor(filled)[:, None]
    for count in (0, 3):
        vectors = (100 * torch.randn(count, 8)).requires_grad_()
        loss = memory_contrast(vectors, torch.arange(count), torch.ones(count), torch.randn(3, 4, 8), used, 0.07)
        (gradient,) = torch.autograd.grad(loss, vectors)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        if sum(f > 0 for f in filled) < 2 or not count:
            assert loss == 0


# The regions


def test_regions_are_where_both_agree():
    labels = torch.full((1, 8, 8), 255)
    labels[0, :4] = 1
    labels[0, 4:, :4] = 0
    others = torch.tensor([[[1, 1, 255, 0], [1, 2, 1, 1], [0, 0, 0, 0], [1, 0, 255, 0]]])
    expected = [[1, 1, 255, 255], [1, 255, 1, 1], [0, 0, 255, 255], [255, 0, 255, 255]]
    assert agreement(labels, others)[0].tolist() == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_a_region_is_the_mean_of_its_tokens(policy):
    method = method_of(policy, least=2)
    batch = batch_of(method)
    tokens = method.network.encode(batch.image)
    first, classes = int(policy != "none"), len(method.labeller.order)
    assert method.memory.entries.shape[0] == classes == len(method.scheme.taggable) + first
    labels = torch.randint(classes, (3, 4, 4), generator=torch.Generator().manual_seed(0))
    method.labeller.grid_labels = lambda *_: labels
    regions = method.regions(batch, tokens, labels.repeat_interleave(8, 1).repeat_interleave(8, 2))
    logits = method.network.classifier(tokens.final)
    n = 0
    for b in range(3):
        warm = logits[b].relu()
        warm = warm - warm.amin((1, 2), keepdim=True)
        warm = warm / (warm.amax((1, 2), keepdim=True) + 1e-5) * batch.tags[b, :, None, None]
        for c in range(classes):
            inside = labels[b] == c
            if inside.sum() < 2:
                continue
            assert regions.classes[n] == c
            assert regions.place[n] == b
            torch.testing.assert_close(regions.mean[n], tokens.final[b][:, inside].mean(1))
            heat = 1 - warm.amax(0) if c < first else warm[c - first]
            torch.testing.assert_close(regions.activation[n], heat[inside].mean())
            tag = torch.ones(()) if c < first else torch.sigmoid(logits[b, c - first].max())
            torch.testing.assert_close(regions.probability[n], tag)
            n += 1
    assert n == len(regions.classes) > 3
    assert regions.mean.requires_grad
    assert not regions.activation.requires_grad


# The gates


def test_likeness_gate_equals_the_literal_loop():
    gate = LikenessGate(2, momentum=0.75)
    moments: list[tuple[float, float] | None] = [None, None]
    seen = [0, 0]
    generator = torch.Generator().manual_seed(0)
    for step in range(8):
        likeness = torch.rand(5, generator=generator)
        classes = torch.randint(2, (5,), generator=generator) if step % 3 else torch.zeros(5, dtype=torch.int64)
        passes = gate.passes(likeness, classes).tolist()
        for x, c, passed in zip(likeness.tolist(), classes.tolist(), passes, strict=True):
            known = moments[c]
            low = -math.inf if known is None else known[0] - math.sqrt(max(0.0, known[1] - known[0] ** 2))
            assert passed == (x >= low)
        gate.learn(likeness, classes)
        for c in range(2):
            own = [x for x, k in zip(likeness.tolist(), classes.tolist(), strict=True) if k == c]
            if own:
                now = (sum(own) / len(own), sum(x * x for x in own) / len(own))
                rate = max(0.25, 1 / (seen[c] + 1))
                old = moments[c] or (0.0, 0.0)
                moments[c] = (old[0] + rate * (now[0] - old[0]), old[1] + rate * (now[1] - old[1]))
                seen[c] += 1
    assert gate.steps.tolist() == seen


def test_a_strange_region_stays_out_and_a_drift_gets_in():
    method = method_of("none")
    method.teacher_embedding = torch.nn.Identity()
    generator = torch.Generator().manual_seed(0)
    axis = torch.eye(8)

    def remember(centre):
        mean = centre + 0.1 * torch.randn(4, 8, generator=generator)
        number = torch.arange(4)
        method.remember(Regions(mean, 0 * number, torch.ones(4), torch.ones(4), number, number))

    for _ in range(10):
        remember(axis[0])
    assert method.memory.count[0] == 6
    entries = method.memory.entries.clone()
    one = torch.ones(1)
    method.remember(Regions(axis[1][None], torch.zeros(1, dtype=torch.int64), one, one, one.long(), one.long()))
    assert torch.equal(method.memory.entries, entries)
    for _ in range(40):
        remember(axis[1])
    assert (method.memory.entries[0, :, 1] > 0.8).all()


def test_only_probable_tags_are_written():
    method = method_of("none", gate=0.7)
    probability = torch.tensor([0.9, 0.6, 0.8])
    number = torch.arange(3)
    method.remember(Regions(torch.randn(3, 32), number, probability, torch.ones(3), number, number))
    assert method.memory.count.tolist() == [1, 0, 1]


# The schedule


def test_the_memory_waits_and_its_loss_grows():
    method = method_of("none", steps=100, start=0.5, memory_ramp=0.2)
    batch = batch_of(method)
    assert "mem" not in method.losses(batch, 49)
    assert method.memory.count.sum() == 0
    method.losses(batch, 50)
    assert method.memory.count.sum() > 0
    state = {k: v.clone() for k, v in method.state_dict().items()}
    found = []
    for step in (50, 59, 69, 99):
        method.load_state_dict(state)
        found.append(method.losses(batch_of(method), step)["mem"].item())
    assert found[3] > 0
    assert found == pytest.approx([found[3] * share for share in (0.05, 0.5, 1.0, 1.0)], rel=1e-5)


def test_entries_come_from_the_moving_average():
    method = method_of("none", memory_momentum=0.9)
    start = method.teacher_embedding[0].weight.clone()
    with torch.no_grad():
        method.embedding[0].weight.add_(1.0)
    for step in range(3):
        method.after_step(step)
    expected = 0.9**3 * start + (1 - 0.9**3) * method.embedding[0].weight
    torch.testing.assert_close(method.teacher_embedding[0].weight, expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_scenes_without_tags_are_survived(policy):
    method = method_of(policy)
    for step in (5, 6):
        batch = batch_of(method)
        empty = Batch(
            batch.image * 0, batch.clean, batch.tags * 0, batch.valid & False, batch.image, batch.image,
            generator=batch.generator,
        )  # fmt: skip
        terms = method.losses(empty, step)
        sum(terms.values()).backward()
        assert all(torch.isfinite(t) for t in terms.values())
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
        assert terms["mem"] == 0


# Learning


def test_few_tiles_are_overfitted(textures):
    steps = 120
    torch.manual_seed(0)
    method = method_of(
        "none", steps, lr=2e-3, head_lr=1.0, w_seg=1.0, w_mem=0.5, memory=12, gate=0.5, start=0.3, memory_width=16
    )
    optimizer = torch.optim.AdamW(method.parameter_groups())
    contrasts = []
    for step in range(steps):
        terms = method.losses(textures.batch(step), step)
        contrasts.append(terms["mem"].item() if "mem" in terms else 0.0)
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(step)
    assert method.memory.count.tolist() == [12, 12, 12]
    centres = torch.nn.functional.normalize(method.memory.mean(), dim=1)
    assert ((centres @ centres.T).fill_diagonal_(0) < 0.5).all()
    assert contrasts[-1] < 0.5 * max(contrasts)
    found = method.network.eval().predict(textures.image)[0].argmax(1)
    assert (found == textures.masks[:, 4::8, 4::8]).float().mean() > 0.9


def test_run_resumes_to_the_bit_and_predicts(tiny, broken_run, tmp_path):
    runs = broken_run("stcl", {"start": 0.0, "cam_scales": [1.0], "crops": 2, "gate": 0.0, "memory": 8})
    state = runs.checkpoint["state_dict"]
    assert runs.checkpoint["global_step"] == 2
    assert state["method.memory.count"].sum() > 0
    assert ((state["method.memory.scenes"] >= 0).sum(1) == state["method.memory.count"]).all()
    one, two = load_file(runs.whole), load_file(runs.cut)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert not any("memory" in n or "embedding" in n for n in one)
    wsss_geo.predict(tiny.scene, model=runs.whole, out=tmp_path / "mask.tif", device="cpu")
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert set(mask.read().flatten().tolist()) <= {3, 5, 9, 255}
