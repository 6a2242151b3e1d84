"""ToCo: token contrast for weakly supervised semantic segmentation (Ru et al., CVPR 2023).

Two contrasts work against the over-smoothing of deep ViT layers. Patch token contrast: activation maps of a middle
block, where tokens are still diverse, say which final tokens should be alike. Class token contrast: class tokens of
uncertain local crops are pulled to the global one, those of background crops pushed away.

    L = L_cls + L_aux + w_ptc L_ptc + w_ctc L_ctc + w_seg L_seg + w_reg L_reg

Differences from the published program, all deliberate: the views share one recorded geometry, so regions and the crops
cut from them agree; losses are count-safe; the pairwise energy asks a local window, and where ``energy`` is dense, the
published energy of all pairs, it is an exact kernel on cells in place of a CPU lattice filter; the encoder runs once a
view. Policy ``none`` (no background class) is not in the paper; there, labels come from the leading tagged class, and a
crop is negative when its main class is not that of the whole view.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.methods.base import Batch, Labeller, Method, Settings
from wsss_geo.nn.cam import multi_scale_cam
from wsss_geo.nn.crops import DOUBTFUL, HOT, LocalCrops, region_map, sample_crops, shows_main_class
from wsss_geo.nn.encoder import Tokens
from wsss_geo.nn.energy import ENERGIES, dense_energy, local_pairwise_energy
from wsss_geo.nn.heads import Projection, max_pool_scores
from wsss_geo.nn.losses import class_token_contrast, multilabel_soft_margin, patch_token_contrast
from wsss_geo.nn.network import Network
from wsss_geo.nn.schedule import ema_update
from wsss_geo.tileset.photometry import TOCO_LOCAL, TOCO_MAIN, TOCO_SECOND, Jitter


@dataclass(frozen=True)
class ToCoSettings(Settings):
    """Published values for VOC; shares stand for steps of 20 000."""

    clip: float = 0.0
    start: float = 0.1
    """Share of the run before segmentation and energy losses begin (2000 of 20 000 steps; COCO 8000 of 80 000)."""
    contrast_start: float = 0.0
    """Share of the run before both contrasts begin (COCO 12 000 of 80 000 steps)."""
    aux_until: float = 0.0
    """Share of the run in which pseudo labels come from the maps of middle tokens (COCO until 12 000 of 80 000)."""
    w_ptc: float = 0.2
    w_ctc: float = 0.5
    w_seg: float = 0.1
    w_reg: float = 0.05
    energy: str = "local"
    """``dense``: the published energy; ``local``: that of windows, in a fraction of the time."""
    high: float = 0.7
    low: float = 0.25
    confidence: float = 0.45
    """Policy none: least share of the leading tagged class."""
    margin: float = 0.15
    """Policy none: least lead over the second tagged class."""
    cam_scales: tuple[float, ...] = (1.0, 0.5, 1.5)
    temperature: float = 0.5
    momentum: float = 0.9
    """Of the teacher's projection head; the encoder is shared."""
    crops: int = 8
    crop_share: float = 96 / 448
    """Side of a local crop as a share of the view's."""
    background_share: float = 0.2
    reference_term: bool = False
    """Add the extra positive of the published program to the class token contrast."""


