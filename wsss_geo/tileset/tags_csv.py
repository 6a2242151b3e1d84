"""Tags from a table: rows that name a tile, a place or an image, and the classes found there."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import shapely
from numpy.typing import NDArray

from wsss_geo.errors import InputError
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.tag_table import TagTable

_TAGS = ("tags", "tag", "labels", "label", "classes", "class")
_PATHS = ("path", "file", "filename", "image")
_EXPECTED = "columns tile_id, or x and y, or path; and tags, or one 0/1 column a class"
#: Rows that are in memory at once.
_BATCH = 100_000
_TRUE = {"1", "1.0", "true", "yes"}
_FALSE = {"0", "0.0", "false", "no", ""}


@dataclass(frozen=True)
class TagRow:
    """One line of the table: where (a tile, an image, a place, or a place in an image) and what."""

    line: int
    names: tuple[str, ...]
    tile_id: str | None = None
    path: str | None = None
    xy: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.tile_id is not None:
            return f"tile_id {self.tile_id}"
        place = f"x {self.xy[0]:g} y {self.xy[1]:g}" if self.xy else ""
        return " ".join(filter(None, (f"path {self.path}" if self.path is not None else "", place)))


def csv_tags(path: Path, sources: Sequence[Source], names: Sequence[str] | None = None) -> TagTable:
    """Join the table ``path`` with tiles. Raises InputError.

    x and y are map coordinates in the CRS of the raster, or column and row where it has none. A tile takes the tags
    of all places inside it, so cells smaller than the tile unite; a cell larger than the tile reaches only the tile
    around its point. A path tags all tiles of the image, or tells which image x and y speak of.
    """
    tiles, missed, first = _Tiles(path, sources), _Missed(), None
    found: dict[str, set[str]] = {}
    rows, given = read_rows(path, names), 0
    while batch := list(itertools.islice(rows, _BATCH)):
        first = first or batch[0]
        given += len(batch)
        pairs, lost = tiles.match(batch)
        for tile, tags in pairs:
            found.setdefault(tile, set()).update(tags)
        missed.note(lost)
    return TagTable(
        {tile: tuple(sorted(tags)) for tile, tags in found.items()},
        given=given,
        missed=missed.count,
        unmatched=tuple(missed.first),
        expected=_expectation(first, sources),
    )


def read_rows(path: Path, names: Sequence[str] | None = None) -> Iterator[TagRow]:
    """Yield the lines of a tag table; rows with an empty list of tags are kept. Raises InputError.

    The file is read as it goes, so it may be of any length.
    """
    header, delimiter = _header(path)
    lower = [h.strip().lower() for h in header]
    where: dict[str, int] = {key: lower.index(key) for key in ("tile_id", "x", "y") if key in lower}
    image_column = next((lower.index(p) for p in _PATHS if p in lower), None)
    if image_column is not None:
        where["path"] = image_column
    tag_column = next((lower.index(t) for t in _TAGS if t in lower), None)
    columns = {}
    if tag_column is None:
        columns = _class_columns(header, lambda: _lines(path, delimiter), set(where.values()), names)
    if tag_column is None and not columns:
        raise InputError(path, f"no column of tags among {', '.join(header)}", f"expected {_EXPECTED}")
    for number, cells in _lines(path, delimiter):
        cells = _even(path, number, cells, len(header), tag_column)
        found = (
            split_tags(cells[tag_column], path, number)
            if tag_column is not None
            else tuple(name for name, i in columns.items() if _flag(path, number, name, cells[i]))
        )
        xy = None
        if "x" in where and "y" in where and (cells[where["x"]].strip() or cells[where["y"]].strip()):
            xy = (_number(path, number, "x", cells[where["x"]]), _number(path, number, "y", cells[where["y"]]))
        yield TagRow(
            number,
            found,
            cells[where["tile_id"]].strip() or None if "tile_id" in where else None,
            cells[where["path"]].strip() or None if "path" in where else None,
            xy,
        )


def split_tags(text: str, path: Path, line: int) -> tuple[str, ...]:
    """Split a list of classes: ``;``, ``,`` or ``|`` between them, or a JSON list. Raises InputError."""
    text = text.strip()
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            listed = None
        if not isinstance(listed, list) or not all(isinstance(n, str) for n in listed):
            raise InputError(path, f"line {line}: {text[:60]!r} is not a JSON list of names", 'write ["a", "b"] or a;b')
        parts = listed
    else:
        parts = re.split(r"[;,|]", text)
    return tuple(dict.fromkeys(p.strip() for p in parts if p.strip()))


def _header(path: Path) -> tuple[list[str], str]:
    """Return the header and the delimiter under which it makes sense."""
    headers = {}
    for delimiter in ",;\t":
        headers[delimiter] = next(_rows(path, delimiter), (0, []))[1]
    if not any(headers.values()):
        raise InputError(path, "empty", f"expected {_EXPECTED}")
    for delimiter, cells in sorted(headers.items(), key=lambda item: len(item[1]), reverse=True):
        header = [h.strip() for h in cells]
        lower = {h.lower() for h in header}
        if len(header) > 1 and ("tile_id" in lower or {"x", "y"} <= lower or lower & set(_PATHS)):
            return header, delimiter
    first = ",".join(headers[","]).strip()
    raise InputError(path, f"its first line {first[:80]!r} names no place", f"expected {_EXPECTED}")


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbered lines below the header."""
    return itertools.islice(_rows(path, delimiter), 1, None)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield all lines that hold something, with their numbers. Raises InputError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            for row in reader:
                if any(map(str.strip, row)):
                    yield reader.line_num, row
    except OSError as error:
        raise InputError(path, f"not readable ({error.strerror})", "check the file") from None
    except UnicodeDecodeError:
        raise InputError(path, "not UTF-8 text", "save it as CSV UTF-8") from None
    except csv.Error as error:
        raise InputError(path, f"not a table ({error})", f"expected {_EXPECTED}") from None


