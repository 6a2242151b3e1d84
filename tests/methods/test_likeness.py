"""Likeness to scenes of one tag: the prior equals a literal loop, and what the recipe makes of it."""

from __future__ import annotations

import math
import statistics

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


def test_the_prior_equals_a_loop_over_what_is_held():
    generator = torch.Generator().manual_seed(0)
    vectors = {k: torch.randn(n, 5, generator=generator) for k, n in ((0, 3), (1, 8), (2, 2))}
    tokens = torch.randn(2, 5, 2, 3, generator=generator)
    found = filled(vectors).prior(tokens)
    for k, rows in vectors.items():
        for b in range(2):
            densities = [
                math.log(sum(math.exp(functional.cosine_similarity(t, r, dim=0) / 0.2) for r in rows) / len(rows))
                for t in tokens[b].flatten(1).T
            ]
            expected = [(d - statistics.mean(densities)) / statistics.pstdev(densities) for d in densities]
            assert found[b, k].flatten().tolist() == pytest.approx(expected, abs=1e-3)


def test_a_class_of_many_looks_is_not_less_likely_for_it():
    """Half of the tokens show the one look of class 0, the others one of the two of class 1."""
    axes = torch.eye(4)
    known = filled({0: axes[:1].repeat(4, 1), 1: axes[1:3].repeat(2, 1)})
    found = known.prior(torch.stack([axes[0], axes[0], axes[1], axes[1]], dim=1)[None, :, None])[0, :, 0]
    assert found[0].tolist() == pytest.approx([1, 1, -1, -1], abs=1e-4)
    assert found[1].tolist() == pytest.approx([-1, -1, 1, 1], abs=1e-4)
    assert found[2].tolist() == [0, 0, 0, 0]  # of which nothing is held


def test_an_empty_memory_and_a_picture_of_one_look_tell_nothing_apart():
    assert torch.equal(Likeness(3, 8, 4).prior(torch.randn(1, 4, 2, 2)), torch.zeros(1, 3, 2, 2))
    known = filled({0: torch.randn(4, 4)})
    alike = torch.ones(1, 4, 2, 2) + 1e-5 * torch.randn(1, 4, 2, 2)
    assert known.prior(alike).abs().max() < 0.1


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
