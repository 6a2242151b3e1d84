"""What is set up, as a command for a terminal."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass

from qgis.core import QgsProcessingUtils
from qgis.PyQt.QtWidgets import QApplication

from ..wsss_geo.job_fields import Job
from .translate import tr

_SAFE = re.compile(r"[\w@+=:,./\\-]+", re.ASCII)


@dataclass(frozen=True)
class Command:
    """A line for the shell; ``temporary`` if it names files that go when QGIS is closed."""

    line: str
    temporary: bool

    def copy(self) -> str:
        """Put the line on the clipboard and return a sentence about it."""
        QApplication.clipboard().setText(self.line)
        if self.temporary:
            return tr("The command was copied; it names temporary files, which go when QGIS is closed.")
        return tr("The command was copied.")


def command_of(job: Job) -> Command:
    """Return the command that does ``job``, for this system's shell."""
    values = (str(v) for value in vars(job).values() for v in (value if isinstance(value, tuple) else (value,)))
    folder = QgsProcessingUtils.tempFolder()
    return Command(shell_line(job), any(folder and folder in value for value in values))


def shell_line(job: Job, windows: bool = os.name == "nt") -> str:
    """Return the line that starts ``job``, quoted for a POSIX shell or for Windows."""
    line = job.command_line(chosen=True)
    return " ".join(map(_quoted, shlex.split(line))) if windows else line


def _quoted(word: str) -> str:
    """Quote a word as the C runtime of Windows reads it: backslashes are doubled before a quotation mark alone."""
    if _SAFE.fullmatch(word):
        return word
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", inner) + '"'
