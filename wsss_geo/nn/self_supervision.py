"""Losses of pre-training without any label: scalars, float32 also under autocast, 0 where there is nothing to learn.

In a group of processes averages run over the pairs of all of them; negatives are those of the own process and memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.nn.processes import joint_mean
from wsss_geo.nn.tensors import full_precision


@full_precision
def distillation_loss(student: Tensor, teacher: Tensor, centre: Tensor, sharp: float, sharper: float) -> Tensor:
    """Cross-entropy of what the student says of one view under what the teacher says of another.

    DINO (Caron et al., ICCV 2021): the teacher's scores are centred and divided by the temperature ``sharper``, the
    student's by ``sharp``. ``student`` [V,B,P] begins with the G views of ``teacher`` [G,B,P]; every teacher's view
    meets every other view. ``centre`` [P]. Mean over pairs of views and batch; no gradient to the teacher.
    """
    target = torch.softmax((teacher.detach() - centre) / sharper, dim=-1)
    said = torch.log_softmax(student / sharp, dim=-1)
    each = -torch.einsum("gbp,vbp->gv", target, said) / student.shape[1]
    same = torch.eye(len(teacher), len(student), dtype=torch.bool, device=each.device)
    return each.masked_fill(same, 0).sum() / (~same).sum().clamp(min=1)


@full_precision
def dense_contrast(
    student: Tensor, teacher: Tensor, usable: Tensor, apart: Tensor, memory: Tensor, temperature: float
) -> Tensor:
    """InfoNCE of tokens that show the same ground in two views (Wang et al., CVPR 2021; Xie et al., CVPR 2021).

    Token i of ``student`` [B,A,E] and token i of ``teacher`` [B,A,E] are a pair where ``usable`` bool [B,A]. Against it
    stand the usable teacher's tokens of all other images, those of the same image that are ``apart`` bool [B,A,A]
    (student's token, teacher's token), and ``memory`` [Q,E] (Q may be 0). Cosines over ``temperature``; mean over
    usable pairs, 0 without any; no gradient to the teacher.
    """
    batch, count = usable.shape
    anchor = functional.normalize(student, dim=-1).flatten(0, 1)
    other = functional.normalize(teacher.detach(), dim=-1).flatten(0, 1)
    stored = functional.normalize(memory.detach().to(anchor), dim=-1)
    image = torch.arange(batch, device=usable.device).repeat_interleave(count)
    against = image[:, None] != image[None, :]
    against[~against] = apart.flatten()
    against &= usable.flatten()[None, :]
    cosine = anchor @ other.T
    return _info_nce(
        cosine.diagonal(), cosine.masked_fill(~against, -torch.inf), anchor @ stored.T, usable, temperature
    )


@full_precision
def pixel_to_global(pixels: Tensor, whole: Tensor, usable: Tensor, memory: Tensor, temperature: float) -> Tensor:
    """InfoNCE of the tokens of one view with the vector of the other view as a whole (Rabarisoa et al., 2022).

    ``pixels`` [B,A,E] of the student, those ``usable`` bool [B,A] count; ``whole`` [B,E] of the teacher. Against it
    stand the other images' vectors and ``memory`` [Q,E] (Q may be 0). Cosines over ``temperature``; mean over usable
    tokens, 0 without any; no gradient to the teacher.
    """
    batch, count = usable.shape
    anchor = functional.normalize(pixels, dim=-1).flatten(0, 1)
    image = torch.arange(batch, device=usable.device).repeat_interleave(count)
    cosine = anchor @ functional.normalize(whole.detach(), dim=-1).T
    own = functional.one_hot(image, batch).bool()
    stored = functional.normalize(memory.detach().to(anchor), dim=-1)
    return _info_nce(cosine[own], cosine.masked_fill(own, -torch.inf), anchor @ stored.T, usable, temperature)


def _info_nce(positive: Tensor, negative: Tensor, stored: Tensor, usable: Tensor, temperature: float) -> Tensor:
    """Mean over ``usable`` of -log(e^p / (e^p + sum e^n)): ``positive`` [n], ``negative`` [n,m], ``stored`` [n,Q]."""
    scores = torch.cat([positive[:, None], negative, stored], dim=1) / temperature
    loss = scores.logsumexp(dim=1) - scores[:, 0]
    return joint_mean(loss.masked_fill(~usable.flatten(), 0).sum(), usable.sum())


@full_precision
def token_similarity(tokens: Tensor) -> Tensor:
    """Mean cosine over all pairs of different tokens of an image, [B]: ``tokens`` [B,D,h,w]; 1 means all are alike.

    Over-smoothing (Ru et al., CVPR 2023) shows as values near 1 in late blocks.
    """
    flat = functional.normalize(tokens.flatten(2), dim=1)
    count = flat.shape[2]
    return (flat.sum(dim=2).square().sum(dim=1) - flat.square().sum(dim=(1, 2))) / max(1, count * (count - 1))
