"""DSMF-Net: few-shot segmentation of aerial images by two semantic metrics and fusion over scales.

Qi et al., "Dual semantic metric learning and multi-scale fusion" (JSTARS 2025). The publication comes without
code; what is known of it: a frozen backbone, a prior map, a global and a graph-based metric of prototypes, refinement
guided by the prior, fusion over scales, data iSAID-5i and DLRSD-5i. The rest is a reconstruction from its relatives:
prior map, pyramid and loss of PFENet (Tian et al., TPAMI 2022), parts by expectation maximisation (Yang et al., ECCV
2020), the query's own support (Fan et al., ECCV 2022), attention over a graph of prototypes (Zhang et al., ICCV 2019).

Deliberately other than in PFENet: the prior is not stretched by the query picture but by the examples, because a window
of a large raster may hold nothing of what is sought; what the examples show besides has a metric of its own; the finest
scale is that of colours and their spread, which no training has bent to other classes, and a plane that parts those of
the examples joins the prototypes as a metric, the more cautious the fewer examples there are; the gains of the metrics
are learned as factors of what they start from, so that none comes to speak against itself because that suits the few
classes of a training; and the decoder sees no features but only what the metrics say of them, and corrects that a
little, alike for what is sought and for the rest. A decoder that sees features, or knows which side it is on, learns
the classes of its training by heart and takes new ones for background; even so what it learns from few classes holds
for others only in part.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.classes import IGNORE
from wsss_geo.nn.frozen import Features
from wsss_geo.nn.prototypes import (
    as_vectors,
    best_match,
    cosine_to,
    masked_average,
    part_prototypes,
    part_similarity,
    prior_map,
    self_support,
    separation,
)
from wsss_geo.nn.tensors import resize

#: Denominators of the pyramid: the bins 60, 30, 15 and 8 of a grid of 60.
_SCALES = (1, 2, 4, 8)
#: Gains that the metrics, which speak for and against, start from: prior, prototype of features as they are, global and
#: part prototypes, plane between the colours, refined prototypes. What needs no training counts most before it.
_START = (0.5, 0.5, 0.5, 0.5, 4.0, 0.5)
#: What holds back the plane between colours, for one example; divided among more of them. The places of an example
#: share light, season and surroundings, so an example is one piece of evidence, however many places it has.
_RIDGE = 3.0


class Examples(NamedTuple):
    """S examples of what is sought, for each of B queries, on the feature grid.

    ``middle`` [B,S,D,h,w], ``deep`` [B,S,E,h,w] and ``colours`` [B,S,F,h,w] are features, ``share`` [B,S,h,w] the part
    of each cell in 0..1 that is what is sought, ``other`` [B,S,h,w] the part that is known not to be; the rest is
    unknown.
    """

    middle: Tensor
    deep: Tensor
    colours: Tensor
    share: Tensor
    other: Tensor

    def repeated(self, count: int) -> Examples:
        """The same examples, B = 1, for ``count`` queries; nothing is copied."""
        return Examples(*(t.expand(count, *t.shape[1:]) for t in self))


class Answer(NamedTuple):
    """``logits`` [B,2,h,w] (other, sought) and those of the pyramid's scales, for the loss."""

    logits: Tensor
    between: list[Tensor]


class GraphAttention(nn.Module):
    """Nodes [B,P,width] learn from one another; edges are the softmax of the scaled cosine, learned from ``sharpness``.

    The last layer starts at zero, so that nodes are what they were until training finds something to add.
    """

    def __init__(self, width: int, sharpness: float = 10.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.sharpness = nn.Parameter(torch.tensor(sharpness))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, nodes: Tensor) -> Tensor:
        """Nodes after one round."""
        normed = self.norm(nodes)
        query, key = (functional.normalize(layer(normed), dim=-1) for layer in (self.query, self.key))
        edges = torch.softmax(self.sharpness * query @ key.transpose(1, 2), dim=-1)
        learned: Tensor = nodes + self.out(edges @ self.value(normed))
        return learned


