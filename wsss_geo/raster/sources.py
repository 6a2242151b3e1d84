"""Which rasters are meant: single ones, folders of them, STAC items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from wsss_geo.errors import InputError
from wsss_geo.raster.files import is_local
from wsss_geo.raster.stac import read_items

#: What a raster in a folder may end with.
SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg", ".webp")

_STAC_SUFFIXES = (".json", ".geojson")


@dataclass(frozen=True)
class Source:
    """A raster: the ``path`` that opens it, and the ``name``, without suffix, that its outputs get."""

    path: str
    name: str

    @property
    def title(self) -> str:
        """What people know it by: the name of the file, or of the item that it is part of."""
        file = Path(self.path).name
        return file if is_local(self.path) and Path(file).stem == self.name else self.name


def list_sources(paths: Sequence[str], asset: str | None = None) -> list[Source]:
    """Return the rasters that ``paths`` mean, in their order.

    A folder stands for the rasters in it, by name; a ``.json`` or ``.geojson`` file for the STAC items in it, of each
    the asset ``asset`` or the one that shows the picture. Raises InputError.
    """
    found: list[Source] = []
    for path in paths:
        if is_local(path) and Path(path).is_dir():
            found += _in_folder(Path(path))
        elif is_local(path) and Path(path).suffix.lower() in _STAC_SUFFIXES:
            found += [Source(item.href, item.name) for item in read_items(path, asset)]
        else:
            found.append(Source(path, raster_name(path)))
    names = [source.name for source in found]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(
            ", ".join(paths[:3]), f"two rasters have the same name, {twice}", "predict them into different folders"
        )
    return found


def raster_name(path: str) -> str:
    """Return the last part of a path or address without its suffix; queries and signatures are left out."""
    if is_local(path):
        return Path(path).stem
    text = path if not path.startswith("/vsi") else path.split("/", 2)[-1]
    place = urlsplit(text).path if "://" in text else text.split("?", 1)[0]
    return PurePosixPath(unquote(place)).stem or "raster"


def _in_folder(folder: Path) -> list[Source]:
    inside = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and ".part." not in p.name)
    if not inside:
        raise InputError(folder, "holds no raster", "name rasters, or a folder of GeoTIFFs")
    return [Source(str(p), p.stem) for p in inside]
