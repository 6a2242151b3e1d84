"""Let torchvision be imported beside a PyTorch its compiled operators were not built for.

Without them ``import torchvision``, and with it ``import timm``, stops at the registration of shape rules for operators
nobody defined. This toolkit calls none of those operators; declaring their signatures is enough to go on.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import torch

_SIGNATURES = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
#: Signatures live as long as the library object that declared them.
_declared: list[torch.library.Library] = []


def ensure_torchvision_imports() -> None:
    """Declare torchvision's missing operators; call before importing timm or torchvision.

    Does nothing where torchvision is absent, already imported, or its compiled operators load: those are loaded
    (torchvision itself would do so next), never replaced. Calling again changes nothing. A declared operator that is
    called all the same raises NotImplementedError.
    """
    if "torchvision" in sys.modules or all(map(_exists, _SIGNATURES)):
        return
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    if _load_compiled(Path(next(iter(spec.submodule_search_locations)))):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, signature in _SIGNATURES.items():
        if not _exists(name):
            library.define(signature)
    _declared.append(library)


def _exists(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)


def _load_compiled(package: Path) -> bool:
    """Load the operators of the torchvision in folder ``package``; False where they are missing or do not fit."""
    for suffix in EXTENSION_SUFFIXES:
        binary = package / f"_C{suffix}"
        if binary.is_file():
            try:
                with _windows_libraries(package):
                    torch.ops.load_library(binary)
            except OSError:
                continue
            return True
    return False


@contextlib.contextmanager
def _windows_libraries(package: Path) -> Iterator[None]:
    """On Windows the operators need the libraries beside them; elsewhere the linker finds those itself."""
    if sys.platform == "win32":
        with os.add_dll_directory(str(package)):
            yield
    else:
        yield
