"""Few-shot segmentation of classes that were left out of training: DSMF-Net beside PANet, on Dubai crops.

    python benchmarks/fewshot.py --data DIR [--steps 300] [--folds water vegetation] [--weights FILE]

DIR holds ``dubai`` (see docs/results/quality.md) and ``eurosat``, images in one folder a class. The backbone is frozen:
the weights given, or ones that are pre-trained first, without tags, on the EuroSAT images. Each fold leaves a class
out: crops of the training groups with a single pixel of it take no part in training. Scored are episodes of that class
on crops of group 6, of which training sees none; queries are the same for every row and number of examples. The score
is the IoU of what is sought, pixels summed over all episodes. ``prototypes`` are masked averages of the frozen features
as they are, ``panet`` those of a linear map trained on the same episodes as DSMF-Net.

The defaults are small on purpose and end in minutes on one core; for a GPU:
``--backbone resnet50 --pretrained --images 0 --steps 5000 --batch 8 --width 256 --episodes 1000 --runs 3
--folds water land road building vegetation``. The last line is the figure.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import wsss_geo
from wsss_geo import api
from wsss_geo.jobs import FewShotTestResult

ROOT = Path(__file__).resolve().parents[1]
SMALL_NAME, SMALL = "vit_tiny_patch16_224", {"patch_size": 16, "embed_dim": 96, "depth": 4, "num_heads": 3}
SMALL_HEADS = {"hidden": 256, "embedding": 64, "prototypes": 512, "tokens": 32, "queue": 1024, "momentum": [0.98, 1.0]}
TRAIN_GROUPS, TEST_GROUP = (4, 5, 7, 8), 6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--folds", nargs="+", default=["water", "vegetation"], help="classes left out, a fold each")
    parser.add_argument("--backbone", default=SMALL_NAME)
    parser.add_argument("--pretrained", action="store_true", help="weights that timm publishes")
    parser.add_argument("--weights", type=Path, help="backbone weights; pre-trained first if neither is given")
    parser.add_argument("--pretrain-steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=4, help="images of each training group, 0 for all")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--absent", type=float, default=0.0, help="share of training queries without what is sought")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, help="folder to keep runs in; interrupted ones go on")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(exist_ok=True)
        weights = given.weights or (None if given.pretrained else pretrain(given, work))
        train, test = tiles(given, work)
        show({fold: measure(given, work, fold, weights, train, test) for fold in given.folds})


def pretrain(given: argparse.Namespace, work: Path) -> Path:
    """Weights of the small backbone, from EuroSAT images without their classes."""
    started = time.perf_counter()
    done = wsss_geo.pretrain(
        given.data / "eurosat", out=work / "backbone", backbone=SMALL_NAME, backbone_args=SMALL, size=64, window=64,
        steps=given.pretrain_steps, batch_size=16, learning_rate=1e-3, settings=SMALL_HEADS, device=given.device,
    )  # fmt: skip
    print(f"  pre-trained: {time.perf_counter() - started:.0f} s, {done.losses}", flush=True)
    return Path(done.weights)


def tiles(given: argparse.Namespace, work: Path) -> tuple[Path, Path]:
    """Tile sets with masks of the training groups, every crop for training, and of the group kept back."""
    folder, classes = given.data / "dubai", ROOT / "training/recipes/dubai/classes.json"
    train, test = work / f"train_{given.images}", work / "test"
    if not train.exists():
        found = [sorted((folder / f"tile{n}" / "images").glob("*.jpg")) for n in TRAIN_GROUPS]
        rasters = [path for paths in found for path in paths[: given.images or None]]
        wsss_geo.tile(*rasters, tags=folder, classes=classes, size=128, val=0.0, out=train)
    if not test.exists():
        rasters = [folder / f"tile{TEST_GROUP}" / "images"]
        wsss_geo.tile(*rasters, tags=folder, classes=classes, size=128, val=0.0, out=test)
    return train, test


def measure(
    given: argparse.Namespace, work: Path, fold: str, weights: Path | None, train: Path, test: Path
) -> FewShotTestResult:
    """Train without the classes of ``fold`` and score episodes of them."""
    started = time.perf_counter()
    small: dict[str, Any] = {"backbone_args": SMALL} if given.backbone == SMALL_NAME else {}
    model = api.few_shot_train(
        train, out=work / f"fold_{fold}", held=fold, backbone=given.backbone, pretrained=given.pretrained,
        weights=weights, steps=given.steps, batch_size=given.batch, check_every=100, device=given.device,
        settings={"width": given.width, "absent": given.absent}, **small,
    )  # fmt: skip
    trained = time.perf_counter()
    found = api.few_shot_test(
        model.model, tiles=test, split="all", episodes=given.episodes, runs=given.runs, device=given.device,
        out=work / f"fold_{fold}" / "scores.json",
    )  # fmt: skip
    print(
        f"  without {fold}: {model.tiles} crops, episodes of {', '.join(model.seen)}; trained in "
        f"{trained - started:.0f} s, tested in {time.perf_counter() - trained:.0f} s; {model.losses}",
        flush=True,
    )
    return found


def show(found: dict[str, FewShotTestResult]) -> None:
    """A table of IoU in per cent, and the difference to the better baseline."""
    first = next(iter(found.values())).miou
    ways = list(next(iter(first.values())))
    print("| left out | examples | " + " | ".join(ways) + " |")
    print("|---|---|" + "---|" * len(ways))
    for fold, result in found.items():
        for shots, row in result.miou.items():
            print(f"| {fold} | {shots} | " + " | ".join(f"{100 * row[w]:.1f}" for w in ways) + " |")
    mean = {
        shots: {w: 100 * statistics.mean(r.miou[shots][w] for r in found.values()) for w in ways} for shots in first
    }
    figure = {
        shots: {
            **{w: round(v, 1) for w, v in row.items()},
            "over_panet": round(row["dsmf"] - row["panet"], 1),
            "over_best_baseline": round(row["dsmf"] - max(row["panet"], row["prototypes"]), 1),
        }
        for shots, row in mean.items()
    }
    print(json.dumps(figure))


if __name__ == "__main__":
    main()
