"""DSMF-Net's parts against hand-made answers, and the whole on a texture it learns by heart."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from wsss_geo.nn import dsmf
from wsss_geo.nn.colours import colour_statistics
from wsss_geo.nn.dsmf import Examples, GraphAttention, Pyramid, cell_shares, episode_loss, pixel_loss, priors
from wsss_geo.nn.encoder import timm_model
from wsss_geo.nn.fewshot_network import ConditionedNetwork, FewShotNetwork, cleaned
from wsss_geo.nn.frozen import FrozenBackbone
from wsss_geo.nn.prototypes import (
    as_alike,
    cosine_to,
    masked_average,
    part_prototypes,
    part_similarity,
    prior_map,
    self_support,
    separation,
)
from wsss_geo.nn.stages import stage_maps

TINY_MEVT = {"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1], "fusion": 16, "stride": 4}
NORMAL = {"mean": (0.5,) * 3, "std": (0.25,) * 3}


def unit(*degrees):
    """Vectors [1,M,2] at these angles."""
    return torch.tensor([[[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees]])


def test_prior_is_the_best_cosine_stretched():
    query, examples = unit(0, 30, 90), 7 * unit(0, 60, 90)
    weight = torch.tensor([[1.0, 1.0, 0.0]])  # the example at 90 degrees is not what is sought
    best = torch.tensor([1.0, math.cos(math.radians(30)), math.cos(math.radians(30))])
    expected = (best - best.min()) / (best.max() - best.min())
    assert prior_map(query, examples, weight)[0] == pytest.approx(expected, abs=1e-5)
    bounds = (torch.tensor([[0.5]]), torch.tensor([[1.0]]))
    assert prior_map(query, examples, weight, bounds)[0] == pytest.approx((best - 0.5) / 0.5, abs=1e-5)


def test_prior_does_not_depend_on_the_rest_of_the_window():
    examples, share = unit(0, 10, 80, 100), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    whole = priors(unit(5, 40, 95), examples, share, 1 - share)
    part = priors(unit(40), examples, share, 1 - share)
    for a, b in zip(whole, part, strict=True):
        assert a[0, 1] == b[0, 0]
    assert whole[0][0, 0] > whole[0][0, 2]
    assert whole[1][0, 0] < whole[1][0, 2]


def test_masked_average_is_a_weighted_mean():
    vectors = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [100.0, 100.0]]])
    assert masked_average(vectors, torch.tensor([[1.0, 0.5, 0.0]]))[0].tolist() == pytest.approx([5 / 3, 4 / 3])
    assert masked_average(vectors, torch.zeros(1, 3))[0].tolist() == [0, 0]


def test_parts_find_the_directions_there_are():
    vectors = 3 * unit(0, 2, 4, 88, 90, 92, 200)
    weight = torch.tensor([[1.0] * 6 + [0.0]])
    parts = part_prototypes(vectors, weight, 2)
    angles = sorted(torch.rad2deg(torch.atan2(parts[0, :, 1], parts[0, :, 0])).tolist())
    assert angles == pytest.approx([2, 90], abs=0.01)
    assert part_similarity(unit(91), parts)[0, 0] == pytest.approx(math.cos(math.radians(1)), abs=1e-3)
    assert not part_prototypes(vectors, torch.zeros(1, 7), 2).any()


def test_one_part_is_the_direction_of_the_mean():
    vectors = functional.normalize(torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
    weight = torch.rand(2, 9, generator=torch.Generator().manual_seed(1))
    mean = functional.normalize(masked_average(vectors, weight), dim=-1)
    assert torch.allclose(part_prototypes(vectors, weight, 1)[:, 0], mean, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), parts=st.integers(1, 6))
def test_parts_are_unit_and_know_no_order(seed, parts):
    generator = torch.Generator().manual_seed(seed)
    vectors, weight = torch.randn(1, 12, 4, generator=generator), torch.rand(1, 12, generator=generator)
    found = part_prototypes(vectors, weight, parts)
    assert torch.allclose(found.norm(dim=-1), torch.ones(1, parts), atol=1e-4)
    order = torch.randperm(12, generator=generator)
    assert torch.allclose(found, part_prototypes(vectors[:, order], weight[:, order], parts), atol=1e-4)


def test_the_query_supports_itself_only_when_sure():
    prototype, query = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0], [5.0, 5.0]]])
    assert self_support(prototype, query, torch.tensor([[1.0, 0.0]]))[0].tolist() == pytest.approx([0.5, 0.5])
    assert self_support(prototype, query, torch.zeros(1, 2))[0].tolist() == [1, 0]


def test_what_was_not_drawn_but_is_alike_becomes_unknown():
    vectors, share = unit(0, 2, 4, 1, 45, 3), torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.2]])
    assert as_alike(vectors, share)[0].tolist() == [False, False, False, True, False, True]
    assert not as_alike(vectors, torch.tensor([[1.0] + [0.0] * 5])).any()
    deep = vectors.transpose(1, 2).view(1, 1, 2, 2, 3)
    share = share.view(1, 1, 2, 3)
    found = cleaned(Examples(deep, deep, deep, share, 1 - share))
    assert found.other.flatten().tolist() == pytest.approx([0, 0, 0, 0, 1, 0])
    alone = cleaned(Examples(deep[..., :2, :], deep, deep, share, torch.tensor([[[[0.0] * 3, [1.0, 0.0, 0.8]]]])))
    assert alone.other.flatten().tolist() == pytest.approx([0, 0, 0, 1, 0, 0.8])


def test_graph_starts_as_identity():
    nodes = torch.randn(2, 6, 8)
    assert torch.equal(GraphAttention(8)(nodes), nodes)


@pytest.mark.parametrize("side", [5, 16])
def test_pyramid_answers_at_every_scale(side):
    fused, answers = Pyramid(4)(torch.randn(1, 4, side, side))
    assert fused.shape == (1, 4, side, side)
    assert [a.shape[-1] for a in answers] == [-(-side // s) for s in (1, 2, 4, 8)]


def test_shares_and_loss_leave_out_what_nobody_knows():
    mask = torch.tensor([[1, 1, 0, 0], [1, 255, 0, 255]])
    sought, other = cell_shares(mask[None, None], 2)
    assert sought[0, 0].tolist() == [[0.75, 0.0]]
    assert other[0, 0].tolist() == [[0.0, 0.75]]
    logits = torch.tensor([[[[0.0, 9.0]], [[2.0, 0.0]]]])
    target = torch.tensor([[[1, 255]]])
    assert pixel_loss(logits, target) == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)
    assert pixel_loss(logits, torch.full((1, 1, 2), 255)) == 0


def network(**options):
    torch.manual_seed(0)
    given = {"width": 16, "parts": 2, "regions": 2, "layers": 1, "image_size": 32, "backbone_args": TINY_MEVT}
    return FewShotNetwork("mevt", **NORMAL, **{**given, **options})


def episodes(count, shots, seed, side=32):
    """Pictures half of one texture and half of another, of which one is sought."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(side)
    waves = [torch.sin(rows * f)[:, None] * torch.ones(side) for f in (0.5, 1.6)]
    textures = [0.5 + 0.3 * w for w in (*waves, *(w.T for w in waves))]

    def one(sought, other):
        mask = (rows < int(torch.randint(8, side - 8, (1,), generator=generator)))[None].expand(side, side).long()
        turns = int(torch.randint(0, 2, (1,), generator=generator)) * 2
        mask = mask.rot90(turns)
        image = torch.where(mask == 1, textures[sought], textures[other])
        noise = 0.05 * torch.randn(3, side, side, generator=generator)
        return image.expand(3, -1, -1) + noise, mask

    found = []
    for _ in range(count):
        sought, other = torch.randperm(4, generator=generator)[:2].tolist()
        found.append([one(sought, other) for _ in range(shots + 1)])
    query = torch.stack([e[0][0] for e in found])
    target = torch.stack([e[0][1] for e in found])
    images = torch.stack([torch.stack([x[0] for x in e[1:]]) for e in found])
    masks = torch.stack([torch.stack([x[1] for x in e[1:]]) for e in found])
    return query, target, images, masks