class Pyramid(nn.Module):
    """Fusion over scales: each looks at the averaged maps and at the scale before it, finest first, and answers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.merge = nn.ModuleList(nn.Conv2d(width * (1 if i == 0 else 2), width, 1) for i in range(len(_SCALES)))
        self.mix = nn.ModuleList(_conv(width, width) for _ in _SCALES)
        self.answer = nn.ModuleList(nn.Conv2d(width, 2, 1) for _ in _SCALES)
        self.join = nn.Sequential(nn.Conv2d(width * len(_SCALES), width, 1), nn.ReLU(inplace=True))

    def forward(self, maps: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Fused maps [B,width,h,w] and the answers [B,2,h',w'] of the scales."""
        grid = (maps.shape[-2], maps.shape[-1])
        found: list[Tensor] = []
        answers = []
        for scale, merge, mix, answer in zip(_SCALES, self.merge, self.mix, self.answer, strict=True):
            part = maps if scale == 1 else functional.avg_pool2d(maps, scale, ceil_mode=True, count_include_pad=False)
            if found:
                finer = functional.adaptive_avg_pool2d(found[-1], (part.shape[-2], part.shape[-1]))
                part = torch.cat([part, finer], dim=1)
            part = functional.relu(merge(part))
            part = part + mix(part)
            found.append(part)
            answers.append(answer(part))
        fused: Tensor = self.join(torch.cat([resize(f, grid) for f in found], dim=1))
        return fused, answers


