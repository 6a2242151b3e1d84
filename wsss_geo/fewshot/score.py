"""The ``fewshot-test`` job: episodes of classes, held or not, answered by DSMF-Net and by the baselines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_geo.classes import IGNORE
from wsss_geo.errors import InputError, ModelError
from wsss_geo.fewshot.episodes import EpisodeDataset, class_pixels, make_pool
from wsss_geo.fewshot.folds import choose
from wsss_geo.fewshot.lightning_module import FewShotSettings
from wsss_geo.jobs import FewShotTestJob, FewShotTestResult
from wsss_geo.methods import settings_from
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.fewshot_file import LoadedFewShot, load_few_shot
from wsss_geo.nn.fewshot_network import WAYS
from wsss_geo.nn.tensors import resize
from wsss_geo.outputs import check_output, replacing
from wsss_geo.progress import Progress
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet, read_tileset


def run(job: FewShotTestJob, report: Progress) -> FewShotTestResult:
    """Score episodes: the same queries for every number of examples and for every way to answer.

    The score is the mean over classes of the IoU of what is sought, its pixels summed over all episodes of a run; runs
    differ in their seed. Raises InputError for tiles without such episodes, ModelError for an unfit model.
    """
    if job.out:
        check_output(job.out)
    model = load_few_shot(job.model, choose_device(job.device))
    tileset = read_tileset(job.tiles)
    _check_fit(model, tileset, job)
    asked = choose(job.classes, tileset.scheme, "fewshot-test.classes", tileset.root, report).chosen
    names = asked or tuple(n for n in tileset.scheme.taggable if n in model.card.held) or tileset.scheme.taggable
    learned = [n for n in names if n in model.card.seen]
    if learned:
        report.warn(
            f"{job.model}: was trained on episodes of {', '.join(learned)}; the scores are not those of new classes"
        )
    tiles = TileDataset(tileset, tileset.of_split(job.split), with_masks=True)
    if not len(tiles):
        raise InputError(tileset.root, f"has no tile in its {job.split} split", "choose another --split")
    least = max(1, round(settings_from(FewShotSettings, model.card.settings).least * tileset.size**2))
    most = max(job.shots)
    pool = make_pool(class_pixels(tiles, report), tileset.scheme, names, (), least, most, tileset.root)
    runs = []
    for number in range(job.runs):
        episodes = EpisodeDataset(tiles, pool, job.seed + number)
        runs.append(_answered(model, episodes, job, report, number))
    found = [tileset.scheme.names[p] for p in pool.holders]
    result = summary(np.stack(runs), [*pool.holders], found, job)
    if job.out:
        with replacing(job.out) as part:
            part.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    return result


def summary(
    counts: NDArray[np.int64], positions: Sequence[int], names: Sequence[str], job: FewShotTestJob
) -> FewShotTestResult:
    """Scores from pixels [runs, shots, ways, classes of the scheme, 2]: intersection and union."""
    seen = counts[..., positions, :]
    with np.errstate(invalid="ignore"):
        iou = seen[..., 0] / seen[..., 1]
    by_run = np.nanmean(iou, axis=-1)

    def table(values: NDArray[np.float64]) -> dict[str, dict[str, float]]:
        return {
            f"{shots}-shot": {way: round(float(values[i, j]), 6) for j, way in enumerate(WAYS)}
            for i, shots in enumerate(job.shots)
        }

    mean_iou = np.nanmean(iou, axis=0)
    each: dict[str, Mapping[str, Mapping[str, float]]] = {
        name: table(mean_iou[..., k]) for k, name in enumerate(names) if not math.isnan(mean_iou[0, 0, k])
    }
    return FewShotTestResult(
        classes=tuple(names),
        miou=table(by_run.mean(axis=0)),
        deviation=table(by_run.std(axis=0)),
        iou=each,
        episodes=job.episodes,
        runs=job.runs,
    )


@torch.inference_mode()
def _answered(
    model: LoadedFewShot, episodes: EpisodeDataset, job: FewShotTestJob, report: Progress, number: int
) -> NDArray[np.int64]:
    """Pixels [shots, ways, classes, 2] over all episodes of a run."""
    device = model.network.backbone.mean.device
    counts = np.zeros((len(job.shots), len(WAYS), len(episodes.tiles.tileset.scheme), 2), np.int64)
    most = max(job.shots)
    for start in range(0, job.episodes, job.batch_size):
        report.step(number * job.episodes + start, job.runs * job.episodes, "episodes", "test")
        items = [episodes[i, most] for i in range(start, min(start + job.batch_size, job.episodes))]
        query, target, images, masks = (
            torch.stack([i[k] for i in items]).to(device) for k in ("query", "target", "images", "masks")
        )
        for i, shots in enumerate(job.shots):
            answers = model.network.answers(query, images[:, :shots], masks[:, :shots])
            for j, way in enumerate(WAYS):
                pairs = overlap(answers[way], target)
                for item, (both, either) in zip(items, pairs, strict=True):
                    counts[i, j, item["position"]] += both, either
    return counts


def overlap(logits: Tensor, target: Tensor) -> list[tuple[int, int]]:
    """Pixels of intersection and union of what is sought, for each of B logits [B,2,h,w] and targets [B,H,W]."""
    found = resize(logits.float(), (target.shape[-2], target.shape[-1])).argmax(dim=1) == 1
    known, sought = target != IGNORE, target == 1
    both = (found & sought).sum(dim=(1, 2)).tolist()
    either = ((found & known) | sought).sum(dim=(1, 2)).tolist()
    return list(zip(both, either, strict=True))


def _check_fit(model: LoadedFewShot, tileset: TileSet, job: FewShotTestJob) -> None:
    card = model.card
    if len(tileset.bands) != len(card.bands):
        problem = f"has {len(tileset.bands)} bands, the model wants {len(card.bands)} ({', '.join(card.bands)})"
        raise InputError(tileset.root, problem, "tile other imagery, or other --bands")
    if tileset.size % model.network.patch:
        problem = f"has tiles of {tileset.size} px, no multiple of the {model.network.patch} px of the model"
        raise ModelError(Path(job.model), problem, "tile with another --size")
