"""What a few examples say about a picture: prior maps, prototypes, parts.

Vectors are compared by cosine. B pictures have N query vectors and M example vectors of width D; a weight in 0..1 says
how much of an example vector belongs to what is sought (0: nothing).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.nn.tensors import full_precision

_SMALL = 1e-6
#: Least weight of an example vector that counts as one of what is sought.
_MEMBER = 0.5


def as_vectors(maps: Tensor) -> Tensor:
    """Maps [B,S,D,h,w] of S pictures as vectors [B, S * h * w, D]."""
    return maps.flatten(3).permute(0, 1, 3, 2).flatten(1, 2)


@full_precision
def cosine_to(vectors: Tensor, prototype: Tensor) -> Tensor:
    """Cosine [B,N] between vectors [B,N,D] and one prototype [B,D]."""
    return functional.cosine_similarity(vectors, prototype[:, None], dim=-1)


@full_precision
def best_match(query: Tensor, examples: Tensor, weight: Tensor) -> Tensor:
    """Largest cosine [B,N] between vectors [B,N,D] and examples [B,M,D] of ``weight`` [B,M] of at least half.

    Where no example weighs that much, the heaviest ones count; where none weighs anything, the answer is -1.
    """
    similar = functional.normalize(query, dim=-1) @ functional.normalize(examples, dim=-1).transpose(1, 2)
    least = weight.amax(dim=1, keepdim=True).clamp_max(_MEMBER)
    counts = (weight >= least) & (weight > 0)
    return similar.masked_fill(~counts[:, None], -1.0).amax(dim=2)


@full_precision
def as_alike(vectors: Tensor, weight: Tensor) -> Tensor:
    """Which vectors [B,M,D] are as like what is sought as its own vectors are among themselves; bool [B,M].

    ``weight`` [B,M]; vectors of at least half are its own, and the median of their best matches with one another is the
    measure. With less than two of its own nothing is.
    """
    unit = functional.normalize(vectors, dim=-1)
    similar = unit @ unit.transpose(1, 2)
    own = weight >= _MEMBER
    others = own[:, None] & ~torch.eye(weight.shape[1], dtype=torch.bool, device=weight.device)
    best = similar.masked_fill(~others, -2.0).amax(dim=2)
    usual = best.masked_fill(~own, float("nan")).nanmedian(dim=1, keepdim=True).values
    return (best >= usual) & ~own & (own.sum(dim=1, keepdim=True) > 1)


@full_precision
def prior_map(query: Tensor, examples: Tensor, weight: Tensor, bounds: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Prior [B,N] in 0..1: the best match of every query vector (Tian et al., PFENet, TPAMI 2022, eq. 4 to 6).

    The publication stretches it between the least and the largest value of the query picture. With ``bounds`` [B,1]
    these take their place, so that a window of a large raster is not stretched by what else happens to lie in it.
    """
    found = best_match(query, examples, weight)
    low, high = (found.amin(1, keepdim=True), found.amax(1, keepdim=True)) if bounds is None else bounds
    return ((found - low) / (high - low).clamp_min(_SMALL)).clamp(0, 1)


@full_precision
def masked_average(vectors: Tensor, weight: Tensor) -> Tensor:
    """Mean [B,D] of vectors [B,M,D] by ``weight`` [B,M]; zero where nothing weighs (Zhang et al., SG-One, 2020)."""
    return (weight[..., None] * vectors).sum(dim=1) / weight.sum(dim=1, keepdim=True).clamp_min(_SMALL)


@full_precision
def part_prototypes(
    vectors: Tensor, weight: Tensor, parts: int, iterations: int = 10, sharpness: float = 20.0
) -> Tensor:
    """Unit prototypes [B,parts,D] of vectors [B,M,D] by soft expectation maximisation (as in Yang et al., ECCV 2020).

    Vectors lie on the unit sphere. Expectation: each belongs to the prototypes by the softmax of ``sharpness`` times
    the cosine. Maximisation: prototypes are the directions of the weighted sums of what belongs to them. They start at
    the vector nearest to the mean, and then, one after the other, at the one farthest from those there are; so the
    answer follows from the vectors alone. Where nothing weighs, all prototypes are zero.
    """
    unit = functional.normalize(vectors, dim=-1)
    found = _spread(unit, weight, parts)
    for _ in range(iterations):
        belongs = torch.softmax(sharpness * unit @ found.transpose(1, 2), dim=-1) * weight[..., None]
        moved = functional.normalize(belongs.transpose(1, 2) @ unit, dim=-1)
        kept = belongs.sum(dim=1)[..., None] > _SMALL
        found = torch.where(kept, moved, found)
    return found


