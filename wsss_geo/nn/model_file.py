"""The model file: one ``.safetensors`` whose header carries a model card. Nothing pickled is ever read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import ModelError
from wsss_geo.nn.calibration import Calibration
from wsss_geo.nn.card import arguments, backbone_name, distance, parse_card, plain, side_of_views
from wsss_geo.nn.class_tokens import ClassTokenNetwork
from wsss_geo.nn.network import Network
from wsss_geo.nn.safe_file import check_file, network_of, read_file, write_file
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.record import file_hash

FORMAT = 1
_KEY = "wsss_geo"
_AGAIN = "train or download it again"


@dataclass(frozen=True)
class ModelCard:
    """What a model is, was trained on, and expects.

    ``network`` holds the constructor arguments of ``Network``, or, where ``class_tokens`` is true beside them, of
    ``ClassTokenNetwork``; ``gsd`` is metres a pixel or None; ``tile_size`` the side of a training view in pixels;
    ``tag_counts`` training tiles per class; ``area`` the training area as ``{"bbox": [west, south, east, north],
    "crs": "EPSG:4326"}`` or None; ``scores`` figures of the training; ``calibration`` None where nobody has made one.
    """

    method: str
    network: Mapping[str, Any]
    classes: ClassScheme
    bands: tuple[str, ...]
    normalisation: Normalisation
    gsd: float | None
    tile_size: int
    tag_counts: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    area: Mapping[str, Any] | None = None
    data_hash: str = ""
    licence: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def temperature(self) -> float:
        """What the decoder's probabilities are tempered by; 1 leaves them as they are."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, with the format version."""
        return {
            "format": FORMAT,
            "method": self.method,
            "network": dict(self.network),
            "classes": self.classes.to_json(),
            "background": self.classes.background,
            "bands": list(self.bands),
            "normalisation": self.normalisation.to_json(),
            "gsd": self.gsd,
            "tile_size": self.tile_size,
            "tag_counts": dict(self.tag_counts),
            "scores": dict(self.scores),
            "area": None if self.area is None else dict(self.area),
            "data_hash": self.data_hash,
            "licence": self.licence,
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCard:
        """Read what ``to_json`` wrote. Raises what ``parse_card`` expects of a card that is none."""
        normalisation = Normalisation.from_json(data["normalisation"])
        bands = tuple(str(b) for b in data["bands"])
        if len(bands) not in (0, len(normalisation.low)):
            raise ValueError(f"{len(bands)} bands, statistics of {len(normalisation.low)}")
        backbone_name(data["network"]["backbone"])
        calibration = data.get("calibration")
        return cls(
            method=str(data["method"]),
            network=arguments(data["network"]),
            classes=ClassScheme.from_json({"classes": _class_list(data["classes"]), "background": data["background"]}),
            bands=bands,
            normalisation=normalisation,
            gsd=distance(data["gsd"]),
            tile_size=side_of_views("tile_size", data["tile_size"]),
            tag_counts={name: int(count) for name, count in plain(data.get("tag_counts")).items()},
            scores={name: float(score) for name, score in plain(data.get("scores")).items()},
            area=_area(data.get("area")),
            data_hash=str(data.get("data_hash", "")),
            licence=str(data.get("licence", "")),
            versions={name: str(version) for name, version in plain(data.get("versions")).items()},
            settings=plain(data.get("settings")),
            calibration=None if calibration is None else Calibration.from_json(calibration),
        )


@dataclass(frozen=True)
class LoadedModel:
    """A network in evaluation mode with its card and the hash that identifies it in records."""

    network: Network
    card: ModelCard
    sha256: str


def build_network(card: ModelCard, *, pretrained: bool = False) -> Network:
    """Build the network that a card describes, with random or timm's published weights."""
    scheme = card.classes
    name = scheme.background_name
    arguments = dict(card.network)
    kind = ClassTokenNetwork if arguments.pop("class_tokens", False) else Network
    return kind(
        classes=len(scheme),
        taggable=len(scheme.taggable),
        cold=None if name is None else scheme.names.index(name),
        mean=card.normalisation.mean,
        std=card.normalisation.std,
        pretrained=pretrained,
        **arguments,
    )


def save_model(path: Path | str, network: Network, card: ModelCard, dtype: torch.dtype = torch.float32) -> None:
    """Write the network's weights as ``dtype`` with the card in the header, whole or not at all."""
    write_file(path, {n: v.detach().to("cpu", dtype) for n, v in network.state_dict().items()}, _KEY, card.to_json())


def save_card(path: Path | str, out: Path | str, card: ModelCard) -> None:
    """Write the model ``path`` to ``out`` with another card; weights keep values and type. Raises ModelError."""
    _, weights = _open(Path(path), weights=True)
    write_file(out, weights, _KEY, card.to_json())


def read_card(path: Path | str) -> ModelCard:
    """Read the card alone. Raises ModelError."""
    return _open(Path(path), weights=False)[0]


def load_model(path: Path | str, device: torch.device | str = "cpu") -> LoadedModel:
    """Load a model for prediction. Raises ModelError for a damaged, foreign or newer file."""
    path = Path(path)
    card, weights = _open(path, weights=True)
    network = network_of(path, weights, lambda: build_network(card), _AGAIN)
    return LoadedModel(network.to(device), card, file_hash(path))


def _open(path: Path, *, weights: bool) -> tuple[ModelCard, dict[str, Tensor]]:
    """Read the card and, if asked, the weights as they are."""
    check_file(path, "no such model file", "give the path of a .safetensors file made by `wsss-geo train`")
    try:
        header, tensors = read_file(path, weights=weights)
    except ValueError as error:
        raise ModelError(path, f"not a readable model file ({error})", _AGAIN) from None
    if _KEY not in header:
        raise ModelError(
            path, "has no wsss-geo model card", "use a model made by `wsss-geo train`; backbone weights go to --weights"
        )
    return parse_card(path, header[_KEY], FORMAT, ModelCard.from_json, _AGAIN), tensors


def _class_list(data: Any) -> Any:
    return data["classes"] if isinstance(data, dict) else data


def _area(data: Any) -> dict[str, Any] | None:
    """Where a model was trained: longitudes and latitudes of a box. Raises KeyError, TypeError, ValueError."""
    if data is None:
        return None
    box = [float(v) for v in data["bbox"]]
    if len(box) != 4 or not all(abs(v) <= 720 for v in box):
        raise ValueError(f"area {data!r}")
    return {"bbox": box, "crs": str(data["crs"])}
