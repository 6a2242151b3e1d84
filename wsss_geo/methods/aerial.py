"""The recipe for land cover: what a scene tag says about aerial imagery, used to the full.

Three facts carry it. A tag that is absent is dense supervision: no pixel of the scene is of that class. A scene with
one tag is a dense label (no background). Where several classes are tagged, the question is only which of these few.
In a mosaic of neighbouring scenes all this holds for each of them, while the network sees them together.

- Evidence: a classifier on tokens, pooled over the best of them, gives class activation maps. Where no class is cold,
  tokens of scenes with one tag, whose class is certain, are remembered, and likeness to them is evidence as well.
- A teacher (moving average of the student, seeing the view without jitter) scores each token by the odds of its
  evidence and by the decoder, both as shares of the tagged classes; where one class has more than half, it labels the
  student's decoder, balanced over classes. Scenes with one tag are labelled whole.
- The decoder pays for every probability it gives to an absent class, and for every tag of which it finds less than a
  tag promises: the share of a scene from which on a class is tagged.

    L = L_cls + w_seg CE(decoder, teacher's labels) + w_absent mean -log(1 - sum of absent p)
        + w_present mean over tags -log(mean p of the tagged class over its best tokens)

Relatives: CoSA (ECCV 2024) for the teacher, OME (TGRS 2023) for data without background, PFENet (TPAMI 2022) for
likeness to examples, CCNN (Pathak et al., ICCV 2015) for sizes as constraints.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.methods.base import Batch, Labeller, Method, ScratchSettings
from wsss_geo.nn.heads import top_pool
from wsss_geo.nn.likeness import Likeness
from wsss_geo.nn.network import Network
from wsss_geo.nn.processes import joint_mean
from wsss_geo.nn.pseudo_labels import softmax_over_present
from wsss_geo.nn.schedule import ema_update, growing_momentum
from wsss_geo.nn.tensors import resize, resize_nearest, split_cells
from wsss_geo.tileset.photometry import LAND, Jitter


@dataclass(frozen=True)
class AerialSettings(ScratchSettings):
    """What only this method sets."""

    start: float = 0.1
    """Share of the run before the teacher labels scenes of several tags; those of one tag are labels from the first."""
    ramp: float = 0.3
    """Share of the run over which the teacher's decoder takes over from its evidence."""
    confidence: float = 0.5
    """Least share of the leading class for a label: at 0.5 it is likelier than all others together."""
    w_seg: float = 1.0
    w_absent: float = 0.5
    w_present: float = 0.2
    present: float = 0.05
    """Share of a scene that a tag promises at the least."""
    likeness: float = 0.5
    """Part of the likeness to scenes of one tag in the evidence, the rest is the classifier's; 0 where a class is cold,
    since no scene then shows one class alone for certain."""
    memory: int = 512
    """Tokens remembered of each class."""
    remembered: int = 16
    """Tokens drawn for it from every view, on average."""
    temperature: float = 0.1
    """Of the cosines between tokens."""
    sharpness: float = 2.0
    """Log-odds for a likeness one standard deviation above that of the view."""


