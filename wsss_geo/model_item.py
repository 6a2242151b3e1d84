"""A model as a STAC item with the machine-learning model extension (MLM 1.4.0), for catalogues of models."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

from wsss_geo.errors import ModelError
from wsss_geo.outputs import check_output, replacing

_SCHEMAS = "https://stac-extensions.github.io"


def write_model_item(model: str, out: str) -> dict[str, Any]:
    """Write the item of the model file ``model`` to ``out`` and return it. Raises InputError, ModelError."""
    path = check_output(out)
    item = model_item(model, path)
    with replacing(path) as part:
        part.write_text(json.dumps(item, indent=2) + "\n", encoding="utf-8")
    return item


def model_item(model: str, item: Path) -> dict[str, Any]:
    """Return the item of the model file ``model``, with paths as seen from the file ``item``.

    Raises InputError, ModelError.
    """
    from wsss_geo.inference.provenance import relative, stac_classes
    from wsss_geo.nn.model_file import load_model

    if Path(model).suffix != ".safetensors":
        raise ModelError(model, "is no model file", "give a .safetensors file made by `wsss-geo train`")
    loaded = load_model(model)
    card, network = loaded.card, loaded.network
    side, tokens = card.tile_size, max(1, card.tile_size // network.patch)
    low, high = card.normalisation.low, card.normalisation.high
    bands = list(card.bands) or [f"band {i + 1}" for i in range(len(low))]
    parameters = sum(p.numel() for p in network.parameters())
    made = datetime.datetime.fromtimestamp(Path(model).stat().st_mtime, datetime.UTC)
    settings = {**card.settings, "method": card.method, "background": card.classes.background}
    properties: dict[str, Any] = {
        "datetime": made.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "title": f"Land cover from scene tags: {', '.join(card.classes.names)}",
        "mlm:name": _name(f"wsss-geo {card.method} {Path(model).stem}"),
        "mlm:architecture": "Vision Transformer",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": "PyTorch",
        "mlm:total_parameters": parameters,
        "mlm:memory_size": parameters * 4,
        "mlm:accelerator": None,
        "mlm:accelerator_constrained": False,
        "mlm:hyperparameters": {re.sub(r"[^0-9a-zA-Z_.-]", "_", k): v for k, v in settings.items()},
        "mlm:input": [
            {
                "name": "image",
                "description": "Clipped to 0..1 after scaling; mean and deviation are applied by the network",
                "bands": bands,
                "input": {
                    "shape": [-1, len(bands), side, side],
                    "dim_order": ["batch", "channel", "height", "width"],
                    "data_type": "float32",
                },
                "value_scaling": [
                    {"type": "min-max", "minimum": a, "maximum": b} for a, b in zip(low, high, strict=True)
                ],
                "resize_type": None,
                "pre_processing_function": None,
            }
        ],
        "mlm:output": [
            {
                "name": "land cover",
                "description": f"Class probabilities, one for each {network.patch} x {network.patch} pixels",
                "tasks": ["semantic-segmentation"],
                "result": {
                    "shape": [-1, len(card.classes), tokens, tokens],
                    "dim_order": ["batch", "class", "height", "width"],
                    "data_type": "float32",
                },
                "classification:classes": stac_classes(card.classes),
                "post_processing_function": None,
            }
        ],
        "wsss_geo:sha256": loaded.sha256,
        "wsss_geo:scores": dict(card.scores),
    }
    version = re.match(r"\d+\.\d+\.\d+", str(card.versions.get("torch", "")))
    if version:
        properties["mlm:framework_version"] = version.group()
    if card.gsd is not None:
        properties["gsd"] = card.gsd
    if card.licence:
        properties["license"] = card.licence
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"{_SCHEMAS}/{name}/schema.json"
            for name in ("mlm/v1.4.0", "raster/v1.1.0", "classification/v1.1.0", "file/v2.1.0")
        ],
        "id": _name(Path(model).stem).replace(" ", "-"),
        **_place(card.area),
        "properties": properties,
        "links": [],
        "assets": {
            "model": {
                "href": relative(model, item),
                "title": "Weights, with the model card in the header",
                "type": "application/octet-stream; application=safetensors",
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": "safetensors.torch.save",
                "file:size": Path(model).stat().st_size,
                "file:checksum": f"1220{loaded.sha256}",
                "raster:bands": [{"name": band} for band in bands],
            }
        },
    }


def _name(text: str) -> str:
    """Return ``text`` as the extension allows names: it starts with a letter and ends with a letter or digit."""
    plain = re.sub(r"[^a-zA-Z0-9_.\- ]", "-", text).strip("_.- ")
    return plain if re.fullmatch(r"[a-zA-Z].+[a-zA-Z0-9]", plain) else f"model-{plain or 'x'}"


def _place(area: Any) -> dict[str, Any]:
    """Where the model was trained; null where that is not known in longitude and latitude."""
    if not area or area.get("crs") != "EPSG:4326":
        return {"geometry": None}
    west, south, east, north = area["bbox"]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [west, south, east, north]}