def _spread(unit: Tensor, weight: Tensor, parts: int) -> Tensor:
    """Vectors [B,parts,D] to start from: near to the mean, then far from one another; each counts by its weight."""
    rows = torch.arange(len(unit), device=unit.device)
    centre = functional.normalize((weight[..., None] * unit).sum(dim=1), dim=-1)
    nearest = torch.where(weight > 0, (unit @ centre[..., None]).squeeze(-1), -2.0)
    chosen = [unit[rows, nearest.argmax(dim=1)]]
    for _ in range(parts - 1):
        closest = torch.stack([(unit @ c[..., None]).squeeze(-1) for c in chosen]).amax(dim=0)
        chosen.append(unit[rows, ((1 - closest) * weight).argmax(dim=1)])
    return torch.stack(chosen, dim=1) * (weight.amax(dim=1) > 0)[:, None, None]


@full_precision
def part_similarity(query: Tensor, parts: Tensor) -> Tensor:
    """Largest cosine [B,N] between vectors [B,N,D] and any of the prototypes [B,P,D]."""
    similar = functional.normalize(query, dim=-1) @ functional.normalize(parts, dim=-1).transpose(1, 2)
    return similar.amax(dim=2)


@full_precision
def separation(query: Tensor, examples: Tensor, weights: tuple[Tensor, Tensor], ridge: float = 0.3) -> Tensor:
    """On which side of the plane that parts the examples best query vectors [B,N,D] lie: [B,N] in -1..1.

    ``weights`` [B,M] say how much of the examples [B,M,D] is sought and how much is not. The plane is that of least
    squares to 1 and to -1, both sides counting alike, in units of the examples' own deviation, held back by ``ridge``
    (Bertinetto et al., ICLR 2019): unlike a prototype it knows which of the numbers vary for other reasons. Of a vector
    that is unlike all examples it says less: the answer shrinks as its leverage grows beyond that of the examples. 0
    where one of the sides is empty.
    """
    shares = [w / w.sum(dim=1, keepdim=True).clamp_min(_SMALL) for w in weights]
    both = (shares[0] + shares[1])[..., None] / 2
    mean = (both * examples).sum(dim=1, keepdim=True)
    deviation = (both * (examples - mean) ** 2).sum(dim=1, keepdim=True).sqrt().clamp_min(_SMALL)
    seen, asked = (functional.pad((v - mean) / deviation, (0, 1), value=1.0) for v in (examples, query))
    held = ridge * torch.eye(seen.shape[2], dtype=seen.dtype, device=seen.device)
    inverse = torch.linalg.inv(seen.transpose(1, 2) @ (2 * both * seen) + held)
    plane = inverse @ (seen.transpose(1, 2) @ (shares[0] - shares[1])[..., None])
    own, leverage = ((v @ inverse * v).sum(dim=2) for v in (seen, asked))
    usual = (both[..., 0] * own).sum(dim=1, keepdim=True)
    found = (asked @ plane).squeeze(-1) * (usual / leverage.clamp_min(_SMALL)).clamp_max(1.0).sqrt()
    known = torch.stack([w.sum(dim=1) > 0 for w in weights]).all(dim=0)
    return found.clamp(-1, 1) * known[:, None]


@full_precision
def self_support(prototype: Tensor, query: Tensor, weight: Tensor) -> Tensor:
    """Prototype [B,D] moved towards the query's own vectors [B,N,D] (after Fan et al., ECCV 2022).

    ``weight`` [B,N] in 0..1 says how sure it is that a query vector belongs. The share of the query's mean is half of
    the weight that its members have on average: with none that is sure the prototype stays.
    """
    trust = 0.5 * (weight * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp_min(_SMALL)
    return (1 - trust) * prototype + trust * masked_average(query, weight)
