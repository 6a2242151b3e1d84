"""What a training step leaves out changes nothing: maps at hand, untagged classes, one decoder pass."""

from __future__ import annotations

import pytest
import torch

from wsss_geo.classes import ClassScheme
from wsss_geo.methods import METHODS, settings_from
from wsss_geo.nn.cam import multi_scale_cam
from wsss_geo.nn.encoder import Encoder
from wsss_geo.nn.heads import ClassMaps, max_pool_scores
from wsss_geo.nn.hierarchical import HierarchicalEncoder
from wsss_geo.nn.network import Network
from wsss_geo.nn.par import PAR
from wsss_geo.nn.pseudo_labels import refine_labels, refine_labels_none

NARROW = {"depth": 2, "embed_dim": 32, "num_heads": 2}


class Counting:
    """Class maps of fixed mixtures of the bands; keeps how many images it saw."""

    multiple = 4

    def __init__(self) -> None:
        self.mix = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
        self.seen: list[int] = []

    def class_maps(self, image):
        self.seen.append(len(image))
        tokens = torch.nn.functional.avg_pool2d(image, self.multiple) * torch.linspace(0, 1, image.shape[-1] // 4)
        cam = torch.einsum("kc,bchw->bkhw", self.mix, tokens)
        return cam, cam.sin()


def test_maps_at_hand_save_a_pass_and_change_nothing():
    model, image = Counting(), torch.randn(2, 3, 16, 16)
    expected = multi_scale_cam(model, image)
    straight = model.class_maps(image)
    model.seen.clear()
    found = multi_scale_cam(model, image, straight=straight)
    assert model.seen == [2, 4, 4]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_maps_at_hand_are_of_no_use_at_other_scales():
    model, image = Counting(), torch.randn(2, 3, 16, 16)
    nonsense = (torch.full((2, 2, 4, 4), 9.0),) * 2
    found = multi_scale_cam(model, image, (0.5,), straight=nonsense)
    torch.testing.assert_close(found[0], multi_scale_cam(model, image, (0.5,))[0])


def test_maps_of_untagged_classes_are_spared_and_zero():
    model, image = Counting(), torch.randn(3, 3, 16, 16)
    tags = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    straight = model.class_maps(image)
    found = multi_scale_cam(model, image, straight=straight, tags=tags)
    for one, other in zip(found, multi_scale_cam(model, image), strict=True):
        torch.testing.assert_close(one, other * tags[:, :, None, None])
        assert one[0, 1].max() > 0.9


def test_refinement_of_tagged_classes_alone_equals_that_of_all():
    """One image at a time needs as many maps as it has tags, a mixed batch as many as its richest image."""
    generator = torch.Generator().manual_seed(2)
    image, cam = torch.rand(3, 3, 32, 32, generator=generator), torch.rand(3, 5, 32, 32, generator=generator)
    tags = torch.tensor([[0, 1, 0, 0, 1], [1, 1, 1, 0, 1], [0, 0, 0, 1, 0]]).float()
    par = PAR(iterations=2, dilations=(1, 2))
    for labels in (
        lambda i: refine_labels(par, image[i], cam[i], tags[i], 0.6, 0.3),
        lambda i: refine_labels_none(par, image[i], cam[i], tags[i], 0.3, 0.01),
    ):
        whole = labels([0, 1, 2])
        assert torch.equal(whole, torch.cat([labels([i]) for i in range(3)]))
        assert set(whole[0].unique().tolist()) - {0, 255} <= {1, 2, 4, 5}
    whole = refine_labels_none(par, image, cam, tags, 0.3, 0.01)
    assert (whole[2] == 3).all()
    assert set(whole[0].unique().tolist()) <= {1, 4, 255}
    assert {1, 4} <= set(whole[0].unique().tolist())


def test_only_maps_of_tagged_classes_reach_the_refiner():
    sizes = []

    def refiner(small, maps):
        sizes.append(maps.shape[1])
        return maps

    tags = torch.zeros(2, 20)
    tags[0, 3] = tags[1, 7] = tags[1, 19] = 1
    refine_labels(refiner, torch.rand(2, 3, 8, 8), torch.rand(2, 20, 8, 8), tags, 0.6, 0.3)
    assert sizes == [2 * (1 + 2)]
    without = refine_labels(refiner, torch.rand(2, 3, 8, 8), torch.rand(2, 20, 8, 8), torch.zeros(2, 20), 0.6, 0.3)
    assert (without == 0).all()


def test_scores_are_those_of_the_largest_token_values():
    torch.manual_seed(0)
    classifier, tokens = ClassMaps(6, 3), torch.randn(2, 6, 4, 5)
    expected = tokens.flatten(2).max(dim=2).values @ classifier.weight[:, :, 0, 0].T
    torch.testing.assert_close(max_pool_scores(classifier, tokens), expected)


@pytest.mark.parametrize(
    ("backbone", "arguments"),
    [
        ("vit_tiny_patch16_224", {"patch_size": 8}),
        ("vit_tiny_patch16_224", {"patch_size": 8, "qk_norm": True, "qkv_bias": False}),
        ("vit_tiny_patch16_224", {"patch_size": 8, "scale_attn_norm": True}),
        ("deit_tiny_distilled_patch16_224", {"patch_size": 8}),
        ("vit_small_patch14_reg4_dinov2", {"patch_size": 8}),
        ("vit_medium_patch16_gap_256", {"patch_size": 8}),
        ("eva02_tiny_patch14_224", {"patch_size": 8}),
        ("mevt", {}),
    ],
)
def test_a_summary_alone_is_that_of_all_tokens(backbone, arguments):
    torch.manual_seed(0)
    if backbone == "mevt":
        encoder = HierarchicalEncoder(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), fusion=16)
    else:
        encoder = Encoder(backbone, image_size=32, arguments={**NARROW, **arguments})
        for name, value in encoder.named_parameters():
            if name.endswith("gamma"):  # layer scale starts so small that what it scales would not tell
                value.data.fill_(0.7)
    image = torch.rand(2, 3, 40, 56)
    whole, alone = encoder(image).summary, encoder.summarise(image)
    torch.testing.assert_close(alone, whole)
    target = torch.randn_like(whole)
    ways = [torch.autograd.grad((s * target).sum(), list(encoder.parameters()), allow_unused=True)
            for s in (whole, alone)]  # fmt: skip
    for one, other in zip(*ways, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(zero if other is None else other, zero if one is None else one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "arguments", "middle"),
    [
        ("vit_tiny_patch16_224", {"patch_size": 8}, 0.5),
        ("vit_tiny_patch16_224", {"patch_size": 8}, 1.0),
        ("vit_small_patch14_reg4_dinov2", {"patch_size": 8}, 0.5),
        ("vit_medium_patch16_gap_256", {"patch_size": 8}, 0.5),
    ],
)
@pytest.mark.parametrize("side", [40, 56])
def test_two_images_encoded_together_are_those_encoded_apart(backbone, arguments, middle, side):
    torch.manual_seed(0)
    encoder = Encoder(backbone, image_size=40, middle=middle, arguments={**NARROW, **arguments})
    image, other = torch.rand(2, 3, 40, 56), torch.rand(2, 3, side, 56)
    slopes = []
    for tokens, summary in (encoder.forward_beside(image, other), (encoder(image), encoder.summarise(other))):
        values = [*tokens, summary]
        slopes.append([*values, *torch.autograd.grad(sum(v.sin().sum() for v in values), list(encoder.parameters()))])
    for one, expected in zip(*slopes, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "backbone", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224", "mevt"]
)
def test_middle_maps_are_the_second_of_both(backbone):
    narrow = {"widths": (8, 8, 8, 8), "depths": (1, 1, 1, 1), "heads": (1, 1, 1, 1), "fusion": 16}
    arguments = narrow if backbone == "mevt" else {**NARROW, "patch_size": 16}
    network = Network(
        backbone,
        classes=2,
        taggable=2,
        mean=[0.5] * 3,
        std=[0.2] * 3,
        image_size=32,
        middle=0.5,
        backbone_args=arguments,
    )
    image, ran = torch.rand(2, 3, 32, 64), []
    _, expected = network.class_maps(image)
    if backbone != "mevt":
        network.encoder.vit.blocks[-1].register_forward_hook(lambda *_: ran.append(1))
    (found,) = network.middle_maps(image)
    torch.testing.assert_close(found, expected)
    assert not ran