class Aerial(Method):
    """See the module's text."""

    name = "aerial"
    terms = ("cls", "seg", "absent", "present")
    settings_type = AerialSettings
    cam_from = "middle"
    colours: ClassVar[Mapping[str, Jitter]] = {"image": LAND}
    settings: AerialSettings

    def __init__(self, network: Network, scheme: ClassScheme, settings: AerialSettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        self.labeller = Labeller(scheme, 0.5, 0.25, settings.confidence, 0.0, False, settings.balance)
        self.teacher = deepcopy(network).requires_grad_(False)
        alike = 0.0 if self.labeller.has_cold else settings.likeness
        width, classes = network.encoder.width, len(scheme.taggable)
        self.known = Likeness(classes, settings.memory, width, settings.temperature) if alike else None

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted terms of the sum above."""
        s = self.settings
        tokens = self.network.encode(batch.image)
        evidence = self.network.aux_classifier(tokens.middle)
        logits = self.labeller.ordered(self.network.decode(batch.image, tokens))
        size = (logits.shape[-2], logits.shape[-1])
        cells = batch.tags[:, :, None, None] if batch.cells is None else batch.cells
        usable = resize(batch.valid[:, None].float(), size)[:, 0] > 0.5
        allowed = self.allowed(cells, size)
        usable = usable & allowed.any(dim=1)
        labels = self.teacher_labels(batch, allowed, usable, step)
        return {
            "cls": tag_loss(evidence, cells, s.top),
            "seg": s.w_seg * self.labeller.loss(logits, labels),
            "absent": s.w_absent * absence_loss(logits, allowed, usable),
            "present": s.w_present * presence_loss(self._taggable_shares(logits), cells, usable, s.present),
        }

    def allowed(self, cells: Tensor, size: tuple[int, int]) -> Tensor:
        """Classes a token may have, in the order of the labels: bool [B,C,*size] from tags [B,K,g,g].

        The cold class always may.
        """
        present = resize_nearest(cells, size) > 0.5
        return torch.cat([torch.ones_like(present[:, :1]), present], dim=1) if self.labeller.has_cold else present

    @torch.no_grad()
    def teacher_labels(self, batch: Batch, allowed: Tensor, usable: Tensor, step: int) -> Tensor:
        """What the teacher is sure of, on the grid of the decoder's answers: int64 [B,h,w], else 255.

        Its score is the mean of evidence and decoder, both as shares of the ``allowed`` classes; the decoder's part
        grows from 0 to 1/2 over ``ramp`` of the run. Where one class only is allowed, that is the label.
        """
        s, teacher = self.settings, self.teacher
        tokens = teacher.encode(batch.clean)
        evidence = teacher.aux_classifier(tokens.middle).float()
        if self.known is not None:
            likeness = self.likeness(self.known, tokens.final, allowed, usable, batch)
            evidence = (1 - s.likeness) * evidence + s.likeness * s.sharpness * likeness
        evidence = resize(evidence, (allowed.shape[-2], allowed.shape[-1]))
        decoded = self.labeller.ordered(teacher.decode(batch.clean, tokens)).float().softmax(dim=1)
        part = 0.5 * min(1.0, max(0.0, step / self.steps - s.start) / s.ramp)
        scores = part * _masked_shares(decoded, allowed) + (1 - part) * self.evidence_shares(evidence, allowed)
        best, label = scores.max(dim=1)
        sure = (best > s.confidence) & (step >= s.start * self.steps)
        return torch.where((sure | (allowed.sum(dim=1) == 1)) & usable, label, IGNORE)

    def likeness(self, known: Likeness, tokens: Tensor, allowed: Tensor, usable: Tensor, batch: Batch) -> Tensor:
        """Prior [B,K,h,w] of ``tokens`` [B,D,h,w], of which some of certain class are remembered afterwards.

        Every batch writes, in its whole or in part of a group of processes; what is drawn does not depend on the parts.
        """
        size = (tokens.shape[-2], tokens.shape[-1])
        able = resize_nearest(allowed.float(), size) > 0.5
        found = known.prior(tokens)
        certain = (able.sum(dim=1) == 1) & (resize_nearest(usable.float(), size) > 0.5)
        places = batch.places or range(len(tokens))
        dice = torch.rand((places.stop, *size), generator=batch.generator, device=tokens.device)
        drawn = dice[places.start :: places.step] < self.settings.remembered / (size[0] * size[1])
        known.remember(tokens, able.int().argmax(dim=1), certain & drawn, torch.tensor(places, device=tokens.device))
        return found

    def evidence_shares(self, evidence: Tensor, allowed: Tensor) -> Tensor:
        """Shares [B,C,h,w] of the ``allowed`` classes, by logits [B,K,h,w] of the tags, in the order of the labels.

        Classes share in proportion to their odds, exp(logit): near certainty these still tell apart what probabilities
        do not. The cold class, of which no tag speaks, has what the warmest of the others leaves.
        """
        tags = allowed[:, int(self.labeller.has_cold) :]
        shares = softmax_over_present(evidence, tags)
        if not self.labeller.has_cold:
            return shares
        warm = (torch.sigmoid(evidence) * tags).amax(dim=1, keepdim=True)
        return torch.cat([1 - warm, warm * shares], dim=1)

    def _taggable_shares(self, logits: Tensor) -> Tensor:
        """Probabilities [B,K,h,w] of the taggable classes, from logits in the order of the labels."""
        return logits.float().softmax(dim=1)[:, int(self.labeller.has_cold) :]

    def after_step(self, step: int) -> None:
        """Let the teacher follow."""
        ema_update(self.teacher, self.network, growing_momentum(step))

    @property
    def product(self) -> Network:
        """The teacher: steadier than the student at no cost."""
        return self.teacher


def tag_loss(evidence: Tensor, cells: Tensor, top: float) -> Tensor:
    """Multi-label soft margin between tags [B,K,g,g] and evidence [B,K,h,w], pooled over the best tokens of each cell.

    Cells without any tag, where a mosaic has no tile, do not count.
    """
    rows, cols = cells.shape[-2:]
    each = split_cells(evidence, rows, cols)
    tags = split_cells(cells, rows, cols).flatten(1)
    known = (tags > 0.5).any(dim=1) if rows * cols > 1 else torch.ones_like(tags[:, 0], dtype=torch.bool)
    found = top_pool(each, top).float()
    losses = functional.multilabel_soft_margin_loss(found, tags.to(found.dtype), reduction="none")
    return joint_mean(losses.masked_fill(~known, 0).sum(), known.sum())


def absence_loss(logits: Tensor, allowed: Tensor, usable: Tensor) -> Tensor:
    """Mean of -log(probability on ``allowed`` classes [B,C,h,w]) over ``usable`` [B,h,w]; logits [B,C,h,w]."""
    logits = logits.float()
    kept = logits.masked_fill(~allowed, -torch.inf).logsumexp(dim=1)
    surprise = torch.where(usable, logits.logsumexp(dim=1) - kept.masked_fill(~usable, 0.0), 0.0)
    return joint_mean(surprise.sum(), usable.sum())


def presence_loss(shares: Tensor, cells: Tensor, usable: Tensor, least: float) -> Tensor:
    """Mean over the tags of all cells of -log(probability of the tagged class where it is highest in the cell).

    ``shares`` [B,K,h,w] are probabilities of the taggable classes, ``cells`` [B,K,g,g] the tags; what counts is the
    mean over the best ``least`` of a cell. Where not ``usable``, bool [B,h,w], a probability is 0.
    """
    rows, cols = cells.shape[-2:]
    tags = split_cells(cells, rows, cols).flatten(1) > 0.5
    found = top_pool(split_cells(shares * usable[:, None], rows, cols), least)
    return joint_mean((-found.clamp(min=1e-6).log() * tags).sum(), tags.sum())


def _masked_shares(scores: Tensor, allowed: Tensor) -> Tensor:
    masked = scores * allowed
    return masked / masked.sum(dim=1, keepdim=True).clamp(min=1e-6)
