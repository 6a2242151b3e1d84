"""Runs in the engine's Python, alone: tells its version and what it has, in the messages of a worker.

    python -I probe.py [--import] MODULE[:FUNCTION]...

Without ``--import`` modules are looked up and not loaded (0.1 s); with it they are loaded in the given order, and
torch is asked for its devices. A function is called once its module is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import platform
import sys
from typing import Any


def say(kind: str, fields: dict[str, Any]) -> None:
    """Send one message."""
    sys.stdout.write("@wsss-geo " + json.dumps({"type": kind, **fields}) + "\n")
    sys.stdout.flush()


def examine(names: list[str], load: bool) -> dict[str, Any]:
    """Return the Python version, the modules that are missing and, loaded, their versions or errors."""
    found: dict[str, Any] = {"python": platform.python_version(), "missing": [], "versions": {}, "faults": {}}
    for done, entry in enumerate(names):
        name, _, function = entry.partition(":")
        if load:
            say("progress", {"done": done, "total": len(names), "note": name, "stage": "loading"})
        if not _exists(name):
            found["missing"].append(name)
        elif load:
            try:
                module = importlib.import_module(name)
                if function:
                    getattr(module, function)()
            except Exception as error:  # noqa: BLE001 - a package may fail to load in any way; the user wants to know
                found["faults"][name] = f"{type(error).__name__}: {error}"
            else:
                if hasattr(module, "__version__"):
                    found["versions"][name] = str(module.__version__)
    if load and "torch" in found["versions"]:
        found["devices"] = _devices(sys.modules["torch"])
    return found


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent
        return False


def _devices(torch: Any) -> list[str]:
    cuda = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *mps]


if __name__ == "__main__":
    words = sys.argv[1:]
    say("result", examine([w for w in words if w != "--import"], "--import" in words))
