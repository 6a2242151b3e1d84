"""The file of a few-shot model: one ``.safetensors`` whose header carries its card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from wsss_geo.errors import InputError, ModelError
from wsss_geo.nn.card import arguments, backbone_name, build_within, distance, parse_card, plain, side_of_views
from wsss_geo.nn.fewshot_network import FewShotNetwork
from wsss_geo.outputs import replacing
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.record import file_hash

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
        """Read what ``to_json`` wrote. Raises what ``parse_card`` expects of a card that is none."""
        backbone_name(data["network"]["backbone"])
        return cls(
            network=arguments(data["network"]),
            seen=tuple(map(str, data["seen"])),
            held=tuple(map(str, data["held"])),
            bands=tuple(map(str, data["bands"])),
            normalisation=Normalisation.from_json(data["normalisation"]),
            gsd=distance(data["gsd"]),
            tile_size=side_of_views("tile_size", data["tile_size"]),
            episodes=int(data["episodes"]),
            data_hash=str(data["data_hash"]),
            versions=plain(data["versions"]),
            settings=plain(data["settings"]),
        )

    def build(self, *, pretrained: bool = False) -> FewShotNetwork:
        """Build the network with random, or timm's published, weights of the backbone. Raises ValueError."""
        return FewShotNetwork(
            mean=self.normalisation.mean, std=self.normalisation.std, pretrained=pretrained, **self.network
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
    return None if header is None else parse_card(path, header, FORMAT, FewShotCard.from_json, "train it again")


def load_few_shot(path: Path | str, device: torch.device | str = "cpu") -> LoadedFewShot:
    """Load a few-shot model. Raises InputError for no file, ModelError for a damaged file or one of another kind."""
    path = Path(path)
    again = "make one with `wsss-geo fewshot-train`"
    if not path.is_file():
        raise InputError(path, "no such model file", again)
    if not os.access(path, os.R_OK):
        raise InputError(path, "may not be read", "check the permissions of the file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(_KEY)
            weights = {n: file.get_tensor(n) for n in file.keys()} if header else {}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(path, f"not a readable model file ({error})", again) from None
    if header is None:
        raise ModelError(path, "is no few-shot model", again)
    card = parse_card(path, header, FORMAT, FewShotCard.from_json, again)
    try:
        network = build_within(weights, card.build)
    except ValueError as error:
        raise ModelError(path, f"card and weights do not fit ({error})", again) from error
    if not all(torch.isfinite(p).all() for p in network.parameters()):
        raise ModelError(path, "weights hold NaN or infinite values", again)
    return LoadedFewShot(network.eval().requires_grad_(False).to(device), card, file_hash(path))
