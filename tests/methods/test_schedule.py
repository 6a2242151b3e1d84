"""Learning-rate rule and moving average."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wsss_geo.nn.schedule import ema_update, growing_momentum, learning_rate_factor


def test_published_values() -> None:
    assert learning_rate_factor(0, 20_000) == pytest.approx(1e-6)
    assert learning_rate_factor(750, 20_000) == pytest.approx(1 - 0.5 * (1 - 1e-6))
    assert learning_rate_factor(1500, 20_000) == pytest.approx((1 - 1500 / 20_000) ** 0.9)
    assert learning_rate_factor(10_000, 20_000) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(20_000, 20_000) == 0
    assert learning_rate_factor(20_001, 20_000) == 0


@given(st.integers(2, 5000), st.integers(0, 6000), st.integers(0, 2000))
def test_rises_then_falls_within_0_1(total: int, step: int, warmup: int) -> None:
    here, there = (learning_rate_factor(s, total, warmup) for s in (step, step + 1))
    assert 0 <= here <= 1
    if step + 1 < warmup:
        assert there > here
    elif step >= warmup:
        assert there <= here


def test_moving_average_equals_the_closed_form() -> None:
    torch.manual_seed(0)
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    target = copy.deepcopy(source)
    start = {k: v.detach().clone() for k, v in target.named_parameters()}
    seen: list[dict[str, torch.Tensor]] = []
    for _ in range(7):
        with torch.no_grad():
            for p in source.parameters():
                p.add_(torch.randn_like(p))
        source(torch.randn(5, 3, dtype=torch.float64))
        ema_update(target, source, 0.9)
        seen.append({k: v.detach().clone() for k, v in source.named_parameters()})
    for name, value in target.named_parameters():
        expected = 0.9**7 * start[name] + sum(0.1 * 0.9 ** (6 - t) * s[name] for t, s in enumerate(seen))
        torch.testing.assert_close(value, expected)
        assert value.grad is None
    for name, buffer in target.named_buffers():
        assert torch.equal(buffer, dict(source.named_buffers())[name])


def test_the_source_stays_and_extremes_are_exact() -> None:
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    before, weights = copy.deepcopy(target.state_dict()), copy.deepcopy(source.state_dict())
    ema_update(target, source, 1.0)
    assert all(torch.equal(before[k], v) for k, v in target.state_dict().items())
    ema_update(target, source, 0.0)
    assert all(torch.equal(weights[k], v) for k, v in target.state_dict().items())
    assert all(torch.equal(weights[k], v) for k, v in source.state_dict().items())


def test_different_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="bias"):
        ema_update(nn.Linear(2, 2), nn.Linear(2, 2, bias=False), 0.9)


def test_a_moving_average_looks_back_on_a_share_of_the_steps_so_far():
    average, history = 0.0, []
    for step in range(4000):
        average = growing_momentum(step) * average + (1 - growing_momentum(step)) * step
        history.append(step - average)
    assert history[0] == 0
    assert history[399] == pytest.approx(40, abs=2)
    assert history[3999] == pytest.approx(400, abs=2)
