"""The ``pretrain`` job: from imagery without tags to the weights of a backbone."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import torch

from wsss_geo.errors import UsageError
from wsss_geo.fitting.callbacks import KeepLatest, MetricsFile, Reporter, last_losses
from wsss_geo.fitting.checkpoint import RESUME
from wsss_geo.fitting.folder import claimed, finished
from wsss_geo.fitting.group import Group, companions, find_group
from wsss_geo.fitting.loader import step_loader
from wsss_geo.fitting.trainer import LOG_EVERY, building, check_interval, fit, go_on, make_trainer, suit_attention
from wsss_geo.jobs import PretrainJob, PretrainResult
from wsss_geo.methods import settings_from
from wsss_geo.nn.backbones import Backbone, build_backbone
from wsss_geo.nn.weights_file import BackboneCard, save_backbone, start_from
from wsss_geo.pretraining.batches import COLOURS, WindowDataset, WindowSampler
from wsss_geo.pretraining.ground import Ground, Survey, gather, survey
from wsss_geo.pretraining.lightning_module import Pretraining
from wsss_geo.pretraining.mevt import MEVT, MEVTSettings
from wsss_geo.progress import Progress
from wsss_geo.record import versions, write_record

WEIGHTS = "weights.safetensors"
RECORD = "weights.safetensors.json"


def run(job: PretrainJob, report: Progress) -> PretrainResult:
    """Pre-train, or go on with an interrupted run of the same job in the same folder.

    With several devices this starts the other processes of the group, unless torchrun or SLURM has; see ``Group``.
    Raises InputError for imagery that cannot be read and UsageError for settings that do not fit.
    """
    folder = Path(job.out)
    if done := finished(folder / WEIGHTS, folder / RECORD, job):
        report.info(f"{folder}: this pre-training is finished already")
        return PretrainResult(**done)
    settings = make_settings(job)
    window = job.window or round(1.5 * job.size)
    ground, names = gather(job.sources, job.out, window, job.bands, job.gsd, report)
    found = survey(ground, job.seed, report)
    group = find_group(job.devices)
    card = _card(job, settings, ground, found, names, group)
    module = make_module(job, settings, card, group)
    with contextlib.ExitStack() as stack:
        if group.leads:  # not before all is checked: a refused job leaves no folder behind
            stack.enter_context(claimed(folder, job, card.data_hash, settings, ("sources",), report))
        started = time.monotonic()
        with companions(job, group):
            _fit(job, group, ground, found, module, card, folder, report)
        seconds = time.monotonic() - started
        result = PretrainResult(
            run=str(folder),
            weights=str(folder / WEIGHTS),
            steps=job.steps,
            windows=job.steps * job.batch_size * group.world,
            losses=last_losses(folder),
            seconds=round(seconds, 1),
        )
        if group.leads:
            write_record(folder / RECORD, job, result, list(job.sources), {"train": seconds}, str(folder / WEIGHTS))
            (folder / RESUME).unlink(missing_ok=True)
        return result


def make_settings(job: PretrainJob) -> MEVTSettings:
    """The settings with what the job overrules. Raises UsageError."""
    settings = settings_from(MEVTSettings, job.settings)
    if settings.colours not in COLOURS:
        raise UsageError(f"setting colours: {settings.colours!r} is unknown", f"choose one of {', '.join(COLOURS)}")
    for name in ("decay", "momentum", "area", "local_area", "sharper"):
        if len(getattr(settings, name)) != 2:
            raise UsageError(f"setting {name}: two numbers are needed", f"write --set {name}=0.1,0.2")
    for name in ("hidden", "embedding", "prototypes", "tokens"):
        if getattr(settings, name) < 1:
            raise UsageError(f"setting {name}: {getattr(settings, name)} is out of range", "allowed: at least 1")
    for name in ("local", "queue", "fresh"):
        if getattr(settings, name) < 0:
            raise UsageError(f"setting {name}: {getattr(settings, name)} is out of range", "allowed: at least 0")
    for name in ("temperature", "sharp", "radius", "lr"):
        if getattr(settings, name) <= 0:
            raise UsageError(f"setting {name}: {getattr(settings, name)} is out of range", "allowed: above 0")
    return settings


def make_module(job: PretrainJob, settings: MEVTSettings, card: BackboneCard, group: Group) -> Pretraining:
    """Backbone, heads and what trains them, with the starting weights the job asks for. Raises WsssGeoError leaves."""
    torch.manual_seed(job.seed)
    encoder = _backbone(job, card)
    suit_attention(encoder, job)
    if job.size % encoder.patch:
        raise UsageError(
            f"pretrain.size: {job.size} px is no multiple of the patch of {encoder.patch} px of {job.backbone}",
            f"use {max(1, job.size // encoder.patch) * encoder.patch}",
        )
    if job.weights:
        start_from(encoder, job.weights, job.backbone)
    joint = job.batch_size * group.world
    rate = settings.lr * joint / 256 if job.learning_rate is None else job.learning_rate
    return Pretraining(MEVT(encoder, settings, job.steps), card.normalisation, job.size, rate, job.seed)


def _backbone(job: PretrainJob, card: BackboneCard) -> Backbone:
    with building(job, "use mevt or see `timm.list_models('vit*')`"):
        return build_backbone(
            job.backbone,
            bands=len(card.bands),
            image_size=job.size,
            pretrained=job.pretrained,
            arguments=job.backbone_args,
        )


def _card(
    job: PretrainJob, settings: MEVTSettings, ground: Ground, found: Survey, names: tuple[str, ...], group: Group
) -> BackboneCard:
    return BackboneCard(
        backbone=job.backbone,
        arguments=dict(job.backbone_args),
        bands=names,
        normalisation=found.normalisation,
        size=job.size,
        gsd=ground.gsd,
        method="mevt",
        images=job.steps * job.batch_size * group.world * (2 + settings.local),
        data_hash=ground.digest(),
        versions=versions(),
        settings=dict(job.settings),
    )


def _fit(
    job: PretrainJob,
    group: Group,
    ground: Ground,
    found: Survey,
    module: Pretraining,
    card: BackboneCard,
    folder: Path,
    report: Progress,
) -> None:
    every = check_interval(job.steps, job.check_every)
    sampler = WindowSampler(job.batch_size, job.steps)
    metrics = MetricsFile(folder, ["loss", *MEVT.terms], every=min(LOG_EVERY, every))
    resume = go_on(folder, sampler, metrics, group.leads, report)
    callbacks = [
        Reporter(report, job.steps, "pretrain"),
        metrics,
        KeepLatest(folder, every, lambda: save_backbone(folder / WEIGHTS, module.method.product, card)),
    ]
    trainer = make_trainer(job, folder, every, module.method.settings.clip, callbacks, group)
    sampler.rank, sampler.world = group.rank, group.world
    windows = WindowDataset(ground, found, job.seed, job.steps * job.batch_size * group.world)
    fit(trainer, module, step_loader(windows, sampler, job), None, resume, "pre-training")
