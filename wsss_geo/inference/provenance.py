"""What a prediction says about where it comes from: tags inside its rasters, a STAC item beside them."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pyproj.exceptions import ProjError
from rasterio.warp import transform as to_crs

from wsss_geo.classes import IGNORE, ClassScheme
from wsss_geo.inference.compute import RasterTask
from wsss_geo.jobs import PredictJob, PredictResult
from wsss_geo.outputs import replacing
from wsss_geo.raster.cog import UNSURE
from wsss_geo.raster.files import GDAL_ERRORS, open_raster
from wsss_geo.raster.info import GeoGrid, describe
from wsss_geo.record import versions

_SCHEMAS = "https://stac-extensions.github.io"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_MEDIA = {
    ".gpkg": "application/geopackage+sqlite3", ".geojson": "application/geo+json", ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet", ".shp": "application/vnd.shp",
}  # fmt: skip

#: What of a job the pixels of the mask do not depend on, or, ``device``, what ``auto`` may mean as well.
_IDLE = (
    "device", "polygons", "confidence", "cam", "min_area", "simplify", "threads", "max_memory", "workers", "scheduler",
    "shard", "finish", "stac",
)  # fmt: skip


def provenance_tags(task: RasterTask) -> dict[str, str]:
    """Return the tags of the rasters: model hash, input, the command as far as the pixels depend on it, and, where
    unsure pixels are a class, its value.

    Outputs, folders and who shares the work are left out, so that equal pixels come in equal files.
    """
    plain = {f.name: f.default for f in dataclasses.fields(PredictJob) if f.default is not dataclasses.MISSING}
    job = task.job
    rasters = job.rasters if job.mosaic else (task.scene.info.path,)
    bare = dataclasses.replace(
        job,
        rasters=tuple(_name(raster) for raster in rasters),
        model=_name(job.model),
        out="mask.tif",
        aoi=_name(job.aoi) if job.aoi and Path(job.aoi).exists() else job.aoi,
        **{name: plain[name] for name in _IDLE},
    )
    tags = {"model": task.model.sha256, "input": _name(task.scene.info.path), "command": bare.command_line()}
    return tags | ({UNSURE: str(task.shown.ids[-1])} if job.unsure else {})


def _name(path: str) -> str:
    """The last part of a path or address, without what may be secret in an address."""
    return Path(path.split("?")[0] if "://" in path or path.startswith("/vsi") else path).name or path


def write_item(task: RasterTask, job: PredictJob, result: PredictResult) -> Path:
    """Write the STAC item (1.0.0) of a finished prediction as ``<mask>.stac.json`` and return its path.

    Extensions: projection, raster, classification, processing. Raises EnvironmentFault when the disk is full.
    """
    path = Path(result.mask).with_suffix(".stac.json")
    grid = task.scene.info.grid
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"{_SCHEMAS}/{name}/schema.json"
            for name in ("projection/v1.1.0", "raster/v1.1.0", "classification/v1.1.0", "processing/v1.1.0")
        ],
        "id": Path(result.mask).stem,
        **footprint(grid),
        "properties": {
            **_times(task.scene.info.path),
            "title": f"Land cover of {_name(task.scene.info.path)}",
            **_projection(grid),
            "processing:software": versions(),
            "processing:lineage": job.command_line(),
            "wsss_geo:model": _name(job.model),
            "wsss_geo:model_sha256": task.model.sha256,
            "wsss_geo:share": dict(result.share),
            "wsss_geo:area_m2": dict(result.area_m2),
        },
        "links": [_link("derived_from", task.scene.info.path, path), _link("related", job.model, path, "model")],
        "assets": _assets(task, result, path),
    }
    with replacing(path) as part:
        part.write_text(json.dumps(item, indent=2) + "\n", encoding="utf-8")
    return path


def footprint(grid: GeoGrid) -> dict[str, Any]:
    """Return ``geometry`` (and ``bbox``) of a grid in longitude and latitude; null where it has no CRS."""
    if grid.crs is None:
        return {"geometry": None}
    share = np.linspace(0, 1, 9)
    edge = [*((s, 0) for s in share), *((1, s) for s in share[1:]), *((1 - s, 1) for s in share[1:]),
            *((0, 1 - s) for s in share[1:])]  # fmt: skip
    corners = [grid.transform * (x * grid.width, y * grid.height) for x, y in edge]
    try:
        xs, ys = to_crs(grid.crs, "EPSG:4326", *([c[i] for c in corners] for i in (0, 1)))
    except (*GDAL_ERRORS, ProjError):
        return {"geometry": None}
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        return {"geometry": None}
    ring = [[round(x, 7), round(y, 7)] for x, y in zip(xs, ys, strict=True)]
    ring[-1] = ring[0]
    if sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring)) < 0:
        ring.reverse()  # outer rings run counterclockwise
    box = [min(p[0] for p in ring), min(p[1] for p in ring), max(p[0] for p in ring), max(p[1] for p in ring)]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": box}


def stac_classes(scheme: ClassScheme) -> list[dict[str, Any]]:
    """Return the classes as the classification extension has them."""
    return [
        {
            "value": c.id,
            "name": "".join(x if x.isascii() and x.isalnum() else "-" for x in c.name),
            "description": c.name,
            "color_hint": c.color[1:].upper(),
        }
        for c in scheme.classes
    ]


def relative(path: str | os.PathLike[str], to: Path) -> str:
    """Return ``path`` as seen from the file ``to``; addresses stay as they are."""
    text = os.fspath(path)
    if "://" in text or text.startswith("/vsi"):
        return text.split("?")[0]
    try:
        found = Path(os.path.relpath(text, to.parent)).as_posix()
    except ValueError:  # another drive
        return Path(text).absolute().as_posix()
    return found if found.startswith("..") else f"./{found}"


def _link(kind: str, target: str, item: Path, title: str = "") -> dict[str, str]:
    return {"rel": kind, "href": relative(target, item), **({"title": title} if title else {})}


def _times(raster: str) -> dict[str, str]:
    """``datetime`` is that of the picture where the raster tells it, else that of the run."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with contextlib.suppress(*GDAL_ERRORS, ValueError), open_raster(raster) as dataset:
        text = dataset.tags().get("TIFFTAG_DATETIME", "")
        taken = datetime.datetime.strptime(text.strip(), "%Y:%m:%d %H:%M:%S")
        return {"datetime": f"{taken.isoformat()}Z", "created": now}
    return {"datetime": now, "created": now}


