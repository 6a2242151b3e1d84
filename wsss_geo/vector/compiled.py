"""Compilation of the inner loops, with or without a folder for the compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile ``function`` at its first call and keep the machine code on disk where some cache folder is writable."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba finds no writable cache folder: each process compiles anew, some seconds
        return cast(F, numba.njit(nogil=True)(function))
