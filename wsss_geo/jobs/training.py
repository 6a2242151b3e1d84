"""Jobs that train: from tags, without any, and the judgement of what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import UsageError
from ..job_fields import REQUIRED, Job, Result, setting
from . import shared
from .tiling import SPLITS

METHODS = ("aerial", "toco", "ctfa", "sfc", "cti", "stcl", "supervised")


@dataclass(frozen=True)
class TrainJob(Job):
    """Train a model from the tags of a tile set."""

    command: ClassVar[str] = "train"

    tiles: str = setting(REQUIRED, "path", "Tile set", positional=True)
    out: str = shared.run_folder()
    method: str = setting("aerial", "choice", "Method", choices=METHODS)
    recipe: str | None = shared.recipe()
    backbone: str = setting("vit_small_patch16_224", "text", "Any plain ViT of timm, or mevt")
    backbone_args: Mapping[str, Any] = shared.backbone_args()
    pretrained: bool = shared.pretrained()
    weights: str | None = shared.weights()
    from_model: str | None = setting(
        None, "path", "Train this model on: the same network, all of its weights", advanced=True
    )
    steps: int = setting(4000, "int", "Training steps", low=1)
    batch_size: int = setting(16, "int", "Tiles a step", low=1)
    crop: int | None = setting(
        None, "int", "Side of the training view in pixels; that of the tile or mosaic unless given", low=8
    )
    mosaic: int = setting(1, "int", "Tiles along the side of a training view: neighbours seen together", low=1, high=16)
    learning_rate: float | None = setting(None, "float", "Learning rate of the backbone", low=0.0)
    settings: Mapping[str, Any] = shared.method_settings()
    precision: str = shared.precision()
    device: str = shared.device()
    devices: int = setting(1, "int", "Processes for data-parallel training; each has its batch", low=1, advanced=True)
    workers: int = shared.workers()
    check_every: int = setting(500, "int", "Steps between validation, previews and checkpoints", low=1, advanced=True)
    compile: bool = setting(False, "flag", "Compile the network with torch.compile", advanced=True)
    seed: int = shared.seed()

    def check(self) -> None:
        """There is one place to start from."""
        given = [name for name in ("pretrained", "weights", "from_model") if getattr(self, name)]
        if len(given) > 1:
            raise UsageError(f"train: {' and '.join(given)} do not go together", "start from one of them")


@dataclass(frozen=True)
class PretrainJob(Job):
    """Pre-train a backbone on imagery without any tag, for `wsss-geo train --weights`."""

    command: ClassVar[str] = "pretrain"

    sources: tuple[str, ...] = setting(
        REQUIRED, "paths", "Rasters, folders of rasters or images, or tile sets (their train split)", positional=True
    )
    out: str = shared.run_folder()
    recipe: str | None = shared.recipe()
    backbone: str = setting("mevt", "text", "mevt, the hierarchical encoder with decoder, or any plain ViT of timm")
    backbone_args: Mapping[str, Any] = shared.backbone_args()
    pretrained: bool = shared.pretrained()
    weights: str | None = shared.weights()
    bands: tuple[int, ...] | None = setting(None, "ints", "Bands to use, from 1, as in 4,3,2", low=1, high=65535)
    gsd: float | None = setting(None, "float", "Resample to this ground sample distance in metres", low=1e-6)
    size: int = setting(128, "int", "Side of a view in pixels", low=8, high=8192)
    window: int | None = setting(
        None, "int", "Side in pixels of the window whose parts the views show; 1.5 times the view unless given", low=8
    )
    steps: int = setting(10000, "int", "Training steps", low=1)
    batch_size: int = setting(64, "int", "Windows a step", low=2)
    learning_rate: float | None = setting(
        None, "float", "Largest learning rate; 5e-4 for 256 windows a step, less for fewer, unless given", low=0.0
    )
    settings: Mapping[str, Any] = setting({}, "mapping", "Settings of the pre-training, name=value")
    precision: str = shared.precision()
    device: str = shared.device()
    devices: int = setting(1, "int", "Processes for data-parallel training", low=1, advanced=True)
    workers: int = setting(0, "int", "Processes that read windows", low=0, advanced=True)
    check_every: int = shared.check_every()
    seed: int = shared.seed()


@dataclass(frozen=True)
class ProbeJob(Job):
    """Judge a frozen backbone: a linear classifier on its features, and how alike its tokens are."""

    command: ClassVar[str] = "probe"

    weights: str = setting(REQUIRED, "path", "Weights of `wsss-geo pretrain` or model of `train`", positional=True)
    tiles: str = setting(REQUIRED, "path", "Tile set with single tags, or a folder with one folder a class")
    size: int | None = setting(None, "int", "Side in pixels of what is seen; that of the weights unless given", low=8)
    held: float = setting(0.3, "float", "Share of a folder of classes that is kept for the test", low=0.05, high=0.95)
    untrained: bool = setting(False, "flag", "Probe random weights instead: what the trained ones have to beat")
    out: str | None = shared.result_file()
    batch_size: int = setting(64, "int", "Images a batch", low=1, advanced=True)
    device: str = shared.device()
    seed: int = setting(0, "int", "Seed of the split and of random weights", low=0)


@dataclass(frozen=True)
class CalibrateJob(Job):
    """Make the confidence of a trained model mean something, from scene tags alone (training does it at its end)."""

    command: ClassVar[str] = "calibrate"

    model: str = setting(REQUIRED, "path", "Model file (.safetensors)", positional=True)
    tiles: str = setting(REQUIRED, "path", "Tile set with tagged scenes of the model's classes")
    out: str = setting(REQUIRED, "path", "Model to write (.safetensors): the same weights, and a temperature")
    split: str | None = setting(
        None,
        "choice",
        "Split of the tile set; val, or train where that is empty, unless given",
        choices=(*SPLITS, "all"),
    )
    batch_size: int = setting(8, "int", "Views a batch", low=1, advanced=True)
    device: str = shared.device()


@dataclass(frozen=True)
class TrainResult(Result):
    """``scores``: the figures of the chosen checkpoint, none of which needs a mask."""

    run: str
    model: str
    steps: int
    scores: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class CalibrateResult(Result):
    """``error_before`` and ``error_after``: expected calibration error by the tags, in 0..1; of ``scenes`` tagged."""

    model: str
    temperature: float
    split: str
    scenes: int
    error_before: float
    error_after: float


@dataclass(frozen=True)
class PretrainResult(Result):
    """``losses``: the means of the loss terms over the last part of the run."""

    run: str
    weights: str
    steps: int
    windows: int
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class ProbeResult(Result):
    """Scores in 0..1 on images kept back; ``f1`` is their mean over the classes, ``f1_by_class`` each of them.

    ``smoothness``: mean cosine between the tokens of an image, block by block; 1 means that all are alike.
    """

    top1: float
    f1: float
    f1_by_class: Mapping[str, float]
    train: int
    test: int
    smoothness: Mapping[str, float]
