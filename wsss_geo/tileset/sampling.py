"""Which tiles to show how often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def repeat_factor_weights(
    tags: NDArray[np.float32], threshold: float = 0.01, pure_share: float = 0.0
) -> NDArray[np.float64]:
    """Return sampling weights [n], sum 1, that show rare classes more often; untagged tiles weigh nothing.

    ``tags`` [n, K] is 0/1. A class in a share f of the tiles repeats max(1, sqrt(threshold / f)) times, a tile as often
    as its most repeated class (repeat factor sampling, Gupta et al., CVPR 2019). ``pure_share`` raises tiles of
    one class to at least this share of what is drawn, where there are any.
    """
    present = tags > 0.5
    tagged = present.any(axis=1)
    if not tagged.any():
        return np.full(len(tags), 1.0 / max(len(tags), 1))
    frequency = present.sum(axis=0) / tagged.sum()
    repeats = np.maximum(1.0, np.sqrt(threshold / np.maximum(frequency, 1e-12)))
    weights = np.where(present, repeats, 0.0).max(axis=1)
    weights /= weights.sum()
    pure = present.sum(axis=1) == 1
    share = weights[pure].sum()
    if 0 < share < pure_share:
        weights[pure] *= pure_share / share
        weights[~pure] *= (1 - pure_share) / (1 - share)
    return weights / weights.sum()