class ToCo(Method):
    """See the module's text."""

    name = "toco"
    terms: ClassVar[tuple[str, ...]] = ("cls", "aux", "ptc", "ctc", "seg", "reg")
    settings_type = ToCoSettings
    needs = frozenset({"local", "second"})
    colours: ClassVar[Mapping[str, Jitter]] = {"image": TOCO_MAIN, "second": TOCO_SECOND, "local": TOCO_LOCAL}
    settings: ToCoSettings

    def __init__(self, network: Network, scheme: ClassScheme, settings: ToCoSettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        if settings.energy not in ENERGIES:
            raise UsageError(f"setting energy: {settings.energy!r} is unknown", f"use {' or '.join(ENERGIES)}")
        self.labeller = Labeller(
            scheme, settings.high, settings.low, settings.confidence, settings.margin, balance=settings.balance
        )
        self.projection = Projection(network.encoder.width)
        self.teacher_projection = deepcopy(self.projection).requires_grad_(False)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted terms of the sum above, as far as they have begun."""
        s, network, tags = self.settings, self.network, batch.tags
        contrasts, dense = (step >= begin * self.steps for begin in (s.contrast_start, s.start))
        tokens, whole = self._encode(batch, contrasts)
        terms = {
            "cls": multilabel_soft_margin(max_pool_scores(network.classifier, tokens.final), tags),
            "aux": multilabel_soft_margin(max_pool_scores(network.aux_classifier, tokens.middle), tags),
        }
        if not (contrasts or dense):
            return terms
        # Nobody asks for the final maps before they give labels.
        final = dense and step >= s.aux_until * self.steps
        with torch.no_grad():
            both = network.classifier(tokens.final), network.aux_classifier(tokens.middle)
        maps, straight = (network.class_maps, both) if final else (network.middle_maps, both[1:])
        found = multi_scale_cam(
            maps, batch.image, s.cam_scales, straight=straight, tags=tags, multiple=network.multiple
        )
        if contrasts:
            grid = (tokens.final.shape[-2], tokens.final.shape[-1])
            aux_labels = self.labeller.grid_labels(found[-1], tags, grid, batch.valid)
            terms["ptc"] = s.w_ptc * patch_token_contrast(tokens.final, aux_labels)
            terms["ctc"] = s.w_ctc * self._class_token_contrast(batch, whole, found[-1])
        if dense:
            labels = self.labeller.pixel_labels(batch.image, found[0], tags, batch.valid)
            terms |= self.dense_losses(batch, tokens, labels, step)
        return terms

    def dense_losses(self, batch: Batch, tokens: Tokens, labels: Tensor, step: int) -> dict[str, Tensor]:
        """Losses that need the pseudo labels of the maps: those of the decoder."""
        logits = self.labeller.ordered(self.network.decode(batch.image, tokens))
        return self.decoder_losses(batch, tokens, logits, labels)

    def decoder_losses(self, batch: Batch, tokens: Tokens, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Segmentation loss of ``logits`` in the order of the labels, and the pairwise energy."""
        shares, image = logits.softmax(dim=1), batch.image
        if self.settings.energy == "dense":
            energy = dense_energy(shares, 255 * image, labels, valid=batch.valid)
        else:
            energy = local_pairwise_energy(shares, image, labels, valid=batch.valid)
        return {
            "seg": self.settings.w_seg * self.labeller.loss(logits, labels),
            "reg": self.settings.w_reg * energy,
        }

    def after_step(self, step: int) -> None:
        """Let the teacher's head follow the student's."""
        ema_update(self.teacher_projection, self.projection, self.settings.momentum)

    def _encode(self, batch: Batch, contrasts: bool) -> tuple[Tokens, Tensor]:
        """Tokens of the main view, and class tokens of the whole views [B,n,D], both of them where ``contrasts``."""
        if not contrasts:
            tokens = self.network.encode(batch.image)
            return tokens, tokens.summary[:, None]
        if batch.second is None:
            raise ValueError(f"{self.name} needs the views {', '.join(sorted(self.needs))}")
        tokens, second = self.network.encode_beside(batch.image, batch.second)
        return tokens, torch.stack([tokens.summary, second], dim=1)

    def _class_token_contrast(self, batch: Batch, whole: Tensor, aux_cam: Tensor) -> Tensor:
        s = self.settings
        if batch.local is None:
            raise ValueError(f"{self.name} needs the views {', '.join(sorted(self.needs))}")
        crops = self._local_crops(batch, aux_cam)
        views = crops.cut(batch.local)
        count = views.shape[1]
        local = self.network.summarise(views.flatten(0, 1)).unflatten(0, (-1, count))
        student = self.projection(torch.cat([whole, local], dim=1))
        with torch.no_grad():
            teacher = self.teacher_projection(whole)
        always = torch.ones(len(whole), 2, dtype=torch.bool, device=whole.device)
        positive = torch.cat([always, crops.positive], dim=1)
        return class_token_contrast(student, teacher, positive, s.temperature, s.reference_term)

    def _local_crops(self, batch: Batch, aux_cam: Tensor) -> LocalCrops:
        s, patch = self.settings, self.network.multiple
        side = max(1, round(s.crop_share * batch.image.shape[-1] / patch)) * patch
        if self.labeller.has_cold:
            regions = region_map(aux_cam, batch.tags, s.high, s.low)
            return sample_crops(regions, s.crops, side, s.background_share, batch.valid, batch.generator, batch.places)
        size = (aux_cam.shape[-2], aux_cam.shape[-1])
        labels = self.labeller.grid_labels(aux_cam, batch.tags, size, batch.valid)
        regions = torch.where(labels == IGNORE, DOUBTFUL, HOT)
        crops = sample_crops(regions, s.crops, side, 0.0, batch.valid, batch.generator, batch.places)
        return LocalCrops(crops.corners, shows_main_class(labels, crops, len(self.scheme.taggable)), side)