def test_final_maps_wait_for_segmentation(textures):
    """Before it begins, the blocks behind the intermediate one see no image at other scales; losses are the same."""
    torch.manual_seed(0)
    network = Network(
        "vit_tiny_patch16_224", classes=4, taggable=3, cold=0, mean=[0.5] * 3, std=[0.2] * 3, image_size=32,
        middle=0.5, backbone_args={**NARROW, "patch_size": 8},
    )  # fmt: skip
    scheme = ClassScheme.from_names(["background", "a", "b", "c"], "explicit")
    method = METHODS["toco"](network, scheme, settings_from(METHODS["toco"].settings_type, {}), 10)
    sizes = []
    network.encoder.vit.blocks[-1].register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    early = method.losses(textures.batch(), 0)
    assert sizes == [6]
    late = method.losses(textures.batch(), 9)
    assert sizes == [6, 6, 6, 12, 12]
    assert set(late) - set(early) == {"seg", "reg"}
    for name, value in early.items():
        torch.testing.assert_close(value, late[name])


def test_two_images_of_one_size_go_through_all_blocks_but_the_last_together():
    encoder = Encoder("vit_tiny_patch16_224", image_size=32, arguments={**NARROW, "patch_size": 8})
    sizes = []
    for block in encoder.vit.blocks:
        block.mlp.register_forward_hook(lambda module, given, found: sizes.append(tuple(found.shape[:2])))
    encoder.forward_beside(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    assert sizes == [(2, 17), (1, 17), (1, 1)]


def test_the_last_block_works_out_no_token_but_the_first():
    encoder = Encoder("vit_tiny_patch16_224", image_size=32, arguments={**NARROW, "patch_size": 8})
    sizes = []
    encoder.vit.blocks[-1].mlp.register_forward_hook(lambda module, given, found: sizes.append(found.shape[1]))
    image = torch.rand(1, 3, 32, 32)
    encoder(image)
    encoder.summarise(image)
    assert sizes == [17, 1]
