"""CTI: its network, its losses against literal loops, its memory and schedule, and a run from tiles to masks."""

from __future__ import annotations

import math
from collections import deque

import pytest
import rasterio
import torch

import wsss_geo
from wsss_geo.classes import ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.methods import settings_from
from wsss_geo.methods.base import Batch
from wsss_geo.methods.cti import CTI, CTISettings, infuse, map_distance
from wsss_geo.nn.class_tokens import ClassTokenNetwork, attention_weights
from wsss_geo.nn.model_file import load_model

SIZE = 32
TINY = {"depth": 3, "embed_dim": 32, "num_heads": 2, "patch_size": 8}


def scheme_of(policy: str) -> ClassScheme:
    names = ["background", "a", "b", "c"] if policy == "explicit" else ["a", "b", "c", "d"]
    return ClassScheme.from_names(names, policy)


def network_of(scheme: ClassScheme, backbone: str = "vit_tiny_patch16_224", **arguments: object) -> ClassTokenNetwork:
    torch.manual_seed(0)
    cold = scheme.background_name
    given = {"image_size": SIZE, "decoder_width": 16, "dilation": 1, "middle": 1.0, "backbone_args": TINY, **arguments}
    return ClassTokenNetwork(
        backbone,
        classes=len(scheme),
        taggable=len(scheme.taggable),
        cold=None if cold is None else scheme.names.index(cold),
        mean=[0.5] * 3,
        std=[0.25] * 3,
        **given,
    )


def method_of(policy: str = "explicit", steps: int = 10, **settings: object) -> CTI:
    scheme = scheme_of(policy)
    given = settings_from(CTISettings, {"decoder_width": 16, "dilation": 1, **settings})
    return CTI(network_of(scheme), scheme, given, steps)


def batch_of(method: CTI, count: int = 3, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    image, second = torch.rand(2, count, 3, SIZE, SIZE, generator=generator)
    tags = torch.zeros(count, len(method.scheme.taggable))
    tags[:, 0] = 1
    tags[1:, 1] = 1
    return Batch(image, image, tags, torch.ones(count, SIZE, SIZE, dtype=torch.bool), second=second)


def stretched(plane: torch.Tensor) -> torch.Tensor:
    warm = plane.clamp(min=0)
    warm = warm - warm.min()
    return warm / (warm.max() + 1e-5)


# The network


@pytest.mark.parametrize(
    ("policy", "classes"), [("explicit", 3), ("surrogate:b", 3), ("none", 4)], ids=["explicit", "surrogate", "none"]
)
def test_a_token_for_every_class_and_one_for_background(policy, classes):
    network = network_of(scheme_of(policy))
    slots = network.class_tokens.slots
    assert slots == classes + (policy != "none")
    assert (network.class_tokens.background is None) == (policy == "none")
    seed = torch.rand(32)
    grown = network.class_tokens(seed)
    offsets = network.class_tokens.offsets(seed).view(slots, 32)
    for slot in range(slots):
        first = policy != "none" and slot == 0
        base = network.class_tokens.background[0] if first else seed
        torch.testing.assert_close(grown[slot], base + offsets[slot] + network.class_tokens.position[slot])


@pytest.mark.parametrize(
    "backbone", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2"]
)
def test_attention_is_what_the_blocks_pay(backbone):
    """The weights that timm works out itself where it does not use a fused kernel."""
    network = network_of(scheme_of("explicit"), backbone).eval()
    vit = network.encoder.vit
    midway = network.midway(torch.rand(2, 3, 24, 40), 1)
    assert midway.grid == (3, 5)
    registers = vit.num_prefix_tokens - 1
    assert midway.tokens.shape == (2, 4 + registers + 15, 32)
    seen: list[torch.Tensor] = []
    vit.blocks[1].attn.fused_attn = False
    vit.blocks[1].attn.attn_drop.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    vit.blocks[1](midway.tokens)
    weights = attention_weights(vit.blocks[1], midway.tokens)
    torch.testing.assert_close(weights, seen[0].mean(dim=1))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, midway.tokens.shape[1]))


