"""Training as a job: what it learns, leaves behind, resumes and refuses."""

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
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin
from safetensors.torch import load_file

import wsss_geo
from hearing import Hearing
from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.jobs import TrainJob
from wsss_geo.nn.model_file import load_model
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset
from wsss_geo.tileset.mosaic import MosaicDataset

TINY = {
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 2},
    "device": "cpu",
    "precision": "float32",
}
SMALL = {"decoder_width": 16, "dilation": 1}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Tiles of 32 px over 384 x 384 px of striped, smooth and noisy ground; tags from the mask."""
    folder = tmp_path_factory.mktemp("ground")
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(0, 3, (8, 8)), np.ones((48, 48), np.int64)).astype(np.uint8)
    rows = np.arange(384)
    stripes = np.broadcast_to(128 + 60 * np.sin(rows / 2)[:, None], (384, 384))
    noise = rng.normal(128, 60, (384, 384))
    smooth = np.full((384, 384), 90.0)
    grey = np.choose(mask, [stripes, noise, smooth])
    image = np.clip(np.stack([grey, grey * 0.9, grey * 0.8]) + rng.normal(0, 4, (3, 384, 384)), 0, 255).astype(np.uint8)
    profile = {"driver": "GTiff", "height": 384, "width": 384, "dtype": "uint8", "crs": "EPSG:32632"}
    profile["transform"] = from_origin(500000, 5400000, 1, 1)
    with rasterio.open(folder / "ground.tif", "w", count=3, **profile) as file:
        file.write(image)
    with rasterio.open(folder / "mask.tif", "w", count=1, **profile) as file:
        file.write(mask, 1)
    (folder / "classes.json").write_text(json.dumps([{"id": i, "name": n} for i, n in enumerate("abc")]))
    wsss_geo.tile(
        folder / "ground.tif", tags=folder / "mask.tif", classes=folder / "classes.json", size=32, val=0.2,
        out=folder / "tiles",
    )  # fmt: skip
    return folder / "tiles"


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["aerial", "toco", "ctfa"])
def test_a_run_leaves_model_metrics_pictures_and_record(tiles, tmp_path, method):
    out = tmp_path / "run"
    result = wsss_geo.train(tiles, out=out, method=method, steps=6, check_every=3, batch_size=4, settings=SMALL, **TINY)
    left = {p.name for p in out.iterdir()}
    assert left == {
        "model.safetensors", "model.safetensors.json", "metrics.csv", "config.yaml", "job.json", "preview",
        "tensorboard",
    }  # fmt: skip
    assert list((out / "tensorboard").glob("events.*"))
    card = load_model(out / "model.safetensors").card
    assert card.method == method
    assert card.tile_size == 32
    assert card.gsd == pytest.approx(1.0, rel=0.01)
    assert card.area["crs"] == "EPSG:4326"
    assert set(card.tag_counts) == {"a", "b", "c"}
    assert set(result.scores) == {"score", "tag_f1", "within", "cam_f1"}
    assert all(0 <= v <= 1 for v in result.scores.values())
    rows = rows_of(out / "metrics.csv")
    assert [r["step"] for r in rows] == ["3", "3", "6", "6"]
    assert float(rows[0]["loss"]) > 0
    picture = Image.open(next((out / "preview").glob("*.png")))
    assert picture.width > picture.height / 2 > 100
    record = json.loads((out / "model.safetensors.json").read_text())
    assert record["command"].startswith("wsss-geo train")
    assert record["model"]["sha256"]


def test_tags_alone_teach_masks(tiles, tmp_path):
    """Few steps on easy textures: the decoder's masks, never shown to it, come out right."""
    result = wsss_geo.train(
        tiles, out=tmp_path / "run", method="aerial", steps=120, check_every=120, batch_size=24,
        settings={**SMALL, "lr": 2e-3}, **TINY,
    )  # fmt: skip
    assert result.scores["cam_f1"] > 0.9
    tileset = read_tileset(tiles)
    held = TileDataset(tileset, "val", with_masks=True)
    network = load_model(result.model).network
    right = total = 0
    for i in range(len(held)):
        item = held[i]
        found = network.predict(item["image01"][None])[0]
        label = torch.nn.functional.interpolate(found, scale_factor=8, mode="bilinear").argmax(1)[0]
        right += int((label == item["mask"]).sum())
        total += label.numel()
    assert right / total > 0.85


