"""Losses of weakly supervised segmentation: scalars, float32 also under autocast, finite on empty input.

Labels are integer maps; 255 is ignored. Every average over pixels, pairs or crops is a sum over max(count, 1), so
nothing to learn from means 0, not NaN. Where processes train together, counts are those of their joint batch, so that
the mean of a loss over processes is the loss of that batch; all of them must then compute it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.classes import IGNORE
from wsss_geo.nn.energy import dense_energy, local_pairwise_energy
from wsss_geo.nn.processes import joint_mean, summed, world_size
from wsss_geo.nn.tensors import full_precision, resize

__all__ = [
    "balanced_cross_entropy",
    "class_balanced_cross_entropy",
    "class_token_contrast",
    "dense_energy",
    "joint_loss",
    "local_pairwise_energy",
    "multilabel_soft_margin",
    "patch_token_contrast",
    "pixel_cross_entropy",
]

#: Added to the negatives' sum in class token contrast, so that a lone positive has something to beat.
NEGATIVE_FLOOR = 1e-4


@full_precision
def multilabel_soft_margin(logits: Tensor, tags: Tensor) -> Tensor:
    """Binary cross-entropy of each class, mean over classes and batch: ``logits``, ``tags`` [B,K]."""
    return functional.multilabel_soft_margin_loss(logits, tags.to(logits.dtype))


@full_precision
def patch_token_contrast(tokens: Tensor, labels: Tensor) -> Tensor:
    """Make patch tokens of one label alike and of different labels orthogonal (Ru et al., CVPR 2023).

    ``tokens`` [B,D,h,w], ``labels`` int [B,h,w] on the same grid. With c the absolute cosine of two tokens of one
    image, a token never paired with itself nor an ignored one,
    0.5 (1 - sum_same c / (n_same + 1)) + 0.5 sum_different c / (n_different + 1), sums over the whole batch.
    In 0..1; 0.5 without any pair. Memory: a few [B,hw,hw] arrays. Raises ValueError when the grids differ.
    """
    if labels.shape != (tokens.shape[0], *tokens.shape[2:]):
        raise ValueError(f"labels {tuple(labels.shape)} must lie on the token grid of {tuple(tokens.shape)}")
    flat = functional.normalize(tokens.flatten(2), dim=1, eps=1e-8)
    cosine = (flat.transpose(1, 2) @ flat).abs()
    label = labels.flatten(1)
    known = label != IGNORE
    pairs = known[:, :, None] & known[:, None, :]
    pairs.diagonal(dim1=1, dim2=2).fill_(False)
    equal = label[:, :, None] == label[:, None, :]
    same, different = pairs & equal, pairs & ~equal
    counts = summed(torch.stack([same.sum(), different.sum()])) + 1
    alike, unlike = torch.stack([_sum_where(cosine, same), _sum_where(cosine, different)]) * world_size() / counts
    return 0.5 * (1 - alike) + 0.5 * unlike


@full_precision
def class_token_contrast(
    student: Tensor, teacher: Tensor, positive: Tensor, temperature: float, reference_term: bool = False
) -> Tensor:
    """Pull class tokens of views towards the teacher's, away from those of background crops (Ru et al., CVPR 2023).

    ``student`` [B,M,E] (all views, global ones included), ``teacher`` [B,G,E] (global views; no gradient), ``positive``
    [B,M] bool. With l_gm = <teacher_g, student_m> / temperature and the negatives n of the same image, every pair
    of a teacher view and a positive student view, that of a view with itself included, counts
    -log(exp l_gm / (exp l_gm + sum_n exp l_gn + 1e-4)). Mean over teacher views, sum over positives by their number (0
    without positives), mean over the batch.

    ``reference_term`` adds, once per image and teacher view, a positive of logit 0 to the sum but not to the number
    of positives, as the published program does (that program divides by the number + 1e-4; here it is the number).
    """
    logits = torch.einsum("bge,bme->bgm", teacher.detach(), student) / temperature
    floor = torch.full_like(logits[..., :1], math.log(NEGATIVE_FLOOR))
    negatives = logits.masked_fill(positive[:, None, :], -torch.inf)
    against = torch.cat([negatives, floor], dim=-1).logsumexp(dim=-1, keepdim=True)
    terms = functional.softplus(against - logits).masked_fill(~positive[:, None, :], 0).sum(dim=-1)
    if reference_term:
        terms = terms + functional.softplus(against).squeeze(-1)
    return (terms.mean(dim=1) / positive.sum(dim=1).clamp(min=1)).mean()


@full_precision
def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each pixel [B,H,W], 0 where ignored: ``logits`` [B,C,h,w] are resized to ``labels`` [B,H,W]."""
    resized = resize(logits, (labels.shape[-2], labels.shape[-1]))
    return functional.cross_entropy(resized, labels.long(), ignore_index=IGNORE, reduction="none")


@full_precision
def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Half the mean cross-entropy over background (label 0) plus half that over foreground (explicit background).

    ``logits`` [B,C,h,w] are resized bilinearly to ``labels`` [B,H,W]. An empty half counts 0.
    """
    loss = pixel_cross_entropy(logits, labels)
    background = labels == 0
    foreground = (labels != 0) & (labels != IGNORE)
    return 0.5 * _mean_where(loss, background) + 0.5 * _mean_where(loss, foreground)


@full_precision
def class_balanced_cross_entropy(logits: Tensor, labels: Tensor, balance: float = 1.0) -> Tensor:
    """Weighted mean cross-entropy where a class of n pixels in the batch gives each the weight n^-``balance``.

    1: mean over the classes present of their mean cross-entropies; 0: mean over the pixels. Between the two, rare
    classes count more than their pixels, yet borders do not move all the way in their favour.
    ``logits`` [B,C,h,w] are resized
    bilinearly to ``labels`` [B,H,W]; exactly 0 without a label.
    """
    loss = pixel_cross_entropy(logits, labels)
    members = [labels == c for c in range(logits.shape[1])]
    counts = summed(torch.stack([m.sum() for m in members]))
    totals = torch.stack([_sum_where(loss, m) for m in members]) * world_size()
    means = totals / counts.clamp(min=1)
    weights = torch.where(counts > 0, counts.clamp(min=1).to(means.dtype) ** (1 - balance), 0)
    return (means * weights).sum() / weights.sum().clamp(min=1)


@full_precision
def joint_loss(foreground_logits: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Joint loss of two decoders (CTFA, TGRS 2024): cross-entropy of the normalised product of their probabilities.

    The product softmax(f) * sigmoid(d), normalised over classes, has the logits f + log sigmoid(d), since the
    denominator of the softmax cancels. ``foreground_logits`` f and ``logits`` d, both [B,C,h,w], are resized to
    ``labels`` [B,H,W]; mean over the pixels not ignored, exactly 0 without any.
    """
    size = (labels.shape[-2], labels.shape[-1])
    joint = resize(foreground_logits, size) + functional.logsigmoid(resize(logits, size))
    return _mean_where(pixel_cross_entropy(joint, labels), labels != IGNORE)


def _sum_where(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 0).sum()


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    return joint_mean(_sum_where(values, mask), mask.sum())
