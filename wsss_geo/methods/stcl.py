"""STCL: spatio-temporal contrastive learning (Liang et al., Optics and Precision Engineering 2026, 34(1):150).

In space: ToCo, contrast between patch tokens and between class tokens of one image. In time: a memory of what the
regions of each class looked like in earlier images, and contrast of the present regions with it.

    L = L_ToCo + w_mem r(t) L_mem
    L_mem = sum_i w_i l_i / sum_i w_i over the regions i of the batch, with class c, embedding e and
    l_i   = mean over entries m of class c of -log(exp<e, m> / (exp<e, m> + sum over entries n of others exp<e, n>)),
            all products over ``memory_temperature``
    w_i   = probability of the tag * mean activation in the region * how full the memory of the class is

The memory starts when the other dense losses and the contrasts of ToCo are there, and r(t) grows to 1 over
``memory_ramp`` of the run. With ``other_scenes`` the entries m and n of a region are those of other parent scenes only:
tiles of one scene may overlap, and to find a region in its own pixels is no task.

No program is published; this is a reading of the abstract, with details of its closest relatives (RCA, Zhou et al.,
CVPR 2022; SeCo, Yang et al., CVPR 2024). A region is where the refined labels and those of the middle tokens' maps
agree on a class; background, where there is one, has regions and a memory too. The embedding is a two-layer
projection of the region's mean final token, that of entries comes from a moving average of it. The memory of a class
is first in, first out, one entry an image. Written is what passes two gates: the tag is probable, and the embedding
is as like the centre of the memory as most that came lately (not below mean minus one deviation), so strange regions
stay out while a drift of all embeddings does not lock the memory.

Policy ``none`` (no background class) is not in the paper; there labels are those that ToCo has under this policy,
and no entry is background.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.methods.base import Batch
from wsss_geo.methods.toco import ToCo, ToCoSettings
from wsss_geo.nn.cam import normalise_cam
from wsss_geo.nn.encoder import Tokens
from wsss_geo.nn.heads import global_max_pool
from wsss_geo.nn.memory import ClassQueue, gather_rows
from wsss_geo.nn.network import Network
from wsss_geo.nn.processes import summed, world_size
from wsss_geo.nn.schedule import ema_update
from wsss_geo.nn.tensors import full_precision


@dataclass(frozen=True)
class STCLSettings(ToCoSettings):
    """Those of ToCo, and values that the memory's relatives use."""

    w_mem: float = 0.2
    memory: int = 256
    """Entries a class."""
    memory_width: int = 256
    memory_temperature: float = 0.1
    memory_momentum: float = 0.99
    """Of the projection that makes entries."""
    memory_ramp: float = 0.05
    """Share of the run over which the loss grows to its weight (1000 of 20 000 steps)."""
    gate: float = 0.7
    """Least probability of the tag for an entry."""
    least: int = 4
    """Tokens that make a region."""
    other_scenes: bool = False
    """Leave the entries of a region's own parent scene out of its contrast."""


class Regions(NamedTuple):
    """The n regions of a batch: ``mean`` final token [n,D], ``classes`` int64 [n] in the order of the labels."""

    mean: Tensor
    classes: Tensor
    probability: Tensor
    """Of the tag [n]: sigmoid of the largest value of its final map; 1 for background."""
    activation: Tensor
    """Mean over the region [n], in 0..1; for background what the tagged classes leave."""
    place: Tensor
    """Of the view in the joint batch, int64 [n]."""
    scene: Tensor
    """Number of the parent scene, int64 [n]; -1 where it is not told."""


