"""Every method under every background policy: terms, gradients, schedule, and what its own mechanism promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from small_methods import SIZE, items_of, method_of, network_of, scheme_of
from wsss_geo.classes import IGNORE
from wsss_geo.errors import UsageError
from wsss_geo.methods import METHODS, settings_from
from wsss_geo.methods.aerial import absence_loss, presence_loss, tag_loss
from wsss_geo.methods.base import Labeller
from wsss_geo.training.batches import StepSampler, make_batch

POLICIES = ("none", "explicit", "surrogate:b")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", sorted(METHODS))
def test_all_terms_are_finite_named_and_train_what_they_should(name, policy):
    method = method_of(name, policy)
    batch = make_batch(items_of(method.scheme), method, SIZE, 0, 9)
    terms = method.losses(batch, 9)
    assert set(terms) == set(method.terms)
    assert all(torch.isfinite(t) for t in terms.values())
    sum(terms.values()).backward()
    trained = {n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    evidence = "network.classifier" if name == "sfc" else "network.aux_classifier"
    for part in ("network.encoder.vit.blocks.0", evidence, "network.decoder"):
        assert any(n.startswith(part) for n in trained), part
    assert not any("teacher" in n for n in trained)


@pytest.mark.parametrize("name", ["aerial", "toco"])
def test_views_are_the_same_under_autocast(name):
    method = method_of(name, "none")
    plain = make_batch(items_of(method.scheme), method, SIZE, 0, 9)
    with torch.autocast("cpu", torch.bfloat16):
        cast = make_batch(items_of(method.scheme), method, SIZE, 0, 9)
    for view in ("image", "clean", "local", "second", "valid", "masks"):
        if getattr(plain, view) is not None:
            assert torch.equal(getattr(plain, view), getattr(cast, view)), view


def test_attention_is_written_out_where_a_fused_kernel_is_slow():
    from wsss_geo.fitting.trainer import suit_attention
    from wsss_geo.jobs import PretrainJob

    network = network_of(scheme_of("none"))
    image = torch.rand(2, 3, SIZE, SIZE)
    fused = network.decode(image)
    suit_attention(network, PretrainJob(sources=("a.tif",), out="run", precision="float32", device="cpu"))
    assert all(block.attn.fused_attn for block in network.encoder.vit.blocks)
    suit_attention(network, PretrainJob(sources=("a.tif",), out="run", precision="bfloat16", device="cpu"))
    assert not any(block.attn.fused_attn for block in network.encoder.vit.blocks)
    torch.testing.assert_close(network.decode(image), fused)


@pytest.mark.parametrize("name", ["toco", "ctfa"])
def test_dense_losses_wait_for_their_start(name):
    method = method_of(name, "none", steps=100, start=0.5)
    batch = make_batch(items_of(method.scheme), method, SIZE, 0, 0)
    assert "seg" not in method.losses(batch, 49)
    assert "seg" in method.losses(batch, 50)


def test_an_invalid_batch_is_survived():
    for name in METHODS:
        method = method_of(name, "none")
        items = items_of(method.scheme)
        items["valid"] = torch.zeros_like(items["valid"])
        items["tags"] = torch.zeros_like(items["tags"])
        items["mask"] = torch.full_like(items["mask"], 255)
        terms = method.losses(make_batch(items, method, SIZE, 0, 9), 9)
        total = sum(terms.values())
        total.backward()
        assert torch.isfinite(total), name
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None), name


def test_toco_teacher_head_follows_in_closed_form():
    method = method_of("toco", "none", momentum=0.9)
    start = method.teacher_projection.mlp[0].weight.clone()
    with torch.no_grad():
        method.projection.mlp[0].weight.add_(1.0)
    for step in range(3):
        method.after_step(step)
    expected = 0.9**3 * start + (1 - 0.9**3) * method.projection.mlp[0].weight
    torch.testing.assert_close(method.teacher_projection.mlp[0].weight, expected)


def test_ctfa_drops_the_foreground_decoder_from_its_product():
    method = method_of("ctfa", "none")
    assert not any("foreground" in n for n, _ in method.product.named_parameters())
    assert any("foreground" in n for n, _ in method.named_parameters())


@pytest.mark.parametrize("policy", POLICIES)
def test_labels_and_ordered_logits_speak_of_the_same_classes(policy):
    scheme = scheme_of(policy)
    labeller = Labeller(scheme, 0.7, 0.25, 0.45, 0.15, refine=False)
    cam = torch.zeros(1, len(scheme.taggable), 8, 8)
    cam[:, 0, :4] = 1.0
    tags = torch.zeros(1, len(scheme.taggable))
    tags[:, 0] = 1
    labels = labeller.grid_labels(cam, tags, (8, 8), torch.ones(1, 8, 8, dtype=torch.bool))
    order = [scheme.names[i] for i in labeller.order]
    assert order[labels[0, 0, 0]] == scheme.taggable[0]
    below = labels[0, 7, 0]
    # With a cold class the lower half is that; without one, a single tag labels the whole scene.
    assert order[below] == (scheme.background_name or scheme.taggable[0])


def test_single_tag_scenes_are_dense_labels_from_the_first_step():
    method = method_of("aerial", "none", steps=1000)
    items = items_of(method.scheme)
    batch = make_batch(items, method, SIZE, 0, 0)
    allowed = method.allowed(batch.tags[:, :, None, None], (8, 8))
    labels = method.teacher_labels(batch, allowed, torch.ones(3, 8, 8, dtype=torch.bool), step=0)
    assert (labels[0] == 0).all()
    assert (labels[1:] == IGNORE).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_tagged_classes_share_by_the_odds_of_their_evidence(policy):
    method = method_of("aerial", policy)
    kinds, cold = len(method.scheme.taggable), int(method.labeller.has_cold)
    logits = torch.full((1, kinds, 1, 2), 9.0)  # far above, were it tagged
    logits[0, :2, 0, 0] = torch.tensor([0.99, 0.95]).logit()
    allowed = torch.ones(1, cold + kinds, 1, 2, dtype=torch.bool)
    allowed[:, cold + 2 :] = False
    allowed[:, cold:, :, 1] = False  # no tag at all here
    shares = method.evidence_shares(logits, allowed)[0, :, 0]
    assert (shares[cold, 0] / shares[cold + 1, 0]).item() == pytest.approx(99 / 19, rel=1e-4)
    assert (shares[cold + 2 :] == 0).all()
    assert shares[:, 0].sum().item() == pytest.approx(1)
    assert (shares[cold:, 1] == 0).all()
    if cold:
        assert shares[0].tolist() == pytest.approx([0.01, 1.0], rel=1e-4)


def test_presence_loss_asks_for_as_much_of_a_cell_as_a_tag_promises():
    shares = torch.zeros(1, 2, 4, 8)
    shares[0, 0, 0, :2] = 0.5  # class 0 on two of the sixteen answers of the left cell
    cells = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])  # tagged there and nowhere else
    usable = torch.ones(1, 4, 8, dtype=torch.bool)
    assert presence_loss(shares, cells, usable, 1 / 8).item() == pytest.approx(-math.log(0.5))
    assert presence_loss(shares, cells, usable, 1 / 4).item() == pytest.approx(-math.log(0.25))
    usable[0, 0, 0] = False
    assert presence_loss(shares, cells, usable, 1 / 8).item() == pytest.approx(-math.log(0.25))
    assert presence_loss(shares, torch.zeros_like(cells), usable, 1 / 8) == 0
    shares[0, 1] = 0.9  # what no tag names does not count
    assert presence_loss(shares, cells, usable, 1 / 8).item() == pytest.approx(-math.log(0.25))


def test_absence_loss_is_the_log_share_of_what_is_allowed():
    logits = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    allowed = torch.tensor([[True, False, True], [True, True, True]])[:, :, None, None].expand(2, 3, 4, 4)
    share = (logits.softmax(1) * allowed).sum(1)
    everywhere = torch.ones(2, 4, 4, dtype=torch.bool)
    expected = -share.log().mean()
    torch.testing.assert_close(absence_loss(logits, allowed, everywhere).double(), expected, rtol=1e-5, atol=1e-6)
    assert absence_loss(logits, allowed, ~everywhere) == 0


def test_tag_loss_of_cells_equals_that_of_the_cells_alone():
    evidence = torch.randn(2, 3, 8, 8)
    cells = (torch.rand(2, 3, 2, 2) > 0.5).float()
    cells[:, 0] = 1
    parts = [
        tag_loss(evidence[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4], cells[:, :, i : i + 1, j : j + 1], 0.25)
        for i in range(2)
        for j in range(2)
    ]
    torch.testing.assert_close(tag_loss(evidence, cells, 0.25), torch.stack(parts).mean())


def test_cells_without_tile_do_not_count():
    evidence = torch.randn(1, 3, 8, 8)
    cells = torch.zeros(1, 3, 2, 2)
    cells[0, 1, 0, 0] = 1
    alone = tag_loss(evidence[:, :, :4, :4], cells[:, :, :1, :1], 0.25)
    torch.testing.assert_close(tag_loss(evidence, cells, 0.25), alone)


def test_views_of_cells_turn_with_the_image():
    method = method_of("aerial", "none")
    items = items_of(method.scheme, count=8, cells=2)
    items["cell_tags"] = torch.zeros_like(items["cell_tags"])
    items["cell_tags"][:, 2, 0, 0] = 1
    items["image01"] = torch.zeros_like(items["image01"])
    items["image01"][:, :, :32, :32] = 1
    batch = make_batch(items, method, SIZE, 0, 0)
    bright = torch.nn.functional.avg_pool2d(batch.clean[:, :1], 32) > 0.9
    assert torch.equal(bright[:, 0], batch.cells[:, 2] > 0.5)
    assert len({tuple(b.flatten().tolist()) for b in bright}) > 1


def test_batches_follow_from_seed_and_step():
    sampler = StepSampler(torch.ones(50).numpy(), 4, 10, seed=3)
    whole = list(sampler)
    sampler.start = 6
    assert list(sampler) == whole[6:]
    halves = [StepSampler(torch.ones(50).numpy(), 2, 10, seed=3, rank=r, world=2) for r in (0, 1)]
    for step, joint in enumerate(whole):
        assert sorted(halves[0].indices(step) + halves[1].indices(step)) == sorted(joint)
    method = method_of("toco", "none")
    one, two = (make_batch(items_of(method.scheme), method, SIZE, 0, 5) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.second, two.second)
    assert not torch.equal(one.image, make_batch(items_of(method.scheme), method, SIZE, 0, 6).image)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [({"lr": "fast"}, "lr"), ({"speed": 1}, "speed"), ({"reference_term": "maybe"}, "reference_term")],
)
def test_wrong_settings_are_named(given, complaint):
    with pytest.raises(UsageError, match=complaint):
        settings_from(METHODS["toco"].settings_type, given)


def test_settings_take_the_type_of_their_default():
    made = settings_from(METHODS["toco"].settings_type, {"crops": "4", "cam_scales": "1,0.5", "reference_term": "on"})
    assert (made.crops, made.cam_scales, made.reference_term) == (4, (1.0, 0.5), True)


def test_regions_of_the_main_view_and_crops_of_the_local_one_agree_whatever_the_turn():
    """A marker, hot in the maps of the main view, shows in exactly the flagged crops, in all eight elements."""
    method = method_of("toco", "explicit", scale=(1.0, 1.0), crop_share=0.25, crops=12, background_share=0.0)
    method.colours = {}  # the marker keeps its brightness
    items = items_of(method.scheme, count=32)
    items["image01"] = torch.zeros(32, 3, SIZE, SIZE)
    items["image01"][:, :, 5:21, 33:43] = 1.0
    items["valid"][:, 50:] = False
    batch = make_batch(items, method, SIZE, 0, 0)
    heat = batch.image[:, :1].clone()
    heat[~batch.valid[:, None]] = 0  # where padding shows the mean
    crops = method._local_crops(batch, torch.cat([heat, torch.zeros_like(heat)], dim=1))
    shown = (crops.cut(batch.local) * crops.cut(batch.valid[:, None].float())).amax((2, 3, 4)) > 0.25
    assert torch.equal(shown, crops.positive)
    assert 0.02 < shown.float().mean() < 0.9
    assert len({tuple(m.flatten().tolist()) for m in heat[:, 0] > 0.5}) == 8
    mirrored = (crops.cut(batch.local.flip(-1)) * crops.cut(batch.valid[:, None].float())).amax((2, 3, 4)) > 0.25
    assert not torch.equal(mirrored, crops.positive)  # as in a program that flips each view on its own


def test_drawing_a_batch_leaves_global_randomness_alone():
    method = method_of("toco", "none")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    kept = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is the matter
    make_batch(items_of(method.scheme), method, SIZE, 0, 0)
    assert torch.equal(torch.rand(3), expected)
    assert (np.random.get_state()[1] == kept).all()  # noqa: NPY002


@pytest.mark.parametrize("name", ["toco", "ctfa", "stcl"])
def test_published_learning_rates(name):
    method = method_of(name, "none", steps=20_000)
    assert method.learning_rate_factor(0) == pytest.approx(1e-6)
    assert method.learning_rate_factor(1500) == pytest.approx((1 - 1500 / 20_000) ** 0.9)
    assert method.learning_rate_factor(20_000) == 0
    encoder, heads = method.parameter_groups()
    assert encoder["lr"] == 6e-5
    assert heads["lr"] == pytest.approx(6e-5 * (8 if name == "ctfa" else 10))
