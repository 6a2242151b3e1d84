"""The model file: one ``.safetensors`` whose header carries a model card. Nothing pickled is ever read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, ModelError
from wsss_geo.nn.class_tokens import ClassTokenNetwork
from wsss_geo.nn.network import Network
from wsss_geo.outputs import replacing
from wsss_geo.raster.normalisation import Normalisation

FORMAT = 1
_KEY = "wsss_geo"


@dataclass(frozen=True)
class ModelCard:
    """What a model is, was trained on, and expects.

    ``network`` holds the constructor arguments of ``Network``, or, where ``class_tokens`` is true beside them, of
    ``ClassTokenNetwork``; ``gsd`` is metres a pixel or None; ``tile_size`` the side of a training view in pixels;
    ``tag_counts`` training tiles per class; ``area`` the training area as ``{"bbox": [west, south, east, north],
    "crs": "EPSG:4326"}`` or None; ``scores`` figures of the training.
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
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelCard:
        """Read what ``to_json`` wrote. Raises KeyError, TypeError, ValueError (UsageError included)."""
        tile_size, gsd = data["tile_size"], data["gsd"]
        if not isinstance(tile_size, int) or not 1 <= tile_size <= 1 << 16:
            raise ValueError(f"tile_size {tile_size!r}")
        if gsd is not None and not (isinstance(gsd, (int, float)) and math.isfinite(gsd) and gsd > 0):
            raise ValueError(f"gsd {gsd!r}")
        if not re.fullmatch(r"[A-Za-z0-9_.]+", str(data["network"]["backbone"])):
            raise ValueError(f"backbone {data['network']['backbone']!r}")  # timm fetches names with a scheme
        return cls(
            method=str(data["method"]),
            network=dict(data["network"]),
            classes=ClassScheme.from_json({"classes": _class_list(data["classes"]), "background": data["background"]}),
            bands=tuple(str(b) for b in data["bands"]),
            normalisation=Normalisation.from_json(data["normalisation"]),
            gsd=None if gsd is None else float(gsd),
            tile_size=tile_size,
            tag_counts=dict(data.get("tag_counts") or {}),
            scores=dict(data.get("scores") or {}),
            area=data.get("area"),
            data_hash=str(data.get("data_hash", "")),
            licence=str(data.get("licence", "")),
            versions=dict(data.get("versions") or {}),
            settings=dict(data.get("settings") or {}),
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
    weights = {name: value.detach().to("cpu", dtype).contiguous() for name, value in network.state_dict().items()}
    with replacing(path) as part:
        # Not save_file: what that writes only its owner may read.
        part.write_bytes(save(weights, metadata={_KEY: json.dumps(card.to_json())}))


def read_card(path: Path | str) -> ModelCard:
    """Read the card alone. Raises ModelError."""
    return _open(Path(path), weights=False)[0]


def load_model(path: Path | str, device: torch.device | str = "cpu") -> LoadedModel:
    """Load a model for prediction. Raises ModelError for a damaged, foreign or newer file."""
    path = Path(path)
    card, weights = _open(path, weights=True)
    try:
        network = build_network(card)
        network.load_state_dict(weights, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(path, f"weights and card do not fit ({reason})", "train or download it again") from error
    if not all(torch.isfinite(p).all() for p in network.parameters()):
        raise ModelError(path, "weights hold NaN or infinite values", "train or download it again")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedModel(network.eval().requires_grad_(False).to(device), card, digest)


def _open(path: Path, *, weights: bool) -> tuple[ModelCard, dict[str, Tensor]]:
    """Read card and, if asked, weights as float32."""
    if not path.is_file():
        raise InputError(path, "no such model file", "give the path of a .safetensors file made by `wsss-geo train`")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(_KEY)
            tensors = {n: file.get_tensor(n).float() for n in file.keys()} if weights else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(path, f"not a readable model file ({error})", "train or download it again") from None
    if header is None:
        raise ModelError(
            path, "has no wsss-geo model card", "use a model made by `wsss-geo train`; backbone weights go to --weights"
        )
    version = None
    try:
        data = json.loads(header)
        version = data["format"]
        if version == FORMAT:
            return ModelCard.from_json(data), tensors
        problem = f"format {version!r}"
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        problem = f"{type(error).__name__} {error}"
    if isinstance(version, int) and version > FORMAT:
        raise ModelError(path, f"is of format {version}, this program reads up to {FORMAT}", "update wsss-geo")
    raise ModelError(path, f"damaged model card ({problem})", "train or download it again")


def _class_list(data: Any) -> Any:
    return data["classes"] if isinstance(data, dict) else data