def test_only_heads_learn_and_the_backbone_stays():
    model = network().train()
    before = {n: p.clone() for n, p in model.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    sum(model.losses(*episodes(2, 1, 0)).values()).backward()
    optimizer.step()
    assert not model.backbone.training
    assert all(torch.equal(before[n], p) for n, p in model.backbone.state_dict().items())
    assert all(p.grad is not None for n, p in model.dsmf.named_parameters() if "graph" not in n)


def test_learns_textures_by_heart():
    model = network().train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 5e-3)
    for step in range(60):
        optimizer.zero_grad()
        sum(model.losses(*episodes(4, 1, step)).values()).backward()
        optimizer.step()
    query, target, images, masks = episodes(24, 1, 9999)
    with torch.no_grad():
        logits = model.eval().answers(query, images, masks)["dsmf"]
    large = functional.interpolate(logits, size=target.shape[-2:], mode="bilinear")
    assert (large.argmax(1) == target).float().mean() > 0.85  # chance is a half


def test_more_examples_of_the_same_make_the_plane_alone_surer(monkeypatch):
    """Who gives an example twice says that it is usual; nothing but the caution of the plane follows from that."""
    model = network().eval()
    query, _, images, masks = episodes(2, 1, 0)
    with torch.no_grad():
        once = model.answers(query, images, masks)
        twice = model.answers(query, images.repeat(1, 2, 1, 1, 1), masks.repeat(1, 2, 1, 1))
    for way in ("panet", "prototypes"):
        assert torch.allclose(once[way], twice[way], atol=1e-3), way
    assert (once["dsmf"] - twice["dsmf"]).abs().max() > 0.01
    monkeypatch.setattr(dsmf, "_RIDGE", 2 * dsmf._RIDGE)
    with torch.no_grad():
        halved = model.answers(query, images.repeat(1, 2, 1, 1, 1), masks.repeat(1, 2, 1, 1))["dsmf"]
    assert torch.allclose(once["dsmf"], halved, atol=1e-3)


