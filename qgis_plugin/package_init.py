"""Entry point of the QGIS plugin; the packaging tool puts this file at the top of the plugin's folder."""

from typing import Any


def classFactory(iface: Any) -> Any:  # noqa: N802 - the name that QGIS calls
    """Return the plugin; nothing but its own module is imported before it is needed."""
    from .qgis_plugin.plugin import WsssGeoPlugin

    return WsssGeoPlugin(iface)
