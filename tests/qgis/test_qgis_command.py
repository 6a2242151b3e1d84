"""Copy as Command: the line that is copied means, to the command line's own parser, the job that QGIS would run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ODD = "a b's $HOME `x` & “ü” (1)%PATH%^!"


@pytest.fixture
def parse(engine_python):
    """Parse lists of words with the command line of the engine; the jobs they mean, as JSON."""

    def call(lines):
        script = Path(__file__).with_name("parse_commands.py")
        done = subprocess.run(
            [engine_python, str(script)], input="\n".join(map(json.dumps, lines)), text=True, encoding="utf-8",
            capture_output=True, check=False, timeout=500, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        parsed = [json.loads(line) for line in done.stdout.splitlines()]
        assert all(program == "wsss-geo" for program, _ in parsed)
        return [job for _, job in parsed]

    return call


@pytest.fixture
def jobs(provider, raster, polygons, tmp_path):
    """One job of every algorithm that is one, with names of files that need quoting."""
    from qgis.core import QgsProcessingContext, QgsProcessingFeatureSourceDefinition, QgsProject

    folder = tmp_path / ODD
    folder.mkdir()
    few_shot = {"bands": ["red"], "gsd": None, "tile_size": 32, "seen": []}
    head = json.dumps({"__metadata__": {"wsss_geo_fewshot": json.dumps(few_shot)}}).encode()
    (folder / "few.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    (folder / "m.safetensors").touch()
    (folder / "tiles").mkdir()
    (folder / "r.yaml").write_text("shots: 2\nsteps: 9\n")
    layer = polygons()
    layer.selectAll()
    some = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    scene, other = raster(f"{ODD}/scene.tif"), raster(f"{ODD}/other.tif")
    place = {name: str(folder / name) for name in ("cover.tif", "p.gpkg", "run", "new", "v.shp", "scores")}
    parameters = {
        "segment": {
            "INPUT": scene, "MODEL": str(folder / "m.safetensors"), "OUTPUT": place["cover.tif"],
            "POLYGONS": place["p.gpkg"], "MIN_AREA": 2.5, "SCALES": "0.75,1", "FLIPS": True, "RESAMPLE": False,
            "EXTENT": "-500000,500042,4999930,4999962 [EPSG:32632]", "SCORES": "both", "BANDS": "3,2,1",
        },
        "find_similar": {
            "INPUT": scene, "EXAMPLES": some, "EXAMPLE_RASTER": other, "NAME": "it's \"new\"",
            "MODEL": str(folder / "few.safetensors"), "OUTPUT": place["cover.tif"], "CONFIDENCE": "TEMPORARY_OUTPUT",
        },
        "tile": {"INPUT": [scene, other], "OUTPUT": place["new"], "SIZE": 64, "TAG_LAYER": None},
        "train": {
            "INPUT": str(folder / "tiles"), "OUTPUT": place["run"], "STEPS": 7, "METHOD": "toco",
            "SETTINGS": "decoder_width=16, name=true, part=1.5", "BACKBONE_ARGS": "depth=2",
        },
        "train_few_shot": {
            "INPUT": str(folder / "tiles"), "OUTPUT": place["run"], "HELD": "water,road", "PRETRAINED": True,
            "RECIPE": str(folder / "r.yaml"), "SHOTS": 3,
        },
        "evaluate": {"PREDICTION": scene, "REFERENCE": other, "OUTPUT": place["scores"]},
        "vectorize": {"INPUT": scene, "OUTPUT": place["v.shp"], "SIMPLIFY": 1.5},
    }  # fmt: skip
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    return {name: provider.algorithm(name).create().job(given, context) for name, given in parameters.items()}


def test_every_line_is_parsed_to_the_job_it_came_from(jobs, parse, package):
    command = package("command")
    lines = [command.shell_line(job, windows=False) for job in jobs.values()]
    wanted = {name: json.loads(json.dumps(job.to_json())) for name, job in jobs.items()}
    wanted["train_few_shot"]["steps"] = 9  # by the recipe, which does not overrule what was chosen
    assert parse(map(shlex.split, lines)) == list(wanted.values())


def test_a_shell_splits_the_line_as_it_was_meant(jobs, package):
    line = package("command").shell_line(jobs["find_similar"], windows=False)
    done = subprocess.run(["sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, text=True)
    assert done.stdout.split("\0")[:-1] == shlex.split(line)
    assert 'it\'s "new"' in done.stdout.split("\0")


def windows_words(line):
    """Split as the C runtime of Windows does."""
    words = []
    for quoted, bare in re.findall(r'"((?:\\.|[^"\\])*)"|(\S+)', line):
        inner = re.sub(r'(\\+)(?="|$)', lambda m: "\\" * (len(m[1]) // 2) + ('"' if len(m[1]) % 2 else ""), quoted)
        words.append(bare or inner.replace('""', '"'))
    return words


def test_windows_quotes_by_its_own_rules(package, jobs):
    command = package("command")
    for job in jobs.values():
        line = command.shell_line(job, windows=True)
        words = shlex.split(job.command_line(chosen=True))
        assert windows_words(line) == words
        outside = re.sub(r'"[^"]*"', "", line.replace('\\"', ""))
        assert not set("&^!'()` ") & set(outside.replace(" ", "", len(words)))
    quoted = command._quoted
    assert quoted(r"C:\data\scene.tif") == r"C:\data\scene.tif"
    assert quoted("C:\\my data\\") == '"C:\\my data\\\\"'
    # the two agree wherever the standard library quotes at all
    for word in ("a b", 'say "so"', "a\\ b\\", 'x \\" y'):
        assert quoted(word) == subprocess.list2cmdline([word])


def test_temporary_files_are_told(jobs, package):
    command = package("command")
    assert command.command_of(jobs["find_similar"]).temporary  # the selected features had to be exported
    assert not command.command_of(jobs["train"]).temporary


def test_an_online_layer_has_no_command(provider, polygons, tmp_path, package):
    from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProject, QgsRasterLayer

    layer = QgsRasterLayer("type=xyz&url=file:///nowhere/{z}/{x}/{y}.png&zmax=3&zmin=0", "tiles", "wms")
    QgsProject.instance().addMapLayer(layer)
    card = {"classes": [{"id": 0, "name": "a", "color": "#0000ff"}, {"id": 1, "name": "b", "color": "#00ff00"}],
            "background": "none", "bands": ["red"], "gsd": 0.5, "tile_size": 96, "method": "aerial"}  # fmt: skip
    head = json.dumps({"__metadata__": {"wsss_geo": json.dumps(card)}}).encode()
    (tmp_path / "m.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    given = {"INPUT": layer.id(), "MODEL": str(tmp_path / "m.safetensors"), "OUTPUT": str(tmp_path / "c.tif"),
             "EXTENT": "0,50,0,50 [EPSG:3857]"}  # fmt: skip
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    with pytest.raises(QgsProcessingException, match="save it as a file to use it in a command"):
        provider.algorithm("segment").create().job(given, context)
    QgsProject.instance().removeMapLayer(layer.id())


def test_the_dock_copies_what_its_button_would_run(package, provider, iface, raster, tmp_path, parse):
    from qgis.core import QgsProject, QgsRasterLayer
    from qgis.PyQt import sip
    from qgis.PyQt.QtWidgets import QApplication

    QgsProject.instance().clear()
    layer = QgsRasterLayer(raster("a b.tif"), "a b")
    QgsProject.instance().addMapLayer(layer)
    dock = package("gui.segment_dock").SegmentDock(iface, lambda given: None)
    dock.copy_button.click()
    assert "Choose a model" in iface.bar.currentItem().text()
    model = ROOT / "sample_data/model.safetensors"
    if not model.is_file():
        pytest.skip("no sample data")
    dock.form.model.setFilePath(str(model))
    dock.form.min_area.setValue(12)
    dock.copy_button.click()
    (job,) = parse([shlex.split(QApplication.clipboard().text())])
    assert "temporary" in iface.bar.currentItem().text()  # no folder is chosen
    assert (job["command"], job["rasters"], job["model"]) == ("predict", [layer.source()], str(model))
    assert job["min_area"] == 12
    assert job["polygons"].endswith("a_b_polygons.gpkg")
    dock.form.folder.setFilePath(str(tmp_path))
    dock.copy_button.click()
    assert iface.bar.currentItem().text() == "The command was copied."
    dock.stop()
    sip.delete(dock)
    QgsProject.instance().clear()
