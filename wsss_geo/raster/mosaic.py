"""Several rasters as one: a virtual raster (VRT) that GDAL reads piece by piece."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # nosec B405: only writes

from affine import Affine

from wsss_geo.errors import InputError
from wsss_geo.outputs import check_output, replacing
from wsss_geo.raster.files import gdal_path, is_local
from wsss_geo.raster.info import RasterInfo, describe

_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32",
    "uint64": "UInt64", "int64": "Int64", "float32": "Float32", "float64": "Float64",
}  # fmt: skip
#: Shift between grids, in pixels, that does not matter.
_SHIFT = 0.01


def write_mosaic(path: str | os.PathLike[str], rasters: Sequence[str], on_top: str = "first") -> Path:
    """Write the VRT ``path`` that shows ``rasters`` as one, the ``first`` or the ``last`` of them on top.

    They must lie on one grid: the same CRS, pixel size and rotation, whole pixels apart; and have the same bands. What
    is nodata, transparent or masked in one shows the next below; what no raster covers is invalid. A file that is
    there already and would not change is left alone. Raises InputError.
    """
    target = check_output(Path(path))
    infos = [describe(raster) for raster in rasters]
    text = mosaic_xml(infos if on_top == "last" else infos[::-1], infos[0])
    try:
        if target.read_bytes() == text:
            return target
    except OSError:
        pass
    # the same time for whoever else writes the same mosaic just now: it is part of what tells a changed input
    newest = max((int(info.fingerprint.get("mtime_ns", 0)) for info in infos), default=0)
    try:
        with replacing(target) as part:
            part.write_bytes(text)
            os.utime(part, ns=(newest, newest))
    except FileNotFoundError:
        if target.read_bytes() != text:
            raise
    return target


def mosaic_xml(infos: Sequence[RasterInfo], like: RasterInfo) -> bytes:
    """Return the VRT of the rasters ``infos``, the last one on top, on the grid and with the bands of ``like``."""
    places = [_place(info, like) for info in infos]
    top, left = min(row for row, _ in places), min(col for _, col in places)
    height = max(row + info.height for (row, _), info in zip(places, infos, strict=True)) - top
    width = max(col + info.width for (_, col), info in zip(places, infos, strict=True)) - left
    if max(height, width) > 2**31 - 1:
        raise InputError(like.path, f"the mosaic would be {width} x {height} pixels", "predict them one by one")
    by_nodata = _marks_by_nodata(infos)
    root = Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if like.crs is not None:
        SubElement(root, "SRS").text = like.crs.to_wkt()
    a, b, c, d, e, f = (like.transform * Affine.translation(left, top))[:6]
    SubElement(root, "GeoTransform").text = ", ".join(repr(float(v)) for v in (c, a, b, f, d, e))
    offsets = [(row - top, col - left) for row, col in places]
    for number in range(len(like.image_bands)):
        band = like.image_bands[number]
        element = _band(root, like, len(root) - 1, like.dtypes[band - 1], like.colors[band - 1])
        if like.descriptions[band - 1]:
            SubElement(element, "Description").text = like.descriptions[band - 1]
        if by_nodata:
            SubElement(element, "NoDataValue").text = _number(
                next(n for i in infos if (n := i.nodata[band - 1]) is not None)
            )
        for info, offset in zip(infos, offsets, strict=True):
            source = _source(element, info, str(info.image_bands[number]), offset)
            value = info.nodata[info.image_bands[number] - 1]
            if by_nodata and value is not None:
                SubElement(source, "NODATA").text = _number(value)
            elif not by_nodata and (info.alpha_band or info.has_mask):
                SubElement(source, "UseMaskBand").text = "true"
    if not by_nodata:
        element = _band(root, like, len(root) - 1, "uint8", "alpha")
        for info, offset in zip(infos, offsets, strict=True):
            source = _source(element, info, str(info.alpha_band) if info.alpha_band else "mask,1", offset)
            if info.alpha_band or info.has_mask:
                SubElement(source, "NODATA").text = "0"
    indent(root)
    return bytes(tostring(root, encoding="utf-8")) + b"\n"


def _place(info: RasterInfo, like: RasterInfo) -> tuple[int, int]:
    """Return the row and column of the first pixel on the grid of ``like``. Raises InputError if it has none."""
    hint = "bring the rasters to one form first, for example with gdalwarp, or predict them one by one"
    if info.palette is not None:
        raise InputError(info.path, "has a colour table, which a mosaic cannot keep", hint)
    if len(info.image_bands) != len(like.image_bands) or _kinds(info) != _kinds(like):
        raise InputError(info.path, f"has other bands than {like.path}: {_shape(info)}, not {_shape(like)}", hint)
    if info.transform == Affine.identity() or like.transform == Affine.identity():
        raise InputError(info.path, f"cannot be placed in a mosaic ({info.georeference})", "predict them one by one")
    if info.crs != like.crs:
        raise InputError(info.path, f"has another CRS than {like.path}", hint)
    relative = ~like.transform * info.transform
    row, col = round(relative.f), round(relative.c)
    # how far the far corner lies from where the grid would have it
    far_x, far_y = relative * (info.width, info.height)
    shift = max(
        abs(relative.c - col), abs(relative.f - row), abs(far_x - col - info.width), abs(far_y - row - info.height)
    )
    if not math.isfinite(shift) or shift > max(_SHIFT, 1e-7 * max(abs(row), abs(col))):
        raise InputError(info.path, f"does not lie on the pixel grid of {like.path}", hint)
    return row, col


def _marks_by_nodata(infos: Sequence[RasterInfo]) -> bool:
    """Whether missing data are marked by nodata values, not by transparency or masks. Raises InputError for both."""
    hidden = [i for i in infos if i.alpha_band or i.has_mask]
    valued = [
        i for i in infos if not (i.alpha_band or i.has_mask) and any(i.nodata[b - 1] is not None for b in i.image_bands)
    ]
    if hidden and valued:
        raise InputError(
            valued[0].path,
            f"marks missing data by a value, {hidden[0].path} by transparency or a mask",
            "bring them to one form first, for example with gdalwarp -dstalpha",
        )
    return bool(valued)


def _band(root: Element, like: RasterInfo, number: int, dtype: str, color: str) -> Element:
    attributes = {"dataType": _TYPES[dtype], "band": str(number)}
    if like.block[1] < like.width and like.block[0] > 1:
        attributes |= {"blockXSize": str(like.block[1]), "blockYSize": str(like.block[0])}
    element = SubElement(root, "VRTRasterBand", attributes)
    if color != "undefined":
        SubElement(element, "ColorInterp").text = color.capitalize()
    return element


def _source(band: Element, info: RasterInfo, number: str, offset: tuple[int, int]) -> Element:
    source = SubElement(band, "ComplexSource")
    name = os.path.abspath(info.path) if is_local(info.path) else gdal_path(info.path)
    SubElement(source, "SourceFilename", relativeToVRT="0").text = name
    SubElement(source, "SourceBand").text = number
    width, height = str(info.width), str(info.height)
    SubElement(source, "SrcRect", xOff="0", yOff="0", xSize=width, ySize=height)
    SubElement(source, "DstRect", xOff=str(offset[1]), yOff=str(offset[0]), xSize=width, ySize=height)
    return source


def _kinds(info: RasterInfo) -> list[str]:
    return [info.dtypes[b - 1] for b in info.image_bands]


def _shape(info: RasterInfo) -> str:
    return f"{len(info.image_bands)} x {info.dtypes[0]}"


def _number(value: float) -> str:
    return "nan" if math.isnan(value) else repr(int(value) if float(value).is_integer() else value)
