"""SFC: shared feature calibration for long-tailed tags (Zhao et al., AAAI 2024).

Classifier weights of frequent classes fire on features that rare classes share with them, those of rare classes too
little. Prototypes, means of features within one image, know nothing of frequencies. So the activation maps of the
classifier and those of the prototypes are held together, most firmly for the classes whose frequency is furthest from
the others', and images of every class come back from a bank.

    L = L_cls + w_dw L_dw + w_ms L_ms + w_seg L_seg
    L_cls  multi-label soft margin of mean-pooled maps, mean of the view and the reduced view
    L_dw   mean of a_c |CAM_c - prototype CAM_c|, background with weight 1
    L_ms   mean of a_c |CAM_c, reduced - CAM_c of the reduced view|, without background
    a_c    sum_j |n_c - n_j| / (n_c + extra), over its mean; n_c training tiles carry class c

CAM are the classifier's maps, spread twice by the affinity of tokens; prototype CAM the cosine of features to their
mean where a class leads. Gradients reach both; those of the prototypes end in the side layers that make the features.
The bank keeps the latest image of each class; ``bank`` of its slots join every batch.

On a plain ViT the features are those of middle and final tokens instead of four stages of a ResNet, and the optimiser
is that of the other methods. The published chain goes on with refined maps that teach a second network; here, in a
single stage, the maps teach the decoder: classifier's plus 0.3 of the prototypes', merged over scales, from ``start``
on. Further differences: the bank is drawn from its filled slots, so that no empty image is shown; ``extra``, what the
bank adds to the frequency of a class, follows from the tile set (a constant for VOC in the published program: 396),
the weights have bounds, and a class that no tile carries has no say in them; no gradient is stopped within the
encoder. Prediction shows the classifier's maps alone.

Policy ``none`` (no background class) is not in the paper; there the maps have no background channel, and every token
where a tagged class is warm is a seed of the warmest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wsss_geo.classes import ClassScheme
from wsss_geo.methods.base import Batch, Labeller, Method, Settings
from wsss_geo.nn.cam import MapPair, multi_scale_cam
from wsss_geo.nn.encoder import Tokens
from wsss_geo.nn.losses import multilabel_soft_margin
from wsss_geo.nn.memory import ImageBank
from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import full_precision, resize


@dataclass(frozen=True)
class SFCSettings(Settings):
    """Published values for VOC; optimiser and segmentation as in ToCo."""

    bank: int = 4
    """Images from the bank that join a batch of 16; with several processes the batch of each."""
    side_width: int = 256
    """Width of the features of the prototypes, of middle and of final tokens each."""
    w_dw: float = 1.6
    w_ms: float = 0.8
    w_seg: float = 0.1
    reduced: float = 0.5
    """Side of the reduced view as a share of the view's."""
    seed_background: float = 0.3
    """Factor on the background's map before the seeds are chosen."""
    extra: float = 0.0
    """Occurrences of a class that the bank adds in an epoch; 0: ``bank`` / batch of the mean over classes."""
    weight_range: tuple[float, float] = (0.25, 4.0)
    """Bounds of the class weights; those of VOC lie within."""
    prototype_share: float = 0.3
    """Weight of the prototypes' maps beside the classifier's in the pseudo labels."""
    start: float = 0.1
    """Share of the run before the decoder's loss begins."""
    high: float = 0.7
    low: float = 0.25
    confidence: float = 0.45
    """Policy none: least share of the leading tagged class."""
    margin: float = 0.15
    """Policy none: least lead over the second tagged class."""
    cam_scales: tuple[float, ...] = (1.0, 0.5, 1.5)
    """Scales of the maps that make pseudo labels."""


@dataclass(frozen=True)
class Shown:
    """What a step shows: ``image`` [B,N,H,W], ``tags`` [B,K], ``valid`` bool [B,H,W]."""

    image: Tensor
    tags: Tensor
    valid: Tensor


class Seen(NamedTuple):
    """What the network makes of it; both maps are [B,M,h,w] in 0..1, M = K plus a first channel for a cold class."""

    tokens: Tokens
    logits: Tensor
    """Mean of the classifier's maps [B,K]."""
    cam: Tensor
    prototype_cam: Tensor


