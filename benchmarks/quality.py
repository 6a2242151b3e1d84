"""Every method from the tags of the Dubai images, several seeds, against training from their masks.

    python benchmarks/quality.py DUBAI --work DIR [--methods aerial,toco] [--ablations 1] [--seeds 3] [--steps 720]
                                 [--size 128] [--preset gpu] [--out docs/results/quality.md]

DUBAI is the folder of the data set (tile4 .. tile8 with images/ and masks/). Image groups 4, 5, 7 and 8 train, 6
tests. All start from scratch with the backbone of their recipe in training/recipes/dubai, with ``--preset gpu`` with a
ViT-S/16 on tiles of 224 px; ``--steps`` and ``--batch-size`` are the same for all. Masks are read by ``supervised`` and
by the scores, by nothing else. Scores are mIoU of the decoder without tags, of the activation maps with tags, and of
the decoder on the tiles of the training images that were held out of training. What is done already in ``--work`` is
not done again, so an interrupted benchmark goes on. Writes a page with a table and pictures, and the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import wsss_geo
from wsss_geo.console import TerminalProgress
from wsss_geo.jobs import METHODS

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "training/recipes/dubai"
#: What a preset is: side of the tiles in pixels, steps, batch, and fields of the recipes that it overrules.
PRESETS: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "cpu": (128, 720, 8, {}),
    "gpu": (
        224, 4000, 32,
        {"backbone": "vit_small_patch16_224", "backbone_args": {}, "precision": "auto", "workers": 8},
    ),
}  # fmt: skip
TRAIN, TEST = ("tile4", "tile5", "tile7", "tile8"), ("tile6",)


@dataclass(frozen=True)
class Variant:
    """A method with settings that differ from its recipe's."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


#: What happens to ``aerial`` without each of its ingredients.
ABLATIONS = {
    "aerial, evidence of the classifier alone": Variant("aerial", {"likeness": 0.0}),
    "aerial, evidence of likeness alone": Variant("aerial", {"likeness": 1.0}),
    "aerial, absence not charged": Variant("aerial", {"w_absent": 0.0}),
    "aerial, presence not charged": Variant("aerial", {"w_present": 0.0}),
    "aerial, one-tag scenes only": Variant("aerial", {"start": 1.0}),
    "aerial, teacher by evidence only": Variant("aerial", {"ramp": 1e9}),
    "aerial, every token labelled": Variant("aerial", {"confidence": 0.0}),
    "aerial, evidence from middle tokens": Variant("aerial", {"middle": 0.5}),
    "aerial, best twelfth of tokens": Variant("aerial", {"top": 1 / 12}),
    "aerial, maximum pooling": Variant("aerial", {"top": 1e-6}),
    "aerial, mean pooling": Variant("aerial", {"top": 1.0}),
    "aerial, pixels not balanced": Variant("aerial", {"balance": 0.0}),
    "aerial, tiles drawn alike": Variant("aerial", {"rare": 0.0}),
}


def prepare(data: Path, work: Path, size: int) -> tuple[Path, Path]:
    """Return the tile sets to train and to test on, made from the masks where they are not there."""
    found = []
    for name, groups, val in (("train", TRAIN, 0.1), ("test", TEST, 0.0)):
        tiles = work / f"{name}{size}"
        if not (tiles / "index.parquet").is_file():
            wsss_geo.tile(
                *(data / g / "images" for g in groups), tags=data, classes=RECIPES / "classes.json", size=size,
                val=val, out=tiles,
            )  # fmt: skip
        found.append(tiles)
    return found[0], found[1]