def _class_columns(
    header: Sequence[str],
    lines: Callable[[], Iterator[tuple[int, list[str]]]],
    places: set[int],
    names: Sequence[str] | None,
) -> dict[str, int]:
    """Columns that are classes: those of the scheme, else those that hold nothing but 0 and 1."""
    others = {h: i for i, h in enumerate(header) if i not in places and h}
    if names is not None:
        return {h: i for h, i in others.items() if h in names}
    flags = _TRUE | _FALSE
    for _, cells in lines():
        others = {h: i for h, i in others.items() if i < len(cells) and cells[i].strip().lower() in flags}
        if not others:
            break
    return others


def _even(path: Path, line: int, cells: list[str], width: int, tag_column: int | None) -> list[str]:
    """Return a line of the header's width; unquoted commas between tags in the last column are forgiven."""
    if len(cells) > width and tag_column == width - 1:
        return [*cells[: width - 1], ";".join(cells[width - 1 :])]
    if len(cells) == width - 1 and tag_column == width - 1:
        return [*cells, ""]
    if len(cells) != width:
        raise InputError(path, f"line {line} has {len(cells)} fields, the header {width}", "correct the line")
    return cells


def _flag(path: Path, line: int, name: str, cell: str) -> bool:
    text = cell.strip().lower()
    if text not in _TRUE and text not in _FALSE:
        raise InputError(path, f"line {line}: {cell[:30]!r} in column {name} is neither 0 nor 1", "correct the line")
    return text in _TRUE


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(path, f"line {line}: {column} {cell[:30]!r} is not a number", "correct the line")
    return value


