"""One run at a time on one output: a lock beside it, which the system takes away from a process that has ended."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from .errors import EnvironmentFault
from .progress import Progress

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: What systems say when another process holds the lock, and when a file system knows no locks.
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

#: The byte that Windows locks; far behind the text, as nobody else may read a locked one.
_BYTE = 1 << 20

#: Locks of this process, which the system would give to it twice.
_mine: set[Path] = set()
_taking = threading.Lock()


@contextlib.contextmanager
def alone(*paths: Union[Path, str], report: Progress, inside: bool = False) -> Iterator[None]:
    """Keep other runs from writing ``paths`` while the block does.

    The lock of ``cover.tif`` is ``.cover.tif.lock`` beside it, which goes with the block; ``inside``, the paths are
    folders that stay, and each holds its ``.lock``. Killed processes leave theirs behind, but the system has unlocked
    it, so it hinders nobody. ``report`` is warned where the file system knows no locks. Raises EnvironmentFault at once
    if another run writes one of the paths, here or, where the file system locks across machines, elsewhere.
    """
    with contextlib.ExitStack() as stack:
        for path in sorted({Path(os.path.realpath(Path(path).parent), Path(path).name) for path in paths}):
            stack.enter_context(_held(path, path / ".lock" if inside else path.with_name(f".{path.name}.lock"), report))
        yield


@contextlib.contextmanager
def _held(path: Path, place: Path, report: Progress) -> Iterator[None]:
    with _taking:
        if place in _mine:
            raise _busy(path, "another run of this process")
        _mine.add(place)
    try:
        number = _take(place, path, report)
        try:
            yield
        finally:
            _release(number, place)
    finally:
        _mine.discard(place)


def _take(place: Path, path: Path, report: Progress) -> int:
    """Return the descriptor of the locked file ``place``."""
    while True:
        number = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(number)
        except OSError as error:
            owner = _owner(number)
            os.close(number)
            if error.errno in _HELD:
                raise _busy(path, owner) from None
            if error.errno not in _UNKNOWN:
                raise
            report.warn(f"{path.parent}: knows no locks ({error.strerror}); see to it that no other run writes {path}")
            return os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        except BaseException:
            os.close(number)
            raise
        if _is(number, place):
            _sign(number)
            return number
        os.close(number)  # its owner ended just now and took the file away


def _lock(number: int) -> None:
    # Not flock: processes that were forked would hold it as well, and outlive the one that was killed.
    if sys.platform == "win32":
        os.lseek(number, _BYTE, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is(number: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.stat(place))
    except FileNotFoundError:
        return False


def _sign(number: int) -> None:
    text = f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    with contextlib.suppress(OSError):  # a full disk is for the run to find
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        os.write(number, text.encode())


def _owner(number: int) -> str:
    with contextlib.suppress(OSError):
        os.lseek(number, 0, os.SEEK_SET)
        return os.read(number, 200).decode(errors="replace") or "another process"
    return "another process"


def _release(number: int, place: Path) -> None:
    with contextlib.suppress(OSError):
        if sys.platform != "win32" and _is(number, place):
            place.unlink()
    os.close(number)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):  # refused if another process has opened it meanwhile, which then owns it
            place.unlink()


def _busy(path: Path, owner: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"{path}: another run is writing it ({owner})", "wait until it ends, stop it, or choose another output"
    )
