"""Jobs that make maps, compare them and turn them into polygons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import UsageError
from ..job_fields import REQUIRED, Job, Result, parse_bytes, parse_shard, setting
from . import shared
from .tiling import SPLITS

ON_TOP = ("first", "last")


@dataclass(frozen=True)
class PredictJob(Job):
    """Turn rasters into a mask, and on request confidence, class activation maps and polygons."""

    command: ClassVar[str] = "predict"

    rasters: tuple[str, ...] = setting(REQUIRED, "paths", "Rasters, folders of rasters, or STAC items", positional=True)
    model: str = setting(REQUIRED, "path", "Model file (.safetensors)")
    out: str = setting(REQUIRED, "path", "Mask to write (.tif)")
    mosaic: str | None = setting(
        None, "choice", "Join the rasters into one, the first or the last on top where they overlap", choices=ON_TOP
    )
    asset: str | None = setting(None, "text", "Asset to take of STAC items that have several", advanced=True)
    polygons: str | None = shared.polygons()
    confidence: str | None = shared.confidence()
    cam: str | None = setting(None, "path", "Class activation maps to write (.tif), one band a class")
    scores: str = shared.scores()
    bands: tuple[int, ...] | None = shared.bands()
    aoi: str | None = setting(None, "text", "Area of interest: polygon file, or minx,miny,maxx,maxy in the CRS")
    min_area: float = shared.min_area()
    simplify: float = shared.simplify()
    threshold: float = shared.threshold()
    unsure: bool = setting(False, "flag", "Give pixels below the threshold a class of their own, not nodata")
    window: int | None = shared.window()
    overlap: float = shared.overlap()
    flips: bool = shared.flips()
    rotations: bool = shared.rotations()
    scales: tuple[float, ...] | None = shared.scales()
    refine: str = shared.refine()
    match_colours: bool = setting(
        False, "flag", "Give the bands of each raster the mean and deviation of the training scenes", advanced=True
    )
    resample: bool = shared.resample()
    batch_size: int = shared.windows_a_batch()
    device: str = shared.device()
    threads: int = shared.threads()
    max_memory: str | None = setting(
        None, "text", "Most memory of a process, such as 1.5GiB: batches and reads become smaller", advanced=True
    )
    workers: int = setting(0, "int", "Processes of this machine that share the work; 0: do it in one", low=0)
    scheduler: str | None = setting(
        None, "text", "Dask scheduler whose workers share the work, as in tcp://head:8786", advanced=True
    )
    shard: str | None = setting(
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
        if self.unsure and self.threshold == 0:
            raise UsageError("predict: unsure needs a threshold, below which pixels are unsure", "add --threshold 0.6")
        if self.shard is not None:
            parse_shard(self.shard)
        if self.max_memory is not None:
            parse_bytes("predict.max_memory", self.max_memory)


@dataclass(frozen=True)
class EvaluateJob(Job):
    """Score a model on tiles with masks, or a prediction against a reference."""

    command: ClassVar[str] = "evaluate"

    model: str | None = setting(None, "path", "Model file (.safetensors)")
    tiles: str | None = setting(None, "path", "Tile set with masks")
    split: str = setting("test", "choice", "Split of the tile set", choices=(*SPLITS, "all"))
    scores: str = shared.scores()
    prediction: str | None = setting(None, "path", "Mask to score")
    raster: str | None = setting(None, "path", "Raster to segment with the model and to score")
    reference: str | None = setting(None, "path", "Reference mask or polygons")
    field: str | None = setting(None, "text", "Attribute of the reference polygons that holds the class name")
    classes: str | None = setting(None, "path", "classes.json; without it those of the model or the mask")
    with_tags: bool = setting(False, "flag", "Let only the tags of a tile compete (shows pseudo-label quality)")
    out: str | None = setting(None, "path", "Folder for the figures and metrics.json")
    flips: bool = shared.flips()
    rotations: bool = shared.rotations()
    scales: tuple[float, ...] | None = shared.scales()
    refine: str = shared.refine()
    batch_size: int = setting(8, "int", "Tiles a batch", low=1, advanced=True)
    device: str = shared.device()

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
        if not self.raster and (self.flips or self.rotations or self.scales or self.refine != "none"):
            raise UsageError(
                "evaluate: flips, rotations, scales and refine are for a raster",
                "give --model, --raster and --reference, or leave them out",
            )


@dataclass(frozen=True)
class VectorizeJob(Job):
    """Turn a mask raster, or class activation maps, into polygons."""

    command: ClassVar[str] = "vectorize"

    mask: str = setting(REQUIRED, "path", "Mask raster: any raster of class ids", positional=True)
    out: str = setting(REQUIRED, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
    classes: str | None = setting(None, "path", "classes.json; without it the names in the mask")
    confidence: str | None = setting(None, "path", "Confidence raster on the same grid")
    min_area: float = shared.min_area()
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
class PredictResult(Result):
    """``area_m2``: geodesic area per class (square pixels without CRS); ``share``: part of the valid pixels.

    ``expected_m2``: area that each class is expected to have where the mask has data, by the probabilities of all
    classes; None unless confidence or polygons were asked for. Of several rasters: the sums; ``parts`` has the result
    of each.
    """

    mask: str
    width: int
    height: int
    windows: int
    valid_share: float
    share: Mapping[str, float]
    area_m2: Mapping[str, float]
    seconds: float
    polygons: str | None = None
    polygon_count: int | None = None
    confidence: str | None = None
    cam: str | None = None
    expected_m2: Mapping[str, float] | None = None
    parts: tuple[PredictResult, ...] = ()


@dataclass(frozen=True)
class ShardResult(Result):
    """``bands`` this shard has computed of ``total``; ``finished`` by all shards up to now. The mask comes later."""

    shard: str
    work: tuple[str, ...]
    bands: int
    finished: int
    total: int
    seconds: float


@dataclass(frozen=True)
class EvaluateResult(Result):
    """Scores in 0..1; ``confusion[i][j]`` counts pixels of reference class i that were predicted as class j.

    All of them are over the ``pixels`` of which the mask is sure; ``unsure`` ones (predict --unsure) are counted apart,
    and ``coverage`` is the share of the sure among both.
    """

    classes: tuple[str, ...]
    miou: float
    iou: Mapping[str, float | None]
    accuracy: float
    f1: Mapping[str, float | None]
    confusion: tuple[tuple[int, ...], ...]
    pixels: int
    unsure: int = 0
    coverage: float = 1.0
    figures: str | None = None


@dataclass(frozen=True)
class VectorizeResult(Result):
    """``area_m2``: area per class."""

    polygons: str
    count: int
    area_m2: Mapping[str, float]
