"""A contact sheet of tiles with their tags, to see at a glance whether tags and pictures agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wsss_geo.tileset.dataset import TileDataset
from wsss_geo.tileset.index import TileSet

_THUMB = 144
_LINE = 14
_GAP = 6
_COLUMNS = 8
_MOST_ROWS = 20


def write_preview(tileset: TileSet, path: Path) -> None:
    """Draw a row of up to eight tiles for every class (the first 20), or of any tiles where none are tagged."""
    rows = _choose(tileset)
    font = ImageFont.load_default()
    cell_height = _THUMB + 2 * _LINE + _GAP
    width = _COLUMNS * (_THUMB + _GAP) + _GAP
    sheet = Image.new("RGB", (width, max(1, len(rows)) * (cell_height + _LINE + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for title, color, tiles in rows:
        draw.rectangle((_GAP, top + 2, _GAP + 10, top + 12), fill=color)
        draw.text((_GAP + 16, top), title, fill="black", font=font)
        top += _LINE + 2
        dataset = TileDataset(tileset, tiles, cache_bytes=0)
        for i in range(len(dataset)):
            left = _GAP + i * (_THUMB + _GAP)
            sheet.paste(_thumbnail(dataset[i]), (left, top))
            row = tiles.iloc[i]
            lines = (", ".join(row["tags"]) or "untagged", row["tile_id"])
            for n, text in enumerate(lines):
                shown = text if len(text) <= 24 else f"{text[:11]}..{text[-11:]}"
                draw.text((left, top + _THUMB + n * _LINE), shown, fill="black" if n == 0 else "gray", font=font)
        top += cell_height
    sheet.save(path, format="PNG")


def _choose(tileset: TileSet) -> list[tuple[str, str, Any]]:
    """Title, colour and tiles of each row: for a class, tiles with few tags first, spread over the set."""
    tiles, matrix = tileset.tiles, tileset.tags_matrix()
    rows = []
    for k, name in enumerate(tileset.scheme.taggable[:_MOST_ROWS]):
        places = np.flatnonzero(matrix[:, k] > 0.5)
        if len(places) == 0:
            continue
        spread = places[np.linspace(0, len(places) - 1, min(len(places), 4 * _COLUMNS)).astype(int)]
        best = spread[np.argsort(matrix[spread].sum(axis=1), kind="stable")][:_COLUMNS]
        rows.append((f"{name} ({len(places)} tiles)", tileset.scheme.by_name(name).color, tiles.iloc[best]))
    if not rows:
        places = np.linspace(0, len(tiles) - 1, min(len(tiles), _COLUMNS)).astype(int)
        rows.append((f"untagged ({len(tiles)} tiles)", "#888888", tiles.iloc[places]))
    return rows


def _thumbnail(item: dict[str, Any]) -> Image.Image:
    image, valid = item["image01"].numpy(), item["valid"].numpy()
    height, width = int(valid.any(axis=1).nonzero()[0].max()) + 1, int(valid.any(axis=0).nonzero()[0].max()) + 1
    shown = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    array = (shown[:, :height, :width] * 255).round().astype(np.uint8).transpose(1, 2, 0)
    scale = _THUMB / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    thumb = Image.new("RGB", (_THUMB, _THUMB), "#eeeeee")
    thumb.paste(Image.fromarray(array).resize(size, Image.Resampling.BILINEAR), (0, 0))
    return thumb
