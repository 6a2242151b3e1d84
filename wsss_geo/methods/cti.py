"""CTI: class tokens infusion (Yoon et al., CVPR 2024, doi 10.1109/CVPR52733.2024.00345).

The ViT carries a token for every class and one for background. A class token knows the instance it has looked at; to
know its class, it is infused: after the first third of the blocks it becomes the mean of itself and a donor, and the
maps of the image must not change. Donors are the same image's tokens in another view, then the mean of the last tokens
of the class in other images. With M the rectified maps of the patch tokens, T the attention of the class tokens, A that
among patch tokens, F = M T and every map stretched to 0..1:

    L = L_cls + w_bg L_bg + w_intra L_intra + w_cross L_cross + w_seg L_seg
    L_cls    multi-label soft margin of class tokens and of mean-pooled maps, of both views
    L_bg     |1 - max_c A F_c - A F_background|, c over the tagged classes
    L_intra  |M - M infused with the tokens of the other view|, tagged classes and background
    L_cross  |M - F infused with the mean of the memory|, tagged classes

Infused tokens of the other view pass gradients, those of the memory do not. T counts the last half of the blocks (all
those after the infusion in L_cross), A those after the infusion; the maps that prediction shows, A F, count all. Passes
over one view part at the infusion, so the blocks before it run once.

The published chain goes on with refined maps that teach a second network; here, in a single stage, the maps teach the
decoder (L_seg) as in ToCo. The two thresholds enclose the range in which the paper, with the help of masks, looks for
its one, and what image and mirror image show is merged by maximum instead of sum. Without tags, prediction weighs each
map by the probability that the class is there. Further differences: absent classes, whose maps are noise stretched to
full range, do not count in the means; a class joins L_cross when it has ``least`` tokens in memory instead of all when
each has its full number; the memory is part of a checkpoint and of all processes; view 2 shows 0.4 to 1 of the area and
changes colours less than RandAugment would, to keep what tells land cover apart. Drop path (0.1 in the paper) is an
argument of the backbone.

For COCO, ``delay`` lets the three losses begin after two epochs, and ``detach_maps`` has L_bg move the background
alone. The position embedding is trained, also that of given weights, as in DeiT.

Policy ``none`` (no background class) is not in the paper; there is no background token then, and L_bg is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.classes import ClassScheme
from wsss_geo.methods.base import Batch, Labeller, Method, Settings
from wsss_geo.nn.cam import multi_scale_cam, normalise_cam
from wsss_geo.nn.class_tokens import ClassTokenNetwork, Midway, Reading
from wsss_geo.nn.losses import multilabel_soft_margin
from wsss_geo.nn.memory import ClassQueue
from wsss_geo.nn.network import Network
from wsss_geo.nn.processes import joint_mean
from wsss_geo.nn.schedule import cosine_between
from wsss_geo.tileset.photometry import STRONG, Jitter


@dataclass(frozen=True)
class CTISettings(Settings):
    """Published values for VOC (batches of 64); segmentation as in ToCo."""

    lr: float = 6.25e-5
    head_lr: float = 1.0
    weight_decay: float = 0.05
    warmup: float = 5 / 60
    first: float = 0.016
    """Learning rate at the start of the run, as a share of the highest."""
    floor: float = 0.16
    """Learning rate at the end of the run, as a share of the highest."""
    clip: float = 0.0
    middle: float = 1.0
    """Maps come from what leaves the last block: no other value fits."""
    scale: tuple[float, float] = (0.91, 1.83)
    """Views of 0.3 to 1.2 of the area."""
    infusion: float = 4 / 12
    """Share of the blocks before the infusion."""
    attention: float = 6 / 12
    """Share of the blocks, the last ones, whose attention locates classes in training."""
    memory: int = 30
    """Tokens that the memory holds of each class."""
    least: int = 8
    """Tokens of a class in memory from which on their mean is a donor."""
    w_bg: float = 0.1
    w_intra: float = 1.0
    w_cross: float = 1.0
    delay: float = 0.0
    """Share of the run before the three losses above count (COCO: two of 60 epochs); the memory fills meanwhile."""
    detach_maps: bool = False
    """Let L_bg move the background's map alone. That maps are held is published for COCO, which ones is a reading."""
    w_seg: float = 0.1
    start: float = 0.1
    """Share of the run before the decoder's loss begins."""
    high: float = 0.7
    low: float = 0.42
    confidence: float = 0.45
    """Policy none: least share of the leading tagged class."""
    margin: float = 0.15
    """Policy none: least lead over the second tagged class."""
    cam_scales: tuple[float, ...] = (1.0,)
    """Scales of the maps that make pseudo labels."""


