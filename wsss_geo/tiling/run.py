"""The tile job: cut rasters into tiles, tag them, split them by scene, write the tile set."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wsss_geo.classes import ClassScheme, read_classes
from wsss_geo.errors import InputError, UsageError
from wsss_geo.jobs import SPLITS, TileJob, TileResult
from wsss_geo.lock import alone
from wsss_geo.outputs import check_output, part_of, replacing
from wsss_geo.progress import Progress
from wsss_geo.record import write_record
from wsss_geo.tileset.catalog import Collection, open_dataset
from wsss_geo.tileset.catalog.base import Draw
from wsss_geo.tileset.catalog.tags import collection_tags
from wsss_geo.tileset.index import TileSet, is_tileset, read_tileset, relative_path, write_tileset
from wsss_geo.tileset.statistics import measure
from wsss_geo.tileset.tag_table import TagTable
from wsss_geo.tileset.tags import derive_classes, read_tags, settle
from wsss_geo.tiling.assemble import assemble
from wsss_geo.tiling.gather import Gathered, check_unchanged, gather, scan
from wsss_geo.tiling.materialize import write_chips
from wsss_geo.tiling.preview import write_preview

#: Folder of the masks that are drawn for a data set that has none as files.
MASKS = "masks"


def run(job: TileJob, report: Progress | None = None) -> TileResult:
    """Make the tile set ``job.out``. Raises InputError, UsageError or EnvironmentFault; leaves no half tile set.

    A tile set of that name is replaced when the new one is whole.

    Tiles lie on a grid of step ``stride``, the last row and column shifted inward; a raster smaller than a tile
    gives one of its own extent. Tiles that are more than half nodata are dropped. Scenes (a raster, or a block of one
    where there are few) go whole into one split, and training tiles that share pixels with a held-out tile are dropped.
    A data set brings its own scenes, splits, classes, tags and masks.
    Memory: one tile, the index, and a sample of a million pixels.
    """
    report = report or Progress()
    out = _checked_out(Path(job.out))
    with alone(out, report=report):
        _recover(out)
        return _run(job, out, report)


def _run(job: TileJob, out: Path, report: Progress) -> TileResult:
    started = time.monotonic()
    folder = Path(job.rasters[0])
    collection = open_dataset(job.dataset, folder, job.protocol, job.variant, report) if job.dataset else None
    scheme = _given_scheme(job, collection)
    gathered = gather(job, report, collection)
    if job.scene_block and job.scene_block < job.size:
        raise UsageError(
            f"tile.scene_block: {job.scene_block} is smaller than a tile of {job.size} px", "use several tiles"
        )
    table = (
        collection_tags(collection, gathered.sources, job.min_area, report, folder)
        if collection
        else _read_table(job, gathered, scheme, report)
    )
    found_at = time.monotonic()
    scheme, tags = _agree(job, table, scheme, report)
    scanned = scan(gathered, job, report)
    tiles = assemble(job, scanned, table, tags, scheme, report, collection)
    if not len(tiles):
        raise InputError(job.rasters[0], "no tile is left", "check size and rasters")
    train = tiles.loc[tiles["split"] == "train", "tile_id"]
    if not len(train):
        report.warn(f"{folder}: holds no training scene, the tiles serve evaluation only")
    samples = np.concatenate([scanned.samples[t] for t in (train if len(train) else tiles["tile_id"])], axis=1)
    distances = tiles["gsd"].dropna()
    tileset = TileSet(
        out,
        scheme,
        tiles,
        measure(samples, gathered.eight_bit),
        gathered.bands,
        gathered.band_names,
        int(max(tiles["height"].max(), tiles["width"].max())),
        float(distances.median()) if len(distances) else None,
        job.gsd,
        job.seed,
        job.materialize,
        job.bands is None,
        collection.coding if collection else None,
    )
    scanned_at = time.monotonic()
    _write(tileset, gathered, report, collection.draw if collection else None)
    result = _result(tileset)
    _tell(result, scheme, job, report)
    seconds = {
        "tags": found_at - started,
        "scan": scanned_at - found_at,
        "write": time.monotonic() - scanned_at,
    }
    inputs = list(job.rasters) if collection else [str(s.path) for s in scanned.sources]
    inputs += [job.tags] if job.tags else []
    write_record(out.with_name(f"{out.name}.json"), job, result, inputs, seconds)
    return result


def _checked_out(out: Path) -> Path:
    """The folder to write, absolute. Raises InputError if it would overwrite anything but a tile set."""
    out = Path(os.path.abspath(out))
    if out.exists() and not out.is_dir():
        raise InputError(out, "is a file", "give the name of a new folder")
    if out.is_dir() and any(out.iterdir()) and not is_tileset(out):
        raise InputError(out, "is a folder with other things in it", "give the name of a new folder")
    if not out.parent.is_dir():
        raise InputError(out.parent, "output folder does not exist", "create it or choose another")
    check_output(out.with_name(f"{out.name}.json"))
    return out


def _given_scheme(job: TileJob, collection: Collection | None) -> ClassScheme | None:
    if collection is None and job.classes is None:
        return None
    scheme = collection.scheme if collection else read_classes(str(job.classes))
    return ClassScheme(scheme.classes, job.background) if job.background else scheme


def _read_table(job: TileJob, gathered: Gathered, scheme: ClassScheme | None, report: Progress) -> TagTable | None:
    if job.tags is None:
        report.info("no tags given: the tiles stay untagged")
        return None
    return read_tags(
        Path(job.tags), gathered.sources, scheme, attribute=job.field, min_area=job.min_area, report=report
    )


def _agree(
    job: TileJob, table: TagTable | None, scheme: ClassScheme | None, report: Progress
) -> tuple[ClassScheme, Mapping[str, tuple[str, ...]]]:
    """The class scheme and the tags in its terms."""
    if table is None:
        return scheme or ClassScheme.from_names(["untagged"]), {}
    origin = job.tags or job.rasters[0]
    if scheme is None:
        if not any(table.tags.values()):
            raise InputError(origin, "all of its tags are empty", "tag some scenes first")
        scheme = derive_classes(table.tags, job.background, Path(origin))
    tags = settle(table, scheme, Path(origin), job.classes)
    used = {n for names in tags.values() for n in names}
    if len(used) < 2 and scheme.background == "none":
        report.warn(
            f"{origin}: {'only one class' if used else 'no class'} is tagged and there is no background; "
            "nothing can be told apart, tag another class or use --background explicit"
        )
    unused = [n for n in scheme.taggable if n not in used]
    if unused and used:
        report.warn(f"{origin}: no tile is tagged {', '.join(unused)}")
    return scheme, tags


def _aside(out: Path) -> Path:
    """Where an older tile set waits while the new one takes its place."""
    return out.with_name(out.name + ".old.part")


def _recover(out: Path) -> None:
    """Clear up after a killed run: put back the tile set it moved aside, or drop that if the new one is in place."""
    old = _aside(out)
    if is_tileset(old) and not out.exists():
        os.replace(old, out)
    for half in (old, part_of(out)):
        shutil.rmtree(half, ignore_errors=True)


def _write(tileset: TileSet, gathered: Gathered, report: Progress, draw: Draw | None = None) -> None:
    """Build the folder beside its place and move it there when it is whole; ``draw`` makes the masks that lack.

    Raises InputError if a raster has changed since it was ``gathered``.
    """
    out = tileset.root
    old = _aside(out)
    try:
        with replacing(out) as part:
            part.mkdir()
            if draw:
                drawn = {os.path.abspath(image): str(mask) for image, mask in draw(part / MASKS, report).items()}
                tiles = tileset.tiles.copy()
                tiles["mask"] = [m or drawn.get(s) for s, m in zip(tiles["source"], tiles["mask"], strict=True)]
                tileset = replace(tileset, tiles=tiles)
            if tileset.materialized:
                tiles = write_chips(tileset, part / "chips", report)
                shutil.rmtree(part / MASKS, ignore_errors=True)
            else:
                # Relative paths are the same from the part folder, which lies beside the final one.
                tiles = tileset.tiles.copy()
                tiles["source"] = [relative_path(Path(p), part) for p in tiles["source"]]
                tiles["mask"] = [relative_path(Path(p), part) if p else None for p in tiles["mask"]]
            _finish(tileset, tiles, part)
            check_unchanged(gathered)
            if out.exists():
                os.replace(out, old)
    finally:
        if old.exists() and not out.exists():
            os.replace(old, out)
    shutil.rmtree(old, ignore_errors=True)


def _finish(tileset: TileSet, tiles: Any, part: Path) -> None:
    write_tileset(replace(tileset, tiles=tiles), part)
    write_preview(read_tileset(part), part / "preview.png")


def _result(tileset: TileSet) -> TileResult:
    matrix = tileset.tags_matrix() > 0.5
    names = tileset.scheme.taggable
    split = tileset.tiles["split"]
    together = matrix.T.astype(np.int64) @ matrix.astype(np.int64)
    return TileResult(
        tiles=str(tileset.root),
        classes=names,
        total=len(tileset),
        tagged=int(tileset.tiles["tagged"].sum()),
        splits={s: int((split == s).sum()) for s in SPLITS},
        counts=dict(zip(names, matrix.sum(axis=0).tolist(), strict=True)),
        cooccurrence=tuple(tuple(row) for row in together.tolist()),
        preview=str(tileset.root / "preview.png"),
    )


def _tell(result: TileResult, scheme: ClassScheme, job: TileJob, report: Progress) -> None:
    splits = ", ".join(f"{n} {s}" for s, n in result.splits.items() if n)
    report.info(f"{result.total} tiles ({splits}), {result.tagged} tagged")
    if result.tagged:
        report.info("tiles per class and per pair of classes\n" + cooccurrence_table(result))


def cooccurrence_table(result: TileResult) -> str:
    """Tiles per class and pair as aligned text; columns are numbered like rows."""
    left = max(len(n) for n in result.classes) + 4
    wide = max(5, *(len(str(v)) + 1 for row in result.cooccurrence for v in row))
    lines = [" " * left + "".join(f"{i + 1:>{wide}}" for i in range(len(result.classes)))]
    for i, (name, row) in enumerate(zip(result.classes, result.cooccurrence, strict=True)):
        lines.append(f"{i + 1:>2} {name:<{left - 3}}" + "".join(f"{v:>{wide}}" for v in row))
    return "\n".join(lines)
