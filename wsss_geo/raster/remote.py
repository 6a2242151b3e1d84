"""What tells a file from a changed one, also where it lies on a server."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from wsss_geo.errors import EnvironmentFault
from wsss_geo.raster.files import gdal_path
from wsss_geo.record import fingerprint

_CURL = "/vsicurl/"
_WEB = ("http://", "https://")

#: Seconds to wait for an answer, and before each new try where a server is busy or a connection fails.
_PATIENCE, _PAUSES = 20, (0.5, 1.0, 2.0)
_AT_ONCE = 16
_BUSY, _GONE = (429, 500, 502, 503, 504), (404, 410)


def stamp(path: str) -> dict[str, Any]:
    """Return path and state of a raster, without reading it: equal as long as nobody has changed it.

    The state of a local file is its size and time. Of a file behind ``http(s)://`` the server tells the size and the
    ETag, or else the time of the last change; that is one request for one byte, as signed addresses often allow no
    other kind. Where the server refuses, and of all other addresses, only the path is returned.
    Raises EnvironmentFault if the server does not answer.
    """
    address = _web_address(path)
    if address is None:
        return fingerprint(path)
    try:
        headers = _headers(address)
    except urllib.error.HTTPError as error:
        return {"path": path, "gone": True} if error.code in _GONE else {"path": path}
    told = {
        "bytes": headers.get("Content-Range", "").rpartition("/")[2],
        "etag": headers.get("ETag"),
        "changed": None if headers.get("ETag") else headers.get("Last-Modified"),
    }
    return {"path": path, **{name: value for name, value in told.items() if value}}


def stamps(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ``stamp`` of each path; servers are asked for several at once."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stamp") as pool:
        return list(pool.map(stamp, paths))


def changed(noted: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the paths of those rasters that are no longer what ``stamp`` returned, as far as their servers tell.

    Raises EnvironmentFault if a server does not answer.
    """
    now = stamps([str(before["path"]) for before in noted])
    return [after["path"] for before, after in zip(noted, now, strict=True) if _differ(before, after)]


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    untold = 1 in (len(before), len(after)) and _web_address(after["path"])  # a signature may have run out since
    return not untold and before != after


def _web_address(path: str) -> str | None:
    address = gdal_path(path).removeprefix(_CURL)
    return address if address.startswith(_WEB) else None


def _headers(address: str) -> http.client.HTTPMessage:
    """Return the headers of the first byte of ``address``. Raises HTTPError if refused, EnvironmentFault."""
    request = urllib.request.Request(address, headers={"Range": "bytes=0-0"})
    for pause in (*_PAUSES, None):
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # nosec B310: http(s) only
                return cast(http.client.HTTPMessage, answer.headers)
        except urllib.error.HTTPError as error:
            if error.code not in _BUSY:
                raise
            problem = f"HTTP {error.code}"
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error))
        if pause is not None:
            time.sleep(pause)
    raise EnvironmentFault(f"{address.split('?')[0]}: the server does not answer ({problem})", "run again later")
