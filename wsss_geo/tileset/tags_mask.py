"""Tags from masks: a tile takes the classes that cover enough of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.progress import Progress
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.masks import UNKNOWN, MaskCoding, MaskReader
from wsss_geo.tileset.tag_table import TagTable, find_rasters

#: A tile with more unlabelled pixels than this share stays untagged.
MOST_UNLABELLED = 0.5


def mask_tags(
    path: Path, sources: Sequence[Source], scheme: ClassScheme, min_area: float, report: Progress
) -> TagTable:
    """Derive tags from a mask raster or a folder of masks that are named like the rasters. Raises InputError.

    A class is a tag where it covers at least ``min_area`` of the pixels of the tile (and at least one pixel); tiles
    of which more than half is unlabelled stay untagged but keep their mask.
    """
    found = match_masks(path, sources)
    tags, masks = tags_of_masks(found, sources, scheme, min_area, report, path)
    missing = [str(s.path) for s in sources if s.path not in found]
    return TagTable(
        tags,
        masks,
        given=len(sources),
        missed=len(missing),
        unmatched=tuple(missing[:5]),
        expected="masks have the file name of their raster, whatever the suffix",
    )


def tags_of_masks(
    found: Mapping[Path, Path],
    sources: Sequence[Source],
    scheme: ClassScheme,
    min_area: float,
    report: Progress,
    origin: Path,
    coding: MaskCoding | None = None,
) -> tuple[dict[str, tuple[str, ...]], dict[str, Path]]:
    """Return the tags and the mask of every tile whose raster has a mask in ``found``, as ``mask_tags`` does.

    ``coding`` says what the masks mean, ``origin`` is what a warning speaks of.
    """
    tags: dict[str, tuple[str, ...]] = {}
    masks: dict[str, Path] = {}
    foreign = seen = touched = 0
    taggable = [i for i, n in enumerate(scheme.names) if n in scheme.taggable]
    for done, (source, mask) in enumerate((s, found[s.path]) for s in sources if s.path in found):
        report.step(done, len(found), mask.name, "masks")
        with MaskReader(mask, scheme, source.height, source.width, coding) as reader:
            for tile, window in zip(source.tile_ids, source.windows, strict=True):
                counts = np.bincount(reader.read(window).ravel(), minlength=256)
                pixels = int(counts.sum())
                foreign, seen = foreign + int(counts[UNKNOWN]), seen + pixels - int(counts[IGNORE])
                masks[tile] = mask
                if counts[UNKNOWN] + counts[IGNORE] <= MOST_UNLABELLED * pixels:
                    touched += int(np.count_nonzero(counts[taggable]))
                    least = max(min_area * pixels, 1)
                    tags[tile] = tuple(
                        n for n, c in zip(scheme.names, counts[: len(scheme)], strict=True) if c >= least
                    )
    if foreign:
        report.warn(
            f"{origin}: {foreign / seen:.2%} of the mask pixels have a colour or value that is none of the classes "
            "and are ignored"
        )
    named = sum(n in scheme.taggable for names in tags.values() for n in names)
    if named < touched:
        report.info(
            f"{origin}: {named} tags, of classes that cover at least {min_area:.4g} of their tile; from the first "
            f"pixel on they would be {touched}"
        )
    return tags, masks


def match_masks(path: Path, sources: Sequence[Source]) -> dict[Path, Path]:
    """Find the mask of every source: the file itself, or the one of the same name that lies nearest to it."""
    if path.is_file():
        return {s.path: path for s in sources} if len(sources) == 1 else _by_stem([path], sources)
    return _by_stem(find_rasters(path), sources)


def _by_stem(masks: Sequence[Path], sources: Sequence[Source]) -> dict[Path, Path]:
    own = {s.path.resolve() for s in sources}
    by_stem: dict[str, list[Path]] = {}
    for mask in masks:
        if mask.resolve() not in own:
            by_stem.setdefault(_stem(mask), []).append(mask)
    found = {}
    for source in sources:
        candidates = by_stem.get(_stem(source.path), [])
        if candidates:
            found[source.path] = max(candidates, key=lambda m: _nearness(m, source.path))
    return found


def _stem(path: Path) -> str:
    """File name without suffix and without the endings that tell a mask from its image."""
    stem = path.stem
    for ending in ("_mask", "_truth", "_label", "_labels", "_gt"):
        stem = stem.removesuffix(ending)
    return stem


def _nearness(mask: Path, image: Path) -> tuple[int, int]:
    """How many folders two files share: from the root, then from the end."""
    a, b = Path(os.path.abspath(mask)).parent.parts, Path(os.path.abspath(image)).parent.parts
    return _shared(a, b), _shared(a[::-1], b[::-1])


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))
