"""MEVT: self-supervised pre-training of an encoder together with its decoder for dense prediction.

Two views of a window, a student and a teacher (its moving average), three contrasts:

- global: what the student says of one view follows what the teacher says of the other (DINO, Caron et al., ICCV 2021);
- dense, on the decoder's tokens and on every stage of the encoder: tokens of the two views that show the same ground
  are alike, all others are not (PixPro, Xie et al., CVPR 2021; DenseCL, Wang et al., CVPR 2021);
- pixel to global: a decoder's token is nearer to the other view as a whole than to other images (Rabarisoa et al.,
  2022).

    L = w_global L_global + w_dense L_dense(decoder) + w_stage sum_l L_dense(stage l) + w_pixel L_pixel

Encoder and decoder learn from the first step on. The published description leaves sizes and weights open; they are
settings here. With a plain ViT its final tokens take the decoder's part and those of a middle block that of the stages.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wsss_geo.nn.backbones import Backbone
from wsss_geo.nn.heads import Projection
from wsss_geo.nn.memory import ClassQueue, gather_rows
from wsss_geo.nn.schedule import cosine_between, ema_update
from wsss_geo.nn.self_supervision import dense_contrast, distillation_loss, pixel_to_global
from wsss_geo.pretraining.matches import Matches, match_tokens, pick
from wsss_geo.tileset.views import Views


@dataclass(frozen=True)
class MEVTSettings:
    """Shares are of the whole run, so a schedule fits any number of steps."""

    lr: float = 5e-4
    """For 256 windows a step; fewer get proportionally less."""
    warmup: float = 0.1
    decay: tuple[float, float] = (0.04, 0.4)
    """Weight decay at the beginning and at the end."""
    clip: float = 3.0
    """Largest gradient norm; 0 does not clip."""
    momentum: tuple[float, float] = (0.996, 1.0)
    """Of the teacher, at the beginning and at the end."""
    area: tuple[float, float] = (0.25, 1.0)
    """Share of the window that a view shows."""
    local: int = 0
    """Small views for the global contrast."""
    local_area: tuple[float, float] = (0.05, 0.25)
    local_share: float = 96 / 224
    """Side of a small view as a share of a view's."""
    colours: str = "strong"
    """Colour changes of the views: strong (those of DINO) or land (light alone, so that colour stays a cue)."""
    hidden: int = 2048
    embedding: int = 256
    prototypes: int = 4096
    sharp: float = 0.1
    """The student's temperature of the global contrast."""
    sharper: tuple[float, float] = (0.04, 0.07)
    """The teacher's, at the beginning and after the first third of the run."""
    centre_momentum: float = 0.9
    freeze_last: float = 0.01
    """Share of the run in which the prototypes do not learn."""
    tokens: int = 64
    """Pairs of tokens drawn from every window and scale."""
    radius: float = 0.7
    """Greatest distance of a pair on the ground in sides of a token."""
    temperature: float = 0.2
    """Of the dense contrast and of pixel to global."""
    queue: int = 4096
    """Most vectors of past steps that every contrast remembers; 0: none."""
    fresh: float = 0.1
    """Age in steps up to which they count, as a share of 1 / (1 - momentum), the steps that the teacher averages.

    The teacher moves on; vectors from before are told apart by their age alone, which teaches nothing."""
    w_global: float = 1.0
    w_dense: float = 1.0
    w_stage: float = 0.5
    w_pixel: float = 1.0


@dataclass(frozen=True)
class Pair:
    """Two views [2,B,N,S,S] of B windows, normalised, with their geometry and validity bool [2,B,S,S].

    ``local`` [n,B,N,s,s] are small views. ``generator`` lives on the CPU.
    """

    images: Tensor
    valid: Tensor
    geometry: tuple[Views, Views]
    local: Tensor | None
    generator: torch.Generator


class Seen(NamedTuple):
    """What a branch makes of views: prototype scores [B,P], and before their heads summary [B,D] and maps."""

    scores: Tensor
    summary: Tensor
    maps: tuple[Tensor, ...]


class Branch(nn.Module):
    """A backbone with the heads of all contrasts; student and teacher are one each.

    ``heads`` has one for the decoder's tokens and one for every stage, in this order; ``pixel`` is for tokens and the
    view as a whole alike, so that the two can be compared and both directions learn.
    """

    def __init__(self, encoder: Backbone, settings: MEVTSettings) -> None:
        super().__init__()
        hidden, out = settings.hidden, settings.embedding
        self.encoder = encoder
        self.prototypes = Projection(encoder.width, hidden, out, settings.prototypes)
        self.pixel = _mlp(encoder.width, hidden, out)
        self.heads = nn.ModuleList(_mlp(width, hidden, out) for width in (encoder.width, *encoder.stage_widths))
        self.strides = (encoder.patch, *encoder.stage_strides)

    def forward(self, images: Tensor) -> Seen:
        """Look at normalised views [B,N,S,S]."""
        tokens, stages = self.encoder.forward_stages(images)
        return Seen(self.prototypes(tokens.summary), tokens.summary, (tokens.final, *stages))

    def scores(self, images: Tensor) -> Tensor:
        """Prototype scores [B,P] alone."""
        found: Tensor = self.prototypes(self.encoder(images).summary)
        return found


