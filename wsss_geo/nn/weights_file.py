"""Weights of a backbone alone: one ``.safetensors`` whose header says what it is; and reading those of others."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsss_geo.errors import InputError, ModelError, WsssGeoError
from wsss_geo.nn.backbones import Backbone, build_backbone, load_weights
from wsss_geo.nn.card import arguments, backbone_name, distance, parse_card, plain, side_of_views
from wsss_geo.nn.model_file import FORMAT as MODEL_FORMAT
from wsss_geo.nn.model_file import ModelCard
from wsss_geo.nn.safe_file import check_file, read_file, write_file
from wsss_geo.raster.normalisation import Normalisation

FORMAT = 1
_KEY = "wsss_geo_backbone"
_MODEL_KEY = "wsss_geo"


@dataclass(frozen=True)
class BackboneCard:
    """What a backbone is and was pre-trained on.

    ``backbone`` and ``arguments`` build it; ``size`` is the side of a view in pixels, ``gsd`` metres a pixel or None,
    ``images`` how many views it was shown, ``data_hash`` identifies the imagery.
    """

    backbone: str
    arguments: Mapping[str, Any]
    bands: tuple[str, ...]
    normalisation: Normalisation
    size: int
    gsd: float | None = None
    method: str = ""
    images: int = 0
    data_hash: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, with the format version."""
        return {"format": FORMAT, **asdict(self), "bands": list(self.bands)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BackboneCard:
        """Read what ``to_json`` wrote. Raises what ``parse_card`` expects of a card that is none."""
        return cls(
            backbone=backbone_name(data["backbone"]),
            arguments=arguments(data["arguments"]),
            bands=tuple(str(b) for b in data["bands"]),
            normalisation=Normalisation.from_json(data["normalisation"]),
            size=side_of_views("size", data["size"]),
            gsd=distance(data["gsd"]),
            method=str(data["method"]),
            images=int(data["images"]),
            data_hash=str(data["data_hash"]),
            versions=plain(data["versions"]),
            settings=plain(data["settings"]),
        )

    def build(self) -> Backbone:
        """Build the backbone with random weights. Raises ValueError."""
        return build_backbone(
            self.backbone, bands=len(self.bands), image_size=self.size, arguments=dict(self.arguments)
        )


def save_backbone(path: Path | str, backbone: Backbone, card: BackboneCard) -> None:
    """Write the weights of ``backbone`` with the card in the header, whole or not at all."""
    weights = {f"encoder.{n}": v.detach().to("cpu", torch.float32) for n, v in backbone.state_dict().items()}
    write_file(path, weights, _KEY, card.to_json())


def read_backbone(path: Path | str) -> tuple[BackboneCard | None, dict[str, Tensor]]:
    """Read weights from ``.safetensors``, or from .pth/.pt/.ckpt without unpickling code; the card where there is one.

    A model of `wsss-geo train` counts as weights of its backbone. Raises InputError for a missing or foreign file,
    ModelError for a damaged card.
    """
    path = Path(path)
    check_file(path, "no such file", "give a file of backbone weights")
    try:
        if path.suffix == ".safetensors":
            header, weights = read_file(path)
            return _card(path, header), weights
        _check_packing(path)
        data = torch.load(path, map_location="cpu", weights_only=True)
    except WsssGeoError:
        raise
    except Exception as error:  # noqa: BLE001 - torch raises many kinds for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            path, f"weights cannot be read ({reason})", "give a .safetensors or plain state dict"
        ) from None
    for key in ("state_dict", "model", "teacher"):
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    if not isinstance(data, dict):
        raise InputError(path, "holds no state dict", "give a .safetensors or plain state dict")
    return None, {k: v for k, v in data.items() if isinstance(v, Tensor)}


def read_backbone_card(path: Path | str) -> BackboneCard | None:
    """The card of a weights file alone; None for other files. Raises ModelError for a damaged one."""
    try:
        header, _ = read_file(path, weights=False)
    except ValueError:
        return None  # whoever needs the weights says why
    return _card(Path(path), {_KEY: header[_KEY]}) if _KEY in header else None


def start_from(backbone: Backbone, path: Path | str, name: str) -> None:
    """Load the weights in ``path`` into ``backbone``, called ``name``. Raises InputError, and ModelError if unfit."""
    card, weights = read_backbone(path)
    try:
        load_weights(backbone, weights)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        if card is None:
            raise ModelError(path, reason, f"give weights of {name}") from None
        arguments = "".join(f" --backbone-arg {k}={json.dumps(v)}" for k, v in card.arguments.items())
        problem = f"holds weights of {card.backbone}, which do not fit this {name} ({reason})"
        raise ModelError(path, problem, f"use --backbone {card.backbone}{arguments}") from None


def _check_packing(path: Path) -> None:
    """Raise ValueError for an archive that unpacks to far more than it is; torch itself does not compress."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > 2 * path.stat().st_size + (1 << 20):
            raise ValueError(f"it would unpack to {unpacked >> 20} MiB")


def _card(path: Path, header: Mapping[str, str]) -> BackboneCard | None:
    again = "make or download it again"
    if _KEY in header:
        return parse_card(path, header[_KEY], FORMAT, BackboneCard.from_json, again)
    if _MODEL_KEY in header:
        return parse_card(path, header[_MODEL_KEY], MODEL_FORMAT, _of_model, again)
    return None


def _of_model(data: Mapping[str, Any]) -> BackboneCard:
    """The card of the backbone of a model. Raises what ``parse_card`` expects of a card that is none."""
    model = ModelCard.from_json(data)
    network = model.network
    return BackboneCard(
        backbone=str(network["backbone"]),
        arguments=plain(network.get("backbone_args")),
        bands=model.bands,
        normalisation=model.normalisation,
        size=model.tile_size,
        gsd=model.gsd,
        method=model.method,
        data_hash=model.data_hash,
        versions=model.versions,
    )
