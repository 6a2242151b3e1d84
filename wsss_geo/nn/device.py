"""Where the network runs."""

from __future__ import annotations

import torch

from wsss_geo.errors import EnvironmentFault


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes an accelerator if there is one. Raises EnvironmentFault."""
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not mps):
        raise EnvironmentFault(f"this machine has no usable {name} device", "use --device auto or cpu")
    return torch.device(name)