def test_no_metric_ever_speaks_against_itself():
    model = network().dsmf
    assert model.gains.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 4.0, 0.5])
    model.trust.data -= 9.0  # as far as training may drive them
    assert all(0 < gain < 1e-3 for gain in model.gains.tolist())
    optimizer = torch.optim.AdamW([model.trust], lr=1e-3)
    model.trust.data.zero_()
    for _ in range(100):
        optimizer.zero_grad()
        model.gains.sum().backward()
        optimizer.step()
    assert min(model.gains[:4].tolist()) > 0.4  # a hundred steps all in one direction take a tenth away


def test_one_example_holds_the_plane_back(monkeypatch):
    """From one example less is made of colours than from ten, each of which shows the same two with their own noise."""
    model, heard = network().eval().dsmf, []
    plain = dsmf.separation
    monkeypatch.setattr(dsmf, "separation", lambda *given, ridge: heard.append(ridge) or plain(*given, ridge=ridge))
    net = network().eval()
    query, _, images, masks = episodes(1, 10, 3)
    with torch.no_grad():
        for shots in (1, 5, 10):
            model(net.backbone(query), net.look(images[:, :shots], masks[:, :shots]))
    assert heard == pytest.approx([3.0, 0.6, 0.3])
    generator = torch.Generator().manual_seed(5)
    vectors, share = torch.randn(1, 40, 3, generator=generator), torch.rand(1, 40, generator=generator)
    bold, careful = (plain(vectors, vectors, (share, 1 - share), ridge=r).abs().mean() for r in (0.3, 3.0))
    assert careful < 0.7 * bold