class SFC(Method):
    """See the module's text."""

    name = "sfc"
    terms: ClassVar[tuple[str, ...]] = ("cls", "dw", "ms", "seg")
    settings_type = SFCSettings
    settings: SFCSettings
    counts: Tensor

    def __init__(self, network: Network, scheme: ClassScheme, settings: SFCSettings, steps: int) -> None:
        super().__init__(network, scheme, settings, steps)
        self.labeller = Labeller(
            scheme, settings.high, settings.low, settings.confidence, settings.margin, balance=settings.balance
        )
        width, bands, classes = network.encoder.width, network.mean.shape[1], len(scheme.taggable)
        self.affinity = nn.Conv2d(bands + width, width, 1, bias=False)
        self.side_middle = nn.Conv2d(width, settings.side_width, 1, bias=False)
        self.side_final = nn.Conv2d(width, settings.side_width, 1, bias=False)
        self.bank = ImageBank(classes, bands, network.encoder.image_size)
        self.register_buffer("counts", torch.zeros(classes))

    def meet_tiles(self, tag_counts: Tensor) -> None:
        """Remember n_c for the class weights."""
        self.counts.copy_(tag_counts)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted terms of the sum above."""
        s = self.settings
        weights = self.class_weights(len(batch.tags))
        shown = self.with_bank(batch)
        whole, reduced = self.see(shown), self.see(self.reduce(shown))
        size = (reduced.cam.shape[-2], reduced.cam.shape[-1])
        margins = [multilabel_soft_margin(seen.logits, shown.tags) for seen in (whole, reduced)]
        taggable = slice(int(self.labeller.has_cold), None)
        terms = {
            "cls": torch.stack(margins).mean(),
            "dw": s.w_dw * weighted_distance(whole.cam, max_normalised(whole.prototype_cam), weights),
            "ms": s.w_ms
            * weighted_distance(resize(whole.cam, size)[:, taggable], reduced.cam[:, taggable], weights[taggable]),
        }
        if step >= s.start * self.steps:
            logits = self.labeller.ordered(self.network.decode(shown.image, whole.tokens))
            terms["seg"] = s.w_seg * self.labeller.loss(logits, self.pseudo_labels(shown, whole))
        return terms

    def with_bank(self, batch: Batch) -> Shown:
        """Put the batch into the bank and draw from it what joins the batch; processes share one draw."""
        places = batch.places or range(len(batch.tags))
        self.bank.push(batch.image, batch.valid, batch.tags, torch.tensor(places, device=batch.tags.device))
        drawn = self.bank.draw(self.settings.bank * places.step, batch.generator)
        image, valid, tags = (
            torch.cat([own, joint[places.start :: places.step].to(own)])
            for own, joint in zip((batch.image, batch.valid, batch.tags), drawn, strict=True)
        )
        return Shown(image, tags, valid)

    def reduce(self, shown: Shown) -> Shown:
        """The same images at a smaller scale, their sides whole tokens."""
        patch = self.network.multiple
        rows, cols = (max(1, round(self.settings.reduced * n / patch)) * patch for n in shown.image.shape[-2:])
        return Shown(resize(shown.image, (rows, cols)), shown.tags, shown.valid)

    def see(self, shown: Shown) -> Seen:
        """Encode images and make the maps of classifier and prototypes, zero for absent classes and without data."""
        network, has_cold = self.network, self.labeller.has_cold
        tokens = network.encode(shown.image)
        maps = network.classifier(tokens.final)
        grid = (maps.shape[-2], maps.shape[-1])
        usable = resize(shown.valid[:, None].float(), grid) > 0.5
        present = shown.tags > 0.5
        present = torch.cat([torch.ones_like(present[:, :1]), present], dim=1) if has_cold else present
        mask = usable & present[:, :, None, None]
        colours = resize((shown.image - network.mean) / network.std, grid)
        cam = spread(activations(maps, has_cold) * mask, self.affinity(torch.cat([colours, tokens.final], dim=1)))
        sides = (self.side_middle(tokens.middle.detach()), self.side_final(tokens.final.detach()))
        features = torch.cat([functional.normalize(side.float(), dim=1) for side in sides], dim=1)
        seeds = lead(cam, self.settings.seed_background if has_cold else 1.0) * mask
        pooled = (maps.float() * usable).sum(dim=(2, 3)) / usable.sum(dim=(2, 3)).clamp(min=1)
        return Seen(tokens, pooled, cam * mask, prototype_cam(features, seeds) * mask)

    def class_weights(self, batch_size: int) -> Tensor:
        """The weights a_c [M] of the maps' channels, 1 for the background."""
        s = self.settings
        mean = self.counts.sum() / (self.counts > 0).sum().clamp(min=1)
        weights = frequency_weights(self.counts, s.extra or s.bank / batch_size * mean).clamp(*s.weight_range)
        return torch.cat([torch.ones_like(weights[:1]), weights]) if self.labeller.has_cold else weights

    @torch.no_grad()
    def pseudo_labels(self, shown: Shown, seen: Seen) -> Tensor:
        """Labels int64 [B,H,W] of the maps of classifier and prototypes together, refined by colours."""
        s, maps = self.settings, _Maps(self, shown)
        straight = maps.of_tags(seen)
        cam, from_prototypes = multi_scale_cam(maps, shown.image, s.cam_scales, straight=straight, tags=shown.tags)
        merged = (cam + s.prototype_share * from_prototypes) / (1 + s.prototype_share)
        return self.labeller.pixel_labels(shown.image, merged, shown.tags, shown.valid)


