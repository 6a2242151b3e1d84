"""A linear classifier on frozen features, fitted to the optimum, and its scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

#: Weight of half the squared norm of the classifier beside the mean cross-entropy.
_SHRINK = 1e-3
_ROUNDS = 200


@dataclass(frozen=True)
class LinearClassifier:
    """``weight`` [K,D] and ``bias`` [K] on features less ``mean`` [D] over ``std`` [D]."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Scores [n,K] of features [n,D]."""
        return ((features.double() - self.mean) / self.std) @ self.weight.T + self.bias


def fit_linear(features: Tensor, labels: Tensor, classes: int) -> LinearClassifier:
    """Multinomial logistic regression of labels int64 [n] on features [n,D], by L-BFGS in float64.

    Features are standardised first; a constant one counts for nothing.
    """
    data = features.double()
    mean, std = data.mean(dim=0), data.std(dim=0, correction=0)
    std = torch.where(std > 1e-8, std, 1.0)
    scaled = (data - mean) / std
    weight = torch.zeros(classes, data.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(scaled @ weight.T + bias, labels) + 0.5 * _SHRINK * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return LinearClassifier(weight.detach(), bias.detach(), mean, std)


def f1_scores(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """F1 [K] of predictions int64 [n]; NaN for a class that is neither there nor predicted."""
    found = functional.one_hot(predicted, classes).double()
    given = functional.one_hot(labels, classes).double()
    hits = (found * given).sum(dim=0)
    return 2 * hits / (found.sum(dim=0) + given.sum(dim=0))