def test_conditioned_network_looks_like_any_network():
    model = network().eval()
    query, _, images, masks = episodes(3, 2, 0)
    conditioned = ConditionedNetwork(model, images[0], masks[0])
    probabilities, cam = conditioned.predict(query, with_cam=True)
    assert probabilities.shape == (3, 2, 8, 8)
    assert torch.allclose(probabilities.sum(1), torch.ones(3, 8, 8), atol=1e-5)
    assert torch.equal(cam, probabilities[:, 1:])
    assert conditioned.predict(query)[1] is None
    direct = model.answer(model.backbone(query[:1]), cleaned(model.look(images[:1], masks[:1]))).logits.softmax(1)
    assert torch.allclose(probabilities[:1], direct, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "patch"),
    [
        ("resnet10t", {}, 8),
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}, 8),
        ("pvt_v2_b0", {"depths": [1, 1, 1, 1], "embed_dims": [8, 16, 24, 32], "num_heads": [1, 1, 1, 1]}, 8),
        ("mambaout_femto", {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 24]}, 8),
        ("vit_tiny_patch16_224", {"patch_size": 8, "depth": 3, "embed_dim": 16, "num_heads": 1}, 8),
        ("mevt", TINY_MEVT, 4),
    ],
)
def test_backbones_give_features_on_one_grid(name, arguments, patch):
    backbone = FrozenBackbone(name, **NORMAL, image_size=32, arguments=arguments).train()
    assert backbone.patch == patch
    seen = backbone(torch.rand(2, 3, 64, 48))
    assert (seen.middle.shape[1], seen.deep.shape[1]) == backbone.widths
    if "dims" in arguments:
        assert backbone.widths == (sum(arguments["dims"][1:3]), arguments["dims"][3])
    assert seen.middle.shape[-2:] == seen.deep.shape[-2:] == (64 // patch, 48 // patch)
    other = FrozenBackbone(name, **NORMAL, image_size=32, arguments=arguments)
    other.load({f"encoder.{n}": v for n, v in backbone.encoder.state_dict().items()})
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(backbone(image).deep, other(image).deep)
    with pytest.raises(ValueError, match="do not fit"):
        other.load({"something.else": torch.zeros(3)})


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("resnot", {}, "not known"),
        ("mixer_s32_224", {}, "no stages at strides of 8, 16 and 32 px, but at 32, 32, 32"),
        ("swin_tiny_patch4_window7_224", {"embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4}, "any size"),
        ("convnext_atto", {"depths": "long"}, "cannot be built"),
    ],
)
def test_what_is_no_backbone_is_refused(name, arguments, said):
    with pytest.raises(ValueError, match=said):
        FrozenBackbone(name, **NORMAL, arguments=arguments)


CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 24]}


def test_weights_of_a_whole_convnext_are_those_of_its_stages():
    """As published: other names than where only stages are wanted, and a classifier that is left out."""
    whole = timm_model("convnext_atto", False, CONVNEXT).eval()
    backbone = FrozenBackbone("convnext_atto", **NORMAL, arguments=CONVNEXT)
    backbone.load(whole.state_dict())
    assert backbone.widths == (12 + 16, 24)
    image = torch.rand(1, 3, 64, 96)
    dense, coarse = backbone(image).deep, whole.forward_features((image - 0.5) / 0.25)
    assert (dense.shape[-2:], coarse.shape[-2:]) == ((8, 12), (2, 3))
    maps = stage_maps(backbone.encoder, (image - 0.5) / 0.25)
    assert [m.shape[-1] for m in maps] == [12, 12, 12]
    finest = whole.forward_intermediates((image - 0.5) / 0.25, indices=[1], intermediates_only=True)[0]
    assert torch.allclose(maps[0], finest, atol=1e-5)
    lacking = {n: v for n, v in whole.state_dict().items() if not n.startswith("stages.2.blocks")}
    with pytest.raises(ValueError, match=r"stages_2\.blocks.*missing"):
        backbone.load(lacking)


def test_loss_has_a_term_for_the_scales():
    model = network().eval()
    query, target, images, masks = episodes(1, 1, 0)
    examples: Examples = model.look(images, masks)
    answer = model.answer(model.backbone(query), examples)
    terms = {name: term.detach() for name, term in episode_loss(answer, target).items()}
    expected = sum(float(pixel_loss(a.detach(), target)) for a in answer.between) / 4
    assert float(terms["scales"]) == pytest.approx(expected, abs=1e-6)


def test_a_plane_parts_what_a_mean_cannot():
    """Both sides vary widely along one axis and differ, by little, along the other: prototypes see the first."""
    generator = torch.Generator().manual_seed(0)
    wide, side = 50 * torch.randn(1, 80, generator=generator), (torch.arange(80) % 2 * 2 - 1.0)[None]
    vectors = torch.stack([wide, 7 + side + 0.1 * torch.randn(1, 80, generator=generator)], dim=-1)
    share = (side > 0).float()
    found = separation(vectors[:, :40], vectors, (share, 1 - share))
    assert (found.sign() == side[:, :40]).all()
    assert found.abs().max() <= 1
    means = [masked_average(vectors, w) for w in (share, 1 - share)]
    nearer = cosine_to(vectors, means[0]) > cosine_to(vectors, means[1])
    assert (nearer == (side > 0)).float().mean() < 0.8


