"""The commands that describe: info and doctor."""

from __future__ import annotations

import importlib
import json
from importlib import metadata

import numpy as np
import pytest

from hearing import Hearing
from wsss_geo import doctor
from wsss_geo.errors import EnvironmentFault, InputError
from wsss_geo.info import describe_path


def test_model(tiny):
    found = describe_path(str(tiny.model))
    assert json.loads(json.dumps(found)) == found
    assert (found["kind"], found["method"], found["tile_size"]) == ("model", "toco", 64)
    assert list(found["classes"]) == ["water", "field", "wood"]
    assert found["classes"]["wood"] == {"id": 9, "color": "#2f855a"}
    assert len(found["sha256"]) == 64


def test_tile_set(tiny):
    found = describe_path(str(tiny.tiles))
    assert json.loads(json.dumps(found)) == found
    assert found["kind"] == "tile set"
    assert found["tiles"] == sum(found["splits"].values()) == found["with_mask"]
    assert set(found["splits"]) == {"train", "val", "test"}
    assert set(found["tags"]["water"]) == {"train", "val", "test"}


def test_raster(tiny, write_tiff, tmp_path):
    found = describe_path(str(tiny.scene))
    assert json.loads(json.dumps(found)) == found
    assert (found["kind"], found["width"], found["height"], found["crs"]) == ("raster", 256, 256, "EPSG:32632")
    assert found["gsd"] == pytest.approx(0.5, rel=1e-3)
    assert found["bounds"] == [500_000.0, 5_399_872.0, 500_128.0, 5_400_000.0]
    assert list(found["bands"]) == ["1", "2", "3"]
    odd = write_tiff(tmp_path / "odd.tif", np.zeros((4, 5), np.float32), crs=None, nodata=float("nan"))
    found = describe_path(str(odd))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["bands"]["1"]["nodata"] == "nan"
    assert found["crs"] is None


def test_anything_else(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    for path in (tmp_path / "gone", tmp_path / "notes.txt", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            describe_path(str(path))


def test_doctor_finds_this_installation():
    found = doctor.examine(Hearing())
    json.dumps(found)
    assert set(doctor._NEEDED) == set(found["packages"])
    assert found["gdal"]["drivers"]["COG"]
    assert found["torch"]["devices"][0] == "cpu"
    assert (found["torch"]["no_gpu"] is None) == (len(found["torch"]["devices"]) > 1)
    assert found["cores"] >= 1
    assert found["memory_free"].endswith("GiB")


def test_doctor_names_what_is_missing_and_the_command(monkeypatch):
    version, load = metadata.version, importlib.import_module

    def lacking(name):
        if name == "timm":
            raise metadata.PackageNotFoundError(name)
        return "1.9.9" if name == "shapely" else version(name)

    def broken(name, package=None):
        if name == "pyarrow":
            raise OSError("libarrow.so: cannot open shared object file")
        return load(name, package)

    monkeypatch.setattr(doctor.metadata, "version", lacking)
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    heard = Hearing()
    with pytest.raises(EnvironmentFault, match="shapely, pyarrow, timm") as caught:
        doctor.examine(heard)
    assert '-m pip install --upgrade "shapely>=2.1" pyarrow "timm>=1.0.12"' in caught.value.hint
    assert caught.value.exit_code == 4
    assert "libarrow.so" in heard.said("warn")
    assert "shapely 1.9.9 is older than 2.1" in heard.said("warn")


def test_needed_packages_are_those_of_the_project():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    declared = {d.split(">")[0].split("=")[0].split("<")[0].strip(): d for d in project["dependencies"]}
    assert set(declared) == set(doctor._NEEDED)
    for name, oldest in doctor._OLDEST.items():
        assert declared[name].split(">=")[1] == oldest


def test_memory_within_a_container(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert doctor._container_left(str(tmp_path)) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor._container_left(str(tmp_path)) is None