def _projection(grid: GeoGrid) -> dict[str, Any]:
    code = grid.crs.to_epsg() if grid.crs is not None else None
    wkt = {} if grid.crs is None or code else {"proj:wkt2": grid.crs.to_wkt()}
    return {
        "proj:epsg": code, **wkt, "proj:shape": [grid.height, grid.width], "proj:transform": list(grid.transform)[:6],
    }  # fmt: skip


def _assets(task: RasterTask, result: PredictResult, item: Path) -> dict[str, Any]:
    scheme = task.shown
    byte: Mapping[str, Any] = {"data_type": "uint8"}
    scaled = {**byte, "scale": 1 / 255, "offset": 0}
    classes = {"classification:classes": stac_classes(scheme)}
    found: dict[str, Any] = {
        "mask": _asset(result.mask, item, _COG, ["data"], [{**byte, "nodata": IGNORE, **classes}], "Land cover"),
        "record": _asset(f"{result.mask}.json", item, "application/json", ["metadata"], None, "Run record"),
    }
    if result.confidence:
        bands = [{**scaled, "nodata": 0}]
        found["confidence"] = _asset(result.confidence, item, _COG, ["data"], bands, "Confidence, 0 to 1")
    if result.cam:
        names = [{**scaled, "name": name} for name in task.model.card.classes.taggable]
        found["cam"] = _asset(result.cam, item, _COG, ["data"], names, "Class activation maps, 0 to 1")
        found["cam"] |= _projection(describe(result.cam).grid)
    if result.polygons:
        kind = _MEDIA.get(Path(result.polygons).suffix.lower(), "application/octet-stream")
        found["polygons"] = _asset(result.polygons, item, kind, ["data"], None, "Polygons")
    return found


def _asset(
    path: str, item: Path, kind: str, roles: list[str], bands: list[dict[str, Any]] | None, title: str
) -> dict[str, Any]:
    asset: dict[str, Any] = {"href": relative(path, item), "title": title, "type": kind, "roles": roles}
    return asset if bands is None else {**asset, "raster:bands": bands}
