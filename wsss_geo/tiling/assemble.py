"""The rows of the index: tiles, tags, scenes, splits and footprints put together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas
import numpy as np
import pandas
from numpy.typing import NDArray

from wsss_geo.classes import ClassScheme
from wsss_geo.jobs import TileJob
from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog import Collection
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.index import COLUMNS, INDEX_CRS
from wsss_geo.tileset.splits import leaking, same_ground, scene_block, scene_ids, split_scenes
from wsss_geo.tileset.tag_table import TagTable
from wsss_geo.tiling.footprints import footprints, outline
from wsss_geo.tiling.gather import Scanned


def assemble(
    job: TileJob,
    scanned: Scanned,
    table: TagTable | None,
    tags: Mapping[str, tuple[str, ...]],
    scheme: ClassScheme,
    report: Progress,
    collection: Collection | None = None,
) -> Any:
    """Return the rows of the index as a GeoDataFrame; ``source`` and ``mask`` are still full paths.

    A data set's ``collection`` says scenes and splits, else they are made up here. Tiles that share pixels, or ground,
    with a tile of a split that goes before theirs are left out.
    """
    sources = scanned.sources
    masks = table.masks if table else {}
    places = [footprints([s]) for s in sources]
    official = {s.parent: s.split for s in collection.scenes} if collection else {}
    scenes = _scenes(sources, places, job, collection)
    rows = []
    for source, own in zip(sources, scenes, strict=True):
        for tile_id, window, scene in zip(source.tile_ids, source.windows, own, strict=True):
            names = tags.get(tile_id)
            mask = masks.get(tile_id)
            rows.append(
                {
                    "tile_id": tile_id,
                    "source": os.path.abspath(source.path),
                    "row_off": window.row_off,
                    "col_off": window.col_off,
                    "height": window.height,
                    "width": window.width,
                    "tags": list(names or ()),
                    "tagged": names is not None,
                    "scene_id": scene,
                    "mask": os.path.abspath(mask) if mask else None,
                    "gsd": source.gsd if source.gsd is not None else float("nan"),
                }
            )
    frame = pandas.DataFrame(rows)
    frame["mask"] = frame["mask"].astype(object).where(frame["mask"].notna(), None)
    tiles = geopandas.GeoDataFrame(frame, geometry=np.concatenate(places), crs=INDEX_CRS)
    tiles["split"] = _splits(tiles, scheme, job, official)
    split = tiles["split"].to_numpy(dtype=object)
    drop = leaking(np.asarray(tiles.geometry.array), split)
    boxes = np.concatenate([s.boxes_px() for s in sources])
    for own in tiles.groupby("source", sort=False).indices.values():
        drop[own] |= leaking(boxes[own], split[own])
    tagged = tiles["tagged"].to_numpy(dtype=bool)
    useful = tagged if tagged.any() else ~tagged
    if not official and not (useful & (split == "train") & ~drop).any():
        drop[:] = False
        tiles["split"] = "train"
    if drop.any():
        report.info(f"{int(drop.sum())} tiles share pixels with a tile of another split and are left out")
    tiles = tiles[~drop].reset_index(drop=True)
    if collection and collection.most:
        tiles = _at_most(tiles, collection.most, job.seed)
    for part, share in (("val", job.val), ("test", job.test)):
        if share > 0 and part not in official.values() and not (tiles["split"] == part).any():
            remedy = "take a larger share" if official else "add rasters or use a smaller --scene-block"
            report.warn(f"too few scenes to hold any out for {part}; {remedy}")
    if int(tiles.groupby("scene_id")["split"].nunique().max()) != 1:
        raise RuntimeError("a scene is in two splits")  # never by construction; scores would be worthless
    return tiles[list(COLUMNS)]


def _scenes(
    sources: Sequence[Source], places: Sequence[NDArray[Any]], job: TileJob, collection: Collection | None
) -> list[list[str]]:
    """The scene of every tile of every source: of the data set, the raster, or a block of it."""
    if collection:
        return [[c.parent] * len(s.windows) for s, c in zip(sources, collection.scenes, strict=True)]
    block = job.scene_block if job.scene_block is not None else scene_block(sources, job.size)
    if block:
        return [scene_ids(s, block) for s in sources]
    home = same_ground([outline(p) for p in places])
    return [[sources[first].name] * len(s.windows) for s, first in zip(sources, home, strict=True)]


def _at_most(tiles: Any, most: Mapping[str, int], seed: int) -> Any:
    """Draw ``most`` tiles of each split named there, in the order of ``tiles``."""
    generator = np.random.default_rng(seed)
    keep = np.ones(len(tiles), dtype=bool)
    for split, count in most.items():
        places = np.flatnonzero((tiles["split"] == split).to_numpy())
        if len(places) > count:
            keep[generator.choice(places, len(places) - count, replace=False)] = False
    return tiles[keep].reset_index(drop=True)


def _splits(tiles: Any, scheme: ClassScheme, job: TileJob, official: Mapping[str, str | None]) -> NDArray[np.object_]:
    """The split of every tile: the ``official`` one of its scene, else dealt out by the job's shares.

    No share is dealt to a split that is official. Scenes without any tag train, unless none has tags.
    """
    place = {n: i for i, n in enumerate(scheme.taggable)}
    matrix = np.zeros((len(tiles), len(place)), dtype=bool)
    for i, names in enumerate(tiles["tags"]):
        matrix[i, [place[n] for n in names]] = True
    tagged = tiles["tagged"].to_numpy(dtype=bool)
    dealt = tagged if tagged.any() else np.ones(len(tiles), dtype=bool)
    scenes = tiles["scene_id"].to_numpy(dtype=object)
    fixed = {s: split for s, split in official.items() if split}
    dealt = dealt & np.array([s not in fixed for s in scenes], dtype=bool)
    val, test = (0.0 if part in fixed.values() else share for part, share in (("val", job.val), ("test", job.test)))
    by_scene = split_scenes(scenes[dealt].tolist(), matrix[dealt], val, test, job.seed) if dealt.any() else {}
    return np.array([fixed.get(s) or by_scene.get(s, "train") for s in scenes], dtype=object)
