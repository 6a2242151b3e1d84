"""The file of a few-shot model: one ``.safetensors`` whose header carries its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from wsss_geo.errors import ModelError
from wsss_geo.nn.card import arguments, backbone_name, distance, parse_card, plain, side_of_views
from wsss_geo.nn.fewshot_network import FewShotNetwork
from wsss_geo.nn.safe_file import check_file, network_of, read_file, write_file
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.record import file_hash

FORMAT = 1
_KEY = "wsss_geo_fewshot"
_AGAIN = "make one with `wsss-geo fewshot-train`"


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
    write_file(path, network.state_dict(), _KEY, card.to_json())


def read_few_shot_card(path: Path | str) -> FewShotCard | None:
    """The card alone; None for files of another kind. Raises ModelError for a damaged one."""
    try:
        header, _ = read_file(path, weights=False)
    except ValueError:
        return None  # whoever needs the weights says why
    return parse_card(path, header[_KEY], FORMAT, FewShotCard.from_json, _AGAIN) if _KEY in header else None


def load_few_shot(path: Path | str, device: torch.device | str = "cpu") -> LoadedFewShot:
    """Load a few-shot model. Raises InputError for no file, ModelError for a damaged file or one of another kind."""
    path = Path(path)
    check_file(path, "no such model file", _AGAIN)
    try:
        header, weights = read_file(path)
    except ValueError as error:
        raise ModelError(path, f"not a readable model file ({error})", _AGAIN) from None
    if _KEY not in header:
        raise ModelError(path, "is no few-shot model", _AGAIN)
    card = parse_card(path, header[_KEY], FORMAT, FewShotCard.from_json, _AGAIN)
    network = network_of(path, weights, card.build, _AGAIN)
    return LoadedFewShot(network.to(device), card, file_hash(path))
