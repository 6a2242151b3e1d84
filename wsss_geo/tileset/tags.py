"""Which classes occur in which tile: one table, whatever the tags come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.progress import Progress
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.tag_table import RASTER_SUFFIXES, TagTable, find_rasters
from wsss_geo.tileset.tags_csv import csv_tags
from wsss_geo.tileset.tags_mask import mask_tags
from wsss_geo.tileset.tags_vector import vector_tags

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def read_tags(
    path: Path,
    sources: Sequence[Source],
    scheme: ClassScheme | None,
    *,
    attribute: str | None = None,
    min_area: float = 0.05,
    report: Progress | None = None,
) -> TagTable:
    """Read tags from a CSV, a vector layer, a mask raster, a folder of masks or a folder of class folders.

    ``scheme`` is needed for masks only. Raises InputError when the file cannot be read or fits no tile.
    """
    report = report or Progress()
    if not path.exists():
        raise InputError(path, "no such file or folder of tags", "check --tags")
    table = _reader(path, sources)(path, sources, scheme, attribute, min_area, report)
    if not table.tags and not table.masks:
        example = f"'{table.unmatched[0]}'" if table.unmatched else "none"
        tile = next((f"'{i}'" for s in sources for i in s.tile_ids), "none")
        raise InputError(
            path,
            f"none of its {table.given} tags fits a tile (a tag: {example}, a tile: {tile})",
            table.expected or "check that tags and rasters belong together",
        )
    if table.missed:
        shown = ", ".join(table.unmatched[:3])
        report.warn(f"{path}: {table.missed} of {table.given} tags fit no tile (first: {shown})")
    return table


_TagReader = Callable[[Path, Sequence[Source], "ClassScheme | None", "str | None", float, Progress], TagTable]


def _reader(path: Path, sources: Sequence[Source]) -> _TagReader:
    """Choose how to read ``path`` by what it is."""
    if path.is_dir():
        if path.suffix.lower() == ".gdb":
            return _vector
        return _masks if any_masks(path, sources) else _folders
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _csv
    if path.suffix.lower() in RASTER_SUFFIXES:
        return _masks
    return _vector


def _csv(
    path: Path, sources: Sequence[Source], scheme: ClassScheme | None, attribute: str | None, area: float, _: Progress
) -> TagTable:
    return csv_tags(path, sources, names=scheme.names if scheme else None)


def _vector(
    path: Path, sources: Sequence[Source], _: ClassScheme | None, attribute: str | None, area: float, report: Progress
) -> TagTable:
    return vector_tags(path, sources, attribute, area, report)


def _masks(
    path: Path, sources: Sequence[Source], scheme: ClassScheme | None, _: str | None, area: float, report: Progress
) -> TagTable:
    if scheme is None:
        raise InputError(path, "a mask says nothing about the names of its values", "give them with --classes")
    return mask_tags(path, sources, scheme, area, report)


def _folders(
    path: Path, sources: Sequence[Source], _: ClassScheme | None, attribute: str | None, area: float, report: Progress
) -> TagTable:
    return folder_tags(path, sources)


def any_masks(folder: Path, sources: Sequence[Source]) -> bool:
    """Whether ``folder`` holds rasters other than the sources themselves."""
    own = {s.path.resolve() for s in sources}
    return any(p.resolve() not in own for p in find_rasters(folder))


def folder_tags(folder: Path, sources: Sequence[Source]) -> TagTable:
    """Tag all tiles of an image with the name of the folder it lies in, the first level below ``folder``."""
    root = folder.resolve()
    tags: dict[str, tuple[str, ...]] = {}
    outside: list[str] = []
    for source in sources:
        place = source.path.resolve()
        parts = place.relative_to(root).parts if place.is_relative_to(root) else ()
        if len(parts) < 2:
            outside.append(str(source.path))
            continue
        tags.update(dict.fromkeys(source.tile_ids, (parts[0],)))
    return TagTable(
        tags,
        given=len(sources),
        missed=len(outside),
        unmatched=tuple(outside[:5]),
        expected="a folder of tags has one folder a class with its images in it, or masks named like the rasters",
    )


def derive_classes(tags: Mapping[str, tuple[str, ...]], background: str | None, origin: Path) -> ClassScheme:
    """Make the class scheme of the names in use, sorted; under ``explicit`` a background class comes first.

    Raises InputError where names in ``origin`` make no classes, UsageError for a background that names no class.
    """
    names = sorted({n for tile in tags.values() for n in tile})
    if background == "explicit":
        first = next((n for n in names if n.lower() == "background"), "background")
        names = [first, *(n for n in names if n != first)]
    try:
        scheme = ClassScheme.from_names(names)
    except UsageError as error:
        raise InputError(origin, error.problem, error.hint) from None
    return ClassScheme(scheme.classes, background) if background else scheme


def settle(table: TagTable, scheme: ClassScheme, origin: Path, scheme_origin: str | None) -> dict[str, tuple[str, ...]]:
    """Return the tags in channel order without the background class.

    A tile whose list is empty counts as tagged only under policy ``explicit``, where it means "background alone".
    Raises InputError for a class that the scheme does not know.
    """
    known = set(scheme.names)
    unknown = Counter(n for names in table.tags.values() for n in names if n not in known)
    if unknown:
        listed = ", ".join(f"'{n:.60}' ({c} tile{'s' if c > 1 else ''})" for n, c in unknown.most_common(5))
        raise InputError(
            origin,
            f"unknown class {listed}; {scheme_origin or 'the class scheme'} knows {', '.join(scheme.names)}",
            "correct the tags or add the class",
        )
    order = {n: i for i, n in enumerate(scheme.taggable)}
    settled = {
        tile: tuple(sorted({n for n in names if n in order}, key=order.__getitem__))
        for tile, names in table.tags.items()
    }
    if scheme.background == "explicit":
        return settled
    return {tile: names for tile, names in settled.items() if names}
