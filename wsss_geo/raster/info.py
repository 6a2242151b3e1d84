"""What a raster is, read from its header alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from wsss_geo.errors import InputError
from wsss_geo.raster.files import GDAL_ERRORS, open_raster, reason
from wsss_geo.raster.gsd import pixel_metres
from wsss_geo.raster.remote import changed, stamp, stamps

Color = tuple[int, int, int, int]

#: Far longer than any picture of the Earth; a header that claims more would only fill the memory with plans.
_LONGEST_SIDE = 10_000_000


@dataclass(frozen=True)
class GeoGrid:
    """Where pixels lie: ``height`` x ``width``, ``transform`` from (column, row) to the CRS, and ``crs`` or None."""

    height: int
    width: int
    transform: Affine
    crs: CRS | None

    def resized(self, height: int, width: int) -> GeoGrid:
        """Return the grid of ``height`` x ``width`` pixels over the same ground; rotation is kept."""
        scale = Affine.scale(self.width / width, self.height / height)
        return GeoGrid(height, width, self.transform * scale, self.crs)

    def same_pixels(self, other: GeoGrid) -> bool:
        """Return whether the pixels of both are the same places; their CRS, which one may lack, is not compared."""
        alike = (self.height, self.width) == (other.height, other.width)
        return bool(alike and self.transform.almost_equals(other.transform, 1e-6))

    def part(self, row_off: int, col_off: int, height: int, width: int) -> GeoGrid:
        """Return the grid of the window of ``height`` x ``width`` pixels at ``row_off``, ``col_off``."""
        return GeoGrid(height, width, self.transform * Affine.translation(col_off, row_off), self.crs)


@dataclass(frozen=True)
class RasterInfo:
    """The header of a raster; bands count from 1, tuples over bands hold band 1 first.

    ``gsd`` is the side in metres of the pixel at the centre, None without usable georeference. A raster located by
    ground control points or a camera model only has no usable georeference: ``crs`` is None, ``transform`` the
    identity, and ``georeference`` says why. ``colors`` are GDAL's colour interpretations in lower case, ``palette``
    the colour table of band 1 (index to red, green, blue, alpha), ``overviews`` the (height, width) of each overview.
    """

    path: str
    driver: str
    height: int
    width: int
    count: int
    dtypes: tuple[str, ...]
    crs: CRS | None
    transform: Affine
    gsd: float | None
    georeference: str
    nodata: tuple[float | None, ...]
    descriptions: tuple[str, ...]
    colors: tuple[str, ...]
    alpha_band: int | None
    has_mask: bool
    palette: Mapping[int, Color] | None
    block: tuple[int, int]
    overviews: tuple[tuple[int, int], ...]
    fingerprint: Mapping[str, Any]

    @property
    def image_bands(self) -> tuple[int, ...]:
        """The bands that are not alpha."""
        return tuple(b for b in range(1, self.count + 1) if b != self.alpha_band)

    @property
    def grid(self) -> GeoGrid:
        """The grid of the pixels."""
        return GeoGrid(self.height, self.width, self.transform, self.crs)

    def check_unchanged(self) -> None:
        """Raise InputError if the files are no longer those that were described, by size and time or ETag."""
        noted = dict(self.fingerprint)
        parts = noted.pop("parts", [])
        for path in changed([noted, *parts]):
            raise InputError(path, "was changed while it was read", "run again when it is at rest")

    def __str__(self) -> str:
        """One line for people."""
        size = f"{self.width} x {self.height} px, {self.count} x {self.dtypes[0]}"
        crs = (self.crs.to_string() if self.crs.to_epsg() else "own CRS") if self.crs else self.georeference
        return f"{self.path}: {size}, {crs}" + (f", {self.gsd:.4g} m" if self.gsd else "")


def describe(path: str) -> RasterInfo:
    """Read the header of ``path``; no pixel is read.

    Raises InputError when it does not exist, is not a raster, has no bands, or holds complex pixels.
    """
    path = str(path)
    with open_raster(path) as dataset:
        try:
            return _info(path, dataset)
        except GDAL_ERRORS as error:
            raise InputError(path, f"header cannot be read ({reason(error)})", "copy the file again") from error


def _info(path: str, dataset: Any) -> RasterInfo:
    if any("complex" in d for d in dataset.dtypes):
        hint = "convert it to amplitude first, for example with gdal_translate of a derived subdataset"
        raise InputError(path, f"holds complex pixels ({dataset.dtypes[0]})", hint)
    if max(dataset.height, dataset.width) > _LONGEST_SIDE:
        hint = f"rasters of up to {_LONGEST_SIDE} pixels along a side can be used; cut it into parts"
        raise InputError(path, f"claims to have {dataset.width} x {dataset.height} pixels", hint)
    crs, transform, georeference = _georeference(dataset)
    colors = tuple(c.name for c in dataset.colorinterp)
    alpha = colors.index("alpha") + 1 if "alpha" in colors and len(colors) > 1 else None
    flags = [{f.name for f in band} for band in dataset.mask_flag_enums]
    return RasterInfo(
        path=path,
        driver=dataset.driver,
        height=dataset.height,
        width=dataset.width,
        count=dataset.count,
        dtypes=tuple(dataset.dtypes),
        crs=crs,
        transform=transform,
        gsd=pixel_metres(dataset.height, dataset.width, transform, crs.to_wkt()) if crs else None,
        georeference=georeference,
        nodata=tuple(dataset.nodatavals),
        descriptions=tuple(d or "" for d in dataset.descriptions),
        colors=colors,
        alpha_band=alpha,
        has_mask=any(not band & {"all_valid", "nodata", "alpha"} for band in flags),
        palette=dataset.colormap(1) if colors[0] == "palette" else None,
        block=tuple(dataset.block_shapes[0]),
        overviews=tuple(_overview_shapes(path, len(dataset.overviews(1)))),
        fingerprint=_fingerprint(path, dataset),
    )


def _fingerprint(path: str, dataset: Any) -> dict[str, Any]:
    """Fingerprint of the file and, of a virtual raster, of those that it is made of."""
    own = stamp(path)
    if dataset.driver != "VRT":
        return own
    parts = [name for name in dataset.files if name != path]
    return {**own, "parts": stamps(parts)}


def _georeference(dataset: Any) -> tuple[CRS | None, Affine, str]:
    """CRS, transform and a word on them; GDAL stands an identity transform in for a missing one."""
    transform, crs = dataset.transform, dataset.crs
    if transform == Affine.identity() or not _is_usable(transform):
        if dataset.gcps[0]:
            return None, Affine.identity(), "ground control points only"
        if dataset.rpcs:
            return None, Affine.identity(), "camera model (RPC) only"
        return None, Affine.identity(), "no georeference"
    return (crs, transform, "affine") if crs else (None, transform, "no CRS")


def _is_usable(transform: Affine) -> bool:
    """Whether pixels have a place and a size; a damaged header may give them any."""
    return all(abs(v) < 1e15 for v in transform[:6]) and 1e-30 < abs(transform.determinant) < 1e30


def _overview_shapes(path: str, number: int) -> list[tuple[int, int]]:
    shapes = []
    for level in range(number):
        with open_raster(path, level) as overview:
            shapes.append((int(overview.height), int(overview.width)))
    return shapes
