"""Every method learns eight tiles of one class and eight of two by heart."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import one_hot

from wsss_geo.classes import ClassScheme
from wsss_geo.methods import METHODS, Method, settings_from
from wsss_geo.methods.base import Batch
from wsss_geo.nn.class_tokens import ClassTokenNetwork
from wsss_geo.nn.heads import Projection, max_pool_scores, top_pool
from wsss_geo.nn.network import Network
from wsss_geo.nn.par import PAR

SIDE, CLASSES = 32, 3
#: What a small network trained from scratch for a minute needs otherwise than a large one trained for a day.
SETTINGS = {
    "aerial": {},
    "ctfa": {"start": 0.3},
    "cti": {"w_seg": 1.0, "start": 0.3, "cam_scales": (1.0,)},
    "sfc": {"w_seg": 1.0, "start": 0.3, "side_width": 16, "bank": 2},
    "stcl": {"start": 0.3, "memory": 8, "memory_width": 8, "least": 1},
    "supervised": {},
    "toco": {"start": 0.3},
}
FAMILY = {"w_seg": 1.0, "cam_scales": (1.0,), "crops": 2, "crop_share": 0.5}


def tiles(mixed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [8,3,32,32] of flat, striped and noisy ground and their masks: whole, or left and right another."""
    generator = torch.Generator().manual_seed(0)
    first = torch.arange(8) % CLASSES
    second = (first + 1 + torch.arange(8) // CLASSES % 2) % CLASSES if mixed else first
    masks = torch.cat([n[:, None, None].expand(8, SIDE, SIDE // 2) for n in (first, second)], dim=2)
    stripes = (0.5 + 0.4 * torch.sin(torch.arange(SIDE) * 0.8))[:, None].expand(SIDE, SIDE)
    ground = [torch.full((8, SIDE, SIDE), 0.2), stripes.expand(8, SIDE, SIDE)]
    ground.append(torch.rand(8, SIDE, SIDE, generator=generator))
    picked = torch.stack(ground).gather(0, masks[None])[0] + 0.03 * torch.randn(8, SIDE, SIDE, generator=generator)
    return picked[:, None].expand(8, 3, SIDE, SIDE).contiguous(), masks


def method_of(name: str, steps: int, **more: object) -> Method:
    torch.manual_seed(0)
    kind = METHODS[name]
    scheme = ClassScheme.from_names(["flat", "stripes", "noise"], "none")
    given = {"lr": 6e-3, "head_lr": 1.0, "warmup": 0.05, "decoder_width": 16, "dilation": 1, **SETTINGS[name]}
    given = {**FAMILY, **given} if name in ("toco", "ctfa", "stcl") else given
    given |= more if "start" in given else {}
    settings = settings_from(kind.settings_type, given)
    network = (ClassTokenNetwork if kind.class_tokens else Network)(
        "vit_tiny_patch16_224", classes=CLASSES, taggable=CLASSES, mean=[0.5] * 3, std=[0.25] * 3, image_size=SIDE,
        middle=settings.middle, decoder_width=16, dilation=1,
        backbone_args={"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8},
    )  # fmt: skip
    method = kind(network, scheme, settings, steps)
    if getattr(getattr(method, "labeller", None), "par", None) is not None:
        method.labeller.par = PAR(1, (1, 2))
    if hasattr(method, "projection"):  # the published head is larger than this whole network
        method.projection = Projection(32, 16, 8, 16)
        method.teacher_projection = Projection(32, 16, 8, 16).requires_grad_(False)
    return method


def learn(method: Method, image: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Train on all tiles in every step; returns their tags [8,3]."""
    tags = one_hot(masks, CLASSES).amax((1, 2)).float()
    method.meet_tiles(tags.sum(0).long())
    valid = torch.ones_like(masks, dtype=torch.bool)
    optimizer = torch.optim.AdamW(method.parameter_groups(), weight_decay=method.settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, method.learning_rate_factor)
    for step in range(method.steps):
        generator = torch.Generator().manual_seed(step)
        batch = Batch(image, image, tags, valid, image, image.flip(-1), masks, generator=generator)
        loss = torch.stack(list(method.losses(batch, step).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        method.after_step(step)
    method.network.eval()
    return tags


def logits_of(method: Method, image: torch.Tensor) -> torch.Tensor:
    """Scores of the classes of whole tiles [8,3], above 0 where the method says that a class is there."""
    network = method.network
    with torch.no_grad():
        if isinstance(network, ClassTokenNetwork):
            logits, maps = network.look(network.midway(image))
            return logits + maps.mean((2, 3))
        tokens = network.encode(image)
        if method.name == "aerial":
            return top_pool(network.aux_classifier(tokens.middle), method.settings.top)
        if method.name == "sfc":
            return network.classifier(tokens.final).mean((2, 3))
        if method.name == "supervised":
            found = network.decode(image, tokens).argmax(1)
            return one_hot(found, CLASSES).amax((1, 2)) - 0.5
        return max_pool_scores(network.classifier, tokens.final)


def test_all_methods_are_here() -> None:
    assert set(SETTINGS) == set(METHODS)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_eight_pure_tiles_are_overfitted(name: str) -> None:
    method = method_of(name, 32)
    image, masks = tiles(mixed=False)
    learn(method, image, masks)
    found = method.product.predict(image)[0].argmax(1)
    truth = masks[:, ::8, ::8]
    overlap = [((found == c) & (truth == c)).sum() / ((found == c) | (truth == c)).sum() for c in range(CLASSES)]
    assert torch.stack(overlap).mean() > 0.95, overlap


@pytest.mark.parametrize("name", sorted(METHODS))
def test_eight_mixed_tiles_are_overfitted(name: str) -> None:
    method = method_of(name, 40, start=1.0)  # the decoder is not asked
    image, masks = tiles(mixed=True)
    tags = learn(method, image, masks)
    assert tags.sum(1).tolist() == [2.0] * 8
    assert (logits_of(method, image) > 0).int().tolist() == tags.int().tolist()  # F1 = 1
