"""What pre-training without tags is worth: Dubai crops from tags, from scratch and from weights of `pretrain`.

    python benchmarks/pretrain.py --data DIR [--steps 600] [--train-steps 200] [--backbone mevt] [--seeds 3]

DIR holds ``dubai`` (docs/results/quality.md) and ``eurosat_rgb_10800.zip`` (images in one folder a class). Rows start
from random weights, with `--longer` also with the pre-training's time added to training; from weights pre-trained on
EuroSAT images and on the training crops themselves, neither with tags, with `untagged` also on the images that are to
be mapped; and from weights that learned the classes of the same EuroSAT images, in as many steps of as many images
(``supervised``). All pre-train by training/recipes/pretrain/small.yaml and train by training/recipes/dubai/aerial.yaml,
on the tile sets of quality.py. Scores: mIoU in per cent on the kept-back area group, of the decoder without tags and of
activation maps with tags; that of the decoder on held-out tiles of the training images; the accuracy of a linear
classifier on frozen features of other EuroSAT images; and mIoU on the held-out tiles of a linear classifier on frozen
tokens, which learned from masks: what the features alone know of land cover. With `--tagged 100` only so many of the
training tiles have tags. For a GPU: `--steps 20000 --batch 256 --train-steps 4000 --full-heads`. The last
lines are the figures.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import warnings
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from quality import RECIPES, ROOT, TEST, TRAIN, prepare
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import DataLoader

import wsss_geo
from wsss_geo.evaluation.metrics import count_pairs, score, tally
from wsss_geo.nn.backbones import Backbone
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.tensors import resize, resize_nearest
from wsss_geo.pretraining.linear import fit_linear
from wsss_geo.pretraining.probe import frozen_backbone
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet, read_tileset, write_tileset

#: Another backbone than that of the recipes.
BACKBONES: dict[str, dict[str, Any]] = {
    "mevt": {"widths": [16, 32, 64, 96], "depths": [1, 1, 2, 1], "heads": [1, 1, 2, 3], "fusion": 96},
}
ROWS = ("scratch", "eurosat", "crops", "untagged", "supervised")
_PROBED = 1000
#: Tiles whose tokens a linear classifier learns from.
_LEARNED = 200


@dataclass
class Row:
    """One way to start: mIoU by seed, and what the frozen backbone knows."""

    name: str
    decoder: list[float] = field(default_factory=list)
    cam: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    knows: tuple[float, float, float] | None = None
    """Accuracy on EuroSAT, mIoU of frozen tokens, token cosine after the last layer."""
    seconds: float = 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--backbone", choices=list(BACKBONES), help="instead of the recipes' own")
    parser.add_argument("--steps", type=int, default=600, help="steps of pre-training")
    parser.add_argument("--batch", type=int, default=16, help="windows a step of pre-training")
    parser.add_argument("--train-steps", type=int, default=200)
    parser.add_argument("--tagged", type=int, default=0, help="training tiles that have their tags, 0 for all")
    parser.add_argument("--images", type=int, default=0, help="EuroSAT images to pre-train on, 0 for all")
    parser.add_argument(
        "--rows", nargs="+", default=list(ROWS), choices=ROWS, help="ways to start; scratch always is one"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--longer", action="store_true", help="also from scratch for as long as pre-training took")
    parser.add_argument("--full-heads", action="store_true", help="heads as large as published ones")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, help="folder to keep runs in; interrupted ones go on")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(exist_ok=True)
        show(measure(given, work), given)


def measure(given: argparse.Namespace, work: Path) -> list[Row]:
    """Run all rows."""
    shown, probed = unpack(given.data / "eurosat_rgb_10800.zip", work, given.images)
    images = {group: given.data / "dubai" / group / "images" for group in (*TRAIN, *TEST)}
    sources = {
        "eurosat": [shown], "crops": [images[g] for g in TRAIN], "untagged": list(images.values()),
    }  # fmt: skip
    rows = [start(given, work, "scratch", None, given.train_steps)]
    later = []
    for name in (n for n in ROWS[1:] if n in given.rows):
        out = work / f"pretrained_{name}"
        if name == "supervised":
            weights, seconds = learn_classes(given, work, out, shown)
        else:
            sizes = {"size": 64, "window": 64} if name == "eurosat" else {}
            weights, seconds = pretrain(given, out, sources[name], sizes)
        row = start(given, work, name, weights, given.train_steps)
        judge(row, weights, probed, work, given)
        row.seconds = seconds
        later.append(row)
        if rows[0].knows is None:
            judge(rows[0], weights, probed, work, given, untrained=True)
    if given.longer:
        cost = json.loads((work / "scratch_0" / "model.safetensors.json").read_text())["result"]["seconds"]
        steps = round(given.train_steps * (1 + max(r.seconds for r in later) / cost))
        rows.append(start(given, work, "longer", None, steps))
        rows[-1].name = f"scratch, {steps} steps"
    return rows + later


def recipe(path: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The fields of a recipe, with the backbone and the device asked for."""
    fields: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if given.backbone:
        fields |= {"backbone": given.backbone, "backbone_args": BACKBONES[given.backbone]}
    return fields | {"device": given.device}


