"""The ``fewshot-train`` job: from a tile set with masks to a few-shot model."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import torch

from wsss_geo.errors import InputError, ModelError, UsageError
from wsss_geo.fewshot.episodes import EpisodeDataset, EpisodeSampler, Pool, class_pixels, make_pool
from wsss_geo.fewshot.folds import choose
from wsss_geo.fewshot.lightning_module import NETWORK, TERMS, EpisodeTraining, FewShotSettings
from wsss_geo.fitting.callbacks import KeepLatest, MetricsFile, Reporter, last_losses
from wsss_geo.fitting.checkpoint import RESUME
from wsss_geo.fitting.folder import claimed, finished
from wsss_geo.fitting.group import Group
from wsss_geo.fitting.loader import step_loader
from wsss_geo.fitting.trainer import LOG_EVERY, building, check_interval, fit, go_on, make_trainer
from wsss_geo.jobs import FewShotTrainJob, FewShotTrainResult
from wsss_geo.methods import settings_from
from wsss_geo.nn.fewshot_file import FewShotCard, save_few_shot
from wsss_geo.nn.fewshot_network import FewShotNetwork
from wsss_geo.nn.weights_file import read_backbone
from wsss_geo.progress import Progress
from wsss_geo.record import versions, write_record
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import INDEX, TileSet, read_tileset

MODEL = "fewshot.safetensors"
RECORD = "fewshot.safetensors.json"


def run(job: FewShotTrainJob, report: Progress) -> FewShotTrainResult:
    """Train on episodes of the classes that are not held, or go on with an interrupted run of the same job.

    Raises InputError for tiles that cannot be learned from, UsageError for settings and ModelError for weights that do
    not fit.
    """
    folder = Path(job.out)
    if done := finished(folder / MODEL, folder / RECORD, job):
        report.info(f"{folder}: this training is finished already")
        return FewShotTrainResult(**done)
    tileset = read_tileset(job.tiles)
    choice = choose(job.held, tileset.scheme, "fewshot-train.held", tileset.root, report)
    held, seen = choice.chosen, choice.others
    if not seen:
        raise UsageError("fewshot-train.held: no class is left to learn from", "hold fewer classes")
    settings = make_settings(job)
    card = _card(job, settings, tileset, seen, held)
    network = make_network(job, card)
    tiles = TileDataset(tileset, "train", with_masks=True)
    if not len(tiles):
        raise InputError(tileset.root, "has no tile in its train split", "tile again with other splits")
    pool = _pool(tiles, settings, seen, held, job.shots, report)
    with claimed(folder, job, card.data_hash, settings, ("tiles",), report):
        started = time.monotonic()
        episodes = EpisodeDataset(tiles, pool, job.seed, settings.absent, turned=True)
        _fit(job, EpisodeTraining(network, settings, job.steps), episodes, card, folder, report)
        seconds = time.monotonic() - started
        result = FewShotTrainResult(
            run=str(folder),
            model=str(folder / MODEL),
            steps=job.steps,
            episodes=card.episodes,
            seen=tuple(tileset.scheme.names[p] for p in pool.holders),
            held=held,
            tiles=pool.tiles,
            losses=last_losses(folder),
            seconds=round(seconds, 1),
        )
        write_record(folder / RECORD, job, result, [job.tiles], {"train": seconds}, str(folder / MODEL))
        (folder / RESUME).unlink(missing_ok=True)
        return result


def make_settings(job: FewShotTrainJob) -> FewShotSettings:
    """The settings with what the job overrules. Raises UsageError."""
    given = dict(job.settings)
    if job.learning_rate is not None:
        given["lr"] = job.learning_rate
    settings = settings_from(FewShotSettings, given)
    for name in ("width", "parts", "regions", "lr"):
        if getattr(settings, name) <= 0:
            raise UsageError(f"setting {name}: {getattr(settings, name)} is out of range", "allowed: above 0")
    for name in ("absent", "least"):
        if not 0 <= getattr(settings, name) < 1:
            raise UsageError(f"setting {name}: {getattr(settings, name)} is out of range", "allowed: 0 to below 1")
    if not 0 <= settings.correction <= 1:
        raise UsageError(f"setting correction: {settings.correction} is out of range", "allowed: 0 to 1")
    return settings


def make_network(job: FewShotTrainJob, card: FewShotCard) -> FewShotNetwork:
    """The network with the starting weights of the backbone that the job asks for. Raises WsssGeoError leaves."""
    torch.manual_seed(job.seed)
    with building(job, "use mevt or see `timm.list_models()`"):
        network = card.build(pretrained=job.pretrained)
    if card.tile_size % network.patch:
        raise UsageError(
            f"fewshot-train.tiles: {card.tile_size} px are no multiple of the {network.patch} px of {job.backbone}",
            f"tile with --size {max(1, card.tile_size // network.patch) * network.patch}",
        )
    if job.weights:
        found, weights = read_backbone(job.weights)
        try:
            network.backbone.load(weights)
        except (ValueError, RuntimeError) as error:
            held = f"holds weights of {found.backbone}, which do not fit" if found else "does not fit"
            problem = f"{held} this {job.backbone} ({str(error).splitlines()[0]})"
            raise ModelError(job.weights, problem, "give weights of the same backbone and arguments") from None
    return network


def _card(
    job: FewShotTrainJob, settings: FewShotSettings, tileset: TileSet, seen: tuple[str, ...], held: tuple[str, ...]
) -> FewShotCard:
    return FewShotCard(
        network={
            "backbone": job.backbone,
            "backbone_args": dict(job.backbone_args),
            "image_size": tileset.size,
            **{name: getattr(settings, name) for name in NETWORK},
        },
        seen=seen,
        held=held,
        bands=tileset.band_names,
        normalisation=tileset.normalisation,
        gsd=tileset.gsd,
        tile_size=tileset.size,
        episodes=job.steps * job.batch_size,
        data_hash=hashlib.sha256((tileset.root / INDEX).read_bytes()).hexdigest(),
        versions=versions(),
        settings=dict(job.settings),
    )


def _pool(
    tiles: TileDataset, settings: FewShotSettings, seen: tuple[str, ...], held: tuple[str, ...], shots: int,
    report: Progress,
) -> Pool:  # fmt: skip
    scheme, root = tiles.tileset.scheme, tiles.tileset.root
    least = max(1, round(settings.least * tiles.tileset.size**2))
    pool = make_pool(class_pixels(tiles, report), scheme, seen, held, least, shots, root)
    if held:
        report.info(
            f"{root}: {pool.tiles} of {len(tiles)} tiles show nothing of {', '.join(held)} and are learned from"
        )
    missing = [n for n in seen if scheme.names.index(n) not in pool.holders]
    if missing:
        report.warn(f"{root}: no episodes of {', '.join(missing)}: fewer than {shots + 1} tiles hold {least} px of it")
    return pool


def _fit(
    job: FewShotTrainJob,
    module: EpisodeTraining,
    episodes: EpisodeDataset,
    card: FewShotCard,
    folder: Path,
    report: Progress,
) -> None:
    every = check_interval(job.steps, job.check_every)
    sampler = EpisodeSampler(job.batch_size, job.steps, job.shots, job.seed)
    metrics = MetricsFile(folder, ["loss", *TERMS], every=min(LOG_EVERY, every))
    resume = go_on(folder, sampler, metrics, True, report)
    callbacks = [
        Reporter(report, job.steps, "train"),
        metrics,
        KeepLatest(folder, every, lambda: save_few_shot(folder / MODEL, module.network, card)),
    ]
    trainer = make_trainer(job, folder, every, module.settings.clip, callbacks, Group())
    fit(trainer, module, step_loader(episodes, sampler, job), None, resume)
