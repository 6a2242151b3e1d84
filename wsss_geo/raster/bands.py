"""Which bands of a raster feed which channel of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wsss_geo.errors import InputError
from wsss_geo.raster.info import RasterInfo

_COLORS = frozenset({"red", "green", "blue", "nir", "gray"})

_SYNONYMS = {
    "r": "red", "g": "green", "b": "blue", "n": "nir", "nearinfrared": "nir", "nir1": "nir", "infrared": "nir",
    "grey": "gray", "pan": "gray", "panchromatic": "gray", "rededge1": "rededge",
}  # fmt: skip

_SENTINEL2 = {
    "b1": "coastal", "b2": "blue", "b3": "green", "b4": "red", "b5": "rededge", "b6": "rededge2", "b7": "rededge3",
    "b8": "nir", "b8a": "nir2", "b9": "watervapour", "b10": "cirrus", "b11": "swir1", "b12": "swir2",
}  # fmt: skip

_KNOWN = _COLORS.union(_SENTINEL2.values())


@dataclass(frozen=True)
class BandMatch:
    """``bands`` (from 1) in channel order and ``how`` they were found, a phrase for the user.

    With ``palette`` the one band is an index into a colour table, to be read as its red, green and blue
    (``RasterReader(..., palette=True)``).
    """

    bands: tuple[int, ...]
    how: str
    palette: bool = False


def match_bands(
    info: RasterInfo,
    wanted: Sequence[str] | None = None,
    count: int | None = None,
    requested: Sequence[int] | None = None,
) -> BandMatch:
    """Choose the bands of ``info`` for the channels ``wanted`` (red, nir, ...; None if nameless) or ``count`` channels.

    ``requested`` bands win. Then the colour table of a one-band raster is used where three channels (or any) are
    wanted; then band descriptions and colour interpretation, if they name every channel; then the order of the file,
    unless that contradicts a name. With neither ``wanted`` nor ``count`` all image bands are taken; alpha never is.

    Raises InputError, with a hint at ``--bands``, where none of these works.
    """
    count = len(wanted) if wanted and count is None else count
    if requested is not None:
        return _requested(info, tuple(requested), count)
    if info.palette is not None and len(info.image_bands) == 1 and count in (None, 3):
        return BandMatch(info.image_bands, "the colours of its colour table", palette=True)
    if count is None:
        return BandMatch(info.image_bands, f"all {len(info.image_bands)} bands")
    channels = [canonical_name(w) for w in wanted] if wanted else []
    names = _names(info, channels)
    if channels and all(names.count(c) == 1 for c in channels) and len(set(channels)) == count:
        bands = tuple(info.image_bands[names.index(c)] for c in channels)
        return BandMatch(bands, "by name: " + _listed(channels, bands))
    return _in_order(info, names, channels, count)


def canonical_name(name: str) -> str:
    """Return ``name`` in the form names are compared in: red for R, nir for "Near Infrared", and so on."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = re.sub(r"(band|channel|reflectance|sr)$|^(band|sr)(?=[a-z])", "", plain)
    return _SYNONYMS.get(plain, plain)


def _requested(info: RasterInfo, bands: tuple[int, ...], count: int | None) -> BandMatch:
    if count is not None and len(bands) != count:
        raise InputError(info.path, f"{len(bands)} bands were chosen, {count} are needed", _example(count))
    for band in bands:
        if band not in info.image_bands:
            problem = "is transparency (alpha)" if band == info.alpha_band else "does not exist"
            choice = ", ".join(str(b) for b in info.image_bands)
            raise InputError(info.path, f"band {band} {problem}", f"choose among {choice} with --bands")
    return BandMatch(bands, "as requested: " + ", ".join(str(b) for b in bands))


def _in_order(info: RasterInfo, names: list[str], channels: list[str], count: int) -> BandMatch:
    available = info.image_bands
    if len(available) < count:
        repeated = f", for example --bands {','.join(['1'] * count)}" if len(available) == 1 else ""
        problem = f"has {len(available)} image band{'s' * (len(available) != 1)}, {count} are needed"
        raise InputError(info.path, problem, f"use another raster or model, or name bands with --bands{repeated}")
    for channel, band, name in zip(channels, available, names, strict=False):
        if name in channels and name != channel:
            problem = f"band {band} is {name} where {channel} is needed, and not all of {', '.join(channels)} are named"
            raise InputError(info.path, problem, _example(count))
    bands = available[:count]
    wanted = f" as {', '.join(channels)}" if channels else ""
    return BandMatch(bands, f"in the order of the file: {', '.join(str(b) for b in bands)}{wanted}")


def _names(info: RasterInfo, channels: list[str]) -> list[str]:
    """The canonical name of each image band: its description if that means something, else its colour, else empty."""
    described = [canonical_name(info.descriptions[b - 1]) for b in info.image_bands]
    if "b8a" in described or sum(d in _SENTINEL2 for d in described) >= 12:
        described = [_SENTINEL2.get(d, d) for d in described]
    colors = [info.colors[b - 1] for b in info.image_bands]
    known = _KNOWN.union(channels)
    return [d if d in known else c if c in _COLORS else "" for d, c in zip(described, colors, strict=True)]


def _listed(channels: list[str], bands: tuple[int, ...]) -> str:
    return ", ".join(f"{c} = {b}" for c, b in zip(channels, bands, strict=True))


def _example(count: int) -> str:
    return f"choose {count} with --bands, for example --bands {','.join(str(n + 1) for n in range(count))}"
