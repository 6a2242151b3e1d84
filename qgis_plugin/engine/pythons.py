"""Pythons of this machine from which an environment for the engine can be made."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qgis.core import QgsApplication

from ..translate import tr
from .environment import inside
from .locate import OLDEST_PYTHON, EngineMissingError, interpreter_in, look_up

#: Best first: for these all packages have wheels.
_PREFERRED = ("3.12", "3.13", "3.11", "3.14")
_CONDA = ("miniforge3", "mambaforge", "miniconda3", "anaconda3")


class PythonError(Exception):
    """A Python cannot be taken; the message is a sentence for the user."""


@dataclass(frozen=True)
class Python:
    """A Python that can make environments."""

    path: str
    version: str


def examine(path: str) -> Python:
    """Ask the program or environment folder at ``path`` what it is. Raises PythonError."""
    python = interpreter_in(path)
    if not Path(python).is_file():
        raise PythonError(tr("{} does not exist; choose a Python.").format(python))
    if of_qgis(python):
        raise PythonError(tr("{} belongs to QGIS; choose a Python of its own.").format(python))
    try:
        found = look_up(python, ("venv", "ensurepip"))
    except EngineMissingError as error:
        raise PythonError(tr("{} {}; choose a Python.").format(python, error)) from None
    version, oldest = str(found["python"]), ".".join(map(str, OLDEST_PYTHON))
    if tuple(int(v) for v in version.split(".")[:2]) < OLDEST_PYTHON:
        raise PythonError(
            tr("{} is version {}, and {} or later is needed; choose another.").format(python, version, oldest)
        )
    if found["missing"]:
        lacking = ", ".join(found["missing"])
        raise PythonError(
            tr("{} lacks {}; install them (Debian, Ubuntu: package python3-venv) or choose another.").format(
                python, lacking
            )
        )
    return Python(python, version)


def find_python() -> Python | None:
    """Return the best Python of the usual places, None if there is none."""
    for path in candidates():
        try:
            return examine(path)
        except PythonError:
            continue
    return None


def candidates() -> list[str]:
    """Return the files that may be a Python, best first, none twice."""
    return list(dict.fromkeys(p for p in _places() if Path(p).is_file() and not of_qgis(p)))


def of_qgis(python: str) -> bool:
    """Whether a program is QGIS, or the Python in its folder on Windows and macOS, which works for QGIS alone."""
    if Path(python).name.lower().startswith("qgis"):
        return True
    own = sys.platform in ("win32", "darwin") and len(Path(QgsApplication.prefixPath()).parents) > 1
    return own and inside(python, str(Path(QgsApplication.prefixPath()).parents[1]))


def _places() -> Iterator[str]:
    home = Path.home()
    for version in _PREFERRED:
        yield shutil.which(f"python{version}") or ""
        if sys.platform == "win32":
            folder = f"Python{version.replace('.', '')}"
            for root in ("LOCALAPPDATA", "PROGRAMFILES"):
                middle = ("Programs", "Python") if root == "LOCALAPPDATA" else ()
                yield str(Path(os.environ.get(root, ""), *middle, folder, "python.exe"))
        elif sys.platform == "darwin":
            yield f"/Library/Frameworks/Python.framework/Versions/{version}/bin/python3"
            yield f"/opt/homebrew/bin/python{version}"
    yield shutil.which("python3") or ""
    yield shutil.which("python") or ""
    for name in _CONDA:
        yield interpreter_in(str(home / name))
