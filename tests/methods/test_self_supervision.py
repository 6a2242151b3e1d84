"""Losses of pre-training against the same sums written out, and the hierarchical backbone."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import save

from wsss_geo.errors import InputError, ModelError
from wsss_geo.nn.backbones import build_backbone, load_weights
from wsss_geo.nn.hierarchical import HierarchicalEncoder
from wsss_geo.nn.self_supervision import dense_contrast, distillation_loss, pixel_to_global, token_similarity
from wsss_geo.nn.weights_file import BackboneCard, read_backbone, read_backbone_card, save_backbone, start_from
from wsss_geo.raster.normalisation import Normalisation

SMALL = {"widths": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "fusion": 16}


def cosine(one, two):
    return float(one @ two / one.norm() / two.norm())


def test_distillation_is_the_cross_entropy_over_different_views():
    torch.manual_seed(0)
    student, teacher, centre = torch.randn(3, 4, 5), torch.randn(2, 4, 5), torch.randn(5)
    total, count = 0.0, 0
    for g in range(2):
        for v in range(3):
            if v == g:
                continue
            for b in range(4):
                wanted = [math.exp(float((teacher[g, b, p] - centre[p]) / 0.04)) for p in range(5)]
                said = [math.exp(float(student[v, b, p] / 0.1)) for p in range(5)]
                total -= sum(w / sum(wanted) * math.log(s / sum(said)) for w, s in zip(wanted, said, strict=True))
                count += 1
    assert float(distillation_loss(student, teacher, centre, 0.1, 0.04)) == pytest.approx(total / count, rel=1e-4)


def test_dense_contrast_is_info_nce_over_what_is_not_the_same_ground():
    torch.manual_seed(1)
    student, teacher, memory = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.randn(2, 4)
    usable = torch.tensor([[True, True, False], [True, False, True]])
    apart = torch.rand(2, 3, 3) > 0.4
    apart.diagonal(dim1=1, dim2=2).fill_(False)
    losses = []
    for b in range(2):
        for i in range(3):
            if not usable[b, i]:
                continue
            against = list(memory)
            for c in range(2):
                against += [teacher[c, k] for k in range(3) if usable[c, k] and (c != b or apart[b, i, k])]
            up = math.exp(cosine(student[b, i], teacher[b, i]) / 0.2)
            losses.append(-math.log(up / (up + sum(math.exp(cosine(student[b, i], n) / 0.2) for n in against))))
    found = dense_contrast(student, teacher, usable, apart, memory, 0.2)
    assert float(found) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_pixel_to_global_is_info_nce_against_other_images():
    torch.manual_seed(2)
    pixels, whole, memory = torch.randn(3, 2, 4), torch.randn(3, 4), torch.randn(5, 4)
    usable = torch.tensor([[True, True], [False, True], [True, False]])
    losses = []
    for b in range(3):
        for i in range(2):
            if usable[b, i]:
                against = [*(whole[c] for c in range(3) if c != b), *memory]
                up = math.exp(cosine(pixels[b, i], whole[b]) / 0.1)
                losses.append(-math.log(up / (up + sum(math.exp(cosine(pixels[b, i], n) / 0.1) for n in against))))
    found = pixel_to_global(pixels, whole, usable, memory, 0.1)
    assert float(found) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


@pytest.mark.parametrize("memory", [0, 3])
def test_nothing_to_learn_from_is_exactly_zero_with_finite_gradients(memory):
    tokens = torch.randn(2, 3, 4, requires_grad=True)
    none, queue = torch.zeros(2, 3, dtype=torch.bool), torch.randn(memory, 4)
    teacher = torch.randn(2, 3, 4, requires_grad=True)
    loss = dense_contrast(tokens, teacher, none, none[:, None].expand(-1, 3, -1), queue, 0.2)
    loss = loss + pixel_to_global(tokens, teacher[:, 0], none, queue, 0.2)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(tokens.grad).all()
    assert teacher.grad is None


def test_token_similarity_is_the_mean_over_pairs():
    torch.manual_seed(3)
    tokens = torch.randn(2, 5, 2, 3)
    flat = tokens.flatten(2)
    for b in range(2):
        pairs = [cosine(flat[b, :, i], flat[b, :, j]) for i in range(6) for j in range(6) if i != j]
        assert float(token_similarity(tokens)[b]) == pytest.approx(sum(pairs) / len(pairs), abs=1e-5)
    assert float(token_similarity(torch.ones(1, 4, 3, 3))) == pytest.approx(1)


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_hierarchical_tokens_lie_on_the_grid_of_their_stride(stride):
    torch.manual_seed(0)
    encoder = HierarchicalEncoder(bands=5, stride=stride, **SMALL).eval()
    tokens, stages = encoder.forward_stages(torch.randn(2, 5, 64, 96))
    assert (encoder.patch, encoder.width) == (stride, 16)
    assert tokens.final.shape == tokens.middle.shape == (2, 16, 64 // stride, 96 // stride)
    assert tokens.summary.shape == (2, 16)
    assert [s.shape[1:] for s in stages] == [(8, 16, 24), (8, 8, 12), (16, 4, 6), (16, 2, 3)]


def test_hierarchical_encoder_takes_any_size_and_answers_where_it_looks():
    torch.manual_seed(0)
    encoder = HierarchicalEncoder(**SMALL, stride=4).eval()
    odd = encoder(torch.randn(1, 3, 40, 56))
    assert odd.final.shape == (1, 16, 10, 14)
    assert encoder.forward_stages(torch.randn(1, 3, 33, 33))[1][-1].shape[2:] == (2, 2)
    # A token of the first stage embeds the pixels around the middle of its own square.
    image = torch.zeros(1, 3, 64, 64)
    image[..., 20:24, 40:44] = 1
    patches = encoder.stages[0].patches
    moved = (patches(image) - patches(torch.zeros_like(image))).abs().sum(1)[0]
    rows, cols = (moved > 1e-6).nonzero().float().mean(0).tolist()
    assert (rows, cols) == (5, 10)


def test_backbones_by_name_and_their_weights():
    torch.manual_seed(0)
    source, target = (build_backbone("mevt", arguments=SMALL) for _ in range(2))
    load_weights(target, {f"encoder.{n}": v for n, v in source.state_dict().items()})
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(source.eval()(image).final, target.eval()(image).final)
    more = build_backbone("mevt", bands=6, arguments=SMALL)
    load_weights(more, source.state_dict())
    assert torch.equal(more.stages[0].patches.weight[:, 5], source.stages[0].patches.weight.mean(1))
    with pytest.raises(ValueError, match="do not fit"):
        load_weights(build_backbone("mevt"), source.state_dict())
    for wrong in (
        {"stride": 7},
        {"heads": [3, 1, 1, 1]},
        {"widths": [8]},
        {"no_such": 1},
        {"reductions": [3, 1, 1, 1]},
    ):
        with pytest.raises(ValueError, match=r".+"):
            build_backbone("mevt", arguments=wrong)
    with pytest.raises(ValueError, match="no published weights"):
        build_backbone("mevt", pretrained=True)


def test_a_weights_file_says_what_it_is(tmp_path):
    torch.manual_seed(0)
    normalisation = Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (0.25,) * 3)
    card = BackboneCard("mevt", SMALL, ("red", "green", "blue"), normalisation, 32, gsd=0.5, method="mevt", images=7)
    path = tmp_path / "weights.safetensors"
    save_backbone(path, card.build(), card)
    found, weights = read_backbone(path)
    assert found == card
    assert read_backbone_card(path) == card
    assert all(name.startswith("encoder.") for name in weights)
    plain = card.to_json()
    for wrong in (
        {**plain, "backbone": "hf-hub:x/y"}, {**plain, "size": -1}, [1], {},
        {**plain, "normalisation": {}},
    ):  # fmt: skip
        path.write_bytes(save(weights, metadata={"wsss_geo_backbone": json.dumps(wrong)}))
        with pytest.raises(ModelError, match="card"):
            read_backbone(path)
    path.write_bytes(save(weights, metadata={"wsss_geo_backbone": json.dumps({**plain, "format": 2})}))
    with pytest.raises(ModelError, match="update wsss-geo"):
        read_backbone(path)
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read"):
        read_backbone(path)
    assert read_backbone_card(path) is None
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "foreign.pth")
    with pytest.raises(ModelError, match="do not fit"):
        start_from(card.build(), tmp_path / "foreign.pth", "mevt")