class DSMF(nn.Module):
    """What is trained on the features of a frozen backbone of the ``widths`` middle and deep.

    ``width`` of the features that are compared, ``parts`` prototypes of what is sought (and of the rest), ``regions``
    of the query in the graph, ``layers`` of attention; ``correction``: the share of what the decoder would add that is
    added to the sum of the metrics.
    """

    def __init__(
        self,
        widths: tuple[int, int],
        width: int = 256,
        parts: int = 5,
        regions: int = 8,
        layers: int = 2,
        correction: float = 0.1,
    ) -> None:
        super().__init__()
        if min(width, parts, regions) < 1 or layers < 0:
            raise ValueError(f"width {width}, parts {parts}, regions {regions} or layers {layers} are too small")
        self.parts, self.regions, self.correction = parts, regions, correction
        self.reduce = projection(widths[0], width)
        self.graph = nn.ModuleList(GraphAttention(width) for _ in range(layers))
        self.enter = nn.Sequential(nn.Conv2d(3 * len(_START), width, 1), nn.ReLU(inplace=True))
        self.pyramid = Pyramid(width)
        last = nn.Conv2d(width, 2, 1)
        self.decode = nn.Sequential(_conv(width, width), last)
        self.trust = nn.Parameter(torch.zeros(len(_START)))
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, query: Features, examples: Examples) -> Answer:
        """Answer for the features of B queries."""
        size = query.middle.shape[-2:]
        share, other = examples.share.flatten(1), examples.other.flatten(1)
        known = self.reduce(examples.middle.flatten(0, 1)).unflatten(0, examples.middle.shape[:2])
        vectors, seen = _centred(as_vectors(self.reduce(query.middle)[:, None]), as_vectors(known), share, other)
        plain, seen_plain = _centred(as_vectors(query.middle[:, None]), as_vectors(examples.middle), share, other)
        deep = priors(as_vectors(query.deep[:, None]), as_vectors(examples.deep), share, other)
        sought, rest = masked_average(seen, share), masked_average(seen, other)
        nodes, apart = self._nodes(vectors, seen, share, other)
        side = separation(
            as_vectors(query.colours[:, None]), as_vectors(examples.colours), (share, other),
            ridge=_RIDGE / examples.share.shape[1],
        )  # fmt: skip
        pairs = [
            deep,
            _both(plain, masked_average(seen_plain, share), masked_average(seen_plain, other)),
            _both(vectors, sought, rest),
            (part_similarity(vectors, nodes), part_similarity(vectors, apart)),
            (side, -side),
        ]
        # The query supports itself, once: what the metrics and the prior agree on joins the prototypes.
        half = self._weighed(pairs)
        sure, unsure = deep[0] * torch.sigmoid(2 * half), deep[1] * torch.sigmoid(-2 * half)
        pairs.append(_both(vectors, self_support(sought, vectors, sure), self_support(rest, vectors, unsure)))
        half = self._weighed(pairs).unflatten(1, size)
        # Asked both ways round, what is sought and what is not, the decoder cannot learn that most is not.
        found = [[m for yes, no in way for m in (yes, no, yes - no)] for way in (pairs, [p[::-1] for p in pairs])]
        asked = torch.cat([torch.stack(maps, dim=1).unflatten(2, size) for maps in found])
        fused, between = self.pyramid(self.enter(asked))
        logits = self.correction * _of_both(self.decode(fused)) + torch.stack([-half, half], dim=1)
        return Answer(logits, [_of_both(answer) for answer in between])

    @property
    def gains(self) -> Tensor:
        """Gains of the metrics, all above zero: ``trust``, which is learned, changes them by factors."""
        return self.trust.exp() * self.trust.new_tensor(_START)

    def _weighed(self, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Half the logit [B,N] that the metrics give: what speaks for, less what speaks against, by the gains."""
        differences = torch.stack([yes - no for yes, no in pairs])
        return torch.einsum("m,mbn->bn", 0.5 * self.gains[: len(pairs)], differences)

    def _nodes(self, vectors: Tensor, seen: Tensor, share: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Part prototypes [B,parts,D] of what is sought and of the rest, after they have learned from the query."""
        everywhere = vectors.new_ones(vectors.shape[:2])
        nodes = torch.cat(
            [
                part_prototypes(seen, share, self.parts),
                part_prototypes(seen, other, self.parts),
                part_prototypes(vectors, everywhere, self.regions),
            ],
            dim=1,
        )
        for layer in self.graph:
            nodes = layer(nodes)
        return nodes[:, : self.parts], nodes[:, self.parts : 2 * self.parts]


def _centred(query: Tensor, examples: Tensor, share: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors as seen from halfway between what is sought and the rest: what all have in common says nothing."""
    middle = 0.5 * (masked_average(examples, share) + masked_average(examples, other))[:, None]
    return query - middle, examples - middle


def _of_both(answers: Tensor) -> Tensor:
    """Mean [B,2,h,w] of answers [2B,2,h,w], the second half of which were given with the sides changed."""
    straight, turned = answers.chunk(2)
    return (straight + turned.flip(1)) / 2


def _both(vectors: Tensor, sought: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    return cosine_to(vectors, sought), cosine_to(vectors, rest)


def priors(query: Tensor, examples: Tensor, share: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Prior maps [B,N] in 0..1 for what is sought and for the rest; vectors [B,N,E] and [B,M,E], weights [B,M].

    1 is a perfect match; 0 is as unlike as the least alike of the examples' own vectors.
    """
    own = best_match(examples, examples, share), best_match(examples, examples, other)
    high = torch.ones_like(share[:, :1])
    lows = [o.amin(dim=1, keepdim=True).clamp_max(0.99) for o in own]
    return prior_map(query, examples, share, (lows[0], high)), prior_map(query, examples, other, (lows[1], high))


def episode_loss(answer: Answer, target: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of the answer and, averaged, of the scales (PFENet); ``target`` [B,H,W] is 0, 1 or 255."""
    return {
        "segment": pixel_loss(answer.logits, target),
        "scales": torch.stack([pixel_loss(a, target) for a in answer.between]).mean(),
    }


def pixel_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels of ``target`` [B,H,W] that are not 255; logits [B,2,h,w] are enlarged."""
    large = resize(logits.float(), (target.shape[-2], target.shape[-1]))
    total = functional.cross_entropy(large, target, ignore_index=IGNORE, reduction="sum")
    return total / (target != IGNORE).sum().clamp_min(1)


def cell_shares(masks: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Shares [..., h, w] of cells of ``patch`` px that masks [..., H, W] (1, 0 or 255) say are sought, and are not."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:])
    found = [functional.avg_pool2d((flat == value).float(), patch) for value in (1, 0)]
    sought, other = (f.reshape(*masks.shape[:-2], *f.shape[-2:]) for f in found)
    return sought, other


class ChannelNorm(nn.LayerNorm):
    """Layer norm of the vector at every place of maps [B,D,h,w]: no place depends on what a window shows elsewhere."""

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def projection(before: int, width: int) -> nn.Sequential:
    """Norm and linear map of the vector at every place: what makes the features of a frozen backbone comparable."""
    return nn.Sequential(ChannelNorm(before), nn.Conv2d(before, width, 1))


def _conv(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, width, 3, padding=1), ChannelNorm(width), nn.ReLU(inplace=True))
