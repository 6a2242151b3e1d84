"""Methods by name."""

from __future__ import annotations

from wsss_geo.methods.aerial import Aerial
from wsss_geo.methods.base import Batch, Method, Settings, settings_from
from wsss_geo.methods.ctfa import CTFA
from wsss_geo.methods.cti import CTI
from wsss_geo.methods.sfc import SFC
from wsss_geo.methods.stcl import STCL
from wsss_geo.methods.supervised import Supervised
from wsss_geo.methods.toco import ToCo

METHODS: dict[str, type[Method]] = {m.name: m for m in (Aerial, ToCo, CTFA, SFC, CTI, STCL, Supervised)}

__all__ = ["METHODS", "Batch", "Method", "Settings", "settings_from"]
