"""What this installation has and lacks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from wsss_geo.errors import EnvironmentFault
from wsss_geo.progress import Progress

#: Packages that every installation needs, with the name to import where it differs, in the order of loading.
_NEEDED = {
    "attrs": "attr", "click": "click", "numpy": "numpy", "scipy": "scipy", "pillow": "PIL", "pyyaml": "yaml",
    "tqdm": "tqdm", "matplotlib": "matplotlib", "pyproj": "pyproj", "shapely": "shapely", "rasterio": "rasterio",
    "pyogrio": "pyogrio", "geopandas": "geopandas", "pyarrow": "pyarrow", "numba": "numba", "torch": "torch",
    "safetensors": "safetensors", "timm": "timm", "torchmetrics": "torchmetrics", "lightning": "lightning",
    "tensorboard": "tensorboard",
}  # fmt: skip
_OLDEST = {
    "attrs": "24", "click": "8.1", "geopandas": "1.0", "lightning": "2.4", "rasterio": "1.4", "shapely": "2.1",
    "timm": "1.0.12", "torch": "2.4", "pyogrio": "0.9",
}  # fmt: skip
_DRIVERS = {"COG": "raster", "GTiff": "raster", "VRT": "raster", "GPKG": "vector", "FlatGeobuf": "vector",
            "ESRI Shapefile": "vector", "GeoJSON": "vector"}  # fmt: skip
_LITTLE_MEMORY, _LITTLE_DISK = 2 << 30, 2 << 30


def examine(report: Progress) -> dict[str, Any]:
    """Load every package and look at GDAL, devices, memory and disk; what may hinder is said by ``report.warn``.

    Raises EnvironmentFault, with the command that helps, if a needed package is missing, broken or too old.
    """
    found, faults = _packages(report)
    if faults:
        for fault in faults.values():
            report.warn(fault)
        names = [f"{n}>={_OLDEST[n]}" if n in _OLDEST else n for n in faults]
        command = f"{sys.executable} -m pip install --upgrade " + " ".join(f'"{n}"' if ">" in n else n for n in names)
        raise EnvironmentFault(f"{len(faults)} needed packages cannot be used: {', '.join(faults)}", f"run: {command}")
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": found,
        "gdal": _gdal(report),
        "torch": _torch(report),
        "torchvision": _torchvision(report),
        **_machine(report),
    }


def _packages(report: Progress) -> tuple[dict[str, str], dict[str, str]]:
    """Versions of the packages that load, and what is wrong with the others."""
    found: dict[str, str] = {}
    faults: dict[str, str] = {}
    for done, (name, module) in enumerate(_NEEDED.items()):
        report.step(done, len(_NEEDED), name, "packages")
        try:
            version = metadata.version(name)
            if name in ("timm", "torchmetrics", "lightning"):
                importlib.import_module("wsss_geo.nn.torchvision_ops").ensure_torchvision_imports()
            importlib.import_module(module)
        except metadata.PackageNotFoundError:
            faults[name] = f"{name} is not installed"
        except Exception as error:  # noqa: BLE001 - a package may fail to load in any way
            faults[name] = f"{name} cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        else:
            found[name] = version
            if name in _OLDEST and _numbers(version) < _numbers(_OLDEST[name]):
                faults[name] = f"{name} {version} is older than {_OLDEST[name]}"
    report.step(len(_NEEDED), len(_NEEDED), "", "packages")
    return found, faults


def _numbers(version: str) -> list[int]:
    match = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in match.group().split(".")] if match else []


def _gdal(report: Progress) -> dict[str, Any]:
    import pyogrio
    import rasterio
    from rasterio.drivers import raster_driver_extensions

    with rasterio.Env() as env:
        rasters = set(env.drivers()) | set(raster_driver_extensions().values())
    vectors = pyogrio.list_drivers(write=True)
    has = {name: name in (rasters if kind == "raster" else vectors) for name, kind in _DRIVERS.items()}
    has["GeoParquet (pyarrow)"] = importlib.util.find_spec("pyarrow.parquet") is not None
    for name in (n for n, there in has.items() if not there):
        report.warn(f"GDAL has no {name} driver: files of that kind cannot be written")
    return {
        "version": rasterio.__gdal_version__,
        "vector_version": ".".join(map(str, pyogrio.__gdal_version__)),
        "drivers": has,
    }


def _torch(report: Progress) -> dict[str, Any]:
    import torch

    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if _cuda_works() else []
    devices = ["cpu", *(f"cuda:{i} {name}" for i, name in enumerate(cuda))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    reason = None if len(devices) > 1 else _why_no_gpu()
    if reason:
        report.warn(f"no GPU is used: {reason}")
    return {"version": torch.__version__, "devices": devices, "threads": torch.get_num_threads(), "no_gpu": reason}


def _cuda_works() -> bool:
    import torch

    with contextlib.suppress(RuntimeError):
        return bool(torch.cuda.is_available())
    return False


def _why_no_gpu() -> str:
    import torch

    if os.environ.get("CUDA_VISIBLE_DEVICES", "x") in ("", "-1"):
        return "the variable CUDA_VISIBLE_DEVICES hides it"
    card = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        if sys.platform == "darwin":
            return "this PyTorch finds no Metal device"
        there = "there is an NVIDIA driver, but " if card else ""
        return f"{there}this PyTorch is built for CPUs only; a CUDA build is at https://pytorch.org/get-started"
    if not card:
        return "no NVIDIA driver is installed"
    return f"the driver does not serve this PyTorch (built for CUDA {torch.version.cuda}); update one of them"


def _torchvision(report: Progress) -> dict[str, Any]:
    import torch

    try:
        version = metadata.version("torchvision")
    except metadata.PackageNotFoundError:
        return {"version": None, "operators": False}
    # a declared operator without implementation is what stands in for those that do not fit this PyTorch
    works = torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "CPU")
    if not works:
        report.warn(
            f"the compiled operators of torchvision {version} do not fit torch {torch.__version__}; wsss-geo needs none"
        )
    return {"version": version, "operators": works}


def _machine(report: Progress) -> dict[str, Any]:
    memory = available_memory()
    folders = {"here": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}
    disk = {name: shutil.disk_usage(path).free for name, path in folders.items()}
    if memory is not None and memory < _LITTLE_MEMORY:
        report.warn(f"only {_gib(memory)} of memory are free")
    for name, free in disk.items():
        if free < _LITTLE_DISK:
            report.warn(f"only {_gib(free)} of disk are free for {name} ({folders[name]})")
    return {
        "cores": usable_cores(),
        "memory_free": None if memory is None else _gib(memory),
        "disk_free": {name: _gib(free) for name, free in disk.items()},
    }


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping, within the limit of a container; None if unknown."""
    known = [v for v in (_meminfo("/proc/meminfo"), _container_left()) if v is not None]
    return min(known) if known else None


def _meminfo(path: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(path).read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _container_left(folder: str = "/sys/fs/cgroup") -> int | None:
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path(folder, "memory.max").read_text(encoding="ascii"))  # "max" means none
        return max(0, limit - int(Path(folder, "memory.current").read_text(encoding="ascii")))
    return None


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
