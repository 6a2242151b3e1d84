"""Pre-training as a job: what it looks at, learns, leaves behind, resumes and refuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import wsss_geo
from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.info import describe_path
from wsss_geo.nn.backbones import build_backbone
from wsss_geo.nn.weights_file import read_backbone_card
from wsss_geo.pretraining.batches import WindowDataset, make_pair
from wsss_geo.pretraining.ground import gather, survey
from wsss_geo.pretraining.linear import f1_scores, fit_linear
from wsss_geo.pretraining.matches import match_tokens
from wsss_geo.pretraining.mevt import MEVT, MEVTSettings
from wsss_geo.progress import Progress
from wsss_geo.tileset.views import Views, draw_resized_views, view_image, view_points

MEVT_ARGS = {"widths": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "fusion": 16}
VIT_ARGS = {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 2}
BACKBONES = [("mevt", MEVT_ARGS), ("vit_tiny_patch16_224", VIT_ARGS)]
TINY = {"hidden": 16, "embedding": 8, "prototypes": 16, "tokens": 8, "queue": 16}
JOB = {"size": 32, "batch_size": 2, "settings": TINY, "device": "cpu", "precision": "float32"}
HEADS = {"decoder_width": 16, "dilation": 1}


@pytest.fixture(scope="module")
def ground(tmp_path_factory, write_tiff):
    """A raster of 200 x 300 px, three kinds of texture; the left third has no data (0)."""
    rng = np.random.default_rng(0)
    kind = np.kron(rng.integers(0, 3, (10, 15)), np.ones((20, 20), np.int64))
    stripes = 128 + 60 * np.sin(np.arange(300) / 2)[None]
    grey = np.choose(kind, [stripes.repeat(200, 0), rng.normal(128, 50, (200, 300)), np.full((200, 300), 90.0)])
    image = np.clip(np.stack([grey, grey * 0.9, grey * 0.8]) + rng.normal(0, 4, (3, 200, 300)), 1, 255)
    image[:, :, :100] = 0
    path = tmp_path_factory.mktemp("ground") / "ground.tif"
    return write_tiff(path, image.astype(np.uint8), nodata=0, tiled=True, blockxsize=64, blockysize=64)


def some_views(count, source=64, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(draw_resized_views(count, source, size, generator, (0.3, 1.0)) for _ in range(2))


@pytest.mark.parametrize("stride", [4, 8, 32])
def test_matched_tokens_show_the_same_ground(stride):
    """Paint the coordinates of the ground, look through both views: partners show the same place, all others do not."""
    one, two = some_views(24)
    assert {int(e) for e in torch.cat([one.element, two.element])} == set(range(8))
    steps = (torch.arange(64) + 0.5)[:, None].expand(64, 64)
    painted = torch.stack([steps, steps.T]).expand(24, -1, -1, -1)
    everywhere = torch.ones(24, 32, 32, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    found = match_tokens(one, two, everywhere, everywhere, stride, 16, 0.7, generator)
    assert found.first.shape == (24, min(16, (32 // stride) ** 2))
    seen = [
        torch.nn.functional.avg_pool2d(view_image(v, painted), stride).flatten(2).transpose(1, 2) for v in (one, two)
    ]
    first, second = (
        s.gather(1, p[..., None].expand(-1, -1, 2)) for s, p in zip(seen, (found.first, found.second), strict=True)
    )
    reach = 0.7 * stride / torch.minimum(one.scale, two.scale)
    distance = torch.cdist(first, second)
    own = distance.diagonal(dim1=1, dim2=2)
    assert found.usable.float().mean() > 0.2
    assert (own < reach[:, None] + 0.3)[found.usable].all()
    both = found.usable[:, :, None] & found.usable[:, None, :]
    clear = (distance - reach[:, None, None]).abs() > 0.3
    assert torch.equal(found.apart[both & clear], (distance > reach[:, None, None])[both & clear])


def test_a_marker_pixel_falls_into_partner_tokens():
    one, two = some_views(16, seed=3)
    everywhere = torch.ones(16, 32, 32, dtype=torch.bool)
    steps = torch.arange(64) + 0.5
    spots = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).view(1, -1, 2)
    found = match_tokens(one, two, everywhere, everywhere, 8, 1, 0.7, torch.Generator().manual_seed(0))
    for b in range(16):
        if not found.usable[b, 0]:
            continue
        row, col = divmod(int(found.first[b, 0]), 4)
        alone = Views(one.element[b : b + 1], one.scale[b : b + 1], one.corner[b : b + 1], 64, 32)
        # Where on the ground does the middle of the token lie? Ask every pixel of the ground.
        nearest = (view_points(alone, spots)[0] - torch.tensor([8 * row + 4.0, 8 * col + 4.0])).norm(dim=1).argmin()
        image = torch.zeros(1, 1, 64, 64)
        r, c = divmod(int(nearest), 64)
        image[..., max(0, r - 1) : r + 2, max(0, c - 1) : c + 2] = 1
        other = Views(two.element[b : b + 1], two.scale[b : b + 1], two.corner[b : b + 1], 64, 32)
        light = torch.nn.functional.avg_pool2d(view_image(other, image), 8)[0, 0].flatten()
        assert light[found.second[b, 0]] > 0
        assert light[found.second[b, 0]] > 0.3 * light.max()


def test_tokens_without_data_are_no_partners():
    one, two = some_views(8)
    valid = torch.zeros(8, 32, 32, dtype=torch.bool)
    valid[:, :16] = True
    everywhere = torch.ones_like(valid)
    generator = torch.Generator().manual_seed(0)
    found = match_tokens(one, two, valid, everywhere, 8, 16, 0.7, generator)
    assert (found.first[found.usable] < 8).all()
    found = match_tokens(one, two, everywhere, valid, 8, 16, 0.7, generator)
    assert (found.second[found.usable] < 8).all()


def test_windows_come_from_where_there_is_data(ground):
    found, names = gather([str(ground)], "out", 48, None, None, Progress())
    assert names == ("red", "green", "blue")
    known = survey(found, 0, Progress())
    data = WindowDataset(found, known, 0, 100)
    items = [data[i] for i in range(60)]
    assert all(i["image01"].shape == (3, 48, 48) and i["valid"].float().mean() >= 0.5 for i in items)
    assert any(not i["valid"].all() for i in items)
    assert all((i["image01"][:, ~i["valid"]] == 0).all() for i in items)
    again = WindowDataset(found, known, 0, 100)[7]
    assert torch.equal(again["image01"], items[7]["image01"])
    assert not torch.equal(items[7]["image01"], items[8]["image01"])


@pytest.mark.parametrize(("kind", "bands"), [("uint16", 5), ("int16", 2), ("uint8", 1)])
def test_any_bands_and_pixel_types(tmp_path, write_tiff, kind, bands):
    rng = np.random.default_rng(0)
    low = -3000 if kind == "int16" else 0
    high = 200 if kind == "uint8" else 9000
    image = rng.integers(low, high, (bands, 90, 120)).astype(kind)
    write_tiff(tmp_path / "a.tif", image)
    found, names = gather([str(tmp_path)], "out", 64, None, None, Progress())
    known = survey(found, 0, Progress())
    item = WindowDataset(found, known, 0, 4)[0]
    assert len(names) == bands
    assert item["image01"].shape == (bands, 64, 64)
    assert 0.3 < float(item["image01"].mean()) < 0.7
    assert (known.normalisation.high[0] == 255) == (kind == "uint8")


def test_small_images_are_enlarged_and_unfit_imagery_is_refused(tmp_path, write_tiff):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((20, 30, 3), 60 * i + 20, np.uint8)).save(folder / f"{i}.png")
    found, _ = gather([str(folder)], "out", 32, None, None, Progress())
    item = WindowDataset(found, survey(found, 0, Progress()), 0, 4)[0]
    assert item["image01"].shape == (3, 32, 32)
    assert item["valid"].all()
    write_tiff(folder / "grey.tif", np.ones((1, 20, 20), np.uint8))
    with pytest.raises(InputError, match="bands"):
        gather([str(folder)], "out", 32, None, None, Progress())
    empty = write_tiff(tmp_path / "empty.tif", np.zeros((1, 80, 80), np.uint8), nodata=0)
    nothing, _ = gather([str(empty)], "out", 32, None, None, Progress())
    with pytest.raises(InputError, match="valid pixels"):
        survey(nothing, 0, Progress())
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no rasters"):
        gather([str(tmp_path / "none")], "out", 32, None, None, Progress())


def test_tile_sets_give_their_train_split(tiny):
    found, names = gather([str(tiny.tiles)], "out", 64, None, None, Progress())
    rows = wsss_geo.tileset.index.read_tileset(tiny.tiles).of_split("train")
    assert len(found.regions) == len(rows)
    assert len(names) == 3
    assert len({id(r.reader) for r in found.regions}) == 1


def make_batch(settings, count=6):
    torch.manual_seed(0)
    ground = torch.nn.functional.interpolate(torch.rand(count, 3, 8, 8), 48, mode="bilinear")
    items = {"image01": ground, "valid": torch.ones(count, 48, 48, dtype=torch.bool)}
    items["valid"][0, :, :30] = False
    return lambda step: make_pair(items, settings, 32, 16, torch.full((1, 3, 1, 1), 0.5), torch.ones(1, 3, 1, 1), step)


@pytest.mark.parametrize(("backbone", "arguments"), BACKBONES)
def test_the_losses_fall_and_memories_and_teacher_follow(backbone, arguments):
    settings = MEVTSettings(**{**TINY, "local": 1, "momentum": (0.9, 1.0), "radius": 0.7})
    drawn = make_batch(settings)
    torch.manual_seed(0)
    method = MEVT(build_backbone(backbone, image_size=32, arguments=arguments), settings, 40)
    names = [n for n, p in method.named_parameters() if p.requires_grad]
    assert names
    assert all(n.startswith("student.") for n in names)
    before = {n: p.clone() for n, p in method.teacher.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=2e-3)
    history = []
    for step in range(25):
        terms = method.losses(drawn(step % 2), step)
        assert tuple(terms) == MEVT.terms
        sum(terms.values()).backward()
        if step == 0:
            untouched = [n for n, p in method.student.named_parameters() if p.requires_grad and p.grad is None]
            assert not untouched
            levels = len(arguments["widths"]) + 2 if backbone == "mevt" else 3
            assert len(method.queue.count) == levels
            assert int(method.queue.count[-1]) == 12
            assert float(method.centre.abs().sum()) > 0
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(step)
        if step == 0:
            for name, weight in method.teacher.named_parameters():
                moved = 0.9 * before[name] + 0.1 * method.student.get_parameter(name)
                torch.testing.assert_close(weight, moved)
        history.append({n: float(t.detach()) for n, t in terms.items()})
    assert int(method.queue.count[-1]) == 16
    for name in ("dense", "stage"):
        assert np.mean([h[name] for h in history[-6:]]) < np.mean([h[name] for h in history[3:9]])  # queues are full


def test_only_what_the_teacher_has_not_moved_away_from_is_remembered():
    settings = MEVTSettings(**{**TINY, "momentum": (0.9, 1.0), "fresh": 0.2})
    method = MEVT(build_backbone("vit_tiny_patch16_224", image_size=32, arguments=VIT_ARGS), settings, 40)
    levels = len(method.queue.count)
    for step in range(4):
        rows = [torch.full((1, settings.embedding), 1.0 + step) for _ in range(levels)]
        rows[-1] = torch.nn.functional.one_hot(torch.tensor([step]), settings.embedding).float()
        method._remember(rows, step)
    assert method._stored(-1, 4).argmax(dim=1).tolist() == [2, 3]  # 0.2 / (1 - 0.9) steps, and hardly more
    assert method._stored(-1, 40).argmax(dim=1).tolist() == [0, 1, 2, 3]  # the teacher stands still
    assert method._stored(0, 4).shape == (2, settings.embedding)
    assert torch.allclose(method._stored(0, 4).norm(dim=1), torch.ones(2))
    assert not len(method._stored(0, 9))


@pytest.mark.parametrize(("backbone", "arguments"), BACKBONES)
def test_weights_go_on_in_training_and_prediction(ground, tiny, tmp_path, backbone, arguments):
    result = wsss_geo.pretrain(
        ground, out=tmp_path / "pre", steps=3, check_every=3, backbone=backbone, backbone_args=arguments, **JOB
    )
    assert {p.name for p in (tmp_path / "pre").iterdir()} == {
        "weights.safetensors", "weights.safetensors.json", "metrics.csv", "config.yaml", "job.json", "tensorboard",
    }  # fmt: skip
    assert set(result.losses) == {"loss", *MEVT.terms}
    assert result.windows == 6
    card = read_backbone_card(result.weights)
    assert (card.backbone, card.size, card.bands) == (backbone, 32, ("red", "green", "blue"))
    described = describe_path(result.weights)
    assert (described["kind"], described["backbone"]) == ("backbone weights", backbone)
    assert json.loads((tmp_path / "pre" / "weights.safetensors.json").read_text())["command"].startswith(
        "wsss-geo pretrain"
    )
    given = {"method": "aerial", "steps": 2, "batch_size": 2, "settings": {**HEADS, "lr": 0.0}, "device": "cpu"}
    trained = wsss_geo.train(
        tiny.tiles, out=tmp_path / "run", backbone=backbone, backbone_args=arguments, weights=result.weights,
        precision="float32", **given,
    )  # fmt: skip
    one, two = load_file(result.weights), load_file(trained.model)
    shared = [n for n in one if n in two and one[n].shape == two[n].shape]
    assert len(shared) >= len(one) - 1  # all but a position embedding of another grid
    assert all(torch.equal(one[n], two[n]) for n in shared)
    covered = wsss_geo.predict(tiny.scene, model=trained.model, out=tmp_path / "cover.tif", window=64, device="cpu")
    assert sum(covered.share.values()) == pytest.approx(1, abs=1e-3)
    other = next(b for b in BACKBONES if b[0] != backbone)
    with pytest.raises(ModelError, match=f"holds weights of {backbone}.*--backbone {backbone} --backbone-arg"):
        wsss_geo.train(
            tiny.tiles, out=tmp_path / "no", backbone=other[0], backbone_args=other[1], weights=result.weights, **given
        )
    assert not (tmp_path / "no").exists()


def test_the_command_line_says_in_one_sentence_that_weights_do_not_fit(command, tiny, tmp_path):
    refused = command(
        "train", tiny.tiles, "--out", tmp_path / "run", "--backbone", "mevt", "--weights", tiny.model, "--steps", 1
    )
    assert refused.code == 5
    assert refused.err.count("\n") == 1
    assert "vit_tiny_patch16_224" in refused.err


class Listener(Progress):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, kind, fields):
        self.messages.append(str(fields.get("message", "")))


def test_a_killed_run_resumes_to_the_bit(ground, tmp_path):
    """kill -9 in the middle, the same command again: the same weights and the same metrics as without."""
    given = {"steps": 24, "check_every": 4, "backbone_args": MEVT_ARGS, **JOB}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    first = wsss_geo.pretrain(ground, out=whole, **given)
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"command": "pretrain", "sources": [str(ground)], "out": str(cut), **given}))
    worker = subprocess.Popen(
        [sys.executable, "-m", "wsss_geo.worker", str(job)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (cut / "resume.ckpt").exists() and time.monotonic() < deadline and worker.poll() is None:
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert (cut / "resume.ckpt").exists()
    heard = Listener()
    second = wsss_geo.pretrain(ground, out=cut, report=heard, **given)
    assert any("going on after step" in m for m in heard.messages)
    one, two = load_file(first.weights), load_file(second.weights)
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert rows_of(whole / "metrics.csv") == rows_of(cut / "metrics.csv")
    assert first.losses == second.losses
    assert wsss_geo.pretrain(ground, out=cut, **given) == second
    with pytest.raises(UsageError, match="another job"):
        wsss_geo.pretrain(ground, out=cut, **{**given, "steps": 25})


def test_two_processes_learn_one_thing(ground, tmp_path):
    given = {**JOB, "steps": 2, "check_every": 1, "backbone_args": MEVT_ARGS, "precision": "bfloat16"}
    done = wsss_geo.pretrain(ground, out=tmp_path / "run", devices=2, **given)
    assert done.windows == 8
    assert len(rows_of(tmp_path / "run" / "metrics.csv")) == 2
    assert all(torch.isfinite(v).all() for v in load_file(done.weights).values())
    assert not (tmp_path / "run" / "resume.ckpt").exists()


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_cannot_be_is_refused_before_a_folder_is_made(ground, tmp_path):
    out = tmp_path / "run"
    for wrong, said in (
        ({"size": 30}, "no multiple of the patch"),
        ({"backbone": "resnet18"}, "backbone"),
        ({"settings": {"colours": "loud"}}, "colours"),
        ({"settings": {"area": [0.5]}}, "two numbers"),
        ({"settings": {"nothing": 1}}, "unknown"),
        ({"settings": {"queue": -1}}, "out of range"),
    ):
        with pytest.raises(UsageError, match=said):
            wsss_geo.pretrain(ground, out=out, **{**JOB, "steps": 1, **wrong})
    assert not out.exists()


def test_a_linear_classifier_finds_the_optimum():
    torch.manual_seed(0)
    features = torch.randn(60, 3)
    labels = (features[:, 0] > 0).long() + (features[:, 1] > 0.5).long()
    found = fit_linear(features, labels, 3)
    weight, bias = found.weight.clone().requires_grad_(), found.bias.clone().requires_grad_()
    scaled = (features.double() - found.mean) / found.std
    value = torch.nn.functional.cross_entropy(scaled @ weight.T + bias, labels) + 0.0005 * weight.square().sum()
    value.backward()
    assert weight.grad.abs().max() < 1e-4
    assert bias.grad.abs().max() < 1e-4
    predicted, truth = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 1, 2, 0])
    assert f1_scores(predicted, truth, 4).tolist()[:3] == pytest.approx([0.5, 2 / 3, 2 / 3])
    assert torch.isnan(f1_scores(predicted, truth, 4)[3])


def test_a_probe_tells_textures_apart(ground, tmp_path):
    rng = np.random.default_rng(0)
    for name, deviation in (("calm", 2), ("rough", 25), ("wild", 60)):
        (tmp_path / "classes" / name).mkdir(parents=True)
        for i in range(20):
            grey = np.clip(rng.normal(128, deviation, (32, 32, 1)), 0, 255).astype(np.uint8)
            Image.fromarray(grey.repeat(3, 2)).save(tmp_path / "classes" / name / f"{i}.png")
    done = wsss_geo.pretrain(ground, out=tmp_path / "pre", steps=2, backbone_args=MEVT_ARGS, **JOB)
    result = wsss_geo.probe(done.weights, tiles=tmp_path / "classes", device="cpu", out=tmp_path / "probe.json")
    assert (result.train, result.test) == (42, 18)
    assert result.top1 > 0.8
    assert set(result.f1_by_class) == {"calm", "rough", "wild"}
    assert list(result.smoothness) == ["stage 1", "stage 2", "stage 3", "stage 4", "decoder"]
    assert all(-1 <= v <= 1.0001 for v in result.smoothness.values())
    assert json.loads((tmp_path / "probe.json").read_text())["top1"] == result.top1
    untrained = wsss_geo.probe(done.weights, tiles=tmp_path / "classes", device="cpu", untrained=True, seed=1)
    assert untrained.smoothness != result.smoothness


def test_a_probe_reads_single_tags_and_models(tiny, tmp_path):
    wsss_geo.tile(
        tiny.scene, tags=tiny.truth, classes=tiny.classes, size=32, val=0.3, scene_block=64, out=tmp_path / "tiles"
    )
    result = wsss_geo.probe(tiny.model, tiles=tmp_path / "tiles", device="cpu")
    assert result.train > 0
    assert result.test > 0
    assert list(result.smoothness) == ["block 1", "block 2", "norm"]