def test_pure_and_mixed_tiles_are_overfitted(tiles, tmp_path):
    from wsss_geo.nn.heads import top_pool
    from wsss_geo.training.batches import make_batch
    from wsss_geo.training.run import make_card, make_method, make_settings

    tileset = read_tileset(tiles)
    rows = tileset.of_split("train")
    data = TileDataset(tileset, rows, with_masks=True)
    count = tileset.tags_matrix(rows).sum(1)
    job = TrainJob(tiles=str(tiles), out=str(tmp_path), steps=150, settings={**SMALL, "lr": 2e-3}, **TINY)
    settings = make_settings(job)
    for wanted, chosen in (("pure", np.flatnonzero(count == 1)[:8]), ("mixed", np.flatnonzero(count == 2)[:8])):
        method = make_method(job, make_card(job, tileset, rows, settings, 32), settings)
        items = torch.utils.data.default_collate([data[int(i)] for i in chosen])
        optimizer = torch.optim.AdamW(method.parameter_groups())
        for step in range(150):
            loss = sum(method.losses(make_batch(items, method, 32, 0, step), step).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            method.after_step(step)
        network = method.network.eval()
        if wanted == "pure":
            label = network.predict(items["image01"])[0].argmax(1)
            assert (label == items["mask"][:, ::8, ::8]).float().mean() > 0.95
        else:
            evidence = network.aux_classifier(network.encode(items["image01"]).middle)
            assert torch.equal(top_pool(evidence, settings.top) > 0, items["tags"] > 0.5)


def test_a_killed_run_resumes_to_the_bit(tiles, tmp_path):
    """kill -9 in the middle, the same command again: the same weights and the same metrics as without."""
    given = {"steps": 30, "check_every": 10, "batch_size": 4, "settings": SMALL, **TINY}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    wsss_geo.train(tiles, out=whole, **given)
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"command": "train", "tiles": str(tiles), "out": str(cut), **given}))
    worker = subprocess.Popen(
        [sys.executable, "-m", "wsss_geo.worker", str(job)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (cut / "resume.ckpt").exists() and time.monotonic() < deadline and worker.poll() is None:
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert (cut / "resume.ckpt").exists()
    heard = Hearing()
    wsss_geo.train(tiles, out=cut, report=heard, **given)
    assert "going on after step" in heard.said()
    first, second = load_file(whole / "model.safetensors"), load_file(cut / "model.safetensors")
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert rows_of(whole / "metrics.csv") == rows_of(cut / "metrics.csv")


def test_a_finished_run_is_not_done_again_and_not_overwritten(tiles, tmp_path):
    given = {"out": tmp_path / "run", "steps": 2, "batch_size": 2, "settings": SMALL, **TINY}
    first = wsss_geo.train(tiles, **given)
    stamp = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    assert wsss_geo.train(tiles, **given) == first
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(UsageError, match="another job"):
        wsss_geo.train(tiles, **{**given, "steps": 3})


def test_weights_from_a_file_start_the_backbone(tiles, tmp_path):
    source = wsss_geo.train(tiles, out=tmp_path / "a", steps=1, batch_size=2, settings=SMALL, seed=5, **TINY)
    wsss_geo.train(
        tiles, out=tmp_path / "b", weights=source.model, steps=1, batch_size=2, settings={**SMALL, "lr": 0.0}, **TINY
    )
    one, two = load_file(tmp_path / "a" / "model.safetensors"), load_file(tmp_path / "b" / "model.safetensors")
    name = "encoder.vit.blocks.1.mlp.fc1.weight"
    torch.testing.assert_close(one[name], two[name])
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="do not fit"):
        wsss_geo.train(tiles, out=tmp_path / "c", weights=tmp_path / "other.pth", steps=1, **TINY)


def test_a_model_is_trained_on(tiles, tmp_path):
    first = wsss_geo.train(tiles, out=tmp_path / "a", steps=1, batch_size=2, settings=SMALL, seed=5, **TINY)
    still = {"steps": 1, "batch_size": 2, "settings": {**SMALL, "lr": 0.0}}
    wsss_geo.train(tiles, out=tmp_path / "b", from_model=first.model, **still, **TINY)
    one, two = load_file(tmp_path / "a" / "model.safetensors"), load_file(tmp_path / "b" / "model.safetensors")
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight)
    with pytest.raises(UsageError, match="has other network than this training"):
        wsss_geo.train(
            tiles, out=tmp_path / "c", from_model=first.model, steps=1, settings={"decoder_width": 24}, **TINY
        )
    with pytest.raises(UsageError, match="do not go together"):
        wsss_geo.train(tiles, out=tmp_path / "d", from_model=first.model, weights=first.model, steps=1, **TINY)


