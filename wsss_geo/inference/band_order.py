"""What a worker of a cluster is asked to do, and doing it: the model is loaded once a process, not once an order."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import socket
import threading
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import torch

from wsss_geo.errors import Cancelled, EnvironmentFault
from wsss_geo.inference.compute import Engine, RasterTask, check_unchanged, compute_bands, open_task
from wsss_geo.inference.finished import BandArrays
from wsss_geo.inference.manifest import WorkFolder
from wsss_geo.jobs import from_json
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.model_file import load_model
from wsss_geo.progress import Progress
from wsss_geo.streaming.layout import Band
from wsss_geo.streaming.limits import Limits
from wsss_geo.streaming.predictor import build_predictor
from wsss_geo.streaming.stream import Passed

_LOADING = threading.Lock()


@dataclass(frozen=True)
class BandOrder:
    """Compute the ``bands`` of ``raster`` into ``folder``; ``job`` and ``key`` are JSON."""

    raster: str
    job: str
    device: str
    folder: str
    key: str
    bands: range
    limits: Limits
    threads: int | None

    @classmethod
    def of(cls, task: RasterTask, work: WorkFolder, bands: range, threads: int | None) -> BandOrder:
        """Return the order for ``bands`` of ``task``; paths are made absolute, as workers may run elsewhere."""
        job = task.job.to_json()
        job["model"] = str(Path(job["model"]).absolute())
        if job["aoi"] and Path(job["aoi"]).exists():
            job["aoi"] = str(Path(job["aoi"]).absolute())
        raster = (
            str(Path(task.scene.info.path).absolute()) if Path(task.scene.info.path).exists() else task.scene.info.path
        )
        folder = str(work.folder.absolute())
        return cls(
            raster, json.dumps(job), task.engine.device, folder, json.dumps(work.key), bands, task.limits, threads
        )


def order_device(name: str) -> str:
    """Return what the device ``name`` means here."""
    return str(choose_device(name))


def compute_order(order: BandOrder) -> int:
    """Do ``order`` as far as it is not done yet and return how many bands that were.

    Raises EnvironmentFault if this machine does not see what it needs or would give other bytes, Cancelled when the
    work folder is taken away.
    """
    if order.threads is not None:
        torch.set_num_threads(order.threads)
    if not Path(order.folder).is_dir():
        raise EnvironmentFault(
            f"{socket.gethostname()} does not see {order.folder}",
            "put input, model and output where all workers see them under the same path",
        )
    engine = _engine(order)
    task = open_task(order.raster, engine, Progress(), order.limits)
    key = json.loads(order.key)
    _check_key(task, key)
    work = WorkFolder.join(Path(order.folder), key, f"worker-{uuid.uuid4().hex[:12]}", make=False)

    def passed(done: Passed) -> None:
        if not work.alive:
            raise Cancelled

    done = 0
    with rasterio.Env(GDAL_CACHEMAX=order.limits.cache), contextlib.closing(task.scene):
        for bands in work.missing(order.bands.stop):
            todo = range(max(bands.start, order.bands.start), bands.stop)
            if todo:
                compute_bands(task, todo, work, _leave, passed)
                done += len(todo)
        check_unchanged(task)
    return done


def _leave(band: Band, arrays: BandArrays) -> None:
    """Do nothing with a band beyond keeping it."""


def _check_key(task: RasterTask, key: dict[str, Any]) -> None:
    """Raise EnvironmentFault if this machine would not give the bytes that the others give."""
    own, key = _without_paths(json.loads(json.dumps(task.key()))), _without_paths(key)
    strange = sorted(k for k in {*own, *key} if own.get(k) != key.get(k))
    if strange:
        raise EnvironmentFault(
            f"{socket.gethostname()} has another {', '.join(strange)} than the machine that started the run",
            "use the same files and the same versions of wsss-geo, torch and rasterio everywhere",
        )


def _without_paths(value: Any) -> Any:
    """Return ``value`` without any ``path``: the same file may be called by another name here."""
    if isinstance(value, dict):
        return {k: _without_paths(v) for k, v in value.items() if k != "path"}
    return [_without_paths(v) for v in value] if isinstance(value, list) else value


def _engine(order: BandOrder) -> Engine:
    with _LOADING:  # threads of one worker share the model
        job = json.loads(order.job)
        stamp = Path(job["model"]).stat().st_mtime_ns if Path(job["model"]).exists() else 0
        return _load(order.job, order.device, stamp)


@functools.lru_cache(maxsize=1)
def _load(text: str, name: str, stamp: int) -> Engine:
    """Load model and predictor; ``stamp`` tells a model file that has been replaced."""
    job: Any = from_json(json.loads(text))
    device = choose_device(name)
    if device.type == "cuda" and torch.cuda.device_count() > 1:
        device = torch.device("cuda", card_of(_worker_name(), torch.cuda.device_count()))
    model = load_model(job.model, device)
    return Engine(job, model, build_predictor(model, device, job), name)


def card_of(worker: Any, cards: int) -> int:
    """Return the GPU, of ``cards``, for the worker of that name: those that are numbered take turns."""
    return (int(worker) if str(worker).isdecimal() else zlib.crc32(str(worker).encode())) % cards


def _worker_name() -> Any:
    from distributed import get_worker

    return get_worker().name


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the process that started the run; Dask calls this when a worker of this machine starts."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
