"""The ``train`` job: from a tile set to a run folder with a model."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from wsss_geo.errors import InputError, UsageError, WsssGeoError
from wsss_geo.jobs import TrainJob, TrainResult
from wsss_geo.methods import Settings
from wsss_geo.nn.model_file import ModelCard, read_card, save_model
from wsss_geo.outputs import check_output_folder, replacing
from wsss_geo.progress import Progress
from wsss_geo.record import write_record
from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet, read_tileset
from wsss_geo.tileset.mosaic import MosaicDataset
from wsss_geo.tileset.sampling import repeat_factor_weights
from wsss_geo.training.batches import StepSampler
from wsss_geo.training.callbacks import RESUME, Checkpoints, MetricsFile, Reporter
from wsss_geo.training.lightning_module import TagTraining
from wsss_geo.training.preview import write_preview
from wsss_geo.training.setup import check_tiles, make_card, make_method, make_settings

MODEL = "model.safetensors"
JOB = "job.json"
RECORD = "model.safetensors.json"
_PREVIEWS = 6


def run(job: TrainJob, report: Progress) -> TrainResult:
    """Train, or go on with an interrupted run of the same job in the same folder.

    Raises InputError for tiles that cannot be learned from and UsageError for settings that do not fit.
    """
    tileset = read_tileset(job.tiles)
    folder = Path(job.out)
    if done := _finished(folder, job):
        report.info(f"{folder}: this training is finished already")
        return done
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
    folder = check_output_folder(job.out)  # not before all is checked: a refused job leaves no folder behind
    _claim(folder, job, card, settings)
    resume = folder / RESUME if (folder / RESUME).is_file() else None
    started = time.monotonic()
    _fit(job, tileset, rows, module, card, folder, resume, report)
    seconds = time.monotonic() - started
    result = _result(folder, job, seconds)
    write_record(folder / RECORD, job, result, [job.tiles], {"train": seconds}, str(folder / MODEL))
    (folder / RESUME).unlink(missing_ok=True)
    return result


def _fit(
    job: TrainJob,
    tileset: TileSet,
    rows: Any,
    module: TagTraining,
    card: ModelCard,
    folder: Path,
    resume: Path | None,
    report: Progress,
) -> None:
    method, settings = module.method, module.method.settings
    tiles = TileDataset(tileset, rows, with_masks="masks" in method.needs)
    train = tiles if job.mosaic == 1 else MosaicDataset(tiles, job.mosaic)
    held = tileset.of_split("val")
    val: Any = TileDataset(tileset, held[held["tagged"]])
    if job.mosaic > 1 and len(val):
        val = MosaicDataset(val, job.mosaic)
    sampler = StepSampler(
        repeat_factor_weights(tileset.tags_matrix(rows), settings.rare, settings.pure),
        job.batch_size,
        job.steps,
        job.seed,
    )
    every = _check_interval(job)

    def save(scores: dict[str, float]) -> None:
        save_model(folder / MODEL, method.product, dataclasses.replace(card, scores=scores))
        shown = val if len(val) else train
        items = [shown[i] for i in range(0, len(shown), max(1, len(shown) // _PREVIEWS))][:_PREVIEWS]
        (folder / "preview").mkdir(exist_ok=True)
        images, tags = (torch.stack([i[k] for i in items]).to(module.device) for k in ("image01", "tags"))
        name = folder / "preview" / f"step_{module.global_step:06d}.png"
        write_preview(name, method.product, card.classes, images, tags)

    metrics = MetricsFile(folder, list(method.terms), every=max(1, min(50, every)))
    if resume:
        step = _resumed_step(resume)
        sampler.start = step
        metrics.cut(step)
        report.info(f"{folder}: going on after step {step}")
    checkpoints = Checkpoints(folder, every, len(val) > 0, save)
    trainer = _trainer(job, settings, folder, every, [Reporter(report, job.steps), metrics, checkpoints])
    sampler.rank, sampler.world = trainer.global_rank, trainer.world_size
    loader = DataLoader(
        train, batch_sampler=sampler, num_workers=job.workers, persistent_workers=job.workers > 0, pin_memory=_cuda(job)
    )
    val_loader = DataLoader(val, batch_size=job.batch_size) if len(val) else None
    try:
        with warnings.catch_warnings():
            # The sampler starts where the checkpoint ends, which Lightning cannot know.
            warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
            trainer.fit(module, loader, val_loader, ckpt_path=resume, weights_only=True)
    except ArithmeticError as error:
        raise WsssGeoError(f"training diverged ({error})", "lower --learning-rate") from None


def _check_interval(job: TrainJob) -> int:
    """Steps between checks: at most ``check_every``, so that the last check falls on the last step."""
    checks = -(-job.steps // job.check_every)
    while job.steps % checks:
        checks += 1
    return job.steps // checks


def _trainer(job: TrainJob, settings: Settings, folder: Path, every: int, callbacks: list[Any]) -> lightning.Trainer:
    accelerator = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}[job.device]
    bf16 = job.precision == "bfloat16" or (job.precision == "auto" and _cuda(job) and torch.cuda.is_bf16_supported())
    try:
        return lightning.Trainer(
            accelerator=accelerator,
            devices=job.devices,
            max_steps=job.steps,
            precision="bf16-mixed" if bf16 else "32-true",
            gradient_clip_val=settings.clip or None,
            val_check_interval=every,
            check_val_every_n_epoch=None,
            callbacks=callbacks,
            logger=TensorBoardLogger(folder, name="", version="tensorboard"),
            log_every_n_steps=min(50, every),
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except lightning.fabric.utilities.exceptions.MisconfigurationException as error:
        raise UsageError(f"train.device: {error}", "choose --device cpu") from None


def _cuda(job: TrainJob) -> bool:
    return job.device in ("auto", "cuda") and torch.cuda.is_available()


def _resumed_step(path: Path) -> int:
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:  # noqa: BLE001 - a damaged checkpoint raises many kinds
        raise InputError(
            path, f"checkpoint cannot be read ({type(error).__name__})", "delete it to start anew"
        ) from None


def _claim(folder: Path, job: TrainJob, card: ModelCard, settings: Settings) -> None:
    """Mark the folder as that of this job; refuse one that holds another run. Raises UsageError."""
    path = folder / JOB
    own = {**job.to_json(), "data_hash": card.data_hash}
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != own:
        raise UsageError(
            f"{folder}: holds the run of another job", "choose another --out, or delete the folder to start anew"
        )
    with replacing(path) as part:
        part.write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "config.yaml") as part:
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(settings).items()}
        fields = {k: v for k, v in job.to_json().items() if k not in ("command", "tiles", "out", "recipe")}
        part.write_text(yaml.safe_dump({**fields, "settings": plain}, sort_keys=False), encoding="utf-8")


def _finished(folder: Path, job: TrainJob) -> TrainResult | None:
    """The result of this very job, if its record is there."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = record.get("job") == job.to_json() and (folder / MODEL).is_file()
    return TrainResult(**record["result"]) if same else None


def _result(folder: Path, job: TrainJob, seconds: float) -> TrainResult:
    scores = dict(read_card(folder / MODEL).scores)
    return TrainResult(str(folder), str(folder / MODEL), job.steps, scores, round(seconds, 1))
