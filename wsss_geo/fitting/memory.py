"""Memory that a training gives back in every step and asks for again in the next."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

#: Parameters of glibc's ``mallopt``: most arrays mapped one by one, least size of those in bytes, and free memory in
#: bytes from which on it is given back.
_MAPPED, _LEAST, _TRIM = -4, -3, -1
#: Values that glibc finds for itself in a process that frees large arrays, which it stops to do once one is set.
_USUAL = ((_MAPPED, 65536), (_LEAST, 32 << 20), (_TRIM, 64 << 20))


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Let the process keep what it frees while the block runs; afterwards all that is free goes back to the system.

    glibc maps every large array anew and gives it back at once; the system then hands out zeroed pages one by one,
    which on a processor takes a tenth of a training step and more. Elsewhere than with glibc nothing changes.
    """
    library = _glibc()
    if library is None:
        yield
        return
    try:
        library.mallopt(_MAPPED, 0)
        library.mallopt(_TRIM, 2**31 - 1)
        yield
    finally:
        for parameter, value in _USUAL:
            library.mallopt(parameter, value)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
