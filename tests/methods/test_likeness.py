"""Likeness to scenes of one tag: densities equal a literal loop, unknown classes get what is unlike the known ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from small_methods import SIZE, items_of, method_of
from wsss_geo.nn.likeness import Likeness
from wsss_geo.training.batches import make_batch


def filled(vectors: dict[int, torch.Tensor], classes: int = 3, least: int = 2) -> Likeness:
    """A memory that has seen ``vectors`` [n,D] of some classes."""
    width = next(iter(vectors.values())).shape[1]
    known = Likeness(classes, 8, width, temperature=0.2, least=least)
    for label, rows in vectors.items():
        maps = rows.T[None, :, None]
        known.remember(maps, torch.full((1, 1, len(rows)), label), torch.ones(1, 1, len(rows), dtype=torch.bool))
    return known


def test_densities_equal_a_loop_over_what_is_held():
    generator = torch.Generator().manual_seed(0)
    vectors = {k: torch.randn(n, 5, generator=generator) for k, n in ((0, 3), (1, 8), (2, 2))}
    tokens = torch.randn(2, 5, 2, 3, generator=generator)
    found = filled(vectors).log_densities(tokens, torch.ones(2, 3, 2, 3, dtype=torch.bool))
    for k, rows in vectors.items():
        for b, i, j in ((0, 0, 0), (1, 1, 2)):
            kernels = [math.exp(functional.cosine_similarity(tokens[b, :, i, j], r, dim=0) / 0.2) for r in rows]
            assert found[b, k, i, j].item() == pytest.approx(math.log(sum(kernels) / len(kernels)), abs=1e-4)


def test_what_is_less_like_the_known_classes_than_usual_speaks_for_the_others():
    axes = torch.eye(4)
    known = filled({0: axes[:1].repeat(4, 1), 1: axes[1:2].repeat(4, 1)})
    tokens = torch.stack([axes[0], axes[1], axes[3]], dim=1)[None, :, None]
    allowed = torch.ones(1, 3, 1, 3, dtype=torch.bool)
    assert known.known.tolist() == [True, True, False]
    found = known.log_densities(tokens, allowed)
    assert found.argmax(dim=1).flatten().tolist() == [0, 1, 2]
    assert found[0, 2].flatten().tolist() == pytest.approx([10 / 3] * 3, abs=1e-4)  # (5 + 5 + 0) / 3
    allowed[:, 1] = False  # class 1 says nothing of how usual its tokens are where it is not allowed
    assert known.log_densities(tokens, allowed)[0, 2, 0, 0].item() == pytest.approx(5 / 3, abs=1e-4)


def test_an_empty_memory_tells_nothing_apart():
    known = Likeness(3, 8, 4)
    found = known.log_densities(torch.randn(1, 4, 2, 2), torch.ones(1, 3, 2, 2, dtype=torch.bool))
    assert torch.equal(found, torch.zeros(1, 3, 2, 2))


def test_tokens_of_one_tag_alone_are_remembered():
    method = method_of("aerial", "none", steps=1000)
    assert method.known is not None
    batch = make_batch(items_of(method.scheme), method, SIZE, 0, 0)
    assert (batch.tags.sum(dim=1) == 1).tolist() == [True, False, False]
    for step in range(4):
        method.losses(batch, step)
    counts = method.known.queue.count.tolist()
    assert counts[0] > 0
    assert counts[1:] == [0] * (len(counts) - 1)
    held = method.known.queue.entries[0][: counts[0]]
    torch.testing.assert_close(held.norm(dim=1), torch.ones(counts[0]))
    assert any(name.startswith("known.") for name in method.state_dict())  # resumed with the rest


@pytest.mark.parametrize(("policy", "likeness"), [("explicit", 0.5), ("surrogate:b", 0.5), ("none", 0.0)])
def test_without_pure_scenes_or_on_request_nothing_is_remembered(policy, likeness):
    assert method_of("aerial", policy, likeness=likeness).known is None


def test_likeness_settles_what_the_classifier_leaves_open():
    """A scene of two tags whose halves are two textures that scenes of one tag have shown."""
    method = method_of("aerial", "none", steps=10, start=0.0, ramp=1e9, likeness=1.0, remembered=64)
    batch = make_batch(items_of(method.scheme), method, SIZE, 0, 0)
    dark, bright = torch.full_like(batch.clean[:1], 0.1), torch.full_like(batch.clean[:1], 0.9)
    halves = torch.cat([dark[..., : SIZE // 2], bright[..., SIZE // 2 :]], dim=-1)
    images = torch.cat([dark, bright, halves])
    allowed = torch.zeros(3, len(method.scheme.names), 8, 8, dtype=torch.bool)
    allowed[0, 0] = allowed[1, 1] = allowed[2, 0] = allowed[2, 1] = True
    usable = torch.ones(3, 8, 8, dtype=torch.bool)
    given = type(batch)(images, images, batch.tags, batch.valid)
    method.teacher_labels(given, allowed, usable, 0)
    labels = method.teacher_labels(given, allowed, usable, 1)[2]
    assert (labels[:, :3] == 0).float().mean() > 0.9
    assert (labels[:, 5:] == 1).float().mean() > 0.9