class CTI(Method):
    """See the module's text."""

    name = "cti"
    terms: ClassVar[tuple[str, ...]] = ("cls", "bg", "intra", "cross", "seg")
    settings_type = CTISettings
    needs = frozenset({"second"})
    colours: ClassVar[Mapping[str, Jitter]] = {"second": STRONG}
    class_tokens = True
    freezes_position = False
    settings: CTISettings
    network: ClassTokenNetwork

    def __init__(self, network: Network, scheme: ClassScheme, settings: CTISettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        depth = network.encoder.depth
        self.block = min(depth - 1, max(1, round(settings.infusion * depth)))
        self.last = max(1, round(settings.attention * depth))
        self.labeller = Labeller(
            scheme, settings.high, settings.low, settings.confidence, settings.margin, balance=settings.balance
        )
        self.memory = ClassQueue(network.taggable, settings.memory, network.encoder.width)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted terms of the sum above."""
        if batch.second is None:
            raise ValueError("cti needs the view second")
        s, network, tags = self.settings, self.network, batch.tags
        first, second = (network.midway(view, self.block) for view in (batch.image, batch.second))
        seen = network.read(first, self.last)
        terms = {"cls": self.tag_loss(seen.logits, seen.maps, tags) + self.tag_loss(*network.look(second), tags)}
        self.remember(first, tags, batch.places)
        if step >= s.delay * self.steps:
            terms["bg"] = s.w_bg * self.background_loss(seen, tags)
            terms["intra"] = s.w_intra * self.intra_loss(first, seen, self.tokens(second), tags)
            terms["cross"] = s.w_cross * self.cross_loss(first, seen, tags)
        if step >= s.start * self.steps:
            cam, _ = multi_scale_cam(network, batch.image, s.cam_scales, tags=tags)
            labels = self.labeller.pixel_labels(batch.image, cam, tags, batch.valid)
            logits = self.labeller.ordered(network.decode(batch.image, seen.tokens))
            terms["seg"] = s.w_seg * self.labeller.loss(logits, labels)
        return terms

    def tokens(self, midway: Midway) -> Tensor:
        """Class tokens on their way [B,M,D], background first where there is one."""
        return midway.tokens[:, : self.network.class_tokens.slots]

    def tag_loss(self, logits: Tensor, maps: Tensor, tags: Tensor) -> Tensor:
        """Loss of the class tokens' ``logits`` [B,K] and of the mean of ``maps`` [B,M,h,w]."""
        pooled = self._classes(maps).mean(dim=(2, 3))
        return multilabel_soft_margin(logits, tags) + multilabel_soft_margin(pooled, tags)

    def background_loss(self, seen: Reading, tags: Tensor) -> Tensor:
        """How far the tagged classes together and the background are from sharing the view."""
        if not self.labeller.has_cold:
            return seen.maps.new_zeros(())
        fused = seen.fused
        tagged = seen.refine(self._classes(fused) * (tags > 0.5)[:, :, None, None])
        foreground = tagged.amax(dim=1, keepdim=True)
        foreground = foreground.detach() if self.settings.detach_maps else foreground
        return (1 - normalise_cam(foreground) - normalise_cam(seen.refine(fused[:, :1]))).abs().mean()

    def intra_loss(self, first: Midway, seen: Reading, donor: Tensor, tags: Tensor) -> Tensor:
        """Change of the maps when the tokens ``donor`` [B,M,D] of the other view are infused."""
        _, maps = self.network.look(infuse(first, donor))
        present = tags > 0.5
        if self.labeller.has_cold:
            present = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)
        return map_distance(seen.maps, maps, present)

    def remember(self, first: Midway, tags: Tensor, places: range | None = None) -> None:
        """Write the tokens of the tagged classes, those of all processes by the ``places`` of their views."""
        own = self._classes(self.tokens(first).detach().float())
        present = tags > 0.5
        image, channel = present.nonzero(as_tuple=True)
        place = torch.tensor(places or range(len(tags)), device=tags.device)[image]
        self.memory.push(functional.layer_norm(own, own.shape[-1:])[present], channel, place)

    def cross_loss(self, first: Midway, seen: Reading, tags: Tensor) -> Tensor:
        """Change from maps to fused maps when what the memory knows of the tagged classes is infused."""
        tokens = self.tokens(first).detach().float()
        own = self._classes(tokens)
        present = tags > 0.5
        learned = self.memory.count >= self.settings.least
        if not learned.any():
            return seen.maps.new_zeros(())
        known = present & learned
        general = torch.where(known[:, :, None], self.memory.mean(), own)
        donor = torch.cat([tokens[:, : -self.network.taggable], general], dim=1)
        fused = self.network.read(infuse(first, donor)).fused
        return map_distance(self._classes(seen.maps), self._classes(fused), known)

    def learning_rate_factor(self, step: int) -> float:
        """Warm-up, then a cosine that counts from step 0."""
        s = self.settings
        warmup = max(1, round(s.warmup * self.steps))
        if step < warmup:
            return s.first + (1 - s.first) * step / warmup
        return cosine_between(step / self.steps, 1.0, s.floor)

    def _classes(self, slots: Tensor) -> Tensor:
        """What concerns the taggable classes of [B,M,...]: [B,K,...]."""
        return slots[:, -self.network.taggable :]


def infuse(midway: Midway, donor: Tensor) -> Midway:
    """Replace class tokens by the mean of themselves and ``donor`` [B,M,D]; all other tokens stay."""
    slots = donor.shape[1]
    infused = (midway.tokens[:, :slots] + donor) / 2
    return midway._replace(tokens=torch.cat([infused, midway.tokens[:, slots:]], dim=1))


def map_distance(one: Tensor, other: Tensor, counts: Tensor) -> Tensor:
    """Mean absolute difference of rectified, stretched maps [B,C,h,w] over the channels marked in ``counts`` [B,C]."""
    distance = (normalise_cam(one) - normalise_cam(other)).abs().mean(dim=(2, 3))
    return joint_mean((distance * counts).sum(), counts.sum())