def score(
    name: str, variant: Variant, seed: int, tiles: tuple[Path, Path], work: Path, common: Mapping[str, Any]
) -> Any:
    """Train and evaluate one variant with one seed; what is there already is read."""
    slug = name.replace(", ", "_").replace(" ", "-")
    run = work / "runs" / f"{slug}_{seed}"
    kept = run / "quality.json"
    recipe = yaml.safe_load((RECIPES / f"{variant.method}.yaml").read_text(encoding="utf-8"))
    settings = {**recipe["settings"], **variant.settings}
    wanted = {"settings": dict(variant.settings), **common}
    if kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["wanted"] == json.loads(json.dumps(wanted)):
            return found
        shutil.rmtree(run)
    trained = wsss_geo.train(
        tiles[0], out=run, seed=seed, report=TerminalProgress(), **{**recipe, "settings": settings, **common}
    )
    decoder = wsss_geo.evaluate(model=trained.model, tiles=tiles[1], split="all")
    cam = wsss_geo.evaluate(model=trained.model, tiles=tiles[1], split="all", scores="cam", with_tags=True)
    held = wsss_geo.evaluate(model=trained.model, tiles=tiles[0], split="val")
    found = {
        "wanted": wanted, "decoder": decoder.miou, "cam": cam.miou, "iou": dict(decoder.iou), "held_out": held.miou,
        "held_out_iou": dict(held.iou), "seconds": trained.seconds, "steps": trained.steps,
    }  # fmt: skip
    kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def spread(values: list[float]) -> str:
    """Mean and, of several, standard deviation; nothing of none."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.3f}"


def table(scores: Mapping[str, list[Any]], bound: float | None) -> str:
    """A Markdown table, best decoder first."""
    classes = list(next(iter(scores.values()))[0]["iou"])
    head = [
        "method", "decoder, no tags", "of supervised", *classes, "activation maps, with tags",
        "decoder on held-out tiles", "training, s",
    ]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, runs in sorted(scores.items(), key=lambda item: -statistics.mean(r["decoder"] for r in item[1])):
        mean = statistics.mean(r["decoder"] for r in runs)
        each = [f"{statistics.mean(r['iou'][c] or 0.0 for r in runs):.3f}" for c in classes]
        share = f"{mean / bound:.0%}" if bound else ""
        scores_of = [spread([r[kind] for r in runs if kind in r]) for kind in ("decoder", "cam", "held_out")]
        cells = [name, scores_of[0], share, *each, *scores_of[1:]]
        lines.append("| " + " | ".join([*cells, f"{statistics.mean(r['seconds'] for r in runs):.0f}"]) + " |")
    return "\n".join(lines)


def page(scores: Mapping[str, list[Any]], args: argparse.Namespace, command: str, pictures: Mapping[str, str]) -> str:
    """The results as a page."""
    bound = statistics.mean(r["decoder"] for r in scores["supervised"]) if "supervised" in scores else None
    shown = "\n\n".join(f"**{name}**\n\n![{name}]({path})" for name, path in pictures.items())
    return f"""# Methods on Dubai tags

Crops of {args.size} px at native resolution; tags are the classes with at least 5 % of the crop; no background class.
Image groups 4, 5, 7 and 8 train, 6 tests. From scratch, same backbone, batch ({args.batch_size}) and number of steps
({args.steps}) for all rows; seeds: {args.seeds} ({args.ablations} for rows of `aerial` that lack something), mean and
standard deviation. mIoU of five classes over the test images, and over the tenth of the tiles of the training images
that was held out; no mask is used but by the row `supervised` and by these scores.

    {command}

{table(scores, bound)}

The last preview of each training, on held-out tiles that were never trained on (image, activation maps, pseudo label,
prediction):

{shown}
"""


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--methods", default=",".join(m for m in METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ablations", type=int, default=0, help="seeds of `aerial` without each of its ingredients")
    parser.add_argument("--preset", default="cpu", choices=list(PRESETS), help="for --steps, --batch-size and --size")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/quality.md")
    args = parser.parse_args()
    *sizes, overruled = PRESETS[args.preset]
    for name, value in zip(("size", "steps", "batch_size"), sizes, strict=True):
        if getattr(args, name) is None:
            setattr(args, name, value)
    named = ("preset", "methods", "seeds", "ablations", "steps", "batch-size", "size")
    options = [f"--{n}={getattr(args, n.replace('-', '_'))}" for n in named]
    command = shlex.join(["python", "benchmarks/quality.py", "DUBAI", "--work", "WORK", *options])
    variants = {m: Variant(m) for m in args.methods.split(",")} | (ABLATIONS if args.ablations else {})
    (args.work / "runs").mkdir(parents=True, exist_ok=True)
    tiles = prepare(args.data, args.work, args.size)
    common = {**overruled, "steps": args.steps, "batch_size": args.batch_size, "check_every": args.steps}
    scores: dict[str, list[Any]] = {}
    for seed in range(args.seeds):
        for name, variant in variants.items():
            if name in ABLATIONS and seed >= args.ablations:
                continue
            scores.setdefault(name, []).append(score(name, variant, seed, tiles, args.work, common))
            print(f"{name:36} seed {seed}  decoder {scores[name][-1]['decoder']:.3f}", flush=True)
    pictures = {}
    images = args.out.parent / "images"
    for name in (n for n in variants if n not in ABLATIONS):
        preview = max((args.work / "runs" / f"{name}_0" / "preview").glob("*.png"))
        images.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(preview, images / f"quality_{name}.png")
        pictures[name] = f"images/quality_{name}.png"
    args.out.write_text(page(scores, args, command, pictures), encoding="utf-8")
    args.out.with_suffix(".json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(table(scores, None))
    from_tags = [n for n in scores if n not in {*ABLATIONS, "supervised"}]
    if from_tags:
        best = max(from_tags, key=lambda n: statistics.mean(r["decoder"] for r in scores[n]))
        print(f"best from tags: {best}, {spread([r['decoder'] for r in scores[best]])} mIoU")


if __name__ == "__main__":
    main()