def test_a_plane_does_not_depend_on_units_or_how_much_there_is_of_each_side():
    generator = torch.Generator().manual_seed(1)
    examples, query = torch.randn(2, 30, 3, generator=generator), torch.randn(2, 9, 3, generator=generator)
    share, other = torch.rand(2, 30, generator=generator), torch.rand(2, 30, generator=generator)
    plain = separation(query, examples, (share, other))
    unit, origin = torch.tensor([3.0, 0.1, 20.0]), torch.tensor([5.0, -2.0, 1.0])
    moved = separation(query * unit + origin, examples * unit + origin, (share, 7 * other))
    assert torch.allclose(moved, plain, atol=1e-3)
    swapped = separation(query, examples, (other, share))
    assert torch.allclose(swapped, -plain, atol=1e-4)


def test_a_plane_says_little_of_what_is_unlike_all_examples():
    generator = torch.Generator().manual_seed(2)
    side = (torch.arange(60) % 2 * 2 - 1.0)[None]
    noise = 0.3 * torch.randn(1, 60, 3, generator=generator)
    examples = noise + side[..., None] * torch.tensor([1.0, 0.0, 0.0])
    share = (side > 0).float()
    asked = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 3.0, 0.0], [1.0, 30.0, 0.0], [-1.0, 30.0, 0.0]]])
    near, off, far, wrong = separation(asked, examples, (share, 1 - share))[0].tolist()
    assert near > 0.7
    assert near > 1.5 * abs(off)
    assert max(abs(far), abs(wrong)) < 0.25
    inside = separation(examples, examples, (share, 1 - share))
    assert (inside * side).mean() > 0.7


def test_the_decoder_adds_the_share_that_it_is_given():
    query, _, images, masks = episodes(2, 1, 0)
    answers = []
    for correction in (0.0, 0.5, 1.0):
        model = network(correction=correction).eval()
        for parameter in model.dsmf.decode.parameters():
            parameter.data += 0.1
        with torch.no_grad():
            answers.append(model.answers(query, images, masks)["dsmf"])
    assert (answers[2] - answers[0]).abs().max() > 0.01
    assert torch.allclose(answers[1], (answers[0] + answers[2]) / 2, atol=1e-5)
    assert torch.allclose(answers[0].sum(dim=1), torch.zeros(()), atol=1e-5)  # the metrics speak for and against alike


def test_without_one_side_there_is_no_plane():
    vectors = torch.randn(1, 6, 3)
    assert not separation(vectors, vectors, (torch.ones(1, 6), torch.zeros(1, 6))).any()
    assert not separation(vectors, vectors, (torch.zeros(1, 6), torch.ones(1, 6))).any()


@pytest.mark.parametrize("patch", [2, 6, 14, 16])
def test_colours_are_mean_and_spread_by_hand(patch):
    image = torch.rand(1, 2, 2 * patch, 3 * patch, generator=torch.Generator().manual_seed(0))
    found = colour_statistics(image, patch)
    assert found.shape == (1, 12, 2, 3)
    assert torch.allclose(found[:, :2], functional.avg_pool2d(image, patch), atol=1e-6)
    flat = colour_statistics(torch.full_like(image, 0.3), patch)
    assert torch.allclose(flat[:, [2, 3, 6, 7, 10, 11]], torch.tensor(1e-3), atol=1e-4)


def test_colours_reach_their_surroundings_and_no_further():
    image = torch.zeros(1, 1, 16, 64)
    changed = image.clone()
    changed[..., 32:] = 1
    moved = (colour_statistics(image, 16) - colour_statistics(changed, 16)).abs()[0] > 1e-4
    assert not moved[:, 0, 0].any()  # three cells of 4 px are the widest reach
    assert moved[:, 0, 1].tolist() == [False, False, True, True, True, True]


def test_sought_and_rest_change_places_with_the_masks():
    torch.manual_seed(0)
    network = FewShotNetwork("mevt", **NORMAL, image_size=32, backbone_args=TINY_MEVT, width=8, parts=2, regions=3)
    for parameter in network.dsmf.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    images, query = torch.rand(1, 2, 3, 32, 32), torch.rand(1, 3, 32, 32)
    masks = (torch.rand(1, 2, 32, 32) > 0.7).long()
    masks[..., :4] = 255
    features = network.backbone(query)
    answers = [
        network.dsmf(features, network.look(images, m)) for m in (masks, torch.where(masks == 255, 255, 1 - masks))
    ]
    assert answers[0].logits.std() > 0.01
    assert torch.allclose(answers[0].logits, answers[1].logits.flip(1), atol=1e-3)
    for one, other in zip(answers[0].between, answers[1].between, strict=True):
        assert torch.allclose(one, other.flip(1), atol=1e-3)
