"""Scene tags alone: EuroSAT images of one tag each, and where the maps of a network trained on them point.

    python benchmarks/eurosat.py EUROSAT --work DIR [--steps 400] [--seeds 1] [--out docs/results/eurosat.md]

EUROSAT is the folder of the RGB images, one folder a class, or a ZIP file of it. A fifth of the images is kept back.
Scores on these: top-1 of the activation maps (mean over the image) and of the decoder (likewise). Then four of them
with four different tags become one picture, in which the network must tell where each is, though it never saw two
classes in one image: the share of pixels that the decoder labels as their quarter, and that of classes whose strongest
activation lies in their quarter. Writes a page with these figures and a picture of the first quartets.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import wsss_geo
from wsss_geo.console import TerminalProgress
from wsss_geo.nn.model_file import load_model
from wsss_geo.nn.network import Network
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import read_tileset
from wsss_geo.training.preview import write_preview

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "training/recipes/eurosat/aerial.yaml"
FIGURES = {
    "cam": "top-1, activation maps",
    "decoder": "top-1, decoder",
    "pixels": "pixels in the right quarter",
    "pointing": "classes that point to their quarter",
}
_BATCH, _SHOWN = 64, 6


def prepare(source: Path, work: Path) -> Path:
    """The tile set, made where it is not there yet."""
    tiles = work / "eurosat"
    if not (tiles / "index.parquet").is_file():
        if source.suffix == ".zip":
            unpacked = work / "images"
            with zipfile.ZipFile(source) as opened:
                opened.extractall(unpacked)
            source = unpacked
        wsss_geo.tile(source, dataset="eurosat", out=tiles, report=TerminalProgress())
    return tiles


def quartets(images: Tensor, tags: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Pictures [count,3,2S,2S] of four images with different tags, and these tags [count,2,2]; always the same ones."""
    draw = np.random.default_rng(0)
    kinds = np.unique(tags.numpy())
    chosen = np.stack([
        [draw.choice(np.flatnonzero(tags.numpy() == kind)) for kind in draw.permutation(kinds)[:4]]
        for _ in range(count)
    ])  # fmt: skip
    parts = images[torch.from_numpy(chosen)]
    rows = [torch.cat([parts[:, 2 * i], parts[:, 2 * i + 1]], dim=-1) for i in range(2)]
    return torch.cat(rows, dim=-2), tags[torch.from_numpy(chosen)].view(count, 2, 2)


def score(network: Network, data: TileDataset, picture: Path | None) -> dict[str, float]:
    """The figures of ``FIGURES``, as shares."""
    items = [(batch["image01"], batch["tags"].argmax(dim=1)) for batch in DataLoader(data, _BATCH)]
    images, tags = (torch.cat(parts) for parts in zip(*items, strict=True))
    found = [network.predict_with_cam(part) for part in images.split(_BATCH)]
    decoder, cam = (torch.cat([f[i].mean(dim=(2, 3)).argmax(dim=1) for f in found]) for i in (0, 1))
    pictures, where = quartets(images, tags, 500)
    right, pointed = [], []
    for part, truth in zip(pictures.split(_BATCH), where.split(_BATCH), strict=True):
        probabilities, maps = network.predict_with_cam(part)
        quarter = truth.repeat_interleave(probabilities.shape[-2] // 2, 1).repeat_interleave(maps.shape[-1] // 2, 2)
        right.append((probabilities.argmax(dim=1) == quarter).float().mean(dim=(1, 2)))
        own = torch.stack([m[t.flatten()] for m, t in zip(maps, truth, strict=True)])  # [B,4,h,w], one map a quarter
        peak = own.flatten(2).argmax(dim=2)
        row, col = peak // maps.shape[-1], peak % maps.shape[-1]
        hit = 2 * (row >= maps.shape[-2] // 2) + (col >= maps.shape[-1] // 2) == torch.arange(4)
        pointed.append(hit.float().mean(dim=1))
    if picture is not None:
        given = torch.zeros(_SHOWN, network.taggable).scatter_(1, where[:_SHOWN].flatten(1), 1.0)
        write_preview(picture, network, data.tileset.scheme, pictures[:_SHOWN], given)
    return {
        "cam": (cam == tags).float().mean().item(), "decoder": (decoder == tags).float().mean().item(),
        "pixels": torch.cat(right).mean().item(), "pointing": torch.cat(pointed).mean().item(),
    }  # fmt: skip


def main() -> None:
    """Train, score, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/eurosat.md")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    tiles = prepare(args.data, args.work)
    tileset = read_tileset(tiles)
    kept_back = TileDataset(tileset, "test")
    picture = args.out.parent / "images/eurosat.png"
    scores = []
    for seed in range(args.seeds):
        trained = wsss_geo.train(
            tiles, recipe=RECIPE, out=args.work / f"run_{args.steps}_{seed}", seed=seed, steps=args.steps,
            report=TerminalProgress(),
        )  # fmt: skip
        network = load_model(trained.model).network
        scores.append(score(network, kept_back, None if seed else picture))
        print(json.dumps(scores[-1]), flush=True)
    command = shlex.join([
        "python", "benchmarks/eurosat.py", "EUROSAT", "--work", "WORK", f"--steps={args.steps}", f"--seeds={args.seeds}"
    ])  # fmt: skip
    rows = "\n".join(f"| {text} | {statistics.mean(s[name] for s in scores):.1%} |" for name, text in FIGURES.items())
    counts = tileset.tiles["split"].value_counts()
    args.out.write_text(f"""# Scene tags alone: EuroSAT

{counts["train"]} images of 64 px train, each with one of ten tags, {counts["test"]} are kept back; {args.steps} steps
of 32 images from scratch, a ViT of 6 blocks, width 128, patch 8; seeds: {args.seeds}.

    {command}

| on images kept back | |
|---|---|
{rows}

For the last two rows, four images with different tags become one picture; training never saw two classes in one
image. The picture shows the first of them: image, activation maps, strongest tagged class, prediction without tags.

![quartets](images/eurosat.png)
""", encoding="utf-8")  # fmt: skip
    print(f"top-1 of the activation maps: {statistics.mean(s['cam'] for s in scores):.3f}")


if __name__ == "__main__":
    main()