def test_reading_sums_attention_over_blocks_and_refines_by_it():
    network = network_of(scheme_of("explicit")).eval()
    image = torch.rand(2, 3, SIZE, SIZE)
    midway = network.midway(image, 1)
    reading = network.read(midway, last=1)
    tokens, attentions = midway.tokens, []
    for block in list(network.encoder.vit.blocks)[1:]:
        attentions.append(attention_weights(block, tokens))
        tokens = block(tokens)
    torch.testing.assert_close(reading.attention.flatten(2), attentions[1][:, :4, 4:])
    torch.testing.assert_close(reading.affinity, attentions[0][:, 4:, 4:] + attentions[1][:, 4:, 4:])
    torch.testing.assert_close(reading.logits, tokens[:, 1:4].mean(-1))
    torch.testing.assert_close(reading.maps, network.aux_classifier(tokens[:, 4:].mT.reshape(2, 32, 4, 4)))
    torch.testing.assert_close(reading.fused, reading.maps.relu() * reading.attention)
    maps = torch.rand(2, 2, 4, 4)
    refined = reading.refine(maps)
    for pixel in range(16):
        total = sum(reading.affinity[1, pixel, j] * maps[1, 1].flatten()[j] for j in range(16))
        torch.testing.assert_close(refined[1, 1].flatten()[pixel], total)
    logits, plain = network.look(network.midway(image))
    torch.testing.assert_close(logits, reading.logits)
    torch.testing.assert_close(plain, reading.maps)
    torch.testing.assert_close(network.encode(image).final, reading.tokens.final)
    torch.testing.assert_close(network.encoder.vit.norm(tokens)[:, 4:].mT.reshape(2, 32, 4, 4), reading.tokens.final)


