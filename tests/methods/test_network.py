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
    # Blocks that add nothing leave every token at its place: a change of one patch shows in its token alone.
    let_through(encoder)
    changed = image.clone()
    changed[:, :, 8:16, 24:32] = 0
    for before, after in zip(encoder(image)[1:], encoder(changed)[1:], strict=True):
        moved = (before - after).abs().amax(dim=(0, 1))
        assert (moved > 1e-6).nonzero().tolist() == [[1, 3]]


def let_through(encoder: Encoder) -> None:
    """Make every block the identity."""
    with torch.no_grad():
        for parameter in encoder.vit.blocks.parameters():
            parameter.zero_()


@pytest.mark.parametrize(
    ("backbone", "prefix", "first"),
    [
        ("vit_tiny_patch16_224", 1, 1),
        ("vit_medium_patch16_gap_256", 0, 0),
        ("deit_tiny_distilled_patch16_224", 2, 2),
        ("vit_small_patch14_reg4_dinov2", 5, 0),  # registers; no position of class token and registers
    ],
)
def test_tokens_carry_the_position_of_their_row_and_column_at_the_native_grid(backbone, prefix, first):
    """The encoder's position embedding stays as it is at its own grid and meets the patches row by row."""
    encoder = Encoder(backbone, image_size=32, arguments={**TINY, "patch_size": 8}).eval()
    let_through(encoder)
    vit, image = encoder.vit, torch.rand(1, 3, 32, 32)
    assert vit.num_prefix_tokens == prefix
    position = torch.randn_like(vit.pos_embed)
    vit.pos_embed.data.copy_(position)
    assert position.shape[1] == first + 16
    weight = vit.patch_embed.proj.weight
    for row in range(4):
        for col in range(4):
            patch = image[0, :, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8]
            own = (weight * patch).sum((1, 2, 3)) + position[0, first + 4 * row + col]
            own = own if vit.patch_embed.proj.bias is None else own + vit.patch_embed.proj.bias
            tokens = encoder(image)
            torch.testing.assert_close(tokens.middle[0, :, row, col], own, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(tokens.final[0, :, row, col], vit.norm(own), atol=1e-4, rtol=1e-4)


def test_positions_on_a_wider_grid_are_between_those_of_the_native_one():
    """A ramp over the columns stays a ramp over the columns of a grid of twice the width, and knows no rows."""
    encoder = Encoder("vit_tiny_patch16_224", image_size=32, arguments={**TINY, "patch_size": 8}).eval()
    let_through(encoder)
    with torch.no_grad():
        encoder.vit.patch_embed.proj.weight.zero_()
        encoder.vit.patch_embed.proj.bias.zero_()
        encoder.vit.pos_embed.zero_()
        encoder.vit.pos_embed[0, 1:] = torch.arange(4.0).repeat(4)[:, None]
        found = encoder(torch.rand(1, 3, 32, 64)).middle[0, 0]
    assert found.shape == (4, 8)
    assert (found.diff(dim=1) > 0).all()
    torch.testing.assert_close(found, found[:1].expand(4, 8), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[0, 3:5], torch.tensor([1.25, 1.75]), atol=0.1, rtol=0)


def test_middle_block_is_a_share_of_the_depth():
    assert Encoder("vit_tiny_patch16_224", arguments={"depth": 12}).middle_block == 10
    assert Encoder("vit_tiny_patch16_224", middle=0.5, arguments={"depth": 6}).middle_block == 3


@pytest.mark.parametrize("backbone", ["no_such_net", "resnet18"])
def test_other_backbones_are_refused(backbone):
    with pytest.raises(ValueError, match=backbone):
        Encoder(backbone)


def test_weights_of_another_grid_and_band_count_fit():
    source = Encoder("vit_tiny_patch16_224", image_size=64, arguments={**TINY, "patch_size": 8})
    target = Encoder("vit_tiny_patch16_224", bands=4, image_size=32, arguments={**TINY, "patch_size": 8})
    lacking = load_backbone_weights(target, {f"module.{k}": v for k, v in source.vit.state_dict().items()})
    assert lacking == []
    assert torch.equal(target.vit.blocks[0].attn.qkv.weight, source.vit.blocks[0].attn.qkv.weight)
    assert target.vit.pos_embed.shape == (1, 17, 32)
    same = Encoder("vit_tiny_patch16_224", image_size=64, arguments={**TINY, "patch_size": 8})
    load_backbone_weights(same, source.vit.state_dict())
    assert torch.equal(same.vit.pos_embed, source.vit.pos_embed)  # nothing is resampled at the native grid
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
