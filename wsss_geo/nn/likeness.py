"""What the token grids of scenes of one class say about those of several: a second opinion on activation maps.

A scene with one tag is a support picture with an exact mask, so the match of a token with what such scenes show tells
its class without any classifier (the prior of Tian et al., PFENet, TPAMI 2022, eq. 4 to 6, there from drawn masks).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.memory import ClassQueue
from wsss_geo.nn.processes import joint_mean
from wsss_geo.nn.tensors import full_precision


class Likeness(nn.Module):
    """Unit vectors of tokens of known class, the last ``length`` of each of ``classes``; see ``log_densities``."""

    def __init__(self, classes: int, length: int, width: int, temperature: float = 0.1, least: int = 64) -> None:
        super().__init__()
        self.queue = ClassQueue(classes, length, width)
        self.temperature = temperature
        self.least = min(least, length)

    @property
    def known(self) -> Tensor:
        """Classes of which enough tokens are held to speak of: bool [K]."""
        return self.queue.count >= self.least

    @torch.no_grad()
    @full_precision
    def remember(self, tokens: Tensor, labels: Tensor, drawn: Tensor, places: Tensor | None = None) -> None:
        """Write tokens [B,D,h,w] of class ``labels`` int64 [B,h,w] where ``drawn`` bool [B,h,w].

        ``places`` int64 [B] of the images in a joint batch, for several processes; all of them must call.
        """
        image = drawn.nonzero()[:, 0]
        vectors = functional.normalize(tokens, dim=1).permute(0, 2, 3, 1)[drawn]
        self.queue.push(vectors, labels[drawn], None if places is None else places[image])

    @torch.no_grad()
    @full_precision
    def log_densities(self, tokens: Tensor, allowed: Tensor) -> Tensor:
        """How dense each class lies around tokens [B,D,h,w]: natural logarithms [B,K,h,w], up to a constant.

        The kernel is exp(cosine / temperature), its mean over the vectors held. Classes not ``known`` have what tokens
        have on average of the densest known class of those ``allowed`` bool [B,K,h,w] to them: what is less like the
        known classes than usual speaks for the others. 0 for all while no class is known.
        """
        unit = functional.normalize(tokens, dim=1).permute(0, 2, 3, 1)
        held, used = self.queue.entries, self.queue.used
        kernels = (unit @ held.flatten(0, 1).T / self.temperature).unflatten(-1, held.shape[:2])
        kernels = kernels.masked_fill(~used, -torch.inf)
        found = kernels.logsumexp(dim=-1) - self.queue.count.clamp(min=1).log()
        found = found.permute(0, 3, 1, 2)
        speaks = self.known[:, None, None] & allowed
        densest = found.masked_fill(~speaks, -torch.inf).amax(dim=1)
        some = speaks.any(dim=1)
        usual = joint_mean(densest.masked_fill(~some, 0).sum(), some.sum())
        return torch.where(self.known[:, None, None], found, usual)
