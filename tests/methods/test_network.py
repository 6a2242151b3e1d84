"""Encoder and network: token order, prefix tokens, grids, predictions."""

from __future__ import annotations

import pytest
import torch

from wsss_geo.nn.encoder import Encoder, load_backbone_weights
from wsss_geo.nn.network import Network

TINY = {"depth": 2, "embed_dim": 32, "num_heads": 2}


def tiny(classes: int = 3, cold: int | None = None, **arguments: object) -> Network:
    torch.manual_seed(0)
    return Network(
        "vit_tiny_patch16_224",
        classes=classes,
        taggable=classes - (cold is not None),
        cold=cold,
        mean=[0.5] * 3,
        std=[0.25] * 3,
        image_size=32,
        decoder_width=16,
        backbone_args={**TINY, "patch_size": 8},
        **arguments,
    ).eval()


@pytest.mark.parametrize(
    ("backbone", "arguments", "prefix"),
    [
        ("vit_tiny_patch16_224", {"patch_size": 8}, 1),
        ("vit_medium_patch16_gap_256", {"patch_size": 8}, 0),
        ("deit_tiny_distilled_patch16_224", {"patch_size": 8}, 2),
        ("vit_small_patch14_reg4_dinov2", {"patch_size": 8}, 5),
        ("eva02_tiny_patch14_224", {"patch_size": 8}, 1),
    ],
)
def test_plain_vits_of_timm_give_tokens_on_a_row_major_grid(backbone, arguments, prefix):
    encoder = Encoder(backbone, image_size=32, arguments={**TINY, **arguments}).eval()
    assert encoder.vit.num_prefix_tokens == prefix
    image = torch.rand(2, 3, 40, 56)
    tokens = encoder(image)
    assert tokens.summary.shape == (2, 32)
    assert tokens.final.shape == tokens.middle.shape == (2, 32, 5, 7)
    # With the position embedding out of the way, a change of one patch moves its own embedding only.
    changed = image.clone()
    changed[:, :, 8:16, 24:32] = 0
    moved = (encoder.vit.patch_embed(image) - encoder.vit.patch_embed(changed)).abs().sum(-1).view(2, 5, 7)
    assert (moved > 1e-6).nonzero()[:, 1:].unique(dim=0).tolist() == [[1, 3]]


def test_middle_block_is_a_share_of_the_depth():
    assert Encoder("vit_tiny_patch16_224", arguments={"depth": 12}).middle_block == 10
    assert Encoder("vit_tiny_patch16_224", middle=0.5, arguments={"depth": 6}).middle_block == 3


@pytest.mark.parametrize("backbone", ["no_such_net", "resnet18"])
def test_other_backbones_are_refused(backbone):
    with pytest.raises(ValueError, match=backbone):
        Encoder(backbone)


def test_position_embedding_is_untouched_at_its_own_grid():
    from timm.layers import resample_abs_pos_embed

    embedding = torch.rand(1, 17, 8)
    assert torch.equal(resample_abs_pos_embed(embedding, [4, 4], num_prefix_tokens=1), embedding)


def test_weights_of_another_grid_and_band_count_fit():
    source = Encoder("vit_tiny_patch16_224", image_size=64, arguments={**TINY, "patch_size": 8})
    target = Encoder("vit_tiny_patch16_224", bands=4, image_size=32, arguments={**TINY, "patch_size": 8})
    lacking = load_backbone_weights(target, {f"module.{k}": v for k, v in source.vit.state_dict().items()})
    assert lacking == []
    assert torch.equal(target.vit.blocks[0].attn.qkv.weight, source.vit.blocks[0].attn.qkv.weight)
    with pytest.raises(ValueError, match="do not fit"):
        load_backbone_weights(target, {"something": torch.zeros(3)})


@pytest.mark.parametrize("cold", [None, 0, 2])
@pytest.mark.parametrize("scores", ["decoder", "cam", "both"])
def test_predictions_are_probabilities(cold, scores):
    network = tiny(3, cold)
    probabilities, cam = network.predict(torch.rand(2, 3, 32, 48), scores, with_cam=True)
    assert probabilities.shape == (2, 3, 4, 6)
    assert cam.shape == (2, network.taggable, 4, 6)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 4, 6))
    assert probabilities.min() >= 0
    assert cam.min() >= 0
    assert cam.max() <= 1


def test_cold_channel_gets_what_the_strongest_activation_leaves():
    network = tiny(3, cold=1)
    probabilities, cam = network.predict(torch.rand(1, 3, 32, 32), "cam", with_cam=True)
    raw = torch.stack([cam[:, 0], 1 - cam.amax(1), cam[:, 1]], dim=1)
    torch.testing.assert_close(probabilities, raw / raw.sum(1, keepdim=True))


def test_mean_and_deviation_are_applied_inside():
    network = tiny()
    image = torch.rand(1, 3, 32, 32)
    expected = network.encoder((image - 0.5) / 0.25).final
    torch.testing.assert_close(network.encode(image).final, expected)


def test_a_decoder_stride_refines_the_grid_of_all_answers():
    network = tiny(decoder_stride=4)
    assert (network.multiple, network.patch) == (8, 4)
    image = torch.rand(2, 3, 32, 48)
    probabilities, cam = network.predict_with_cam(image)
    assert probabilities.shape == cam.shape == (2, 3, 8, 12)
    torch.testing.assert_close(network.decode(image, network.encode(image)), network.decode(image))
    # The image itself reaches the decoder: with the tokens held, a change shows where it is and not far from it.
    tokens = network.encode(image)
    changed = image.clone()
    changed[:, :, :4, :4] = 0
    moved = (network.decode(changed, tokens) - network.decode(image, tokens)).abs().amax((0, 1)) > 1e-7
    assert moved[0, 0]
    assert not moved[5:].any()
    assert not moved[:, 5:].any()


@pytest.mark.parametrize("stride", [1, 3, 16])
def test_a_decoder_stride_that_does_not_fit_is_refused(stride):
    with pytest.raises(ValueError, match=f"stride of {stride} px"):
        tiny(decoder_stride=stride)