@pytest.mark.parametrize("policy", ["none", "explicit", "surrogate:b"])
def test_activations_are_refined_maps_times_probabilities(policy):
    network = network_of(scheme_of(policy)).eval()
    image = torch.rand(2, 3, SIZE, 48)
    probabilities, cam = network.predict_with_cam(image, "both")
    assert cam.shape == (2, network.taggable, 4, 6)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 4, 6))
    reading = network.read(network.midway(image))
    classes = range(network.class_tokens.slots - network.taggable, network.class_tokens.slots)
    refined, _ = network.class_maps(image)
    for position, slot in enumerate(classes):
        one = reading.refine(reading.fused[:, slot : slot + 1])[1, 0]
        torch.testing.assert_close(refined[1, position], one)
        chance = torch.sigmoid((reading.logits[1, position] + reading.maps[1, slot].mean()) / 2)
        # Maps of a fresh network are almost flat: stretched, rounding shows.
        torch.testing.assert_close(cam[1, position], stretched(one) * chance, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("backbone", "arguments", "complaint"),
    [
        ("eva02_tiny_patch14_224", {}, "cannot carry class tokens"),
        ("vit_medium_patch16_gap_256", {}, "cannot carry class tokens"),
        ("vit_tiny_patch16_224", {"middle": 0.5}, "middle must be 1"),
    ],
)
def test_what_cannot_carry_class_tokens_is_refused(backbone, arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        network_of(scheme_of("none"), backbone, **arguments)


# The losses


def test_infused_tokens_are_means_and_all_others_stay():
    network = network_of(scheme_of("explicit")).eval()
    midway = network.midway(torch.rand(2, 3, SIZE, SIZE), 1)
    donor = torch.rand(2, 4, 32)
    infused = infuse(midway, donor)
    for slot in range(4):
        torch.testing.assert_close(infused.tokens[:, slot], 0.5 * midway.tokens[:, slot] + 0.5 * donor[:, slot])
    assert torch.equal(infused.tokens[:, 4:], midway.tokens[:, 4:])
    assert (infused.grid, infused.block) == (midway.grid, midway.block)
    torch.testing.assert_close(network.look(infuse(midway, midway.tokens[:, :4]))[1], network.look(midway)[1])


def test_map_distance_counts_the_marked_maps_only():
    one, other = torch.randn(2, 3, 5, 6), torch.randn(2, 3, 5, 6)
    counts = torch.tensor([[True, False, True], [False, True, False]])
    expected = [
        (stretched(one[b, c]) - stretched(other[b, c])).abs().mean() for b in range(2) for c in range(3) if counts[b, c]
    ]
    torch.testing.assert_close(map_distance(one, other, counts), torch.stack(expected).mean())
    assert map_distance(one, other, torch.zeros_like(counts)) == 0


@pytest.mark.parametrize("policy", ["explicit", "surrogate:b"])
def test_background_is_what_the_tagged_classes_leave(policy):
    method = method_of(policy)
    batch = batch_of(method)
    seen = method.network.read(method.network.midway(batch.image, method.block), method.last)
    found = method.background_loss(seen, batch.tags)
    losses = []
    for b in range(3):
        fused = seen.maps[b].relu() * seen.attention[b]
        classes = fused[-method.network.taggable :]
        refined = [seen.affinity[b] @ classes[c].flatten() for c in range(len(classes)) if batch.tags[b, c]]
        foreground = torch.stack(refined).amax(0).view(4, 4)
        background = (seen.affinity[b] @ fused[0].flatten()).view(4, 4)
        losses.append((1 - stretched(foreground) - stretched(background)).abs().mean())
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_background_loss_may_move_the_background_alone():
    """As published for COCO: the gradient reaches slot 0 of the maps' convolution and no other."""
    moved = []
    for detach in (False, True):
        method = method_of("explicit", detach_maps=detach)
        batch = batch_of(method)
        seen = method.network.read(method.network.midway(batch.image, method.block), method.last)
        method.background_loss(seen, batch.tags).backward()
        moved.append(method.network.aux_classifier.bias.grad.abs() > 0)
    assert moved[0].sum() > 1
    assert moved[1].tolist() == [True] + [False] * (len(moved[1]) - 1)


def test_the_three_losses_wait_while_the_memory_fills():
    method = method_of("explicit", steps=60, delay=2 / 60, start=0.9)
    assert set(method.losses(batch_of(method), 1)) == {"cls"}
    assert method.memory.count.sum() > 0
    assert set(method.losses(batch_of(method), 2)) == {"cls", "bg", "intra", "cross"}


@pytest.mark.parametrize("policy", ["none", "explicit"])
def test_intra_loss_infuses_the_other_view_and_passes_gradients(policy):
    method = method_of(policy)
    network, batch = method.network, batch_of(method)
    first, second = network.midway(batch.image, 1), network.midway(batch.second, 1)
    seen = network.read(first, 1)
    donor = method.tokens(second)
    donor.retain_grad()
    loss = method.intra_loss(first, seen, donor, batch.tags)
    _, maps = network.look(infuse(first, donor))
    cold = policy != "none"
    expected = []
    for b in range(3):
        slots = ([0] if cold else []) + [cold + c for c in range(network.taggable) if batch.tags[b, c]]
        expected += [(stretched(seen.maps[b, m]) - stretched(maps[b, m])).abs().mean() for m in slots]
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    loss.backward()
    assert donor.grad.abs().sum() > 0


def test_cross_loss_infuses_what_the_memory_knows():
    method = method_of("explicit", memory=4, least=3)
    network = method.network
    queues = [deque(maxlen=4) for _ in range(network.taggable)]
    active = []
    for step in range(3):
        batch = batch_of(method, seed=step)
        first = network.midway(batch.image, method.block)
        seen = network.read(first, method.last)
        method.remember(first, batch.tags)
        loss = method.cross_loss(first, seen, batch.tags)
        tokens = first.tokens[:, :4].detach()
        for b in range(3):
            for c in range(network.taggable):
                if batch.tags[b, c]:
                    own = tokens[b, 1 + c]
                    queues[c].append((own - own.mean()) / (own.var(unbiased=False) + 1e-5).sqrt())
        donor = tokens.clone()
        marked = []
        for b in range(3):
            for c in range(network.taggable):
                if batch.tags[b, c] and len(queues[c]) >= 3:
                    donor[b, 1 + c] = torch.stack(list(queues[c])).mean(0)
                    marked.append((b, c))
        fused = network.read(infuse(first, donor)).fused
        pairs = [(stretched(seen.maps[b, 1 + c]) - stretched(fused[b, 1 + c])).abs().mean() for b, c in marked]
        torch.testing.assert_close(loss, torch.stack(pairs).mean(), atol=1e-5, rtol=1e-4)
        active.append({c for _, c in marked})
    # Three views a step carry class 0 but only two class 1; nothing carries class 2.
    assert active == [{0}, {0, 1}, {0, 1}]
    assert method.memory.count.tolist() == [4, 4, 0]


def test_cross_loss_is_zero_while_the_memory_knows_nothing():
    method = method_of("none", least=8)
    terms = method.losses(batch_of(method), 5)
    assert terms["cross"] == 0
    assert set(terms) == set(method.terms)


def test_decoder_waits_for_its_start():
    method = method_of("none", steps=100, start=0.5)
    assert "seg" not in method.losses(batch_of(method), 49)
    assert "seg" in method.losses(batch_of(method), 50)


@pytest.mark.parametrize("policy", ["none", "explicit", "surrogate:b"])
def test_scenes_without_tags_are_survived(policy):
    method = method_of(policy, least=1)
    batch = batch_of(method)
    method.losses(batch, 5)
    empty = Batch(batch.image * 0, batch.clean * 0, batch.tags * 0, batch.valid & False, second=batch.second * 0)
    terms = method.losses(empty, 5)
    sum(terms.values()).backward()
    assert all(torch.isfinite(t) for t in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    assert terms["cross"] == 0


def test_learning_rate_rises_and_falls_in_a_cosine():
    method = method_of("none", steps=600)
    assert method.learning_rate_factor(0) == pytest.approx(1e-6 / 6.25e-5)
    assert method.learning_rate_factor(25) == pytest.approx((0.016 + 1) / 2)
    assert method.learning_rate_factor(50) == pytest.approx(0.16 + 0.84 * (1 + math.cos(math.pi / 12)) / 2)
    assert method.learning_rate_factor(600) == pytest.approx(0.16)


def test_few_tiles_are_overfitted(textures):
    """All tags are learnt, and masks of whole tiles."""
    scheme = ClassScheme.from_names(["flat", "stripes", "noise"], "none")
    settings = settings_from(CTISettings, {"lr": 2e-3, "decoder_width": 16, "dilation": 1, "w_seg": 1.0})
    method = CTI(network_of(scheme), scheme, settings, 80)
    optimizer = torch.optim.AdamW(method.parameter_groups())
    for step in range(80):
        loss = sum(method.losses(textures.batch(step), step).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert method.memory.count.tolist() == [30, 30, 30]
    network = method.network.eval()
    logits, maps = network.look(network.midway(textures.image))
    assert torch.equal(logits + maps.mean((2, 3)) > 0, textures.tags > 0.5)
    whole = textures.tags.sum(1) == 1
    found = network.predict(textures.image[whole])[0].argmax(1)
    assert (found == textures.masks[whole, ::8, ::8]).float().mean() > 0.95


def test_run_resumes_to_the_bit_and_predicts(broken_run, tiny, tmp_path):
    runs = broken_run("cti", {"least": 2})
    assert runs.checkpoint["state_dict"]["method.memory.count"].sum() > 0
    one, two = load_model(runs.whole), load_model(runs.cut)
    weights = two.network.state_dict()
    assert all(torch.equal(v, weights[n]) for n, v in one.network.state_dict().items())
    assert isinstance(one.network, ClassTokenNetwork)
    assert one.card.method == "cti"
    assert one.card.network["class_tokens"] is True
    wsss_geo.predict(
        tiny.scene, model=runs.whole, out=tmp_path / "mask.tif", cam=tmp_path / "cam.tif", scores="cam", device="cpu"
    )
    with rasterio.open(tmp_path / "mask.tif") as mask, rasterio.open(tmp_path / "cam.tif") as cam:
        assert set(mask.read().flatten().tolist()) <= {3, 5, 9, 255}
        assert cam.count == 3
    scored = wsss_geo.evaluate(model=runs.whole, tiles=tiny.tiles, split="all", scores="both", device="cpu")
    assert 0 <= scored.miou <= 1


def test_a_backbone_without_class_tokens_is_refused_before_training(tiny, tmp_path):
    with pytest.raises(UsageError, match="cannot carry class tokens"):
        wsss_geo.train(
            tiny.tiles, out=tmp_path / "run", method="cti", backbone="eva02_tiny_patch14_224", steps=1, batch_size=2,
            backbone_args=TINY, device="cpu",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