class _Maps:
    """Maps of the taggable classes of images and of their mirror images, as the merge over scales asks for them."""

    def __init__(self, method: SFC, shown: Shown) -> None:
        self.method = method
        self.multiple = method.network.multiple
        self.tags = torch.cat([shown.tags, shown.tags])
        self.valid = torch.cat([shown.valid, shown.valid.flip(-1)])

    def class_maps(self, image: Tensor) -> MapPair:
        count = len(image)  # where the straight images are known already, the mirror images alone
        return self.of_tags(self.method.see(Shown(image, self.tags[-count:], self.valid[-count:])))

    def of_tags(self, seen: Seen) -> MapPair:
        first = int(self.method.labeller.has_cold)
        return seen.cam[:, first:], seen.prototype_cam[:, first:]


@full_precision
def frequency_weights(counts: Tensor, extra: float | Tensor) -> Tensor:
    """Weights [K], mean 1 over the classes that occur, of classes that ``counts`` [K] images carry.

    sum_j |n_c - n_j| / (n_c + ``extra``): large for rare classes and for the most frequent, small between. 1 where
    nothing tells the classes apart.
    """
    occurs = counts > 0
    apart = ((counts[:, None] - counts).abs() * occurs).sum(dim=1) / (counts + extra).clamp(min=1e-6)
    apart = apart * occurs
    mean = apart.sum() / occurs.sum().clamp(min=1)
    return torch.where(occurs & (mean > 0), apart / mean.clamp(min=1e-12), 1.0)


@full_precision
def max_normalised(maps: Tensor) -> Tensor:
    """Maps [B,M,h,w] over (their largest value + 1e-5)."""
    return maps / (maps.amax(dim=(2, 3), keepdim=True) + 1e-5)


@full_precision
def activations(maps: Tensor, with_background: bool) -> Tensor:
    """Classifier's maps [B,K,h,w] in 0..1 and, as a first channel, what the warmest of all classes leaves."""
    warm = max_normalised(maps.relu())
    return torch.cat([1 - warm.amax(dim=1, keepdim=True), warm], dim=1) if with_background else warm


@full_precision
def spread(cam: Tensor, embedding: Tensor) -> Tensor:
    """Average maps [B,M,h,w] twice over the tokens alike in ``embedding`` [B,E,h,w].

    A token gives weights proportional to the positive cosine to all tokens, itself included. Memory: a few
    [B,hw,hw] arrays.
    """
    flat = functional.normalize(embedding.flatten(2), dim=1)
    alike = (flat.transpose(1, 2) @ flat).relu()
    share = alike / (alike.sum(dim=1, keepdim=True) + 1e-5)
    return (cam.flatten(2) @ share @ share).view_as(cam)


@full_precision
def lead(cam: Tensor, background: float = 1.0) -> Tensor:
    """Where each of the channels [B,M,h,w] leads, the first one lowered by ``background``: 0/1, without gradient."""
    scores = cam.detach().clone()
    scores[:, 0] *= background
    best, channel = scores.max(dim=1)
    members = functional.one_hot(channel, cam.shape[1]).movedim(-1, 1)
    return members.to(cam.dtype) * (best > 0)[:, None]


@full_precision
def prototype_cam(features: Tensor, seeds: Tensor) -> Tensor:
    """Positive cosine [B,M,h,w] of ``features`` [B,E,h,w] to the mean feature of each channel's ``seeds`` [B,M,h,w].

    Zero for a channel without seeds.
    """
    flat = features.flatten(2)
    prototypes = functional.normalize(seeds.flatten(2) @ flat.transpose(1, 2), dim=2)
    return (prototypes @ functional.normalize(flat, dim=1)).relu().view_as(seeds)


@full_precision
def weighted_distance(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Mean over all places and channels of ``weights`` [M] times the absolute difference of two maps [B,M,h,w]."""
    return ((first - second).abs() * weights.view(1, -1, 1, 1)).mean()
