"""What a report is about: a mask, a run folder or a model, and what belongs to it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError
from wsss_geo.fitting.folder import JOB
from wsss_geo.jobs import ReportJob
from wsss_geo.nn.model_file import ModelCard, read_card
from wsss_geo.progress import Progress
from wsss_geo.record import file_hash

MODEL, METRICS = "model.safetensors", "metrics.csv"
_LARGEST = 1 << 24


@dataclass(frozen=True)
class Subject:
    """``mask``, its ``confidence`` and the ``image`` it shows; the ``model`` with its ``card``; the ``run`` folder of
    its training; the ``record`` of what was asked for (empty where there is none). What is not known is None."""

    name: str
    mask: str | None
    confidence: str | None
    image: str | None
    model: Path | None
    card: ModelCard | None
    run: Path | None
    record: Mapping[str, Any]

    @property
    def untempered(self) -> str | None:
        """The option of the prediction to which the model's temperature does not apply, None where it does."""
        asked = _mapping(self.record.get("job"))
        for name, plain in (("refine", "none"), ("scores", "decoder")):
            if asked.get(name, plain) != plain:
                return f"--{name} {asked[name]}"
        return None

    def expected_areas(self, scheme: ClassScheme, mapped: float) -> NDArray[np.float64] | None:
        """Area that each class is expected to have by the probabilities of all, as the record of the map tells it.

        float64 [256] by mask value in square metres (pixels without CRS), NaN for what is not told. None where the
        record tells nothing, or other sums than the ``mapped`` area: then it is not about this mask.
        """
        told = _mapping(_mapping(self.record.get("result")).get("expected_m2"))
        areas = {c.id: _finite(told[c.name]) for c in scheme.classes if c.name in told}
        found = np.full(256, np.nan)
        for value, area in areas.items():
            found[value] = np.nan if area is None or area < 0 else area
        near = abs(np.nansum(found) - mapped) <= 0.01 * mapped
        return found if areas and not np.isnan(found[[*areas]]).any() and near else None

    def scene_side(self, gsd: float | None) -> int:
        """Side in pixels of ``gsd`` metres of the scenes that were tagged, 256 where that is not known."""
        if self.card is None:
            return 256
        tiles = _mapping(_read_json(self.run / JOB) if self.run else None).get("mosaic")
        side = self.card.tile_size // tiles if isinstance(tiles, int) and 1 <= tiles <= 16 else self.card.tile_size
        if gsd and self.card.gsd:
            side = round(side * self.card.gsd / gsd)
        return min(max(side, 8), 4096)

    def metrics(self) -> dict[str, list[tuple[float, float]]]:
        """The columns of the metrics file of the run: (step, value) of every row that has one."""
        found: dict[str, list[tuple[float, float]]] = {}
        if self.run is None:
            return found
        try:
            with open(self.run / METRICS, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except (OSError, ValueError, csv.Error):
            return found
        for row in rows:
            step = _finite(row.get("step"))
            for name, text in row.items():
                value = _finite(text)
                if isinstance(name, str) and name != "step" and step is not None and value is not None:
                    found.setdefault(name, []).append((step, value))
        return found

    def previews(self) -> Sequence[Path]:
        """The pictures of the run, in order of the steps."""
        return sorted((self.run / "preview").glob("step_*.png")) if self.run else []


def find_subject(job: ReportJob, report: Progress) -> Subject:
    """Find out what ``job.source`` is and what belongs to it.

    Raises InputError for what does not exist or is neither mask, run folder nor model, ModelError.
    """
    source = Path(job.source)
    if not source.exists():
        raise InputError(source, "no such file or folder", "give a mask, a run folder or a model")
    if source.is_dir() or source.suffix == ".safetensors":
        model = source / MODEL if source.is_dir() else source
        if not model.is_file():
            raise InputError(source, f"holds no {MODEL}", "give the run folder of a finished training, or a mask")
        return _of_model(source, model)
    record = _mapping(_read_json(Path(f"{source}.json")))
    if not record:
        report.warn(f"{source}: has no record beside it, so the report knows neither command nor inputs")
    result, asked = _mapping(record.get("result")), _mapping(record.get("job"))
    confidence = job.confidence or _found(result.get("confidence"), source)
    if confidence is None:
        report.warn(f"{source}: has no confidence raster; predict with --confidence to see how sure it is")
    model_path = _model_of(job, record, source, report)
    image = _text((asked.get("rasters") or [None])[0] if isinstance(asked.get("rasters"), list) else None)
    return Subject(
        source.name,
        str(source),
        confidence,
        _found(image, source),
        model_path,
        None if model_path is None else read_card(model_path),
        _run_of(model_path),
        record,
    )


def _of_model(source: Path, model: Path) -> Subject:
    record = _mapping(_read_json(Path(f"{model}.json")))
    name = source.resolve().name
    return Subject(name, None, None, None, model, read_card(model), _run_of(model), record)


def _model_of(job: ReportJob, record: Mapping[str, Any], source: Path, report: Progress) -> Path | None:
    """The model that made a mask, if it is still the same."""
    if job.model is not None:
        return Path(job.model)
    noted = _mapping(record.get("model"))
    found = _found(noted.get("path"), source)
    if found is None or not found.endswith(".safetensors"):
        return None
    if file_hash(found) != noted.get("sha256"):
        report.warn(f"{found}: is no longer the model that made {source}, so the report leaves it out")
        return None
    return Path(found)


def _run_of(model: Path | None) -> Path | None:
    return model.parent if model is not None and (model.parent / METRICS).is_file() else None


def _found(noted: Any, source: Path) -> str | None:
    """A file that a record names: where it says, or beside the mask if folders have moved."""
    text = _text(noted)
    if text is None:
        return None
    for path in (Path(text), source.parent / Path(text).name):
        if path.is_file():
            return str(path)
    return None


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and "\0" not in value else None


def _finite(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