class STCL(ToCo):
    """See the module's text."""

    name = "stcl"
    terms: ClassVar[tuple[str, ...]] = (*ToCo.terms, "mem")
    settings_type = STCLSettings
    settings: STCLSettings

    def __init__(self, network: Network, scheme: ClassScheme, settings: STCLSettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        width, classes = network.encoder.width, len(self.labeller.order)
        self.embedding = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, settings.memory_width, bias=False)
        )
        self.teacher_embedding = deepcopy(self.embedding).requires_grad_(False)
        self.memory = ClassQueue(classes, settings.memory, settings.memory_width)
        self.likeness = LikenessGate(classes)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted terms of the sum above."""
        terms = super().losses(batch, step)
        if "mem" in terms:
            begun = (step + 1) / self.steps - self.memory_start
            terms["mem"] = terms["mem"] * min(1.0, begun / max(self.settings.memory_ramp, 1e-9))
        return terms

    @property
    def memory_start(self) -> float:
        """Share of the run before the memory."""
        return max(self.settings.start, self.settings.contrast_start)

    def dense_losses(self, batch: Batch, tokens: Tokens, labels: Tensor, step: int) -> dict[str, Tensor]:
        """What ToCo has, and the contrast with the memory, to which the regions are added afterwards."""
        s, terms = self.settings, super().dense_losses(batch, tokens, labels, step)
        if step < self.memory_start * self.steps:
            return terms
        regions = self.regions(batch, tokens, labels)
        vectors = functional.normalize(self.embedding(regions.mean).float(), dim=1)
        full = self.memory.count[regions.classes] / s.memory
        contrast = memory_contrast(
            vectors,
            regions.classes,
            regions.probability * regions.activation * full,
            self.memory.entries.clone(),
            self.usable_entries(regions),
            s.memory_temperature,
        )
        self.remember(regions)
        return {**terms, "mem": s.w_mem * contrast}

    def usable_entries(self, regions: Regions) -> Tensor:
        """The entries that meet a region: bool [M,Q], or [n,M,Q] where its own scene has no say."""
        used = self.memory.used
        if not self.settings.other_scenes:
            return used
        own = (self.memory.scenes == regions.scene[:, None, None]) & (regions.scene >= 0)[:, None, None]
        return used & ~own

    def regions(self, batch: Batch, tokens: Tokens, labels: Tensor) -> Regions:
        """Where ``labels`` int64 [B,H,W] and the middle tokens agree: a region of each class with enough tokens."""
        labeller, network, first = self.labeller, self.network, int(self.labeller.has_cold)
        grid = (tokens.final.shape[-2], tokens.final.shape[-1])
        with torch.no_grad():
            logits = network.classifier(tokens.final).float()
            middle = normalise_cam(network.aux_classifier(tokens.middle))
            agreed = agreement(labels, labeller.grid_labels(middle, batch.tags, grid, batch.valid))
            members = torch.stack([agreed == c for c in range(len(labeller.order))], dim=1).flatten(2).float()
            warm = normalise_cam(logits) * batch.tags[:, :, None, None]
            probability = torch.sigmoid(global_max_pool(logits))
            if first:
                warm = torch.cat([1 - warm.amax(dim=1, keepdim=True), warm], dim=1)
                probability = torch.cat([torch.ones_like(probability[:, :1]), probability], dim=1)
            count = members.sum(dim=2)
            activation = (members * warm.flatten(2)).sum(dim=2) / count.clamp(min=1)
        mean = members @ tokens.final.float().flatten(2).transpose(1, 2) / count.clamp(min=1)[:, :, None]
        image, channel = (count >= self.settings.least).nonzero(as_tuple=True)
        places = torch.tensor(batch.places or range(len(mean)), device=mean.device)
        scenes = torch.full_like(places, -1) if batch.scenes is None else batch.scenes
        return Regions(
            mean[image, channel],
            channel,
            probability[image, channel],
            activation[image, channel],
            places[image],
            scenes[image],
        )

    @torch.no_grad()
    def remember(self, regions: Regions) -> None:
        """Write the regions that pass both gates."""
        vectors = functional.normalize(self.teacher_embedding(regions.mean).float(), dim=1)
        probable = regions.probability > self.settings.gate
        vectors, classes, places, scenes = (
            rows[probable] for rows in (vectors, regions.classes, regions.place, regions.scene)
        )
        known = self.memory.count[classes] > 0
        likeness = (vectors * functional.normalize(self.memory.mean(), dim=1)[classes]).sum(dim=1)
        usual = self.likeness.passes(likeness, classes) | ~known
        self.likeness.learn(likeness[known], classes[known])
        self.memory.push(vectors[usual], classes[usual], places[usual], scenes[usual])

    def after_step(self, step: int) -> None:
        """Let the teacher's heads follow the student's."""
        super().after_step(step)
        ema_update(self.teacher_embedding, self.embedding, self.settings.memory_momentum)


class LikenessGate(nn.Module):
    """Running mean and deviation of a likeness, a class: what came lately, over the last steps with that class."""

    moments: Tensor
    steps: Tensor

    def __init__(self, classes: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("moments", torch.zeros(2, classes))
        self.register_buffer("steps", torch.zeros(classes, dtype=torch.int64))

    def passes(self, likeness: Tensor, classes: Tensor) -> Tensor:
        """Which of [n] are not below their class's mean minus one deviation; all of a class never learned of."""
        mean, square = self.moments
        low = mean - (square - mean**2).clamp(min=0).sqrt()
        return (likeness >= low[classes]) | (self.steps[classes] == 0)

    @torch.no_grad()
    def learn(self, likeness: Tensor, classes: Tensor) -> None:
        """Follow the likenesses [n] of one step, of all processes."""
        likeness, classes = gather_rows(likeness), gather_rows(classes)
        member = functional.one_hot(classes, len(self.steps)).to(likeness)
        count = member.sum(dim=0)
        found = torch.stack([likeness @ member, likeness**2 @ member]) / count.clamp(min=1)
        rate = (1 / (self.steps + 1)).clamp(min=1 - self.momentum) * (count > 0)
        self.moments.lerp_(found, rate.expand_as(found))
        self.steps += count > 0


@torch.no_grad()
def agreement(labels: Tensor, others: Tensor) -> Tensor:
    """Labels int64 [B,h,w] on the grid of ``others`` where both say the same, else 255; ``labels`` [B,H,W]."""
    size = (others.shape[-2], others.shape[-1])
    centres = functional.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
    return torch.where(centres == others, centres, IGNORE)


@full_precision
def memory_contrast(
    vectors: Tensor, classes: Tensor, weights: Tensor, entries: Tensor, used: Tensor, temperature: float
) -> Tensor:
    """Weighted mean contrast of ``vectors`` [n,E] of ``classes`` [n] with the ``used`` of the ``entries`` [M,Q,E].

    ``used`` is bool [M,Q], or [n,M,Q] where vectors meet different entries.
    Every used entry of the own class against all used entries of the others. A vector whose class has no entry, or
    alone has entries, does not count; 0 when none counts. The weights of all processes make up the mean.
    """
    logits = torch.einsum("ne,mqe->nmq", vectors, entries) / temperature
    own = functional.one_hot(classes, len(entries)).bool()[:, :, None] & used
    other = ~own & used
    counts = own.any(dim=(1, 2)) & other.any(dim=(1, 2))
    against = logits.masked_fill(~other, -torch.inf).flatten(1).logsumexp(dim=1)
    terms = functional.softplus(against[:, None, None] - logits).masked_fill(~own, 0).sum(dim=(1, 2))
    weights = weights * counts
    each = (terms / own.sum(dim=(1, 2)).clamp(min=1)).masked_fill(~counts, 0)
    return (weights * each).sum() * world_size() / summed(weights.sum()).clamp(min=1e-6)