def unpack(archive: Path, work: Path, count: int) -> tuple[Path, Path]:
    """Folders of ``count`` images (0: all others) to pre-train on, and of others to probe with; classes alternate."""
    shown, probed = work / "eurosat", work / "eurosat_probed"
    if shown.exists():
        return shown, probed
    with zipfile.ZipFile(archive) as opened:
        names = sorted(n for n in opened.namelist() if n.endswith(".jpg"))
        probes = names[:: max(1, len(names) // _PROBED)]
        others = sorted(set(names) - set(probes))
        opened.extractall(probed, probes)
        opened.extractall(shown, others[:: max(1, len(others) // count)] if count else others)
    return shown, probed


def pretrain(given: argparse.Namespace, out: Path, sources: list[Path], sizes: dict[str, int]) -> tuple[str, float]:
    """Weights pre-trained on ``sources`` without any tag, and the seconds that it took."""
    fields = recipe(ROOT / "training/recipes/pretrain/small.yaml", given) | {**sizes, "batch_size": given.batch}
    if given.full_heads:
        fields |= {"learning_rate": None, "settings": {}}
    done = wsss_geo.pretrain(*sources, out=out, **fields | {"steps": given.steps})
    print(f"  pre-trained {out.name}: {done.seconds:.0f} s, {done.losses}", flush=True)
    return done.weights, done.seconds


def learn_classes(given: argparse.Namespace, work: Path, out: Path, shown: Path) -> tuple[str, float]:
    """A model that learned the classes of the images in ``shown``, one a folder, and the seconds that it took."""
    tiles = work / "eurosat_tiles"
    if not tiles.exists():
        wsss_geo.tile(shown, tags=shown, background="none", size=64, val=0.0, out=tiles)
    fields = recipe(ROOT / "training/recipes/eurosat/aerial.yaml", given)
    fields |= {"steps": given.steps, "check_every": given.steps, "batch_size": given.batch}
    done = wsss_geo.train(tiles, out=out, **fields)
    print(f"  learned classes {out.name}: {done.seconds:.0f} s", flush=True)
    return done.model, done.seconds


def fewer(tiles: Path, count: int) -> Path:
    """A tile set beside ``tiles`` with ``count`` of its training tiles, drawn once, and all held-out ones."""
    few = tiles.with_name(f"{tiles.name}_{count}")
    if not few.exists():
        few.mkdir()
        whole = read_tileset(str(tiles))
        split = whole.tiles["split"].to_numpy()
        drawn = np.random.default_rng(0).choice(np.flatnonzero(split == "train"), count, replace=False)
        kept = np.sort(np.concatenate([drawn, np.flatnonzero(split == "val")]))
        write_tileset(replace(whole, tiles=whole.tiles.iloc[kept]), few)
    return few


def start(given: argparse.Namespace, work: Path, name: str, weights: str | None, steps: int) -> Row:
    """Train from ``weights`` with every seed and score on the kept-back group and on held-out tiles."""
    whole, test = prepare(given.data / "dubai", work, 128)
    train = fewer(whole, given.tagged) if given.tagged else whole
    row = Row(name)
    fields = recipe(RECIPES / "aerial.yaml", given) | {"steps": steps, "check_every": steps, "weights": weights}
    for seed in range(given.seeds):
        done = wsss_geo.train(train, out=work / f"{name}_{seed}", seed=seed, **fields)
        asked: tuple[tuple[list[float], dict[str, Any]], ...] = (
            (row.decoder, {"tiles": test, "split": "all"}),
            (row.cam, {"tiles": test, "split": "all", "scores": "cam", "with_tags": True}),
            (row.held, {"tiles": train, "split": "val"}),
        )
        for scores, what in asked:
            scores.append(wsss_geo.evaluate(model=done.model, device=given.device, **what).miou)
        print(f"  {name}, seed {seed}: {done.seconds:.0f} s, {row.decoder[-1]:.3f}, {row.held[-1]:.3f}", flush=True)
    return row


def judge(row: Row, weights: str, probed: Path, work: Path, given: argparse.Namespace, untrained: bool = False) -> None:
    """Add what the frozen backbone knows."""
    tokens = know_tokens(weights, prepare(given.data / "dubai", work, 128)[0], given.device, untrained)
    found = wsss_geo.probe(weights, tiles=probed, size=64, untrained=untrained, device=given.device)
    row.knows = found.top1, tokens, list(found.smoothness.values())[-1]


@torch.inference_mode()
def look(encoder: Backbone, tileset: TileSet, split: str, count: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens [n,h,w,D] of ``count`` tiles (0: all), final and of all stages, and masks [n,S,S]."""
    rows = tileset.of_split(split)
    data = TileDataset(tileset, rows.sample(min(count or len(rows), len(rows)), random_state=0), with_masks=True)
    device, given = next(encoder.parameters()).device, tileset.normalisation
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (given.mean, given.std))
    tokens, masks = [], []
    for items in DataLoader(data, 32):
        seen, stages = encoder.forward_stages(((items["image01"] - mean) / std).to(device))
        size = (seen.final.shape[-2], seen.final.shape[-1])
        maps = torch.cat([resize(m, size) for m in (seen.final, *stages)], dim=1)
        tokens.append(maps.permute(0, 2, 3, 1).cpu())
        masks.append(items["mask"])
    return torch.cat(tokens), torch.cat(masks)


def know_tokens(weights: str, tiles: Path, device: str, untrained: bool) -> float:
    """MIoU on held-out tiles of a linear classifier that learned the masks of some tiles on frozen tokens.

    It learns from tokens that are of one class for more than half; every pixel gets the class of its token.
    """
    encoder, card = frozen_backbone(weights, untrained)
    encoder.to(choose_device(device))
    tileset = replace(read_tileset(tiles), normalisation=card.normalisation)
    names = tileset.scheme.names
    tokens, masks = look(encoder, tileset, "train", _LEARNED)
    share = torch.stack([(masks == c).float() for c in range(len(names))], dim=1)
    best, labels = adaptive_avg_pool2d(share, tokens.shape[1:3]).max(dim=1)
    known = best > 0.5
    classifier = fit_linear(tokens[known], labels[known], len(names))
    tokens, masks = look(encoder, tileset, "val")
    found = classifier(tokens.flatten(0, 2)).argmax(dim=-1).view(-1, 1, *tokens.shape[1:3])
    enlarged = resize_nearest(found.float(), (masks.shape[-2], masks.shape[-1]))[:, 0].long()
    by_name = dict(enumerate(names))
    return float(score(tally(count_pairs(masks.numpy(), enlarged.numpy()), by_name, by_name)).miou)


def show(rows: list[Row], given: argparse.Namespace) -> None:
    """Print the table."""
    print(f"{given.steps} steps of pre-training, {given.train_steps} of training, {given.seeds} seeds")
    print(
        f"{'start':22}{'decoder':>9}{'spread':>8}{'maps':>8}{'held out':>10}{'EuroSAT':>9}{'tokens':>8}"
        f"{'token cosine':>14}"
    )
    for row in rows:
        spread = max(row.decoder) - min(row.decoder)
        knows = ""
        if row.knows:
            top1, tokens, cosine = row.knows
            knows = f"{100 * top1:9.1f}{100 * tokens:8.1f}{cosine:14.2f}"
        print(
            f"{row.name:22}{100 * statistics.mean(row.decoder):9.1f}{100 * spread:8.1f}"
            f"{100 * statistics.mean(row.cam):8.1f}{100 * statistics.mean(row.held):10.1f}{knows}"
        )
    mean = {r.name: 100 * statistics.mean(r.decoder) for r in rows}
    free = [n for n in ("eurosat", "crops") if n in mean]
    if free:
        best = max(free, key=lambda n: mean[n])
        print(f"pre-training on {best}: {mean[best] - mean['scratch']:+.1f} mIoU points over from scratch")
        if "supervised" in mean:
            print(f"  and {mean[best] - mean['supervised']:+.1f} over the classes of as many EuroSAT images")


if __name__ == "__main__":
    main()