def test_what_cannot_be_learned_from_is_refused(tiles, tmp_path):
    with pytest.raises(UsageError, match="no multiple of the patch"):
        wsss_geo.train(tiles, out=tmp_path / "a", crop=30, steps=1, **TINY)
    with pytest.raises(UsageError, match="backbone"):
        wsss_geo.train(tiles, out=tmp_path / "b", backbone="resnet18", steps=1)
    with pytest.raises(InputError, match="not a tile set"):
        wsss_geo.train(tmp_path, out=tmp_path / "c", steps=1)


def test_mosaics_show_neighbours_with_their_tags(tiles):
    tileset = read_tileset(tiles)
    single = TileDataset(tileset, "train", with_masks=True)
    mosaic = MosaicDataset(single, 2)
    full = [i for i in range(len(mosaic)) if (mosaic.members[i] >= 0).all()]
    assert len(full) > len(single) / 2
    place = {key: i for i, key in enumerate(single.places)}
    for i in full[:20]:
        item = mosaic[i]
        source, top, left = single.places[mosaic.members[i][0]]
        for row in range(2):
            for col in range(2):
                part = single[place[(source, top + 32 * row, left + 32 * col)]]
                window = (slice(32 * row, 32 * row + 32), slice(32 * col, 32 * col + 32))
                assert torch.equal(item["image01"][:, window[0], window[1]], part["image01"])
                assert torch.equal(item["mask"][window], part["mask"])
                assert torch.equal(item["cell_tags"][:, row, col], part["tags"])
        assert torch.equal(item["tags"], item["cell_tags"].flatten(1).amax(1))
    partial = [i for i in range(len(mosaic)) if (mosaic.members[i] < 0).any()]
    for i in partial[:5]:
        item = mosaic[i]
        missing = torch.from_numpy(mosaic.members[i].reshape(2, 2) < 0)
        shown = torch.nn.functional.avg_pool2d(item["valid"][None].float(), 32)[0] > 0
        assert not (shown & missing).any()
        assert (item["cell_tags"].sum(0)[missing] == 0).all()


def test_masks_teach_where_there_are_some(tiles, tmp_path):
    result = wsss_geo.train(
        tiles, out=tmp_path / "run", method="supervised", steps=60, batch_size=8, check_every=60, **TINY,
        settings={**SMALL, "lr": 2e-3},
    )  # fmt: skip
    scores = wsss_geo.evaluate(model=result.model, tiles=tiles, split="val", device="cpu")
    assert scores.miou > 0.5


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), EOFError(), RuntimeError("DataLoader worker (7)")])
def test_a_process_lost_at_any_moment_of_reading_is_told_in_a_sentence(error):
    from types import SimpleNamespace

    from wsss_geo.errors import EnvironmentFault
    from wsss_geo.fitting.trainer import fit

    def breaks(*_, **__):
        raise error

    trainer = SimpleNamespace(fit=breaks)
    with pytest.raises(EnvironmentFault, match="was lost"):
        fit(trainer, None, SimpleNamespace(num_workers=1), None, None)
    with pytest.raises(type(error)):  # nothing of the kind without such processes
        fit(trainer, None, SimpleNamespace(num_workers=0), None, None)
