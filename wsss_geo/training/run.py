"""The ``train`` job: from a tile set to a run folder with a model."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from wsss_geo.errors import UsageError
from wsss_geo.fitting.callbacks import MetricsFile, Reporter
from wsss_geo.fitting.checkpoint import RESUME
from wsss_geo.fitting.folder import claimed, finished
from wsss_geo.fitting.group import Group, companions, find_group
from wsss_geo.fitting.loader import step_loader
from wsss_geo.fitting.trainer import LOG_EVERY, check_interval, fit, go_on, make_trainer
from wsss_geo.jobs import TrainJob, TrainResult
from wsss_geo.nn.model_file import ModelCard, read_card, save_model
from wsss_geo.progress import Progress
from wsss_geo.record import write_record
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet, read_tileset
from wsss_geo.tileset.mosaic import MosaicDataset
from wsss_geo.tileset.sampling import repeat_factor_weights
from wsss_geo.training.batches import StepSampler
from wsss_geo.training.calibrate import calibrate_file
from wsss_geo.training.callbacks import Checkpoints
from wsss_geo.training.lightning_module import TagTraining
from wsss_geo.training.preview import write_preview
from wsss_geo.training.setup import check_tiles, make_card, make_method, make_settings

MODEL = "model.safetensors"
RECORD = "model.safetensors.json"
_PREVIEWS = 6
_SCORES = ("score", "tag_f1", "within", "cam_f1")


def run(job: TrainJob, report: Progress) -> TrainResult:
    """Train, or go on with an interrupted run of the same job in the same folder.

    With several devices this starts the other processes of the group, unless torchrun or SLURM has; see ``Group``.
    Raises InputError for tiles that cannot be learned from and UsageError for settings that do not fit.
    """
    tileset = read_tileset(job.tiles)
    folder = Path(job.out)
    if done := finished(folder / MODEL, folder / RECORD, job):
        report.info(f"{folder}: this training is finished already")
        return TrainResult(**done)
    rows = tileset.of_split("train")
    rows = rows[rows["tagged"]]
    check_tiles(tileset, rows)
    settings = make_settings(job)
    size = job.crop or tileset.size * job.mosaic
    if job.mosaic > 1 and (tileset.materialized or settings.scale != (1.0, 1.0)):
        raise UsageError(
            "train.mosaic: needs tiles that are windows of rasters, and views at scale 1",
            "tile without --materialize and train with --set scale=1,1",
        )
    card = make_card(job, tileset, rows, settings, size)
    method = make_method(job, card, settings)
    module = TagTraining(method, size, job.seed)
    group = find_group(job.devices)
    with contextlib.ExitStack() as stack:
        if group.leads:  # not before all is checked: a refused job leaves no folder behind
            stack.enter_context(claimed(folder, job, card.data_hash, settings, ("tiles",), report))
        started = time.monotonic()
        with companions(job, group):
            _fit(job, group, tileset, rows, module, card, folder, report)
        if group.leads:
            split = "val" if len(_held(tileset)) else "train"
            calibrate_file(folder / MODEL, folder / MODEL, tileset, split, job.batch_size, job.device, report)
        seconds = time.monotonic() - started
        result = _result(folder, job, seconds)
        if group.leads:
            write_record(folder / RECORD, job, result, [job.tiles], {"train": seconds}, str(folder / MODEL))
            (folder / RESUME).unlink(missing_ok=True)
        return result


def _fit(
    job: TrainJob,
    group: Group,
    tileset: TileSet,
    rows: Any,
    module: TagTraining,
    card: ModelCard,
    folder: Path,
    report: Progress,
) -> None:
    method, settings = module.method, module.method.settings
    tiles = TileDataset(tileset, rows, with_masks="masks" in method.needs)
    train = tiles if job.mosaic == 1 else MosaicDataset(tiles, job.mosaic)
    val: Any = TileDataset(tileset, _held(tileset))
    if job.mosaic > 1 and len(val):
        val = MosaicDataset(val, job.mosaic)
    sampler = StepSampler(
        repeat_factor_weights(tileset.tags_matrix(rows), settings.rare, settings.pure),
        job.batch_size,
        job.steps,
        job.seed,
    )
    every = check_interval(job.steps, job.check_every)

    def save(scores: dict[str, float]) -> None:
        save_model(folder / MODEL, method.product, dataclasses.replace(card, scores=scores))
        shown = val if len(val) else train
        items = [shown[i] for i in range(0, len(shown), max(1, len(shown) // _PREVIEWS))][:_PREVIEWS]
        (folder / "preview").mkdir(exist_ok=True)
        seen = (torch.stack([i[k] for i in items]).to(module.device) for k in ("image01", "tags", "valid"))
        name = folder / "preview" / f"step_{module.global_step:06d}.png"
        write_preview(name, method.product, card.classes, *seen)

    metrics = MetricsFile(folder, ["loss", *method.terms, *_SCORES], every=min(LOG_EVERY, every))
    resume = go_on(folder, sampler, metrics, group.leads, report)
    checkpoints = Checkpoints(folder, every, len(val) > 0, save)
    callbacks = [Reporter(report, job.steps, "train"), metrics, checkpoints]
    trainer = make_trainer(
        job, folder, every, settings.clip, callbacks, group, val_check_interval=every, check_val_every_n_epoch=None
    )
    sampler.rank, sampler.world = group.rank, group.world
    loader = step_loader(train, sampler, job)
    val_loader = DataLoader(val, batch_size=job.batch_size) if len(val) else None
    fit(trainer, module, loader, val_loader, resume)


def _held(tileset: TileSet) -> Any:
    """The rows that nothing is learned from."""
    rows = tileset.of_split("val")
    return rows[rows["tagged"]]


def _result(folder: Path, job: TrainJob, seconds: float) -> TrainResult:
    scores = dict(read_card(folder / MODEL).scores)
    return TrainResult(str(folder), str(folder / MODEL), job.steps, scores, round(seconds, 1))
