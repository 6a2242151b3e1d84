"""Which Python is the engine's, and whether it can be used."""

from __future__ import annotations

import os
import subprocess  # nosec B404 - the engine is another program by design
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import QgsApplication

from ..options import load_options
from ..translate import mark, tr
from ..worker import message_in
from .environment import child_environment
from .record import outdated, read_record
from .requirements import PACKAGES

VARIABLE = "WSSS_GEO_PYTHON"
OWN = mark("the plugin's own environment")
OLDEST_PYTHON = (3, 11)

_PROBE = Path(__file__).with_name("probe.py")
_PROBE_SECONDS = 20
_RETRY_SECONDS = 5

_checked: dict[tuple[str, float], tuple[float, str]] = {}


class EngineMissingError(Exception):
    """No usable engine; the message is a sentence for the user."""


@dataclass(frozen=True)
class Engine:
    """A Python that can run the engine, and where its path came from."""

    python: str
    origin: str


def package_root() -> Path:
    """Return the folder that holds the ``wsss_geo`` package the plugin came with."""
    return Path(os.path.abspath(__file__)).parents[2]  # not resolved: a development link has its own layout


def engine_environment() -> dict[str, str]:
    """Return the environment in which the engine's Python runs."""
    environment = child_environment(os.environ, str(package_root()), QgsApplication.prefixPath())
    threads = load_options().threads
    return {**environment, "OMP_NUM_THREADS": str(threads)} if threads else environment


def own_environment() -> Path:
    """Return the folder of the plugin's own Python environment, in the profile, beside the plugins' folder."""
    return Path(QgsApplication.qgisSettingsDirPath()) / "wsss_geo" / "engine"


def find_engine() -> Engine:
    """Return the engine to use: the setting, else the environment variable, else the plugin's own environment.

    A broken choice is never passed over. Raises EngineMissingError if none is named or the first cannot be used.
    """
    engine = named_engine()
    problem = outdated(read_record(own_environment())) if engine.origin == OWN else ""
    if problem:
        raise EngineMissingError(tr("The engine's Python {} {}.").format(engine.python, problem))
    problem = check_python(engine.python)
    if problem:
        raise EngineMissingError(
            tr(
                "The engine's Python {} ({}) {}; choose another with Raster > wsss-geo > Choose Engine, or make one "
                "with Set Up Engine."
            ).format(engine.python, tr(engine.origin), problem)
        )
    return engine


def named_engine() -> Engine:
    """Return the engine that ``find_engine`` would judge. Raises EngineMissingError if none is named."""
    chosen = load_options().python
    own = interpreter_in(str(own_environment()))
    if chosen:
        python = interpreter_in(chosen)
        return Engine(python, OWN if python == own else mark("chosen in QGIS"))
    variable = os.environ.get(VARIABLE, "")
    if variable:
        return Engine(interpreter_in(variable), mark("environment variable WSSS_GEO_PYTHON"))
    if Path(own).is_file():
        return Engine(own, OWN)
    raise EngineMissingError(
        tr(
            "wsss-geo needs a Python with torch and rasterio, and none is set up; make one with Raster > wsss-geo > "
            "Set Up Engine, choose one with Choose Engine, or set the environment variable {}."
        ).format(VARIABLE)
    )


def interpreter_in(path: str) -> str:
    """Return the interpreter of the environment folder ``path``, or ``path`` itself if it is no folder."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return str(folder)
    candidates = (folder / "bin" / "python", folder / "Scripts" / "python.exe", folder / "python.exe")
    return str(next((c for c in candidates if c.is_file()), candidates[0]))


def check_python(python: str) -> str:
    """Return what is wrong with ``python`` as the engine, or an empty text.

    A good answer holds as long as the file is unchanged, a bad one for some seconds, because a package may arrive.
    """
    path = Path(python)
    if not path.is_file():
        return tr("does not exist")
    if path.name.lower().startswith("qgis"):
        return tr("is QGIS itself, not a Python")
    key = (python, path.stat().st_mtime)
    when, problem = _checked.get(key, (0.0, "not checked"))
    if (problem and time.monotonic() - when > _RETRY_SECONDS) or when == 0.0:
        problem = _problem(python)
        _checked[key] = (time.monotonic(), problem)
    return problem


def _problem(python: str) -> str:
    try:
        found = look_up(python, PACKAGES)
    except EngineMissingError as error:
        return str(error)
    version = tuple(int(v) for v in str(found["python"]).split(".")[:2])
    if version < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return tr("is version {}, and {} or later is needed").format(found["python"], oldest)
    if found["missing"]:
        return tr("lacks {}").format(", ".join(found["missing"]))
    return ""


def probe_command(python: str, modules: tuple[str, ...], load: bool) -> list[str]:
    """Return the command that asks ``python`` for its version and ``modules`` (see ``probe.py``).

    To be loaded, modules of the engine itself must be found; to look packages up nothing but the Python matters.
    """
    return [python, "-u", *(["-P", str(_PROBE), "--import"] if load else ["-I", str(_PROBE)]), *modules]


def forget_checks() -> None:
    """Judge every Python anew."""
    _checked.clear()


def look_up(python: str, modules: tuple[str, ...]) -> dict[str, Any]:
    """Ask ``python`` for its version and which ``modules`` are missing. Raises EngineMissingError (half a sentence)."""
    try:
        with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder:
            answer = subprocess.run(  # nosec B603 - a list of arguments, no shell; the user chose the program
                probe_command(python, modules, load=False),
                cwd=folder,
                env=engine_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_SECONDS,
                check=False,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except subprocess.TimeoutExpired:
        raise EngineMissingError(tr("did not answer within {} s").format(_PROBE_SECONDS)) from None
    except OSError as error:
        raise EngineMissingError(tr("cannot be started ({})").format(error.strerror or error)) from None
    for line in answer.stdout.decode("utf-8", "replace").splitlines():
        found = message_in(line) or {}
        if found.get("type") == "result" and {"python", "missing"} <= set(found):
            return found
    said = answer.stderr.decode("utf-8", "replace").strip().splitlines()
    detail = f": {said[-1][:200]}" if said else ""
    raise EngineMissingError(tr("does not answer like a Python (exit {}{})").format(answer.returncode, detail))
