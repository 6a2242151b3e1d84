"""The training step of ToCo and CTFA as their programs carry it out, one thing after the other.

Written from the papers and a reading of the public programs, on the networks of this package, so that
``train_step.py`` can compare time and losses. Kept as they are there: attention written out, decoders that run in every
pass for activation maps, a teacher that encodes what the student encodes as well, loops over images and crops, one
refinement an image and threshold with all neighbours in memory, taken by convolutions with one-hot kernels, a pairwise
energy that leaves the device for a permutohedral lattice and is computed while its weight is 0. Put right, because
losses are compared: all views share one geometry, and an empty half of a loss counts 0.

The lattice (``lattice.py``) comes near the sums over all pairs, but not to 1e-4; ``exact`` takes those sums instead, on
the coarse grid of ``dense_energy``, to compare losses and gradients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from lattice import gaussian_sums
from torch import Tensor
from torch.nn import functional

from wsss_geo.methods.base import Batch
from wsss_geo.methods.ctfa import CTFA
from wsss_geo.methods.toco import ToCo
from wsss_geo.nn.energy import dense_energy

IGNORE = 255
Part = Callable[[str], AbstractContextManager[None]]


@contextlib.contextmanager
def plain_attention(method: ToCo, plain: bool) -> Iterator[None]:
    """Let the encoder multiply, soften and multiply again instead of calling the fused operator."""
    layers = [m for m in method.network.encoder.modules() if hasattr(m, "fused_attn")]
    for layer in layers:
        layer.fused_attn = not plain
    try:
        yield
    finally:
        for layer in layers:
            layer.fused_attn = True


class Published:
    """One step on the weights of ``method``; ``part(name)`` is entered around every part, for clocks."""

    def __init__(self, method: ToCo, part: Part, exact: bool = False) -> None:
        self.method, self.network, self.settings, self.part = method, method.network, method.settings, part
        self.exact = exact

    def losses(self, batch: Batch, active: bool) -> dict[str, Tensor]:
        """Weighted losses; before segmentation and energy begin (``active`` False) theirs are computed and made 0."""
        s, network, tags = self.settings, self.network, batch.tags
        assert batch.second is not None
        assert batch.local is not None
        with self.part("activation maps"):
            cam, aux_cam = self.activation_maps(batch.image)
        with self.part("crops"):
            roi = self.regions(aux_cam, tags)
            crops, flags = self.crops(batch, roi)
        with self.part("forward passes"):
            tokens = network.encode(batch.image)
            views = torch.cat([batch.image, batch.second])
            teacher = self.method.teacher_projection(network.encode(views).summary.detach())
            whole = network.encode(views).summary
            local = network.encode(torch.cat(crops)).summary
            student = self.method.projection(torch.cat([whole, local]))
            logits = network.decoder(tokens.final)
            foreground = self.method.foreground_decoder(tokens.final) if isinstance(self.method, CTFA) else None
            scores = network.classifier(functional.adaptive_max_pool2d(tokens.final, (1, 1)))[:, :, 0, 0]
            aux_scores = network.aux_classifier(functional.adaptive_max_pool2d(tokens.middle, (1, 1)))[:, :, 0, 0]
        with self.part("contrasts"):
            terms = {
                "cls": functional.multilabel_soft_margin_loss(scores, tags),
                "aux": functional.multilabel_soft_margin_loss(aux_scores, tags),
                "ctc": s.w_ctc * self.class_token_contrast(student, teacher, flags),
                "ptc": s.w_ptc * self.patch_token_contrast(tokens.final, aux_cam, tags),
            }
        on = float(active)
        with self.part("pseudo labels"):
            labels = self.refined_labels(batch.image, cam, tags)
        with self.part("dense losses"):
            size = (labels.shape[-2], labels.shape[-1])
            logits = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            terms["seg"] = on * s.w_seg * self.two_halves(logits, labels)
            if foreground is not None:
                foreground = functional.interpolate(foreground, size=size, mode="bilinear", align_corners=False)
                terms["joint"] = on * s.w_joi * self.joint(foreground, logits, labels)
        with self.part("energy"):
            terms["reg"] = on * s.w_reg * self.energy(batch.image, logits, labels)
        return terms

    @torch.no_grad()
    def activation_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Maps over scales and flip, final and middle; the decoders run and are thrown away."""
        found: list[list[Tensor]] = [[], []]
        batch, _, height, width = image.shape
        for scale in self.settings.cam_scales:
            size = (int(scale * height), int(scale * width))
            scaled = functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
            tokens = self.network.encode(torch.cat([scaled, scaled.flip(-1)]))
            self.network.decoder(tokens.final)
            if isinstance(self.method, CTFA):
                self.method.foreground_decoder(tokens.final)
            maps = (
                functional.conv2d(tokens.final, self.network.classifier.weight),
                functional.conv2d(tokens.middle, self.network.aux_classifier.weight),
            )
            for some, raw in zip(found, maps, strict=True):
                full = functional.interpolate(raw, size=(height, width), mode="bilinear", align_corners=False)
                some.append(torch.max(full[:batch], full[batch:].flip(-1)).relu())
        stretched = []
        for some in found:
            total = torch.stack(some).sum(0)
            total = total + functional.adaptive_max_pool2d(-total, (1, 1))
            stretched.append(total / (functional.adaptive_max_pool2d(total, (1, 1)) + 1e-5))
        return stretched[0], stretched[1]

    def regions(self, cam: Tensor, tags: Tensor) -> Tensor:
        """0 cold, 1 in doubt, 2 hot, by the hottest tagged class."""
        heat = (cam * tags[:, :, None, None].repeat(1, 1, *cam.shape[-2:])).amax(1)
        roi = torch.ones_like(heat, dtype=torch.int64)
        roi[heat <= self.settings.low] = 0
        roi[heat >= self.settings.high] = 2
        return roi

    def crops(self, batch: Batch, roi: Tensor) -> tuple[list[Tensor], Tensor]:
        """Local crops, a list of [B,C,side,side], and their flags [B, 2 + crops], image by image and crop by crop.

        Positions are those of the largest noise among the candidates: a uniform draw that another program can repeat.
        """
        assert batch.local is not None
        s, patch = self.settings, self.network.patch
        count, _, height, width = batch.local.shape
        side = max(1, round(s.crop_share * width / patch)) * patch
        rows, cols, margin = height - side + 1, width - side + 1, side // 2
        noise = torch.rand((count, rows * cols), device=roi.device, generator=batch.generator)
        cut = batch.local.new_zeros(count, s.crops, batch.local.shape[1], side, side)
        flags = torch.ones(count, s.crops + 2, device=roi.device)
        for i in range(count):
            centres = roi[i, margin : margin + rows, margin : margin + cols]
            candidates = (centres <= 1).nonzero()
            if len(candidates) < s.crops:
                candidates = (centres >= 0).nonzero()
            drawn = noise[i][candidates[:, 0] * cols + candidates[:, 1]].argsort(descending=True)[: s.crops]
            for j in range(s.crops):
                row, col = (int(v) for v in candidates[drawn[j]])
                cut[i, j] = batch.local[i, :, row : row + side, col : col + side]
                if roi[i, row : row + side, col : col + side].float().mean() <= s.background_share:
                    flags[i, j + 2] = 0
        return [cut[:, j] for j in range(s.crops)], flags

    def class_token_contrast(self, student: Tensor, teacher: Tensor, flags: Tensor) -> Tensor:
        """Loops over images, teacher views and student views; with the extra positive of the program."""
        batch = len(flags)
        students, teachers = student.chunk(flags.shape[1]), teacher.chunk(2)
        total = torch.zeros((), device=student.device)
        for i in range(batch):
            image_loss = torch.zeros((), device=student.device)
            for t in teachers:
                negatives = torch.zeros((), device=student.device)
                for m, v in enumerate(students):
                    if flags[i, m] == 0:
                        negatives = negatives + torch.exp((t[i] * v[i]).sum() / self.settings.temperature)
                for m, v in enumerate(students):
                    if flags[i, m] == 1:
                        alike = torch.exp((t[i] * v[i]).sum() / self.settings.temperature)
                        image_loss = image_loss - torch.log(alike / (alike + negatives + 1e-4))
                image_loss = image_loss - torch.log(1 / (1 + negatives + 1e-4))
            total = total + image_loss / 2 / (flags[i] == 1).sum()
        return total / batch

    def patch_token_contrast(self, tokens: Tensor, aux_cam: Tensor, tags: Tensor) -> Tensor:
        """With integer matrices of pairs."""
        s = self.settings
        batch, _, height, width = tokens.shape
        cam = functional.interpolate(aux_cam, size=(height, width), mode="bilinear", align_corners=False)
        heat, label = (cam * tags[:, :, None, None].repeat(1, 1, height, width)).max(1)
        label = label + 1
        label[heat <= s.high] = IGNORE
        label[heat <= s.low] = 0
        rows = label.reshape(batch, 1, -1).repeat(1, height * width, 1)
        pairs = (rows == rows.permute(0, 2, 1)).type(torch.long)
        for i in range(batch):
            pairs[i, :, rows[i, 0] == IGNORE] = IGNORE
            pairs[i, rows[i, 0] == IGNORE, :] = IGNORE
        pairs[:, range(height * width), range(height * width)] = IGNORE
        flat = functional.normalize(tokens.flatten(2), dim=1, eps=1e-8)
        cosine = (flat.transpose(1, 2) @ flat).abs()
        same, other = pairs == 1, pairs == 0
        return 0.5 * (1 - (same * cosine).sum() / (same.sum() + 1)) + 0.5 * (other * cosine).sum() / (other.sum() + 1)

    @torch.no_grad()
    def refined_labels(self, image: Tensor, cam: Tensor, tags: Tensor) -> Tensor:
        """Labels at two thresholds, refined image by image and threshold by threshold."""
        s = self.settings
        batch, _, height, width = image.shape
        half = (height // 2, width // 2)
        small = functional.interpolate(image, size=half, mode="bilinear", align_corners=False)
        cam = cam * tags[:, :, None, None].repeat(1, 1, height, width)
        present = torch.cat([torch.ones_like(tags[:, :1]), tags], dim=1)
        answers = []
        for level in (s.high, s.low):
            scores = torch.cat([torch.full_like(cam[:, :1], level), cam], dim=1)
            scores = functional.interpolate(scores, size=half, mode="bilinear", align_corners=False)
            answer = torch.full((batch, height, width), IGNORE, device=image.device)
            for i in range(batch):
                keys = present[i].nonzero()[:, 0]
                maps = refine(small[[i]], scores[i, keys][None].softmax(dim=1))
                maps = functional.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
                answer[i] = keys[maps.argmax(dim=1)][0]
            answers.append(answer)
        high, low = answers
        label = high.clone()
        label[high == 0] = IGNORE
        label[(high + low) == 0] = 0
        return label

    def two_halves(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Half the cross-entropy of background pixels and half that of foreground pixels."""
        total = torch.zeros((), device=logits.device)
        for half in (labels == 0, (labels != 0) & (labels != IGNORE)):
            only = labels.clone()
            only[~half] = IGNORE
            loss = functional.cross_entropy(logits, only, ignore_index=IGNORE, reduction="sum")
            total = total + 0.5 * loss / half.sum().clamp(min=1)
        return total

    def joint(self, foreground: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the normalised product of softmax and sigmoid."""
        product = foreground.softmax(dim=1) * logits.sigmoid()
        shares = (product / product.sum(dim=1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
        loss = functional.nll_loss(shares.log(), labels, ignore_index=IGNORE, reduction="sum")
        return loss / (labels != IGNORE).sum().clamp(min=1)

    def energy(self, image: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Pairwise energy on the processor: all three leave the device, value and gradient come back."""
        shares = logits.softmax(dim=1)
        if self.exact:
            return dense_energy(shares, 255 * image, labels)
        half = (image.shape[-2] // 2, image.shape[-1] // 2)
        small = functional.interpolate(shares, size=half, mode="bilinear", align_corners=False)
        colours = functional.interpolate(255 * image, size=half, mode="nearest")
        unknown = functional.interpolate((labels == IGNORE)[:, None].float(), size=half, mode="nearest")
        value, slope = lattice_energy(*(t.detach().cpu().numpy() for t in (small, colours, unknown)))
        with_gradient = (small * torch.from_numpy(slope).to(small.device)).sum()
        return with_gradient - with_gradient.detach() + value


def lattice_energy(shares: np.ndarray, colours: np.ndarray, unknown: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy of all pairs and its gradient by ``shares`` [B,C,h,w].

    ``colours`` [B,3,h,w] in 0..255; ``unknown`` [B,1,h,w] is 1 where there is no label.
    """
    batch, channels, height, width = shares.shape
    places = np.stack(np.mgrid[:height, :width]).reshape(2, -1) / 50
    gate = np.where(unknown > 0.5, 1, np.clip(1 - shares.max(1, keepdims=True), 0, None)).astype(np.float32)
    spread = np.empty_like(shares)
    for i in range(batch):
        features = np.concatenate([places, colours[i].reshape(3, -1) / 15]).T
        spread[i] = gaussian_sums(features, shares[i].reshape(channels, -1).T).T.reshape(shares[i].shape)
    value = -1e-7 / batch * float((gate * shares * spread).sum())
    return value, (-2e-7 / batch * gate * spread).astype(np.float32)


def refine(image: Tensor, maps: Tensor, iterations: int = 10, width: float = 0.3, spatial: float = 0.01) -> Tensor:
    """Pixel-adaptive refinement of one image, all 48 neighbours of all channels in memory."""
    dilations = (1, 2, 4, 8, 12, 24)
    around = neighbours(image, dilations)
    spread = around.std(dim=2, keepdim=True)
    colour = -((((around - image[:, :, None]).abs() / (spread + 1e-8)) / width) ** 2).mean(dim=1, keepdim=True)
    distance = torch.tensor([d * (2**0.5 if y and x else 1) for d in dilations for y, x in RING], device=image.device)
    near = (-((distance / (distance.std() + 1e-8) / width) ** 2)).softmax(dim=0)
    weights = colour.softmax(dim=2) + spatial * near[None, None, :, None, None]
    for _ in range(iterations):
        maps = (neighbours(maps, dilations) * weights).sum(dim=2)
    return maps


RING: tuple[tuple[int, int], ...] = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)


def neighbours(maps: Tensor, dilations: tuple[int, ...]) -> Tensor:
    """Neighbours [B,C,48,H,W] of every pixel, borders replicated, by convolution with one-hot kernels."""
    kernels = torch.zeros(len(RING), 1, 3, 3, device=maps.device, dtype=maps.dtype)
    for place, (y, x) in enumerate(RING):
        kernels[place, 0, 1 + y, 1 + x] = 1
    found = []
    for d in dilations:
        padded = functional.pad(maps, [d] * 4, mode="replicate").flatten(0, 1)[:, None]
        found.append(functional.conv2d(padded, kernels, dilation=d).unflatten(0, maps.shape[:2]))
    return torch.cat(found, dim=2)
