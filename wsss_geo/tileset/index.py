"""The tile set on disk: a folder with ``index.parquet``, ``classes.json`` and ``tileset.json``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_geo.classes import ClassScheme, read_classes, write_classes
from wsss_geo.errors import InputError
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.reader import RasterReader
from wsss_geo.tileset.index_rows import LONGEST_SIDE, check_count, check_rows
from wsss_geo.tileset.masks import MaskCoding, MaskReader

INDEX = "index.parquet"
CLASSES = "classes.json"
FACTS = "tileset.json"
COLUMNS = (
    "tile_id", "source", "row_off", "col_off", "height", "width", "tags", "tagged", "scene_id", "split", "mask", "gsd",
    "geometry",
)  # fmt: skip
#: CRS of the index: rasters may differ in theirs.
INDEX_CRS = "EPSG:4326"
_FORMAT = 1


@dataclass(frozen=True)
class TileSet:
    """Tiles, their tags and what is needed to read them.

    ``tiles`` is a GeoDataFrame with the columns ``COLUMNS``; geometries are footprints in longitude and latitude.
    ``source`` and ``mask`` are relative to ``root``. ``size`` is the side of the largest tile in pixels, ``gsd`` the
    median ground sample distance in metres. ``resampled_gsd`` is the grid the windows count on, None for the
    raster's own. ``bands`` count from 1 in the rasters the set was made of; with ``materialized``, tiles are files of
    their own that hold just these bands. ``all_bands``: each raster gives all its image bands, one with a colour table
    its red, green and blue, a grey one of three channels its band three times; ``bands`` then number the channels.
    ``coding`` says what masks mean where ids and colours of ``scheme`` do not; materialised masks hold ids.
    """

    root: Path
    scheme: ClassScheme
    tiles: Any
    normalisation: Normalisation
    bands: tuple[int, ...]
    band_names: tuple[str, ...]
    size: int
    gsd: float | None
    resampled_gsd: float | None = None
    seed: int = 0
    materialized: bool = False
    all_bands: bool = False
    coding: MaskCoding | None = None

    def __len__(self) -> int:
        return len(self.tiles)

    def of_split(self, split: str) -> Any:
        """The rows of one split, in order of the index; ``all`` gives every row."""
        return self.tiles if split == "all" else self.tiles[self.tiles["split"] == split]

    def tags_matrix(self, rows: Any = None) -> NDArray[np.float32]:
        """Tags as float32 [n, K], K the taggable classes in channel order; untagged tiles are zero."""
        rows = self.tiles if rows is None else rows
        place = {n: i for i, n in enumerate(self.scheme.taggable)}
        matrix = np.zeros((len(rows), len(place)), dtype=np.float32)
        for i, names in enumerate(rows["tags"]):
            for name in names:
                if name in place:
                    matrix[i, place[name]] = 1.0
        return matrix

    def path(self, relative: str) -> Path:
        """Full path of a ``source`` or ``mask``."""
        return self.root / relative

    def reader(self, source: Path | str) -> RasterReader:
        """A reader of ``source`` that gives the channels of this set on the grid its windows count on."""
        own = self.all_bands or self.materialized
        gsd = None if self.materialized else self.resampled_gsd
        return open_pixels(source, None if own else self.bands, gsd, len(self.bands))

    def mask_reader(self, mask: Path | str, height: int, width: int) -> MaskReader:
        """A reader of ``mask`` on the grid of its raster, ``height`` x ``width``."""
        return MaskReader(mask, self.scheme, height, width, None if self.materialized else self.coding)

    def facts(self) -> dict[str, Any]:
        """What ``tileset.json`` holds."""
        return {
            "format": _FORMAT,
            "size": self.size,
            "gsd": self.gsd,
            "resampled_gsd": self.resampled_gsd,
            "bands": list(self.bands),
            "band_names": list(self.band_names),
            "seed": self.seed,
            "materialized": self.materialized,
            "all_bands": self.all_bands,
            "coding": self.coding.to_json() if self.coding and not self.materialized else None,
            "normalisation": self.normalisation.to_json(),
        }


def open_pixels(
    source: Path | str, bands: Sequence[int] | None, gsd: float | None, channels: int | None = None
) -> RasterReader:
    """A reader of ``bands``, or of all; where three ``channels`` are due, a grey picture then gives three alike."""
    reader = RasterReader(source, bands, gsd, palette=bands is None)
    if bands is None and channels == 3 and reader.count == 1:
        return RasterReader(source, reader.bands * 3, gsd)
    return reader


def is_tileset(folder: Path) -> bool:
    """Whether ``folder`` is a tile set that this package wrote."""
    return all((folder / name).is_file() for name in (INDEX, CLASSES, FACTS))


def relative_path(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, with forward slashes; absolute where they lie on different drives."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return Path(os.path.abspath(path)).as_posix()


def write_tileset(tileset: TileSet, folder: Path) -> None:
    """Write the files of ``tileset`` into the existing ``folder``."""
    tiles = tileset.tiles[list(COLUMNS)].reset_index(drop=True)
    tiles = tiles.astype(dict.fromkeys(("row_off", "col_off", "height", "width"), "int32"))
    tiles.to_parquet(folder / INDEX, index=False)
    write_classes(tileset.scheme, folder / CLASSES)
    (folder / FACTS).write_text(json.dumps(tileset.facts(), indent=2) + "\n", encoding="utf-8")


def read_tileset(folder: Path | str) -> TileSet:
    """Read a tile set. Raises InputError when the folder is none or its files are damaged."""
    root = Path(folder)
    if not root.exists():
        raise InputError(root, "no such folder", "make a tile set with: wsss-geo tile")
    missing = [name for name in (INDEX, CLASSES, FACTS) if not (root / name).is_file()]
    if missing:
        raise InputError(root, f"is not a tile set ({', '.join(missing)} missing)", "make one with: wsss-geo tile")
    tiles, scheme = _read_index(root / INDEX), read_classes(root / CLASSES)
    found = parse_facts(root, scheme, tiles, (root / FACTS).read_bytes())
    check_rows(root / INDEX, tiles, found.size)
    known = set(scheme.names)
    strange = sorted({str(n) for names in tiles["tags"] for n in names} - known)
    if strange:
        raise InputError(root / INDEX, f"tags {', '.join(strange[:5])} are not in {CLASSES}", "make the tile set again")
    return found


def parse_facts(root: Path, scheme: ClassScheme, tiles: Any, text: bytes | str) -> TileSet:
    """Return the tile set of ``tiles`` that the JSON ``text`` of its facts describes. Raises InputError."""
    try:
        facts = json.loads(text)
        if facts["format"] > _FORMAT:
            raise InputError(root / FACTS, f"tile set format {facts['format']:.6g} is newer", "update wsss-geo")
        return _from_facts(root, scheme, tiles, facts)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(root / FACTS, f"damaged ({str(error)[:200]!r})", "make the tile set again") from None


def _from_facts(root: Path, scheme: ClassScheme, tiles: Any, facts: Mapping[str, Any]) -> TileSet:
    coding = MaskCoding.from_json(facts["coding"]) if facts.get("coding") else None
    if coding is not None:
        coding.check(scheme)
    normalisation, size = Normalisation.from_json(facts["normalisation"]), int(facts["size"])
    bands, names = tuple(int(b) for b in facts["bands"]), tuple(str(n) for n in facts["band_names"])
    if not len(normalisation.low) == len(bands) == len(names):
        raise ValueError("bands, their names and normalisation differ in number")
    if not 1 <= size <= LONGEST_SIDE:
        raise ValueError(f"size {size:.6g}")
    gsd, resampled_gsd = (None if facts[k] is None else float(facts[k]) for k in ("gsd", "resampled_gsd"))
    if not all(d is None or 0 < d < math.inf for d in (gsd, resampled_gsd)):
        raise ValueError(f"ground sample distances {gsd}, {resampled_gsd}")
    return TileSet(
        root,
        scheme,
        tiles,
        normalisation,
        bands,
        names,
        size,
        gsd,
        resampled_gsd,
        int(facts["seed"]),
        bool(facts["materialized"]),
        bool(facts["all_bands"]),
        coding,
    )


def _read_index(path: Path) -> Any:
    import geopandas
    from pyarrow import parquet

    try:
        about = parquet.read_metadata(path)
        check_count(path, about.num_rows)
        known = [c for c in COLUMNS if c in about.schema.to_arrow_schema().names]
        tiles = geopandas.read_parquet(path, columns=known)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - Arrow, GEOS and PROJ have many kinds
        said = " ".join(str(error).split())[:120]
        raise InputError(path, f"damaged or not a GeoParquet file ({said})", "make the tile set again") from None
    missing = [c for c in COLUMNS if c not in tiles.columns]
    if missing:
        raise InputError(path, f"column {', '.join(missing)} missing", "make the tile set again")
    if tiles.empty:
        raise InputError(path, "has no tiles", "make the tile set again")
    return tiles
