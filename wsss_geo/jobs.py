"""Jobs: what the command line, Python, QGIS and a cluster hand to the engine, and what comes back.

A job is a frozen dataclass. Every field carries its own description (kind, limits, choices, help), from which
validation, command-line options and QGIS parameters all derive. ``to_json``/``from_json`` are its file form.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Optional, Tuple

from .errors import UsageError

METHODS = ("aerial", "toco", "ctfa")
DEVICES = ("auto", "cpu", "cuda", "mps")
SCORES = ("decoder", "cam", "both")
SPLITS = ("train", "val", "test")

#: Command-line options of the fields that map names to values: given once a name, as name=value.
MAPPING_OPTIONS = {"settings": "--set", "backbone_args": "--backbone-arg"}

_REQUIRED = object()
_LARGEST = 1e18


def _setting(
    default: Any,
    kind: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    positional: bool = False,
    advanced: bool = False,
) -> Any:
    """A job field with its description.

    ``kind`` is one of text, path, int, float, flag, choice, texts, paths, ints, floats, mapping. A default of None
    makes the field optional.
    """
    metadata = {
        "kind": kind,
        "help": help,
        "low": low,
        "high": high,
        "choices": choices,
        "positional": positional,
        "advanced": advanced,
        "optional": default is None,
    }
    if default is _REQUIRED:
        return field(metadata=metadata)
    if kind == "mapping":
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


class Job:
    """What all jobs share: validation, JSON and the command that runs them."""

    command: ClassVar[str]

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            value = _checked(f"{self.command}.{f.name}", getattr(self, f.name), f.metadata)
            object.__setattr__(self, f.name, value)
        self.check()

    def check(self) -> None:
        """Check what concerns several fields at once. Raises UsageError."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary that ``from_json`` reads."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"command": self.command, **{k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}}

    def command_line(self) -> str:
        """Return the shell command that runs this job."""
        words = ["wsss-geo", self.command]
        overruled = getattr(self, "recipe", None) is not None  # then even a default value may differ from the recipe's
        for f in fields(self):  # type: ignore[arg-type]
            value, kind = getattr(self, f.name), f.metadata["kind"]
            option = "--" + f.name.replace("_", "-")
            if f.metadata["positional"]:
                words += [str(v) for v in (value if isinstance(value, tuple) else (value,))]
            elif value is None or (not overruled and f.default is not dataclasses.MISSING and value == f.default):
                continue
            elif kind == "flag":
                words.append(option if value else "--no-" + option[2:])
            elif kind == "mapping":
                words += [w for k, v in value.items() for w in (MAPPING_OPTIONS[f.name], f"{k}={_assigned(v)}")]
            elif isinstance(value, tuple):
                words += [option, ",".join(str(v) for v in value)]
            else:
                words += [option, str(value)]
        return shlex.join(words)


