"""Settings that let a recipe say what a paper published: schedules, energy, views, position embeddings, scenes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import UsageError
from wsss_geo.jobs import TrainJob
from wsss_geo.methods import METHODS, settings_from
from wsss_geo.methods.stcl import Regions
from wsss_geo.nn.heads import Projection
from wsss_geo.nn.losses import dense_energy, local_pairwise_energy
from wsss_geo.nn.network import Network
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset
from wsss_geo.tileset.mosaic import MosaicDataset
from wsss_geo.training.batches import make_batch
from wsss_geo.training.setup import make_card, make_method, make_settings

SIZE = 32
TINY = {"depth": 2, "embed_dim": 32, "num_heads": 2, "patch_size": 8}
SMALL = {"decoder_width": 8, "dilation": 1}
#: ToCo on COCO: steps 8000 and 12 000 of 80 000.
COCO = {"start": 0.1, "contrast_start": 0.15, "aux_until": 0.15, "high": 0.65, "low": 0.25, "temperature": 1.0}


def method_of(name: str, steps: int = 80, **settings: object):
    torch.manual_seed(0)
    scheme = ClassScheme.from_names(["background", "a", "b", "c"], "explicit")
    network = Network(
        "vit_tiny_patch16_224", classes=4, taggable=3, cold=0, mean=[0.5] * 3, std=[0.25] * 3, image_size=SIZE,
        decoder_width=8, dilation=1, backbone_args=TINY,
    )  # fmt: skip
    given = {**SMALL, "cam_scales": (1.0,), "crops": 2, "crop_share": 0.5, **settings}
    method = METHODS[name](network, scheme, settings_from(METHODS[name].settings_type, given), steps)
    method.projection = Projection(32, 16, 8, 16)
    method.teacher_projection = Projection(32, 16, 8, 16).requires_grad_(False)
    return method


def items_of(count: int = 3, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    tags = torch.zeros(count, 3)
    tags[torch.arange(count), torch.arange(count) % 3] = 1
    return {
        "image01": torch.rand(count, 3, SIZE, SIZE, generator=generator),
        "valid": torch.ones(count, SIZE, SIZE, dtype=torch.bool),
        "tags": tags,
        "scene": torch.arange(count) % 2,
    }


def batch_of(method, count: int = 3):
    return make_batch(items_of(count), method, SIZE, 0, 0)


# The schedule of COCO


@pytest.mark.parametrize(
    ("name", "step", "terms"),
    [
        ("toco", 7, {"cls", "aux"}),
        ("toco", 8, {"cls", "aux", "seg", "reg"}),
        ("toco", 11, {"cls", "aux", "seg", "reg"}),
        ("toco", 12, {"cls", "aux", "ptc", "ctc", "seg", "reg"}),
        ("stcl", 8, {"cls", "aux", "seg", "reg"}),
        ("stcl", 12, {"cls", "aux", "ptc", "ctc", "seg", "reg", "mem"}),
    ],
)
def test_losses_of_coco_begin_one_after_the_other(name, step, terms):
    method = method_of(name, **COCO)
    found = method.losses(batch_of(method), step)
    assert set(found) == terms
    sum(found.values()).backward()


def test_labels_come_from_the_middle_maps_first_and_from_the_final_ones_later():
    method = method_of("toco", **COCO)
    batch, seen = batch_of(method), []
    method.labeller.pixel_labels = lambda image, cam, tags, valid: (seen.append(cam), cam.argmax(1))[1]
    for step in (11, 12):
        method.losses(batch, step)
    from wsss_geo.nn.cam import multi_scale_cam

    final, middle = multi_scale_cam(method.network, batch.image, (1.0,), tags=batch.tags)
    torch.testing.assert_close(seen[0], middle, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen[1], final, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(final, middle, atol=0.05)


def test_the_memory_of_coco_grows_from_its_own_start():
    method = method_of("stcl", **COCO, memory_ramp=0.1, least=1, gate=0.0, memory=4)
    batch = batch_of(method)
    method.losses(batch, 8)
    assert method.memory.count.sum() == 0
    method.dense_losses = lambda *_: {"mem": torch.ones(())}
    assert method.losses(batch, 12)["mem"].item() == pytest.approx(1 / 8)
    assert method.losses(batch, 40)["mem"] == 1


# The energy


def test_the_energy_is_the_one_that_is_named():
    logits = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    found = {}
    for name in ("local", "dense"):
        method = method_of("toco", energy=name)
        batch = batch_of(method)
        labels = torch.randint(4, (3, SIZE, SIZE), generator=torch.Generator().manual_seed(3))
        labels[:, :9] = 255
        tokens = method.network.encode(batch.image)
        found[name] = method.decoder_losses(batch, tokens, logits, labels)["reg"].item() / method.settings.w_reg
    shares = logits.softmax(1)
    dense = dense_energy(shares, 255 * batch.image, labels, valid=batch.valid)
    local = local_pairwise_energy(shares, batch.image, labels, valid=batch.valid)
    assert found["dense"] == pytest.approx(dense.item(), rel=1e-5)
    assert found["local"] == pytest.approx(local.item(), rel=1e-5)
    assert dense < 0 < local


def test_an_unknown_energy_is_refused():
    with pytest.raises(UsageError, match="setting energy: 'lattice' is unknown; use local or dense"):
        method_of("ctfa", energy="lattice")


# The views


def test_photographs_are_mirrored_and_never_turned():
    """A dark upper half stays up in every view."""
    ups = {}
    for turns in (True, False):
        method = method_of("toco", turns=turns, scale=(1.0, 1.0))
        items = items_of(16)
        items["image01"] = torch.ones(16, 3, SIZE, SIZE)
        items["image01"][:, :, : SIZE // 2] = 0
        items["image01"][:, :, :4, :4] = 1  # an upright picture has this corner left or right
        batch = make_batch(items, method, SIZE, 0, 0)
        ups[turns] = (batch.clean[:, :, 4:12].mean((1, 2, 3)) < 0.2) & (batch.clean[:, :, 24:].mean((1, 2, 3)) > 0.8)
    assert ups[False].all()
    assert set(batch.clean[:, 0, 0, 0].tolist()) == {0.0, 1.0}
    assert not ups[True].all()


# Position embeddings


@pytest.mark.parametrize(("method", "trained"), [("toco", False), ("stcl", False), ("cti", True)])
def test_position_embedding_of_given_weights_is_frozen_but_for_cti(tiny, tmp_path, method, trained):
    """DeiT's recipe, which CTI follows, trains it; the family of ToCo does not."""
    job = TrainJob(
        tiles=str(tiny.tiles), out=str(tmp_path), method=method, backbone="vit_tiny_patch16_224",
        backbone_args=TINY, steps=4, settings=SMALL, device="cpu", precision="float32",
    )  # fmt: skip
    tileset = read_tileset(tiny.tiles)
    rows, settings = tileset.of_split("train"), make_settings(job)
    card = make_card(job, tileset, rows, settings, SIZE)
    weights = tmp_path / "vit.pth"
    torch.save(make_method(job, card, settings).network.encoder.vit.state_dict(), weights)
    given = make_method(dataclasses.replace(job, weights=str(weights)), card, settings)
    assert given.network.encoder.position.requires_grad == trained
    position = given.network.encoder.position
    grouped = any(p is position for group in given.parameter_groups() for p in group["params"])
    assert grouped == trained
    assert make_method(job, card, settings).network.encoder.position.requires_grad


