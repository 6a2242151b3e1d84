"""Jobs that find what a few drawn examples show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..job_fields import REQUIRED, Job, Result, setting
from . import shared
from .tiling import SPLITS


@dataclass(frozen=True)
class FewShotTrainJob(Job):
    """Train few-shot segmentation (DSMF-Net, and PANet to compare with) on episodes from tiles with masks."""

    command: ClassVar[str] = "fewshot-train"

    tiles: str = setting(REQUIRED, "path", "Tile set with masks", positional=True)
    out: str = shared.run_folder()
    recipe: str | None = shared.recipe()
    held: str | None = setting(
        None,
        "text",
        "Classes to leave out of training, as in water,road, or a fold, as in isaid-5i:0 or dlrsd-5i:2: no tile with a "
        "pixel of them is learned from",
    )
    shots: int = setting(5, "int", "Most examples of an episode; half of the steps have one", low=1, high=100)
    backbone: str = setting("resnet50", "text", "Frozen backbone: a CNN or plain ViT of timm, or mevt")
    backbone_args: Mapping[str, Any] = shared.backbone_args()
    pretrained: bool = setting(False, "flag", "Use the weights that timm publishes for the backbone")
    weights: str | None = setting(None, "path", "Use the backbone weights in this file")
    steps: int = setting(5000, "int", "Training steps", low=1)
    batch_size: int = setting(8, "int", "Episodes a step", low=1)
    learning_rate: float | None = setting(None, "float", "Largest learning rate", low=0.0)
    settings: Mapping[str, Any] = shared.method_settings()
    precision: str = shared.precision()
    device: str = shared.device()
    workers: int = shared.workers()
    check_every: int = shared.check_every()
    seed: int = shared.seed()


@dataclass(frozen=True)
class FewShotTestJob(Job):
    """Score a few-shot model on episodes, beside the baselines."""

    command: ClassVar[str] = "fewshot-test"

    model: str = setting(REQUIRED, "path", "Model of `wsss-geo fewshot-train`", positional=True)
    tiles: str = setting(REQUIRED, "path", "Tile set with masks")
    split: str = setting("test", "choice", "Split of the tile set", choices=(*SPLITS, "all"))
    classes: str | None = setting(
        None, "text", "Classes to seek, as in water,road or isaid-5i:0; those held out of the training unless given"
    )
    shots: tuple[int, ...] = setting((1, 5), "ints", "Numbers of examples, as in 1,5", low=1, high=100)
    episodes: int = setting(1000, "int", "Episodes a run", low=1)
    runs: int = setting(1, "int", "Runs, each with a seed of its own, to average", low=1)
    out: str | None = shared.result_file()
    batch_size: int = setting(8, "int", "Episodes a batch", low=1, advanced=True)
    device: str = shared.device()
    seed: int = setting(0, "int", "Seed of the first run", low=0)


@dataclass(frozen=True)
class FewShotJob(Job):
    """Find everything in a raster that is like a few polygons drawn in it or in another."""

    command: ClassVar[str] = "fewshot"

    support: str = setting(REQUIRED, "path", "Polygons around a few examples; what lies around them counts as other")
    support_raster: str = setting(REQUIRED, "path", "Raster that the examples were drawn in")
    query: str = setting(REQUIRED, "path", "Raster to search")
    model: str = setting(REQUIRED, "path", "Model of `wsss-geo fewshot-train` (.safetensors)")
    out: str = setting(REQUIRED, "path", "Mask to write (.tif): 1 found, 0 other")
    polygons: str | None = shared.polygons()
    confidence: str | None = shared.confidence()
    name: str = setting("found", "text", "What to call it")
    most: int = setting(10, "int", "Most views of examples to use", low=1, high=100)
    bands: tuple[int, ...] | None = shared.bands()
    aoi: str | None = setting(None, "text", "Area to search: polygon file, or minx,miny,maxx,maxy in the CRS")
    min_area: float = shared.min_area()
    simplify: float = shared.simplify()
    threshold: float = shared.threshold()
    window: int | None = shared.window()
    overlap: float = shared.overlap()
    flips: bool = shared.flips()
    resample: bool = shared.resample()
    batch_size: int = shared.windows_a_batch()
    device: str = shared.device()
    threads: int = shared.threads()


@dataclass(frozen=True)
class FewShotTrainResult(Result):
    """``seen``: the classes of the episodes; ``tiles`` that were learned from; ``losses``: means over the last part."""

    run: str
    model: str
    steps: int
    episodes: int
    seen: tuple[str, ...]
    held: tuple[str, ...]
    tiles: int
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class FewShotTestResult(Result):
    """IoU of what is sought in 0..1, by ``1-shot``, ``5-shot`` and so on, then by ``dsmf``, ``panet``, ``prototypes``.

    ``miou`` is the mean over ``classes`` and runs, ``deviation`` that over the runs, ``iou`` the score of each class.
    """

    classes: tuple[str, ...]
    miou: Mapping[str, Mapping[str, float]]
    deviation: Mapping[str, Mapping[str, float]]
    iou: Mapping[str, Mapping[str, Mapping[str, float]]]
    episodes: int
    runs: int


@dataclass(frozen=True)
class FewShotResult(Result):
    """``examples`` views from ``drawn`` polygons; ``area_m2``: geodesic area found (square pixels without CRS)."""

    mask: str
    drawn: int
    examples: int
    windows: int
    share: float
    area_m2: float
    seconds: float
    polygons: str | None = None
    polygon_count: int | None = None
    confidence: str | None = None