class MEVT(nn.Module):
    """See the module's text; ``losses`` returns the weighted terms of a step."""

    terms = ("global", "dense", "stage", "pixel")
    centre: Tensor

    def __init__(self, encoder: Backbone, settings: MEVTSettings, steps: int) -> None:
        super().__init__()
        self.settings, self.steps = settings, steps
        self.student = Branch(encoder, settings)
        self.teacher = deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(settings.prototypes))
        #: One queue a scale of the dense contrast, the last one of whole views; the last number is that of the step.
        self.queue = ClassQueue(len(self.student.heads) + 1, settings.queue, settings.embedding + 1)

    @property
    def product(self) -> Backbone:
        """What is saved: the teacher's encoder and decoder, steadier than the student's."""
        encoder: Backbone = self.teacher.encoder
        return encoder

    def losses(self, pair: Pair, step: int) -> dict[str, Tensor]:
        """Weighted loss terms of ``step`` (from 0); fills the queues and moves the centre."""
        s = self.settings
        count = pair.images.shape[1]
        student = self.student(pair.images.flatten(0, 1))
        with torch.no_grad():
            teacher = self.teacher(pair.images.flatten(0, 1))
            whole = self.teacher.pixel(teacher.summary)
        total = torch.zeros((), device=pair.images.device)
        dense = [total] * len(self.student.heads)
        pixel = total
        remembered: list[list[Tensor]] = [[] for _ in dense]
        for one in (0, 1):
            two = 1 - one
            for level, stride in enumerate(self.student.strides):
                found = self._matches(pair, one, two, stride)
                anchors = pick(student.maps[level].unflatten(0, (2, count))[one], found.first)
                with torch.no_grad():
                    partners = self.teacher.heads[level](
                        pick(teacher.maps[level].unflatten(0, (2, count))[two], found.second)
                    )
                dense[level] = dense[level] + 0.5 * dense_contrast(
                    self.student.heads[level](anchors), partners, found.usable, found.apart,
                    self._stored(level, step), s.temperature,
                )  # fmt: skip
                remembered[level].append(partners[:, 0][found.usable[:, 0]])
                if level == 0:
                    other = whole.unflatten(0, (2, count))[two]
                    pixel = pixel + 0.5 * pixel_to_global(
                        self.student.pixel(anchors), other, found.usable, self._stored(-1, step), s.temperature
                    )
        terms = {
            "global": s.w_global * self._distil(pair, student, teacher, step),
            "dense": s.w_dense * dense[0],
            "stage": s.w_stage * torch.stack(dense[1:]).sum(),
            "pixel": s.w_pixel * pixel,
        }
        self._remember([torch.cat(parts) for parts in remembered] + [whole], step)
        return terms

    def after_step(self, step: int) -> None:
        """Let the teacher follow."""
        ema_update(self.teacher, self.student, self.momentum(step))

    def momentum(self, step: int) -> float:
        """Momentum of the teacher after ``step`` steps."""
        return cosine_between(step / self.steps, *self.settings.momentum)

    def _distil(self, pair: Pair, student: Seen, teacher: Seen, step: int) -> Tensor:
        s = self.settings
        count = pair.images.shape[1]
        target = teacher.scores.unflatten(0, (2, count))
        said = student.scores.unflatten(0, (2, count))
        if pair.local is not None:
            said = torch.cat([said, self.student.scores(pair.local.flatten(0, 1)).unflatten(0, (-1, count))])
        first, last = s.sharper
        sharper = first + (last - first) * min(1.0, 3 * step / self.steps)
        loss = distillation_loss(said, target, self.centre, s.sharp, sharper)
        mean = gather_rows(teacher.scores.float()).mean(dim=0)
        self.centre.lerp_(mean.to(self.centre), 1 - s.centre_momentum)
        return loss

    def _matches(self, pair: Pair, one: int, two: int, stride: int) -> Matches:
        s = self.settings
        return match_tokens(
            pair.geometry[one], pair.geometry[two], pair.valid[one], pair.valid[two], stride, s.tokens, s.radius,
            pair.generator,
        )  # fmt: skip

    def _stored(self, level: int, step: int) -> Tensor:
        """Vectors in the queue of ``level``, -1 that of whole views, that are not older than the teacher allows."""
        kept = self.queue.entries[level, : int(self.queue.count[level])]
        slowness = 1 - self.momentum(step)
        if slowness <= 0:
            return kept[:, :-1]
        return kept[kept[:, -1] >= step - self.settings.fresh / slowness, :-1]

    def _remember(self, rows: list[Tensor], step: int) -> None:
        """Queue the teacher's vectors [n,E] of every level; n may differ."""
        if not self.settings.queue:
            return
        counts = torch.tensor([len(r) for r in rows], device=self.centre.device)
        levels = torch.arange(len(rows), device=self.centre.device).repeat_interleave(counts)
        unit = nn.functional.normalize(torch.cat(rows).float(), dim=-1)
        self.queue.push(nn.functional.pad(unit, (0, 1), value=float(step)), levels)


def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, out)
    )