# Scenes


def test_tiles_know_their_parent_scene(tiny):
    tileset = read_tileset(tiny.tiles)
    rows = tileset.of_split("train")
    data = TileDataset(tileset, rows)
    ids = sorted(set(rows["scene_id"]))
    assert len(ids) > 1
    assert [ids[data[i]["scene"]] for i in range(len(data))] == rows["scene_id"].tolist()
    assert MosaicDataset(data, 2)[2]["scene"] == data[2]["scene"]


def regions_of(scenes: list[int]) -> Regions:
    count = len(scenes)
    generator = torch.Generator().manual_seed(4)
    return Regions(
        torch.randn(count, 32, generator=generator), torch.arange(count) % 2, torch.ones(count), torch.ones(count),
        torch.arange(count), torch.tensor(scenes),
    )  # fmt: skip


def test_entries_of_the_own_scene_have_no_say():
    method = method_of("stcl", other_scenes=True, memory=4, gate=0.0)
    method.remember(regions_of([0, 0, 1, 1]))
    assert sorted(method.memory.scenes[method.memory.used].tolist()) == [0, 0, 1, 1]
    usable = method.usable_entries(regions_of([0, 1, 5, -1]))
    scenes = method.memory.scenes
    assert usable.shape == (4, 4, 4)
    assert torch.equal(usable[0], method.memory.used & (scenes != 0))
    assert torch.equal(usable[1], method.memory.used & (scenes != 1))
    assert torch.equal(usable[2], method.memory.used)
    assert torch.equal(usable[3], method.memory.used)
    plain = method_of("stcl", memory=4, gate=0.0)
    plain.remember(regions_of([0, 0, 1, 1]))
    assert torch.equal(plain.usable_entries(regions_of([0, 1])), plain.memory.used)


@pytest.mark.parametrize("other_scenes", [True, False])
def test_a_memory_of_the_own_scene_alone_teaches_nothing(other_scenes):
    """All tiles of one scene: with the setting the loss is 0, without it they find each other."""
    settings = {"memory": 6, "memory_width": 8, "gate": 0.0, "least": 1, "start": 0.0, "high": 0.3, "low": 0.2}
    method = method_of("stcl", other_scenes=other_scenes, memory_ramp=0.0, **settings)
    items = {**items_of(), "scene": torch.zeros(3, dtype=torch.int64)}
    losses = [method.losses(make_batch(items, method, SIZE, 0, step), step)["mem"].item() for step in range(4)]
    assert (method.memory.count > 0).sum() > 1
    assert (max(losses) == 0) == other_scenes