def _assigned(value: Any) -> str:
    """Write a value as ``name=value`` options read it: as JSON, a text bare unless it would be taken for JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)


def _checked(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    """Return ``value`` in its canonical type. Raises UsageError that names the field, the value and what is allowed."""
    kind = rule["kind"]
    if value is None and rule["optional"]:
        return None
    if kind in ("texts", "paths", "ints", "floats"):
        if isinstance(value, (str, int, float)) or hasattr(value, "__fspath__"):
            value = (value,)
        try:
            items = list(value)
        except TypeError:
            raise UsageError(f"{name}: {value!r} is not a list", f"give a list of {kind}") from None
        if kind == "paths" and not items:
            raise UsageError(f"{name}: nothing given", "give at least one path")
        return tuple(_checked(name, item, {**rule, "kind": kind[:-1], "optional": False}) for item in items)
    if kind == "mapping":
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            raise UsageError(f"{name}: {value!r} is not a mapping of names to values", "write name=value")
        return dict(value)
    if kind == "flag":
        if not isinstance(value, bool):
            raise UsageError(f"{name}: {value!r} is neither true nor false", "use true or false")
        return value
    if kind in ("int", "float"):
        return _checked_number(name, value, rule)
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if not isinstance(value, str) or not value or "\0" in value or not _encodable(value):
        raise UsageError(f"{name}: {value!r} is not a {kind}", "give a text that is not empty")
    if kind == "choice" and value not in rule["choices"]:
        raise UsageError(f"{name}: {value!r} is unknown", f"choose one of {', '.join(rule['choices'])}")
    return value


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _checked_number(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    whole = rule["kind"] == "int"
    wrong = isinstance(value, bool) or not isinstance(value, (int, float))
    wrong = wrong or (isinstance(value, float) and not math.isfinite(value)) or abs(value) > _LARGEST
    if wrong or (whole and int(value) != value):
        raise UsageError(f"{name}: {value!r} is not a {'whole number' if whole else 'number'}", "give a number")
    low, high = rule["low"], rule["high"]
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"{low} to {high}" if high is not None and low is not None else f"at least {low}"
        raise UsageError(f"{name}: {value} is out of range", f"allowed: {allowed}")
    return int(value) if whole else float(value)


@dataclass(frozen=True)
class TileJob(Job):
    """Cut rasters into scenes and join them with their tags."""

    command: ClassVar[str] = "tile"

    rasters: Tuple[str, ...] = _setting(_REQUIRED, "paths", "Rasters, or folders of rasters or images", positional=True)
    out: str = _setting(_REQUIRED, "path", "Folder of the new tile set")
    tags: Optional[str] = _setting(
        None,
        "path",
        "Where the tags come from: CSV, vector layer, mask raster or folder of masks, folder of class folders; "
        "without it the tiles stay untagged",
    )
    classes: Optional[str] = _setting(None, "path", "classes.json; without it the classes are those of the tags")
    background: Optional[str] = _setting(None, "text", "Background policy: none, explicit or surrogate:<class>")
    size: int = _setting(256, "int", "Side of a tile in pixels", low=8, high=8192)
    stride: Optional[int] = _setting(None, "int", "Step between tiles in pixels; the size unless given", low=1)
    gsd: Optional[float] = _setting(None, "float", "Resample to this ground sample distance in metres", low=1e-6)
    bands: Optional[Tuple[int, ...]] = _setting(None, "ints", "Bands to use, from 1, as in 4,3,2", low=1, high=65535)
    field: Optional[str] = _setting(None, "text", "Attribute of the vector layer that holds the class name")
    min_area: float = _setting(0.05, "float", "Least share of a tile that makes a tag", low=0.0, high=1.0)
    val: float = _setting(0.15, "float", "Share of scenes for validation", low=0.0, high=0.9)
    test: float = _setting(0.0, "float", "Share of scenes for testing", low=0.0, high=0.9)
    scene_block: Optional[int] = _setting(
        None, "int", "Side in pixels of the blocks that count as scenes; 0: a raster is one scene", low=0, advanced=True
    )
    materialize: bool = _setting(False, "flag", "Copy the pixels of every tile into chips/")
    seed: int = _setting(0, "int", "Seed of the split", low=0, advanced=True)

    def check(self) -> None:
        """Shares must leave something to train on."""
        if self.val + self.test >= 1:
            raise UsageError(f"tile.val + tile.test = {self.val + self.test:g} leave nothing to train on", "lower one")


@dataclass(frozen=True)
class TrainJob(Job):
    """Train a model from the tags of a tile set."""

    command: ClassVar[str] = "train"

    tiles: str = _setting(_REQUIRED, "path", "Tile set", positional=True)
    out: str = _setting(_REQUIRED, "path", "Run folder")
    method: str = _setting("aerial", "choice", "Method", choices=METHODS)
    recipe: Optional[str] = _setting(None, "path", "YAML file of settings; options given beside it win")
    backbone: str = _setting("vit_small_patch16_224", "text", "Any plain ViT of timm")
    backbone_args: Mapping[str, Any] = _setting({}, "mapping", "Arguments of the backbone, name=value", advanced=True)
    pretrained: bool = _setting(False, "flag", "Start from the weights that timm publishes for the backbone")
    weights: Optional[str] = _setting(None, "path", "Start from the backbone weights in this file")
    steps: int = _setting(4000, "int", "Training steps", low=1)
    batch_size: int = _setting(16, "int", "Tiles a step", low=1)
    crop: Optional[int] = _setting(
        None, "int", "Side of the training view in pixels; that of the tile or mosaic unless given", low=8
    )
    mosaic: int = _setting(
        1, "int", "Tiles along the side of a training view: neighbours seen together", low=1, high=16
    )
    learning_rate: Optional[float] = _setting(None, "float", "Learning rate of the backbone", low=0.0)
    settings: Mapping[str, Any] = _setting({}, "mapping", "Settings of the method, name=value")
    precision: str = _setting("auto", "choice", "Arithmetic", choices=("auto", "float32", "bfloat16"), advanced=True)
    device: str = _setting("auto", "choice", "Where to compute", choices=DEVICES)
    devices: int = _setting(1, "int", "Processes for data-parallel training", low=1, advanced=True)
    workers: int = _setting(0, "int", "Processes that load tiles", low=0, advanced=True)
    check_every: int = _setting(500, "int", "Steps between validation, previews and checkpoints", low=1, advanced=True)
    compile: bool = _setting(False, "flag", "Compile the network with torch.compile", advanced=True)
    seed: int = _setting(0, "int", "Seed of everything random", low=0)


@dataclass(frozen=True)
class PredictJob(Job):
    """Turn rasters into a mask, and on request confidence, class activation maps and polygons."""

    command: ClassVar[str] = "predict"

    rasters: Tuple[str, ...] = _setting(_REQUIRED, "paths", "Rasters, or folders of rasters", positional=True)
    model: str = _setting(_REQUIRED, "path", "Model file (.safetensors)")
    out: str = _setting(_REQUIRED, "path", "Mask to write (.tif)")
    polygons: Optional[str] = _setting(None, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
    confidence: Optional[str] = _setting(None, "path", "Confidence raster to write (.tif)")
    cam: Optional[str] = _setting(None, "path", "Class activation maps to write (.tif), one band a class")
    scores: str = _setting("decoder", "choice", "Whose scores decide", choices=SCORES)
    bands: Optional[Tuple[int, ...]] = _setting(None, "ints", "Bands to use, from 1, as in 1,2,3", low=1, high=65535)
    aoi: Optional[str] = _setting(None, "text", "Area of interest: polygon file, or minx,miny,maxx,maxy in the CRS")
    min_area: float = _setting(0.0, "float", "Smallest polygon in square metres (pixels without CRS)", low=0.0)
    simplify: float = _setting(0.0, "float", "Simplification tolerance of the polygons in pixels", low=0.0)
    threshold: float = _setting(0.0, "float", "Pixels of lower confidence become nodata", low=0.0, high=1.0)
    window: Optional[int] = _setting(None, "int", "Window side in pixels; the model's tile size unless given", low=8)
    overlap: float = _setting(0.25, "float", "Overlap of windows", low=0.0, high=0.9, advanced=True)
    flips: bool = _setting(False, "flag", "Average over flips as well", advanced=True)
    resample: bool = _setting(True, "flag", "Resample to the model's ground sample distance", advanced=True)
    batch_size: int = _setting(8, "int", "Windows a batch", low=1, advanced=True)
    device: str = _setting("auto", "choice", "Where to compute", choices=DEVICES)
    threads: int = _setting(2, "int", "Threads that decode the raster", low=1, high=64, advanced=True)


@dataclass(frozen=True)
class EvaluateJob(Job):
    """Score a model on tiles with masks, or a prediction against a reference."""

    command: ClassVar[str] = "evaluate"

    model: Optional[str] = _setting(None, "path", "Model file (.safetensors)")
    tiles: Optional[str] = _setting(None, "path", "Tile set with masks")
    split: str = _setting("test", "choice", "Split of the tile set", choices=(*SPLITS, "all"))
    scores: str = _setting("decoder", "choice", "Whose scores decide", choices=SCORES)
    prediction: Optional[str] = _setting(None, "path", "Mask to score")
    raster: Optional[str] = _setting(None, "path", "Raster to segment with the model and to score")
    reference: Optional[str] = _setting(None, "path", "Reference mask or polygons")
    field: Optional[str] = _setting(None, "text", "Attribute of the reference polygons that holds the class name")
    classes: Optional[str] = _setting(None, "path", "classes.json; without it those of the model or the mask")
    with_tags: bool = _setting(False, "flag", "Let only the tags of a tile compete (shows pseudo-label quality)")
    out: Optional[str] = _setting(None, "path", "Folder for the figures and metrics.json")
    batch_size: int = _setting(8, "int", "Tiles a batch", low=1, advanced=True)
    device: str = _setting("auto", "choice", "Where to compute", choices=DEVICES)

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
    """Turn a mask raster into polygons."""

    command: ClassVar[str] = "vectorize"

    mask: str = _setting(_REQUIRED, "path", "Mask raster", positional=True)
    out: str = _setting(_REQUIRED, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
    classes: Optional[str] = _setting(None, "path", "classes.json; without it the names in the mask")
    confidence: Optional[str] = _setting(None, "path", "Confidence raster on the same grid")
    min_area: float = _setting(0.0, "float", "Smallest polygon in square metres (pixels without CRS)", low=0.0)
    simplify: float = _setting(0.0, "float", "Simplification tolerance in pixels", low=0.0)


_JOBS = {j.command: j for j in (TileJob, TrainJob, PredictJob, EvaluateJob, VectorizeJob)}


def from_json(data: Any) -> Job:
    """Build the job that ``to_json`` wrote. Raises UsageError that names the field at fault."""
    if not isinstance(data, Mapping):
        raise UsageError("a job must be a JSON object", 'write {"command": "predict", ...}')
    command = data.get("command")
    job = _JOBS.get(command) if isinstance(command, str) else None
    if job is None:
        raise UsageError(f"job command {command!r} is unknown", f"use one of {', '.join(_JOBS)}")
    known = {f.name for f in fields(job)}
    given = {k: v for k, v in data.items() if k != "command"}
    unknown = sorted(str(k) for k in given if k not in known)
    if unknown:
        raise UsageError(f"{job.command}: unknown field {', '.join(unknown)}", f"known: {', '.join(sorted(known))}")
    missing = [f.name for f in fields(job) if _is_required(f) and f.name not in given]
    if missing:
        raise UsageError(f"{job.command}: missing field {', '.join(missing)}", "add it to the job")
    return job(**given)


def _is_required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


class Result:
    """What a finished job returns: the paths written and the counts."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]


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
    """``area_m2``: geodesic area per class (square pixels without CRS); ``share``: part of the valid pixels."""

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
