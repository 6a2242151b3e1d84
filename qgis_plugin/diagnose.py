"""A report for whoever helps: versions, paths, settings, the last errors; nothing that names the user."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsProviderRegistry, QgsSettings
from qgis.PyQt.QtCore import QT_VERSION_STR

from ..wsss_geo import __version__
from . import worker
from .engine.install import log_file
from .engine.locate import EngineMissingError, find_engine, named_engine, own_environment, package_root
from .engine.record import read_record
from .options import PREFIX

_TAIL = 40


def diagnostics() -> str:
    """Return the report as plain text. The engine is asked for its packages, and loads none."""
    parts = [
        _section("Versions", _versions()),
        _section("Engine", _engine()),
        _section("Settings", _settings()),
        _section("Last error of the engine", _last_error()),
        _section("Last set-up of the engine", _last_set_up()),
    ]
    return without_home("\n".join(parts))


def without_home(text: str) -> str:
    """Return ``text`` with the user's folder as ``~``."""
    home = str(Path.home())
    for shape in {home, home.replace("\\", "/"), home.replace("\\", "\\\\")}:
        if len(shape) > 1:
            text = text.replace(shape, "~")
    return text


def _versions() -> Iterable[str]:
    yield f"QGIS {Qgis.QGIS_VERSION} ({Qgis.QGIS_DEV_VERSION}), Qt {QT_VERSION_STR}"
    yield f"Plugin wsss-geo {__version__} in {package_root()}"
    yield f"Python of QGIS {platform.python_version()}"
    yield f"System {platform.platform()}, {platform.machine()}"
    yield f"Profile {QgsApplication.qgisSettingsDirPath()}"
    yield f"Raster providers {', '.join(p for p in QgsProviderRegistry.instance().providerList() if p in _RASTER)}"


_RASTER = ("gdal", "wms", "wcs", "arcgismapserver")


def _engine() -> Iterable[str]:
    try:
        named = named_engine()
        yield f"Python {named.python} ({named.origin})"
        find_engine()
        yield "It has all packages."
    except EngineMissingError as error:
        yield str(error)
    record = read_record(own_environment())
    if record is None:
        yield f"The plugin's own environment, {own_environment()}, is not set up."
        return
    yield f"The plugin's own environment, {own_environment()}, was set up on {record.made} by version {record.plugin}."
    yield f"Its Python is {record.python}; devices then: {', '.join(record.devices) or 'unknown'}"
    yield ", ".join(f"{name} {version}" for name, version in sorted(record.packages.items()))


def _settings() -> Iterable[str]:
    settings = QgsSettings()
    names = sorted(name for name in settings.allKeys() if name.startswith(PREFIX))
    return [f"{name} = {settings.value(name)}" for name in names] or ["all as they come"]


def _last_error() -> Iterable[str]:
    failure = worker.last_failure()
    return ["none since QGIS was started"] if failure is None else [str(failure), *failure.log[-_TAIL:]]


def _last_set_up() -> Iterable[str]:
    try:
        return log_file().read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
    except OSError:
        return ["none"]


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join((f"== {title}", *lines, ""))
