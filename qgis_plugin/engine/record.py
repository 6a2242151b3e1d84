"""What was set up: a file in the plugin's own environment that tells with which plugin and which packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...wsss_geo import __version__
from ..translate import tr
from .requirements import REQUIREMENTS

NAME = "wsss_geo_engine.json"


@dataclass(frozen=True)
class Record:
    """``plugin`` is the version that set it up, ``made`` the time in ISO 8601, ``packages`` name and version."""

    plugin: str
    python: str
    made: str
    requirements: tuple[str, ...]
    packages: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()


def write_record(environment: Path, record: Record) -> None:
    """Write ``record`` into the folder of an environment."""
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False)
    (environment / NAME).write_text(text, encoding="utf-8")


def read_record(environment: Path) -> Record | None:
    """Return the record of an environment, None if it has none that can be read."""
    try:
        data = json.loads((environment / NAME).read_text(encoding="utf-8"))
        return Record(
            str(data["plugin"]),
            str(data["python"]),
            str(data["made"]),
            tuple(str(r) for r in data["requirements"]),
            {str(k): str(v) for k, v in data["packages"].items()},
            tuple(str(d) for d in data["devices"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def outdated(record: Record | None) -> str:
    """Return why an environment no longer fits this plugin, or an empty text.

    Another version of the plugin does no harm as long as it needs the same packages: the engine comes with the plugin.
    """
    if record is None or set(record.requirements) == set(REQUIREMENTS):
        return ""
    return tr(
        "was set up by version {} of the plugin, and version {} needs other packages; "
        "set it up again with Raster > wsss-geo > Set Up Engine"
    ).format(record.plugin, __version__)
