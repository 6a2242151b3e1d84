"""The file of a few-shot model: one ``.safetensors`` whose header carries its card."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from wsss_geo.errors import InputError, ModelError
from wsss_geo.nn.fewshot_network import FewShotNetwork
from wsss_geo.outputs import replacing
from wsss_geo.raster.normalisation import Normalisation

FORMAT = 1
_KEY = "wsss_geo_fewshot"


@dataclass(frozen=True)
class FewShotCard:
    """What a few-shot model is and was trained on.

    ``network`` holds the constructor arguments of ``FewShotNetwork`` but mean and deviation; ``seen`` the classes of
    its training episodes, ``held`` those left out of them; ``gsd`` is metres a pixel or None, ``tile_size`` the
    side of a training view in pixels, ``episodes`` how many it was trained on.
    """

    network: Mapping[str, Any]
    seen: tuple[str, ...]
    held: tuple[str, ...]
    bands: tuple[str, ...]
    normalisation: Normalisation
    gsd: float | None
    tile_size: int
    episodes: int = 0
    data_hash: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, with the format version."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FewShotCard:
        """Read what ``to_json`` wrote. Raises KeyError, TypeError, ValueError."""
        tile_size, gsd = data["tile_size"], data["gsd"]
        if not isinstance(tile_size, int) or not 1 <= tile_size <= 1 << 16:
            raise ValueError(f"tile_size {tile_size!r}")
        if gsd is not None and not (isinstance(gsd, (int, float)) and math.isfinite(gsd) and gsd > 0):
            raise ValueError(f"gsd {gsd!r}")
        if not re.fullmatch(r"[A-Za-z0-9_.]+", str(data["network"]["backbone"])):
            raise ValueError(f"backbone {data['network']['backbone']!r}")  # timm fetches names with a scheme
        return cls(
            network=dict(data["network"]),
            seen=tuple(map(str, data["seen"])),
            held=tuple(map(str, data["held"])),
            bands=tuple(map(str, data["bands"])),
            normalisation=Normalisation.from_json(data["normalisation"]),
            gsd=None if gsd is None else float(gsd),
            tile_size=tile_size,
            episodes=int(data["episodes"]),
            data_hash=str(data["data_hash"]),
            versions=dict(data["versions"]),
            settings=dict(data["settings"]),
        )

    def build(self, *, pretrained: bool = False) -> FewShotNetwork:
        """Build the network with random, or timm's published, weights of the backbone. Raises ValueError."""
        arguments = dict(self.network)
        return FewShotNetwork(
            mean=self.normalisation.mean, std=self.normalisation.std, pretrained=pretrained, **arguments
        )


@dataclass(frozen=True)
class LoadedFewShot:
    """A network in evaluation mode with its card and the hash of its file."""

    network: FewShotNetwork
    card: FewShotCard
    sha256: str


def save_few_shot(path: Path | str, network: FewShotNetwork, card: FewShotCard) -> None:
    """Write the weights with the card in the header, whole or not at all."""
    weights = {n: v.detach().to("cpu").contiguous() for n, v in network.state_dict().items()}
    with replacing(path) as part:
        part.write_bytes(save(weights, metadata={_KEY: json.dumps(card.to_json())}))


def read_few_shot_card(path: Path | str) -> FewShotCard | None:
    """The card alone; None for files of another kind. Raises ModelError for a damaged one."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError, ValueError, RuntimeError):
        return None  # whoever needs the weights says why
    if header is None:
        return None
    try:
        return FewShotCard.from_json(json.loads(header))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(path, f"damaged card ({type(error).__name__} {error})", "train it again") from None


def load_few_shot(path: Path | str, device: torch.device | str = "cpu") -> LoadedFewShot:
    """Load a few-shot model. Raises InputError for no file, ModelError for a damaged file or one of another kind."""
    path = Path(path)
    again = "make one with `wsss-geo fewshot-train`"
    if not path.is_file():
        raise InputError(path, "no such model file", again)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(_KEY)
            weights = {n: file.get_tensor(n) for n in file.keys()} if header else {}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(path, f"not a readable model file ({error})", again) from None
    if header is None:
        raise ModelError(path, "is no few-shot model", again)
    try:
        data = json.loads(header)
        if data["format"] > FORMAT:
            raise ModelError(path, f"is of format {data['format']}, newer than this program", "update wsss-geo")
        card = FewShotCard.from_json(data)
        network = card.build()
        network.load_state_dict(weights, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ModelError(path, f"card and weights do not fit ({type(error).__name__} {reason})", again) from None
    if not all(torch.isfinite(p).all() for p in network.parameters()):
        raise ModelError(path, "weights hold NaN or infinite values", again)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedFewShot(network.eval().requires_grad_(False).to(device), card, digest)
