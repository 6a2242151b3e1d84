"""Methods by name."""

from __future__ import annotations

from wsss_geo.methods.aerial import Aerial
from wsss_geo.methods.base import Batch, Method, Settings, settings_from
from wsss_geo.methods.ctfa import CTFA
from wsss_geo.methods.toco import ToCo

METHODS: dict[str, type[Method]] = {m.name: m for m in (Aerial, ToCo, CTFA)}

__all__ = ["METHODS", "Batch", "Method", "Settings", "settings_from"]
