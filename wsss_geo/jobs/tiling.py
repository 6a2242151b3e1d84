"""Jobs of scenes and their tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import UsageError
from ..job_fields import REQUIRED, Job, Result, setting

SPLITS = ("train", "val", "test")
DATASETS = (
    "coco2014", "deepglobe", "dlrsd", "eurosat", "isaid", "loveda", "potsdam", "ucmerced", "vaihingen", "voc2012",
)  # fmt: skip
PROTOCOLS = ("official", "clutter", "ctfa")


@dataclass(frozen=True)
class TileJob(Job):
    """Cut rasters into scenes and join them with their tags."""

    command: ClassVar[str] = "tile"

    rasters: tuple[str, ...] = setting(
        REQUIRED, "paths", "Rasters, or folders of rasters or images; with --dataset its folder", positional=True
    )
    out: str = setting(REQUIRED, "path", "Folder of the new tile set")
    tags: str | None = setting(
        None,
        "path",
        "Where the tags come from: CSV, vector layer, mask raster or folder of masks, folder of class folders; "
        "without it the tiles stay untagged",
    )
    classes: str | None = setting(None, "path", "classes.json; without it the classes are those of the tags")
    background: str | None = setting(None, "text", "Background policy: none, explicit or surrogate:<class>")
    dataset: str | None = setting(
        None,
        "choice",
        "Public data set in its own folders: brings classes, tags, masks, splits, and its values of the options below",
        choices=DATASETS,
    )
    protocol: str | None = setting(
        None, "choice", "Whose classes and splits to take; official unless given", choices=PROTOCOLS, advanced=True
    )
    variant: str | None = setting(
        None, "text", "Version of the data set, such as irrg, rgb or rgbir of potsdam", advanced=True
    )
    size: int = setting(256, "int", "Side of a tile in pixels", low=8, high=8192)
    stride: int | None = setting(None, "int", "Step between tiles in pixels; the size unless given", low=1)
    gsd: float | None = setting(None, "float", "Resample to this ground sample distance in metres", low=1e-6)
    bands: tuple[int, ...] | None = setting(None, "ints", "Bands to use, from 1, as in 4,3,2", low=1, high=65535)
    field: str | None = setting(None, "text", "Attribute of the vector layer that holds the class name")
    min_area: float = setting(0.05, "float", "Least share of a tile that makes a tag", low=0.0, high=1.0)
    val: float = setting(0.15, "float", "Share of scenes for validation", low=0.0, high=0.9)
    test: float = setting(0.0, "float", "Share of scenes for testing", low=0.0, high=0.9)
    scene_block: int | None = setting(
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
class TileResult(Result):
    """``counts``: tiles per class; ``cooccurrence``: tiles per pair of classes, in the order of ``classes``."""

    tiles: str
    classes: tuple[str, ...]
    total: int
    tagged: int
    splits: Mapping[str, int]
    counts: Mapping[str, int]
    cooccurrence: tuple[tuple[int, ...], ...]
    preview: str | None = None
