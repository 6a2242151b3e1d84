"""Runs in the engine's Python, alone: tells its version and what it has, as one JSON object on standard output.

    python -I probe.py [--import] PACKAGE...

Without ``--import`` packages are looked up and not loaded (0.1 s); with it they are loaded and asked for devices.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import platform
import sys
from typing import Any


def examine(names: list[str], load: bool) -> dict[str, Any]:
    """Return the Python version, the packages that are missing and, loaded, their versions or errors."""
    found: dict[str, Any] = {"python": platform.python_version(), "missing": [], "versions": {}, "faults": {}}
    for name in names:
        if importlib.util.find_spec(name) is None:
            found["missing"].append(name)
        elif load:
            try:
                module = importlib.import_module(name)
            except Exception as error:  # noqa: BLE001 - a package may fail to load in any way; the user wants to know
                found["faults"][name] = f"{type(error).__name__}: {error}"
            else:
                found["versions"][name] = str(getattr(module, "__version__", "?"))
    if load and "torch" in found["versions"]:
        found["devices"] = _devices(sys.modules["torch"])
    return found


def _devices(torch: Any) -> list[str]:
    cuda = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]


if __name__ == "__main__":
    words = sys.argv[1:]
    answer = examine([w for w in words if w != "--import"], "--import" in words)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
