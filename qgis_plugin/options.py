"""The plugin's settings in the user's profile; all names start with ``wsss_geo/``."""

from __future__ import annotations

import os
from dataclasses import dataclass

from qgis.core import QgsSettings

from ..wsss_geo.jobs import DEVICES

PREFIX = "wsss_geo/"
PYTHON = PREFIX + "python"
LAST_MODEL = PREFIX + "last_model"
LAST_FEW_SHOT = PREFIX + "last_few_shot_model"
MODEL_FOLDER = PREFIX + "model_folder"
DEVICE = PREFIX + "device"
THREADS = PREFIX + "threads"
TRACEBACKS = PREFIX + "tracebacks"

MOST_THREADS = 256


@dataclass(frozen=True)
class Options:
    """What the page Options asks for.

    ``python`` and ``model_folder`` are empty unless chosen, ``threads`` is 0 for as many as the engine takes, and
    ``tracebacks`` lets the engine put the whole story of an error into the log.
    """

    python: str = ""
    model_folder: str = ""
    device: str = DEVICES[0]
    threads: int = 0
    tracebacks: bool = False


def load_options() -> Options:
    """Return the settings; what is damaged or of no known value counts as not set."""
    settings = QgsSettings()
    device = str(settings.value(DEVICE, "") or "")
    threads = str(settings.value(THREADS, "") or "0")
    return Options(
        str(settings.value(PYTHON, "") or ""),
        str(settings.value(MODEL_FOLDER, "") or ""),
        device if device in DEVICES else DEVICES[0],
        min(int(threads), MOST_THREADS) if threads.isdecimal() else 0,
        str(settings.value(TRACEBACKS, "")).lower() == "true",
    )


def save_options(options: Options) -> None:
    """Keep the settings; those that say nothing are removed."""
    settings, nothing = QgsSettings(), Options()
    for name, value, default in (
        (PYTHON, options.python, nothing.python),
        (MODEL_FOLDER, options.model_folder, nothing.model_folder),
        (DEVICE, options.device, nothing.device),
        (THREADS, options.threads, nothing.threads),
        (TRACEBACKS, options.tracebacks, nothing.tracebacks),
    ):
        if value == default:
            settings.remove(name)
        else:
            settings.setValue(name, value)


def model_folder() -> str:
    """Return the folder of models: the chosen one, else that of the model used last, else an empty text."""
    last = str(QgsSettings().value(LAST_MODEL, "") or "")
    return load_options().model_folder or (os.path.dirname(last) if last else "")
