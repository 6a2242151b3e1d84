"""The environment of the engine's process, free of what QGIS sets for its own Python and libraries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath

_DROPPED = ("GDAL_DATA", "GDAL_DRIVER_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "LD_PRELOAD")
_DROPPED_PREFIXES = ("PYTHON", "PROJ_", "QGIS_", "DYLD_")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def child_environment(
    environment: Mapping[str, str], package_root: str, qgis_prefix: str, windows: bool = os.name == "nt"
) -> dict[str, str]:
    """Return the environment for the engine's Python.

    Libraries, data folders and certificates of QGIS must not reach it: its PROJ, GDAL and OpenSSL are others. On
    Windows, where QGIS puts its own folders of libraries on the search path, those go as well.
    """
    kept = {}
    for name, value in environment.items():
        key = name.upper()
        if key in _DROPPED or key.startswith(_DROPPED_PREFIXES):
            continue
        if key in _CERTIFICATES and inside(value, qgis_prefix):
            continue
        if windows and key == "PATH":
            value = ";".join(p for p in value.split(";") if p and not inside(p, qgis_prefix))
        kept[name] = value
    return {**kept, "PYTHONPATH": package_root, "PYTHONIOENCODING": "utf-8", "PYTHONNOUSERSITE": "1"}


def inside(path: str, folder: str) -> bool:
    """Whether ``path`` lies in ``folder``."""
    if not folder:
        return False
    parts, root = (PurePath(os.path.normcase(os.path.normpath(p))).parts for p in (path, folder))
    return parts[: len(root)] == root
