"""The published procedure of the benchmark: its losses and gradients are ours, its lattice is near the exact sums."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks are part of the checkout only")


@pytest.fixture
def benchmarks(monkeypatch):
    """Let the programs in ``benchmarks`` be imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["toco", "ctfa"])
def test_losses_and_gradients_are_those_of_the_published_procedure(benchmarks, name):
    import train_step

    method = train_step.make_method(name, "vit_tiny_patch16_224", 64, "cpu").double()
    batch = train_step.make_views(method, 2, 64, "cpu")
    wide = {k: getattr(batch, k).double() for k in ("image", "clean", "local", "second", "tags")}
    batch = dataclasses.replace(batch, **wide)
    found = train_step.both(method, batch, fused=False)
    assert set(found.losses) == set(method.terms)
    assert all(abs(ours - theirs) <= 1e-4 for ours, theirs in found.losses.values())
    assert all(ours != 0 for ours, _ in found.losses.values())
    assert set(found.gradients) == {k for k, p in method.named_parameters() if p.requires_grad}
    assert max(found.gradients.values()) <= 1e-4


def test_the_lattice_comes_near_the_sums_over_all_pairs(benchmarks):
    from lattice import gaussian_sums

    generator = np.random.default_rng(0)
    for dims, share in ((2, 0.05), (5, 0.2)):
        features = generator.standard_normal((500, dims)).astype(np.float32)
        values = generator.random((500, 3)).astype(np.float32)
        exact = np.exp(-0.5 * ((features[:, None] - features[None]) ** 2).sum(-1)) @ values
        assert np.abs(gaussian_sums(features, values) / exact - 1).mean() < share
    with pytest.raises(ValueError, match="too far apart"):
        gaussian_sums(features * 1000, values)


def test_the_energy_of_the_lattice_is_near_the_dense_one_in_value_and_gradient(benchmarks):
    from published_step import lattice_energy

    from wsss_geo.nn.energy import dense_energy

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 4, 4, generator=generator)
    image = torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bilinear") * 120
    shares = torch.nn.functional.interpolate(coarse.flip(1), size=(48, 48), mode="bilinear").mul(4).softmax(1)
    labels = torch.randint(0, 2, (2, 48, 48), generator=generator).mul(255)
    shares.requires_grad_()
    energy = dense_energy(shares, image, labels)
    (slope,) = torch.autograd.grad(energy, shares)
    halved = torch.nn.functional.avg_pool2d(shares.detach(), 2)
    value, gradient = lattice_energy(
        halved.numpy(), image[..., ::2, ::2].numpy(), (labels[:, None, ::2, ::2] == 255).float().numpy()
    )
    assert value == pytest.approx(float(energy.detach()), rel=0.2)
    spread = torch.from_numpy(gradient).repeat_interleave(2, -1).repeat_interleave(2, -2) / 4
    assert float((spread - slope).norm() / slope.norm()) < 0.25


def test_one_hot_convolutions_take_the_neighbours(benchmarks):
    from published_step import neighbours

    maps = torch.arange(30.0).view(1, 1, 5, 6)
    found = neighbours(maps, (1, 2))
    assert found.shape == (1, 1, 16, 5, 6)
    assert found[0, 0, :8, 2, 2].tolist() == [7, 8, 9, 13, 15, 19, 20, 21]
    assert found[0, 0, 8:, 0, 0].tolist() == [0, 0, 2, 0, 2, 12, 12, 14]
