"""What scenes of one class say about those of several: a second opinion on activation maps.

A scene with one tag is a support picture with an exact mask, so how well a token matches what such scenes show tells
its class without any classifier (the prior of Tian et al., PFENet, TPAMI 2022, there from drawn masks).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.nn.memory import ClassQueue
from wsss_geo.nn.tensors import full_precision

#: Least deviation of log-densities within a picture: where all tokens are alike, noise says nothing.
_LEAST = 0.05


class Likeness(nn.Module):
    """Unit vectors of tokens of known class, the last ``length`` of each of ``classes``; see ``prior``.

    A class of which fewer than ``least`` are held is not spoken of.
    """

    def __init__(self, classes: int, length: int, width: int, temperature: float = 0.1, least: int = 64) -> None:
        super().__init__()
        self.queue = ClassQueue(classes, length, width)
        self.temperature = temperature
        self.least = min(least, length)

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
    def prior(self, tokens: Tensor) -> Tensor:
        """How much more like each class tokens [B,D,h,w] are than the others of their picture: [B,K,h,w].

        The density of a class around a token is the mean of exp(cosine / temperature) over the vectors held. Its
        logarithm is standardised over the picture, class by class (the publication stretches it to 0..1): a class of
        many looks is less dense around each than one of a single look, which must not count against it. 0 for classes
        of which too few vectors are held.
        """
        unit = functional.normalize(tokens, dim=1).permute(0, 2, 3, 1)
        kernels = (unit @ self.queue.entries.flatten(0, 1).T / self.temperature).unflatten(-1, self.queue.used.shape)
        density = kernels.masked_fill(~self.queue.used, -torch.inf).logsumexp(dim=-1).permute(0, 3, 1, 2)
        known = (self.queue.count >= self.least)[:, None, None]
        density = torch.where(known, density, 0.0)
        deviation, mean = torch.std_mean(density, dim=(2, 3), keepdim=True, correction=0)
        return (density - mean) / deviation.clamp(min=_LEAST)
