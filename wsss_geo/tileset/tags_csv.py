"""Tags from a table: rows that name a tile, a place or an image, and the classes found there."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import shapely
from numpy.typing import NDArray

from wsss_geo.errors import InputError
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.tag_table import TagTable, merged

_TAGS = ("tags", "tag", "labels", "label", "classes", "class")
_PATHS = ("path", "file", "filename", "image")
_EXPECTED = "columns tile_id, or x and y, or path; and tags, or one 0/1 column a class"
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
    rows = read_rows(path, names)
    pairs, missed = _match(path, rows, sources)
    some = rows[0] if rows else None
    return TagTable(
        merged(pairs),
        given=len(rows),
        missed=len(missed),
        unmatched=tuple(str(r) for r in missed[:5]),
        expected=_expectation(some, sources),
    )


def read_rows(path: Path, names: Sequence[str] | None = None) -> list[TagRow]:
    """Read the lines of a tag table; rows with an empty list of tags are kept. Raises InputError."""
    header, lines = _read_table(path)
    lower = [h.strip().lower() for h in header]
    where: dict[str, int] = {key: lower.index(key) for key in ("tile_id", "x", "y") if key in lower}
    image_column = next((lower.index(p) for p in _PATHS if p in lower), None)
    if image_column is not None:
        where["path"] = image_column
    tag_column = next((lower.index(t) for t in _TAGS if t in lower), None)
    columns = {} if tag_column is not None else _class_columns(header, lines, set(where.values()), names)
    if tag_column is None and not columns:
        raise InputError(path, f"no column of tags among {', '.join(header)}", f"expected {_EXPECTED}")
    rows = []
    for number, cells in lines:
        cells = _even(path, number, cells, len(header), tag_column)
        found = (
            split_tags(cells[tag_column], path, number)
            if tag_column is not None
            else tuple(name for name, i in columns.items() if _flag(path, number, name, cells[i]))
        )
        xy = None
        if "x" in where and "y" in where and (cells[where["x"]].strip() or cells[where["y"]].strip()):
            xy = (_number(path, number, "x", cells[where["x"]]), _number(path, number, "y", cells[where["y"]]))
        rows.append(
            TagRow(
                number,
                found,
                cells[where["tile_id"]].strip() or None if "tile_id" in where else None,
                cells[where["path"]].strip() or None if "path" in where else None,
                xy,
            )
        )
    return rows


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


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the numbered lines, read with the delimiter under which the header makes sense."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(path, f"not readable ({error.strerror})", "check the file") from None
    except UnicodeDecodeError:
        raise InputError(path, "not UTF-8 text", "save it as CSV UTF-8") from None
    first = text.lstrip("\r\n").partition("\n")[0]
    if not first.strip():
        raise InputError(path, "empty", f"expected {_EXPECTED}")
    for delimiter in sorted(",;\t", key=first.count, reverse=True):
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            lines = [(reader.line_num, row) for row in reader if any(c.strip() for c in row)]
        except csv.Error as error:
            raise InputError(path, f"not a table ({error})", f"expected {_EXPECTED}") from None
        header = [h.strip() for h in lines[0][1]] if lines else []
        lower = {h.lower() for h in header}
        if len(header) > 1 and ("tile_id" in lower or {"x", "y"} <= lower or lower & set(_PATHS)):
            return header, lines[1:]
    raise InputError(path, f"its first line {first.strip()[:80]!r} names no place", f"expected {_EXPECTED}")


def _class_columns(
    header: Sequence[str], lines: Sequence[tuple[int, list[str]]], places: set[int], names: Sequence[str] | None
) -> dict[str, int]:
    """Columns that are classes: those of the scheme, else those that hold nothing but 0 and 1."""
    others = {h: i for i, h in enumerate(header) if i not in places and h}
    if names is not None:
        return {h: i for h, i in others.items() if h in names}
    flags = _TRUE | _FALSE
    return {h: i for h, i in others.items() if all(i < len(c) and c[i].strip().lower() in flags for _, c in lines)}


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


def _match(
    path: Path, rows: Sequence[TagRow], sources: Sequence[Source]
) -> tuple[list[tuple[str, tuple[str, ...]]], list[TagRow]]:
    """Return (tile, names) pairs and the rows that fit no tile."""
    tiles = {t for s in sources for t in s.tile_ids} if any(r.tile_id is not None for r in rows) else set()
    images = _by_name(sources)
    pairs: list[tuple[str, tuple[str, ...]]] = []
    missed: list[TagRow] = []
    places: dict[int, list[TagRow]] = {}
    for row in rows:
        if row.tile_id is not None:
            if row.tile_id in tiles:
                pairs.append((row.tile_id, row.names))
            else:
                missed.append(row)
        elif row.path is not None:
            chosen = _image(path, row, images, sources)
            if chosen is None:
                missed.append(row)
            elif row.xy is not None:
                places.setdefault(chosen, []).append(row)
            else:
                pairs += [(t, row.names) for t in sources[chosen].tile_ids]
        elif row.xy is not None:
            for i in range(len(sources)):
                places.setdefault(i, []).append(row)
        else:
            missed.append(row)
    if len(sources) > 1 and any(s.crs is None for s in sources) and any(r.xy and r.path is None for r in rows):
        raise InputError(path, "x and y fit several rasters without CRS", "add a column path")
    hit: set[int] = set()
    for i, there in places.items():
        tile_ids = sources[i].tile_ids
        for point, tile in points_in_tiles(np.array([r.xy for r in there], dtype=np.float64), sources[i]):
            pairs.append((tile_ids[tile], there[point].names))
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