class _Missed:
    """Counts rows that fit no tile and keeps the ``first`` few as text."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def note(self, rows: Sequence[TagRow]) -> None:
        self.count += len(rows)
        self.first += [str(row) for row in rows[: 5 - len(self.first)]]


class _Tiles:
    """The tiles of ``sources``, to be found by id, image and place; ``path`` is the table that speaks of them."""

    def __init__(self, path: Path, sources: Sequence[Source]) -> None:
        self.path, self.sources = path, sources
        self.ids = [s.tile_ids for s in sources]
        self.known = {tile for ids in self.ids for tile in ids}
        self.images = _by_name(sources)
        self.ambiguous = len(sources) > 1 and any(s.crs is None for s in sources)

    def match(self, rows: Sequence[TagRow]) -> tuple[list[tuple[str, tuple[str, ...]]], list[TagRow]]:
        """Return (tile, names) pairs and the rows that fit no tile."""
        pairs: list[tuple[str, tuple[str, ...]]] = []
        missed: list[TagRow] = []
        places: dict[int, list[TagRow]] = {}
        for row in rows:
            if row.tile_id is not None:
                if row.tile_id in self.known:
                    pairs.append((row.tile_id, row.names))
                else:
                    missed.append(row)
            elif row.path is not None:
                chosen = _image(self.path, row, self.images, self.sources)
                if chosen is None:
                    missed.append(row)
                elif row.xy is not None:
                    places.setdefault(chosen, []).append(row)
                else:
                    pairs += [(tile, row.names) for tile in self.ids[chosen]]
            elif row.xy is not None:
                if self.ambiguous:
                    raise InputError(self.path, "x and y fit several rasters without CRS", "add a column path")
                for i in range(len(self.sources)):
                    places.setdefault(i, []).append(row)
            else:
                missed.append(row)
        hit: set[int] = set()
        for i, there in places.items():
            points = np.array([r.xy for r in there], dtype=np.float64)
            for point, tile in points_in_tiles(points, self.sources[i]):
                pairs.append((self.ids[i][tile], there[point].names))
                hit.add(there[point].line)
        lost = {r.line: r for there in places.values() for r in there if r.line not in hit}
        return pairs, sorted([*missed, *lost.values()], key=lambda r: r.line)


def points_in_tiles(xy: NDArray[np.float64], source: Source) -> list[tuple[int, int]]:
    """Return (point, tile) for map points [n, 2] inside tiles of ``source``; a tile owns its upper and left edge."""
    columns, rows = (xy[:, 0], xy[:, 1]) if source.crs is None else (~source.transform) * (xy[:, 0], xy[:, 1])
    tree = shapely.STRtree(source.boxes_px())
    points, tiles = tree.query(shapely.points(columns, rows), predicate="intersects")
    row0, col0, row1, col1 = source.bounds_px()[tiles].T
    inside = (columns[points] >= col0) & (columns[points] < col1) & (rows[points] >= row0) & (rows[points] < row1)
    return list(zip(points[inside].tolist(), tiles[inside].tolist(), strict=True))


def _by_name(sources: Sequence[Source]) -> dict[str, list[int]]:
    """Sources by file name, with and without suffix."""
    found: dict[str, list[int]] = {}
    for i, source in enumerate(sources):
        for name in {source.path.name, source.path.stem}:
            found.setdefault(name, []).append(i)
    return found


def _image(path: Path, row: TagRow, images: dict[str, list[int]], sources: Sequence[Source]) -> int | None:
    """The source that the row's path means: the one whose path ends with it."""
    wanted = PurePosixPath(str(row.path).replace("\\", "/"))
    parts = tuple(p for p in wanted.parts if p not in (".", "/"))
    if not parts:
        return None
    fitting = []
    for i in images.get(parts[-1], []):
        own = sources[i].path.absolute().parts
        if own[-len(parts) : -1] == parts[:-1]:
            fitting.append(i)
    if len(fitting) > 1:
        exact = [i for i in fitting if sources[i].path.name == parts[-1]]
        fitting = exact if len(exact) == 1 else fitting
    if len(fitting) > 1:
        raise InputError(
            path, f"line {row.line}: path {row.path} fits {len(fitting)} images", "write more of the folder before it"
        )
    return fitting[0] if fitting else None


def _expectation(row: TagRow | None, sources: Sequence[Source]) -> str:
    """What would have matched, in terms of the first raster."""
    if row is None or not sources:
        return f"expected {_EXPECTED}"
    source = sources[0]
    if row.tile_id is not None:
        return "tile ids are <raster>_r<row>_c<column> of the tile's first pixel"
    if row.path is not None:
        return f"paths are file names like {source.path.name}"
    if source.crs is None:
        return f"x and y are column 0..{source.width} and row 0..{source.height} where the raster has no CRS"
    width, height = source.width, source.height
    corners = [source.transform * p for p in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = zip(*corners, strict=True)
    name = source.crs.to_string()[:40]
    return f"x lies in {min(xs):.10g}..{max(xs):.10g}, y in {min(ys):.10g}..{max(ys):.10g} ({name})"
