"""The commands of a set-up, and how much room it takes."""

from __future__ import annotations

import os
import shlex
import subprocess  # nosec B404 - for the quoting of command lines alone; nothing is started here
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..translate import tr
from .requirements import REQUIREMENTS, TORCH

_PYTORCH = "https://download.pytorch.org/whl/"
CPU, CUDA, INDEX = "cpu", "cu128", ""

_PIP = ("-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")
_WHEELS_ALONE = ("--only-binary", ":all:")  # no package's own set-up script is ever run
_GIB = 1 << 30


@dataclass(frozen=True)
class Source:
    """Where packages come from: ``folder`` of wheels, or if empty the index of pip's settings.

    ``build`` is that of PyTorch, from PyTorch's own index: ``CPU``, ``CUDA``, or ``INDEX`` for the one of pip's index.
    """

    folder: str = ""
    build: str = INDEX


@dataclass(frozen=True)
class Step:
    """One program to run."""

    title: str
    command: tuple[str, ...]


def environment_python(environment: Path) -> str:
    """Return the interpreter that an environment will have."""
    return str(environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


def steps(python: str, source: Source, environment: Path) -> list[Step]:
    """Return what makes an environment for the engine in the folder ``environment``, in order."""
    pip = (environment_python(environment), *_PIP, *_WHEELS_ALONE)
    made = [Step(tr("Make the environment"), (python, "-I", "-m", "venv", str(environment)))]
    if source.folder:
        where = ("--no-index", "--find-links", source.folder)
        return [*made, Step(tr("Install the packages"), (*pip, *where, *REQUIREMENTS))]
    network = ("--retries", "2", "--timeout", "20")
    if source.build:
        where = (*network, "--index-url", _PYTORCH + source.build)
        made.append(Step(tr("Install PyTorch"), (*pip, *where, *TORCH)))
    return [*made, Step(tr("Install the packages"), (*pip, *network, *REQUIREMENTS))]


def download_command(python: str, folder: str) -> str:
    """Return the command that fills a folder with wheels, on a machine of the same kind that has a network."""
    return shown((python, "-m", "pip", "download", *_WHEELS_ALONE, "--dest", folder, *REQUIREMENTS))


def bytes_needed(source: Source) -> int:
    """Return about how much room the environment takes while it is made."""
    if source.folder:
        wheels = sum(p.stat().st_size for p in Path(source.folder).glob("*.whl"))
        return 4 * wheels + _GIB // 16
    plain = source.build == CPU or (source.build == INDEX and not sys.platform.startswith("linux"))
    return (4 if plain else 12) * _GIB


def shown(command: Sequence[str]) -> str:
    """Return a command as it would be typed."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)
