"""QGIS's classes without a window."""

from __future__ import annotations

import tempfile

from qgis.loose import made

_FOLDER = tempfile.mkdtemp(prefix="wsss_geo_qt6_")
_made = {}


class QgsSettings:
    """Settings that are all unset."""

    def value(self, name, default=None):
        return default

    def setValue(self, name, value):
        pass

    def remove(self, name):
        pass

    def allKeys(self):
        return []


class QgsApplication(made("QgsApplication")):
    """What the plugin asks of the program."""

    locale = staticmethod(lambda: "en_US")
    prefixPath = staticmethod(lambda: "/usr")
    qgisSettingsDirPath = staticmethod(lambda: _FOLDER)


def __getattr__(name):
    if not name.startswith("Qgs") and name != "Qgis":
        raise AttributeError(name)
    return _made.setdefault(name, made(name))
