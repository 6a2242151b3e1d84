"""Who may import whom: a room imports only from the floors below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "wsss_geo"
FLOORS = (
    ("jobs", "job_fields", "classes", "errors", "progress", "outputs", "record", "lock"),
    ("raster", "vector"),
    ("tileset", "nn"),
    ("methods", "fitting", "streaming"),
    ("tracing",),
    ("tiling", "training", "inference", "evaluation", "pretraining", "fewshot", "reporting"),
    ("__init__", "api", "cli", "console", "worker", "info", "model_item", "doctor", "demo", "overview"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NEIGHBOURS = {("evaluation", "inference"), ("fewshot", "inference")}
HEAVY = {"torch", "rasterio", "pandas", "numpy", "lightning", "geopandas", "timm", "matplotlib", "scipy", "shapely"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """Full names of all modules that a file imports, those inside functions too."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own_rooms(path):
    """Rooms of this package that a file imports from."""
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "wsss_geo" and parts[1:2] != ["__version__"]:
            yield parts[1] if len(parts) > 1 and parts[1] in FLOOR else "__init__"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_rooms_import_from_below(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} has no floor"
    for other in own_rooms(path):
        lower = FLOOR[other] < FLOOR[room]
        alike = other == room or FLOOR[room] == FLOOR[other] in (0, len(FLOORS) - 1)
        assert lower or alike or (room, other) in NEIGHBOURS, f"{room} imports {other}"


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in FLOORS[0]], ids=lambda p: p.stem)
def test_ground_floor_is_plain_python_3_9(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    foreign = {n.split(".")[0] for n in imported(path)} - set(sys.stdlib_module_names) - {"wsss_geo"}
    assert not foreign


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) == "nn"], ids=lambda p: p.stem)
def test_tensor_code_reads_no_raster(path):
    heads = {n.split(".")[0] for n in imported(path)}
    assert not heads & {"rasterio", "geopandas", "pyogrio", "lightning", "click"}


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in ("raster", "vector")], ids=lambda p: p.stem)
def test_rasters_know_no_torch(path):
    assert not {n.split(".")[0] for n in imported(path)} & {"torch", "lightning", "timm", "torchvision"}


def test_nothing_prints():
    for path in FILES:
        calls = (n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call))
        assert not any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls), path


@pytest.mark.parametrize("module", ["wsss_geo", "wsss_geo.jobs", "wsss_geo.cli", "wsss_geo.worker", "wsss_geo.api"])
def test_start_is_light(module):
    code = f"import sys, {module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not HEAVY & set(done.stdout.split())
