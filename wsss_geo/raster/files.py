"""Opening rasters: one place that knows GDAL's errors and its noise, and turns failures into sentences."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from wsss_geo.errors import EnvironmentFault, InputError

#: Everything rasterio raises when GDAL fails.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)

# A raster without georeference is no news: whoever cares is told by RasterInfo. Set once, because the filters of the
# warnings module belong to the process and temporary ones are not safe with threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

# GDAL's block cache takes 5 % of the memory of the machine unless told otherwise, once, before its first use. Rows of
# blocks are all that streaming needs, so the memory of a run stays the same on every machine.
os.environ.setdefault("GDAL_CACHEMAX", "256")

# Servers that are busy, slow or gone: try again, but never wait for ever.
for _option, _value in (
    ("GDAL_HTTP_MAX_RETRY", "4"),
    ("GDAL_HTTP_RETRY_DELAY", "0.5"),
    ("GDAL_HTTP_CONNECTTIMEOUT", "20"),
    ("GDAL_HTTP_LOW_SPEED_TIME", "60"),
    ("GDAL_HTTP_LOW_SPEED_LIMIT", "1"),
):
    os.environ.setdefault(_option, _value)

# A virtual raster may carry a program for its pixels, and anybody may have written it.
os.environ.setdefault("GDAL_VRT_ENABLE_PYTHON", "NO")

#: Drivers that ask a server for the pixels of what looks like a file. Which server is asked is for the user to say, by
#: an address, not for whoever wrote the file.
_ONLINE = {"WMS", "WCS", "WMTS", "STACIT", "STACTA", "HTTP", "EEDAI", "PLMOSAIC", "DAAS", "OGCAPI"}

#: How addresses are called where GDAL reads only those ranges of a file that it needs.
_REMOTE = {
    "http": "/vsicurl/http://", "https": "/vsicurl/https://", "s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/",
}  # fmt: skip

#: A disk with less room than this is taken to be full when GDAL, which does not say why, fails to write.
_LITTLE_SPACE = 64 << 20

#: A raster may be a small file and its pieces huge: those are refused before they fill the memory.
_LARGEST_BLOCK = 1 << 30
_MOST_BANDS = 65_535
_ITEM_BYTES = {
    "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "float32": 4,
    "uint64": 8, "int64": 8, "float64": 8,
}  # fmt: skip

_SUBDATASET = re.compile(r"[A-Z][A-Za-z0-9_]{2,}:")


def is_local(path: str) -> bool:
    """Whether ``path`` names a file of this machine: no URL, no ``/vsi...``, no ``DRIVER:...``, no inline VRT."""
    return not ("://" in path or path.startswith(("/vsi", "<")) or _SUBDATASET.match(path))


def gdal_path(path: str) -> str:
    """Return what GDAL calls ``path``: ``s3://bucket/key`` becomes ``/vsis3/bucket/key``, ``https://`` ``/vsicurl/``.

    Likewise ``gs://`` and ``az://``. Access is what GDAL finds in the environment (``AWS_ACCESS_KEY_ID``,
    ``AWS_NO_SIGN_REQUEST`` and so on). All else stays as it is.
    """
    scheme, sign, rest = path.partition("://")
    return _REMOTE[scheme.lower()] + rest if sign and scheme.lower() in _REMOTE else path


def open_raster(path: str, overview: int | None = None) -> Any:
    """Open ``path`` with GDAL, or its overview ``overview`` (0 is the finest). The handle serves one thread.

    Drivers that would ask a server are not tried on a file of this machine. Raises InputError when it does not exist,
    is not a raster, or has no bands.
    """
    if is_local(path) and not os.path.exists(path):
        raise InputError(path, "no such file", "give the path of a raster")
    options = {} if overview is None else {"overview_level": overview}
    try:
        if is_local(path):
            with rasterio.Env():
                dataset = DatasetReader(path, driver=_offline_drivers(), sharing=False, **options)
        else:
            # a server's folder is not listed; files beside the raster (masks, overviews) are asked for by name
            with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"):
                dataset = rasterio.open(gdal_path(path), sharing=False, **options)
    except (*GDAL_ERRORS, OSError, TypeError) as error:
        raise _not_a_raster(path, error) from error
    if dataset.count == 0:
        parts = list(dataset.subdatasets)
        dataset.close()
        hint = f"name one of its parts, such as {parts[0]}" if parts else "give a raster such as a GeoTIFF"
        raise InputError(path, "has no bands", hint)
    if dataset.count > _MOST_BANDS:
        dataset.close()
        raise InputError(path, f"claims to have {dataset.count} bands", f"up to {_MOST_BANDS} can be used")
    if _block_bytes(dataset) > _LARGEST_BLOCK:
        height, width = dataset.block_shapes[0]
        dataset.close()
        hint = "write it in tiles first, for example with gdal_translate -co TILED=YES -co COMPRESS=DEFLATE"
        raise InputError(path, f"is packed in pieces of {width} x {height} pixels, too large to unpack", hint)
    return dataset


def _block_bytes(dataset: Any) -> int:
    """Bytes that are unpacked at least, whatever is read."""
    height, width = dataset.block_shapes[0]
    bands = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    return int(height * width * bands * _ITEM_BYTES.get(dataset.dtypes[0], 16))


@functools.cache
def _offline_drivers() -> list[str]:
    with rasterio.Env() as environment:
        return sorted(set(environment.drivers()) - _ONLINE)


def _not_a_raster(path: str, error: Exception) -> InputError:
    if not is_local(path):
        return InputError(path, f"cannot be opened ({reason(error)})", "check the address and the access rights")
    if os.path.isdir(path):
        return InputError(path, "is a folder, not a raster", "give a raster file such as a GeoTIFF")
    if not os.access(path, os.R_OK):
        return InputError(path, "may not be read", "check the permissions of the file")
    if os.path.getsize(path) == 0:
        return InputError(path, "is empty", "copy or download the file again")
    return InputError(path, f"is not a raster that GDAL can open ({reason(error)})", "give a GeoTIFF, VRT or the like")


def reason(error: BaseException) -> str:
    """Return what GDAL said at the root of ``error``, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn a failed read of pixels into an InputError."""
    try:
        yield
    except GDAL_ERRORS as error:
        hint = "the file is damaged or incomplete, copy it again" if is_local(path) else "check the connection"
        raise InputError(path, f"pixels cannot be read ({reason(error)})", hint) from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write into an EnvironmentFault that tells a full disk from a failing one."""
    try:
        yield
    except (*GDAL_ERRORS, OSError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or shutil.disk_usage(path.parent).free < _LITTLE_SPACE:
            raise EnvironmentFault(f"{path}: no space left on the disk", "free some space and run again") from error
        hint = "check the disk and the permissions of the folder"
        raise EnvironmentFault(f"{path}: cannot be written ({reason(error)})", hint) from error
