"""Output files: written beside their final place and renamed when whole, so that no half file is ever left."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .errors import EnvironmentFault, InputError


def check_output(path: Path | str) -> Path:
    """Return ``path`` if it can be written: its folder exists and takes files. Raises InputError."""
    path = Path(path)
    folder = path.parent
    if not folder.exists():
        raise InputError(folder, "output folder does not exist", "create it or choose another")
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "choose another output")
    if path.is_dir():
        raise InputError(path, "is a folder", "give the name of a file")
    probe = folder / f".{path.name}.part"  # always the same, so that one left by a kill goes with the next check
    try:
        probe.touch()
        probe.unlink(missing_ok=True)  # somebody else may be checking just now
    except OSError as error:
        raise InputError(folder, f"output folder cannot be written ({error.strerror})", "choose another") from None
    return path


def check_output_folder(path: Path | str) -> Path:
    """Return the folder ``path``, created if only its last part is missing. Raises InputError."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(path, "is a file", "give the name of a folder")
    if not path.exists():
        if not path.parent.exists():
            raise InputError(path.parent, "output folder does not exist", "create it or choose another")
        try:
            path.mkdir()
        except OSError as error:
            raise InputError(path, f"folder cannot be made ({error.strerror})", "choose another") from None
    check_output(path / "probe")
    return path


def part_of(path: Path) -> Path:
    """The name beside ``path`` under which it is written until it is whole.

    The suffix stays last (``cover.part.tif``), because drivers choose by it.
    """
    return path.with_name(f"{path.stem}.part{path.suffix}")


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield ``part_of(path)`` to write to; it takes the place of ``path`` if the block ends well.

    A full disk becomes EnvironmentFault.
    """
    path = Path(path)
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFault(f"{path}: no space left on the disk", "free some space and run again") from error
        raise
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
