"""Jobs: what the command line, Python, QGIS and a cluster hand to the engine, and what comes back.

A job is a frozen dataclass. Every field carries its own description (kind, limits, choices, help), from which
validation, command-line options and QGIS parameters all derive. ``to_json``/``from_json`` are its file form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Optional, Tuple, Type

from .errors import UsageError
from .job_fields import REQUIRED, Job, Result, is_required, parse_bytes, parse_shard, setting

METHODS = ("aerial", "toco", "ctfa", "sfc", "cti", "stcl", "supervised")
DEVICES = ("auto", "cpu", "cuda", "mps")
SCORES = ("decoder", "cam", "both")
SPLITS = ("train", "val", "test")
DATASETS = (
    "coco2014", "deepglobe", "dlrsd", "eurosat", "isaid", "loveda", "potsdam", "ucmerced", "vaihingen", "voc2012",
)  # fmt: skip
PROTOCOLS = ("official", "clutter", "ctfa")
ON_TOP = ("first", "last")
REFINEMENTS = ("none", "par", "crf")


@dataclass(frozen=True)
class TileJob(Job):
    """Cut rasters into scenes and join them with their tags."""

    command: ClassVar[str] = "tile"

    rasters: Tuple[str, ...] = setting(
        REQUIRED, "paths", "Rasters, or folders of rasters or images; with --dataset its folder", positional=True
    )
    out: str = setting(REQUIRED, "path", "Folder of the new tile set")
    tags: Optional[str] = setting(
        None,
        "path",
        "Where the tags come from: CSV, vector layer, mask raster or folder of masks, folder of class folders; "
        "without it the tiles stay untagged",
    )
    classes: Optional[str] = setting(None, "path", "classes.json; without it the classes are those of the tags")
    background: Optional[str] = setting(None, "text", "Background policy: none, explicit or surrogate:<class>")
    dataset: Optional[str] = setting(
        None,
        "choice",
        "Public data set in its own folders: brings classes, tags, masks, splits, and its values of the options below",
        choices=DATASETS,
    )
    protocol: Optional[str] = setting(
        None, "choice", "Whose classes and splits to take; official unless given", choices=PROTOCOLS, advanced=True
    )
    variant: Optional[str] = setting(
        None, "text", "Version of the data set, such as irrg, rgb or rgbir of potsdam", advanced=True
    )
    size: int = setting(256, "int", "Side of a tile in pixels", low=8, high=8192)
    stride: Optional[int] = setting(None, "int", "Step between tiles in pixels; the size unless given", low=1)
    gsd: Optional[float] = setting(None, "float", "Resample to this ground sample distance in metres", low=1e-6)
    bands: Optional[Tuple[int, ...]] = setting(None, "ints", "Bands to use, from 1, as in 4,3,2", low=1, high=65535)
    field: Optional[str] = setting(None, "text", "Attribute of the vector layer that holds the class name")
    min_area: float = setting(0.05, "float", "Least share of a tile that makes a tag", low=0.0, high=1.0)
    val: float = setting(0.15, "float", "Share of scenes for validation", low=0.0, high=0.9)
    test: float = setting(0.0, "float", "Share of scenes for testing", low=0.0, high=0.9)
    scene_block: Optional[int] = setting(
        None, "int", "Side in pixels of the blocks that count as scenes; 0: a raster is one scene", low=0, advanced=True
    )
    materialize: bool = setting(False, "flag", "Copy the pixels of every tile into chips/")
    seed: int = setting(0, "int", "Seed of the split", low=0, advanced=True)

    def check(self) -> None:
        """Shares must leave something to train on; a data set comes with what is its own."""
        if self.val + self.test >= 1:
            raise UsageError(f"tile.val + tile.test = {self.val + self.test:g} leave nothing to train on", "lower one")
        if self.dataset is None:
            lost = [n for n in ("protocol", "variant") if getattr(self, n) is not None]
            if lost:
                raise UsageError(f"tile.{lost[0]}: speaks of a data set, but none is named", "name one with --dataset")
        elif len(self.rasters) != 1:
            raise UsageError("tile.rasters: a data set is one folder", f"give the folder of {self.dataset} alone")
        else:
            own = [n for n in ("tags", "classes", "field", "scene_block") if getattr(self, n) is not None]
            if own:
                raise UsageError(f"tile.{own[0]}: the data set {self.dataset} brings its own", "leave it out")


@dataclass(frozen=True)
class TrainJob(Job):
    """Train a model from the tags of a tile set."""

    command: ClassVar[str] = "train"

    tiles: str = setting(REQUIRED, "path", "Tile set", positional=True)
    out: str = setting(REQUIRED, "path", "Run folder")
    method: str = setting("aerial", "choice", "Method", choices=METHODS)
    recipe: Optional[str] = setting(None, "path", "YAML file of settings; options given beside it win")
    backbone: str = setting("vit_small_patch16_224", "text", "Any plain ViT of timm, or mevt")
    backbone_args: Mapping[str, Any] = setting({}, "mapping", "Arguments of the backbone, name=value", advanced=True)
    pretrained: bool = setting(False, "flag", "Start from the weights that timm publishes for the backbone")
    weights: Optional[str] = setting(None, "path", "Start from the backbone weights in this file")
    steps: int = setting(4000, "int", "Training steps", low=1)
    batch_size: int = setting(16, "int", "Tiles a step", low=1)
    crop: Optional[int] = setting(
        None, "int", "Side of the training view in pixels; that of the tile or mosaic unless given", low=8
    )
    mosaic: int = setting(1, "int", "Tiles along the side of a training view: neighbours seen together", low=1, high=16)
    learning_rate: Optional[float] = setting(None, "float", "Learning rate of the backbone", low=0.0)
    settings: Mapping[str, Any] = setting({}, "mapping", "Settings of the method, name=value")
    precision: str = setting("auto", "choice", "Arithmetic", choices=("auto", "float32", "bfloat16"), advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
    devices: int = setting(1, "int", "Processes for data-parallel training; each has its batch", low=1, advanced=True)
    workers: int = setting(0, "int", "Processes that load tiles", low=0, advanced=True)
    check_every: int = setting(500, "int", "Steps between validation, previews and checkpoints", low=1, advanced=True)
    compile: bool = setting(False, "flag", "Compile the network with torch.compile", advanced=True)
    seed: int = setting(0, "int", "Seed of everything random", low=0)


@dataclass(frozen=True)
class PredictJob(Job):
    """Turn rasters into a mask, and on request confidence, class activation maps and polygons."""

    command: ClassVar[str] = "predict"

    rasters: Tuple[str, ...] = setting(REQUIRED, "paths", "Rasters, folders of rasters, or STAC items", positional=True)
    model: str = setting(REQUIRED, "path", "Model file (.safetensors)")
    out: str = setting(REQUIRED, "path", "Mask to write (.tif)")
    mosaic: Optional[str] = setting(
        None, "choice", "Join the rasters into one, the first or the last on top where they overlap", choices=ON_TOP
    )
    asset: Optional[str] = setting(None, "text", "Asset to take of STAC items that have several", advanced=True)
    polygons: Optional[str] = setting(None, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
    confidence: Optional[str] = setting(None, "path", "Confidence raster to write (.tif)")
    cam: Optional[str] = setting(None, "path", "Class activation maps to write (.tif), one band a class")
    scores: str = setting("decoder", "choice", "Whose scores decide", choices=SCORES)
    bands: Optional[Tuple[int, ...]] = setting(None, "ints", "Bands to use, from 1, as in 1,2,3", low=1, high=65535)
    aoi: Optional[str] = setting(None, "text", "Area of interest: polygon file, or minx,miny,maxx,maxy in the CRS")
    min_area: float = setting(0.0, "float", "Smallest polygon in square metres (pixels without CRS)", low=0.0)
    simplify: float = setting(0.0, "float", "Simplification tolerance of the polygons in pixels", low=0.0)
    threshold: float = setting(0.0, "float", "Pixels of lower confidence become nodata", low=0.0, high=1.0)
    window: Optional[int] = setting(None, "int", "Window side in pixels; the model's tile size unless given", low=8)
    overlap: float = setting(0.25, "float", "Overlap of windows", low=0.0, high=0.9, advanced=True)
    flips: bool = setting(False, "flag", "Average over flips as well", advanced=True)
    rotations: bool = setting(False, "flag", "Average over quarter turns as well", advanced=True)
    scales: Optional[Tuple[float, ...]] = setting(
        None, "floats", "Average over these scales of the windows, as in 0.75,1,1.25", low=0.1, high=8.0, advanced=True
    )
    refine: str = setting("none", "choice", "Move borders to where the image's are", choices=REFINEMENTS, advanced=True)
    resample: bool = setting(True, "flag", "Resample to the model's ground sample distance", advanced=True)
    batch_size: int = setting(8, "int", "Windows a batch", low=1, advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
    threads: int = setting(2, "int", "Threads that decode the raster", low=1, high=64, advanced=True)
    max_memory: Optional[str] = setting(
        None, "text", "Most memory of a process, such as 1.5GiB: batches and reads become smaller", advanced=True
    )
    workers: int = setting(0, "int", "Processes of this machine that share the work; 0: do it in one", low=0)
    scheduler: Optional[str] = setting(
        None, "text", "Dask scheduler whose workers share the work, as in tcp://head:8786", advanced=True
    )
    shard: Optional[str] = setting(
        None, "text", "Compute one part, as in 2/8, for the tasks of a batch queue; --finish joins them", advanced=True
    )
    finish: bool = setting(False, "flag", "Join what the shards have computed", advanced=True)
    stac: bool = setting(False, "flag", "Write a STAC item beside the mask", advanced=True)

    def check(self) -> None:
        """There is one way to share the work at a time."""
        ways = {"workers": self.workers, "scheduler": self.scheduler, "shard": self.shard, "finish": self.finish}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise UsageError(f"predict: {' and '.join(given)} do not go together", "give one of them")
        if self.mosaic is not None and (self.shard or self.finish):
            raise UsageError("predict: each shard would write the mosaic anew", "join the rasters first (gdalbuildvrt)")
        if self.shard is not None:
            parse_shard(self.shard)
        if self.max_memory is not None:
            parse_bytes("predict.max_memory", self.max_memory)


@dataclass(frozen=True)
class EvaluateJob(Job):
    """Score a model on tiles with masks, or a prediction against a reference."""

    command: ClassVar[str] = "evaluate"

    model: Optional[str] = setting(None, "path", "Model file (.safetensors)")
    tiles: Optional[str] = setting(None, "path", "Tile set with masks")
    split: str = setting("test", "choice", "Split of the tile set", choices=(*SPLITS, "all"))
    scores: str = setting("decoder", "choice", "Whose scores decide", choices=SCORES)
    prediction: Optional[str] = setting(None, "path", "Mask to score")
    raster: Optional[str] = setting(None, "path", "Raster to segment with the model and to score")
    reference: Optional[str] = setting(None, "path", "Reference mask or polygons")
    field: Optional[str] = setting(None, "text", "Attribute of the reference polygons that holds the class name")
    classes: Optional[str] = setting(None, "path", "classes.json; without it those of the model or the mask")
    with_tags: bool = setting(False, "flag", "Let only the tags of a tile compete (shows pseudo-label quality)")
    out: Optional[str] = setting(None, "path", "Folder for the figures and metrics.json")
    batch_size: int = setting(8, "int", "Tiles a batch", low=1, advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)

    def check(self) -> None:
        """One of the three ways to evaluate must be complete."""
        ways = [
            self.model and self.tiles and not (self.prediction or self.raster),
            self.model and self.raster and self.reference and not (self.tiles or self.prediction),
            self.prediction and self.reference and not (self.tiles or self.model or self.raster),
        ]
        if not any(ways):
            raise UsageError(
                "evaluate: nothing complete to compare",
                "give --model and --tiles, or --prediction and --reference, or --model, --raster and --reference",
            )


@dataclass(frozen=True)
class VectorizeJob(Job):
    """Turn a mask raster, or class activation maps, into polygons."""

    command: ClassVar[str] = "vectorize"

    mask: str = setting(REQUIRED, "path", "Mask raster: any raster of class ids", positional=True)
    out: str = setting(REQUIRED, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
    classes: Optional[str] = setting(None, "path", "classes.json; without it the names in the mask")
    confidence: Optional[str] = setting(None, "path", "Confidence raster on the same grid")
    min_area: float = setting(0.0, "float", "Smallest polygon in square metres (pixels without CRS)", low=0.0)
    simplify: float = setting(0.0, "float", "Simplification tolerance in pixels", low=0.0)
    from_cam: bool = setting(
        False, "flag", "The raster holds activation maps (predict --cam): take the warmest class", advanced=True
    )
    threshold: float = setting(
        0.5, "float", "Least activation of a class, with --from-cam", low=0.0, high=1.0, advanced=True
    )
    detail: int = setting(
        4, "int", "Pixels along a cell of activation maps that borders are drawn with", low=1, high=64, advanced=True
    )

    def check(self) -> None:
        """What concerns activation maps needs them."""
        if self.from_cam and self.confidence is not None:
            raise UsageError("vectorize: confidence and from_cam do not go together", "leave one of them out")
        if not self.from_cam and (self.threshold, self.detail) != (0.5, 4):
            raise UsageError("vectorize: threshold and detail are for activation maps", "add --from-cam")


@dataclass(frozen=True)
class PretrainJob(Job):
    """Pre-train a backbone on imagery without any tag, for `wsss-geo train --weights`."""

    command: ClassVar[str] = "pretrain"

    sources: Tuple[str, ...] = setting(
        REQUIRED, "paths", "Rasters, folders of rasters or images, or tile sets (their train split)", positional=True
    )
    out: str = setting(REQUIRED, "path", "Run folder")
    recipe: Optional[str] = setting(None, "path", "YAML file of settings; options given beside it win")
    backbone: str = setting("mevt", "text", "mevt, the hierarchical encoder with decoder, or any plain ViT of timm")
    backbone_args: Mapping[str, Any] = setting({}, "mapping", "Arguments of the backbone, name=value", advanced=True)
    pretrained: bool = setting(False, "flag", "Start from the weights that timm publishes for the backbone")
    weights: Optional[str] = setting(None, "path", "Start from the backbone weights in this file")
    bands: Optional[Tuple[int, ...]] = setting(None, "ints", "Bands to use, from 1, as in 4,3,2", low=1, high=65535)
    gsd: Optional[float] = setting(None, "float", "Resample to this ground sample distance in metres", low=1e-6)
    size: int = setting(128, "int", "Side of a view in pixels", low=8, high=8192)
    window: Optional[int] = setting(
        None, "int", "Side in pixels of the window whose parts the views show; 1.5 times the view unless given", low=8
    )
    steps: int = setting(10000, "int", "Training steps", low=1)
    batch_size: int = setting(64, "int", "Windows a step", low=2)
    learning_rate: Optional[float] = setting(
        None, "float", "Largest learning rate; 5e-4 for 256 windows a step, less for fewer, unless given", low=0.0
    )
    settings: Mapping[str, Any] = setting({}, "mapping", "Settings of the pre-training, name=value")
    precision: str = setting("auto", "choice", "Arithmetic", choices=("auto", "float32", "bfloat16"), advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
    devices: int = setting(1, "int", "Processes for data-parallel training", low=1, advanced=True)
    workers: int = setting(0, "int", "Processes that read windows", low=0, advanced=True)
    check_every: int = setting(500, "int", "Steps between checkpoints", low=1, advanced=True)
    seed: int = setting(0, "int", "Seed of everything random", low=0)


@dataclass(frozen=True)
class ProbeJob(Job):
    """Judge a frozen backbone: a linear classifier on its features, and how alike its tokens are."""

    command: ClassVar[str] = "probe"

    weights: str = setting(REQUIRED, "path", "Weights of `wsss-geo pretrain` or model of `train`", positional=True)
    tiles: str = setting(REQUIRED, "path", "Tile set with single tags, or a folder with one folder a class")
    size: Optional[int] = setting(
        None, "int", "Side in pixels of what is seen; that of the weights unless given", low=8
    )
    held: float = setting(0.3, "float", "Share of a folder of classes that is kept for the test", low=0.05, high=0.95)
    untrained: bool = setting(False, "flag", "Probe random weights instead: what the trained ones have to beat")
    out: Optional[str] = setting(None, "path", "Write the result to this JSON file")
    batch_size: int = setting(64, "int", "Images a batch", low=1, advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
    seed: int = setting(0, "int", "Seed of the split and of random weights", low=0)


@dataclass(frozen=True)
class FewShotTrainJob(Job):
    """Train few-shot segmentation (DSMF-Net, and PANet to compare with) on episodes from tiles with masks."""

    command: ClassVar[str] = "fewshot-train"

    tiles: str = setting(REQUIRED, "path", "Tile set with masks", positional=True)
    out: str = setting(REQUIRED, "path", "Run folder")
    recipe: Optional[str] = setting(None, "path", "YAML file of settings; options given beside it win")
    held: Optional[str] = setting(
        None, "text", "Classes to leave out of training, as in water,road: no tile with a pixel of them is learned from"
    )
    shots: int = setting(5, "int", "Most examples of an episode; half of the steps have one", low=1, high=100)
    backbone: str = setting("resnet50", "text", "Frozen backbone: a CNN or plain ViT of timm, or mevt")
    backbone_args: Mapping[str, Any] = setting({}, "mapping", "Arguments of the backbone, name=value", advanced=True)
    pretrained: bool = setting(False, "flag", "Use the weights that timm publishes for the backbone")
    weights: Optional[str] = setting(None, "path", "Use the backbone weights in this file")
    steps: int = setting(5000, "int", "Training steps", low=1)
    batch_size: int = setting(8, "int", "Episodes a step", low=1)
    learning_rate: Optional[float] = setting(None, "float", "Largest learning rate", low=0.0)
    settings: Mapping[str, Any] = setting({}, "mapping", "Settings of the method, name=value")
    precision: str = setting("auto", "choice", "Arithmetic", choices=("auto", "float32", "bfloat16"), advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
    workers: int = setting(0, "int", "Processes that load tiles", low=0, advanced=True)
    check_every: int = setting(500, "int", "Steps between checkpoints", low=1, advanced=True)
    seed: int = setting(0, "int", "Seed of everything random", low=0)


@dataclass(frozen=True)
class FewShotTestJob(Job):
    """Score a few-shot model on episodes, beside the baselines."""

    command: ClassVar[str] = "fewshot-test"

    model: str = setting(REQUIRED, "path", "Model of `wsss-geo fewshot-train`", positional=True)
    tiles: str = setting(REQUIRED, "path", "Tile set with masks")
    split: str = setting("test", "choice", "Split of the tile set", choices=(*SPLITS, "all"))
    classes: Optional[str] = setting(
        None, "text", "Classes to seek, as in water,road; those held out of the training unless given"
    )
    shots: Tuple[int, ...] = setting((1, 5), "ints", "Numbers of examples, as in 1,5", low=1, high=100)
    episodes: int = setting(1000, "int", "Episodes a run", low=1)
    runs: int = setting(1, "int", "Runs, each with a seed of its own, to average", low=1)
    out: Optional[str] = setting(None, "path", "Write the result to this JSON file")
    batch_size: int = setting(8, "int", "Episodes a batch", low=1, advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
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
    polygons: Optional[str] = setting(None, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
    confidence: Optional[str] = setting(None, "path", "Confidence raster to write (.tif)")
    name: str = setting("found", "text", "What to call it")
    most: int = setting(10, "int", "Most views of examples to use", low=1, high=100)
    bands: Optional[Tuple[int, ...]] = setting(None, "ints", "Bands to use, from 1, as in 1,2,3", low=1, high=65535)
    aoi: Optional[str] = setting(None, "text", "Area to search: polygon file, or minx,miny,maxx,maxy in the CRS")
    min_area: float = setting(0.0, "float", "Smallest polygon in square metres (pixels without CRS)", low=0.0)
    simplify: float = setting(0.0, "float", "Simplification tolerance of the polygons in pixels", low=0.0)
    threshold: float = setting(0.0, "float", "Pixels of lower confidence become nodata", low=0.0, high=1.0)
    window: Optional[int] = setting(None, "int", "Window side in pixels; the model's tile size unless given", low=8)
    overlap: float = setting(0.25, "float", "Overlap of windows", low=0.0, high=0.9, advanced=True)
    flips: bool = setting(False, "flag", "Average over flips as well", advanced=True)
    resample: bool = setting(True, "flag", "Resample to the model's ground sample distance", advanced=True)
    batch_size: int = setting(8, "int", "Windows a batch", low=1, advanced=True)
    device: str = setting("auto", "choice", "Where to compute", choices=DEVICES)
    threads: int = setting(2, "int", "Threads that decode the raster", low=1, high=64, advanced=True)


_JOBS: Mapping[str, Type[Job]] = {
    j.command: j
    for j in (
        TileJob, TrainJob, PredictJob, EvaluateJob, VectorizeJob, PretrainJob, ProbeJob,
        FewShotTrainJob, FewShotTestJob, FewShotJob,
    )
}  # fmt: skip


def kind_of(command: object) -> Type[Job]:
    """Return the class of the jobs of ``command``. Raises UsageError."""
    job = _JOBS.get(command) if isinstance(command, str) else None
    if job is None:
        raise UsageError(f"job command {command!r} is unknown", f"use one of {', '.join(_JOBS)}")
    return job


def from_json(data: Any) -> Job:
    """Build the job that ``to_json`` wrote. Raises UsageError that names the field at fault."""
    if not isinstance(data, Mapping):
        raise UsageError("a job must be a JSON object", 'write {"command": "predict", ...}')
    job = kind_of(data.get("command"))
    own = fields(job)  # type: ignore[arg-type]
    known = {f.name for f in own}
    given = {k: v for k, v in data.items() if k != "command"}
    unknown = sorted(str(k) for k in given if k not in known)
    if unknown:
        raise UsageError(f"{job.command}: unknown field {', '.join(unknown)}", f"known: {', '.join(sorted(known))}")
    missing = [f.name for f in own if is_required(f) and f.name not in given]
    if missing:
        raise UsageError(f"{job.command}: missing field {', '.join(missing)}", "add it to the job")
    return job(**given)


@dataclass(frozen=True)
class TileResult(Result):
    """``counts``: tiles per class; ``cooccurrence``: tiles per pair of classes, in the order of ``classes``."""

    tiles: str
    classes: Tuple[str, ...]
    total: int
    tagged: int
    splits: Mapping[str, int]
    counts: Mapping[str, int]
    cooccurrence: Tuple[Tuple[int, ...], ...]
    preview: Optional[str] = None


@dataclass(frozen=True)
class TrainResult(Result):
    """``scores``: the figures of the chosen checkpoint, none of which needs a mask."""

    run: str
    model: str
    steps: int
    scores: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class PredictResult(Result):
    """``area_m2``: geodesic area per class (square pixels without CRS); ``share``: part of the valid pixels.

    Of several rasters: the sums; ``parts`` has the result of each.
    """

    mask: str
    width: int
    height: int
    windows: int
    valid_share: float
    share: Mapping[str, float]
    area_m2: Mapping[str, float]
    seconds: float
    polygons: Optional[str] = None
    polygon_count: Optional[int] = None
    confidence: Optional[str] = None
    cam: Optional[str] = None
    parts: Tuple["PredictResult", ...] = ()


@dataclass(frozen=True)
class ShardResult(Result):
    """``bands`` this shard has computed of ``total``; ``finished`` by all shards up to now. The mask comes later."""

    shard: str
    work: Tuple[str, ...]
    bands: int
    finished: int
    total: int
    seconds: float


@dataclass(frozen=True)
class EvaluateResult(Result):
    """Scores in 0..1; ``confusion[i][j]`` counts pixels of reference class i that were predicted as class j."""

    classes: Tuple[str, ...]
    miou: float
    iou: Mapping[str, Optional[float]]
    accuracy: float
    f1: Mapping[str, Optional[float]]
    confusion: Tuple[Tuple[int, ...], ...]
    pixels: int
    figures: Optional[str] = None


@dataclass(frozen=True)
class VectorizeResult(Result):
    """``area_m2``: area per class."""

    polygons: str
    count: int
    area_m2: Mapping[str, float]


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


@dataclass(frozen=True)
class FewShotTrainResult(Result):
    """``seen``: the classes of the episodes; ``tiles`` that were learned from; ``losses``: means over the last part."""

    run: str
    model: str
    steps: int
    episodes: int
    seen: Tuple[str, ...]
    held: Tuple[str, ...]
    tiles: int
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class FewShotTestResult(Result):
    """IoU of what is sought in 0..1, by ``1-shot``, ``5-shot`` and so on, then by ``dsmf``, ``panet``, ``prototypes``.

    ``miou`` is the mean over ``classes`` and runs, ``deviation`` that over the runs, ``iou`` the score of each class.
    """

    classes: Tuple[str, ...]
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
    polygons: Optional[str] = None
    polygon_count: Optional[int] = None
    confidence: Optional[str] = None
