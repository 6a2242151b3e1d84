"""Full disks, read-only folders, no permission: the right exit code, one sentence, nothing half, and it goes on."""

from __future__ import annotations

import os
import subprocess

import pytest

KINDS = pytest.mark.parametrize("kind", ["tile", "train", "predict"])
#: The estimate of a prediction refuses small disks before it starts; without it they fill while it runs.
NO_ESTIMATE = "import wsss_geo.inference.one_raster as o\no.check_disk = lambda *_: None\n"
#: Makes a folder read-only once something has been kept in it.
CLOSE_RUN = """
import os
from wsss_geo.fitting.checkpoint import WholeCheckpoints as Kept
keep = Kept.save_checkpoint
def save(self, checkpoint, path, storage_options=None):
    keep(self, checkpoint, path, storage_options)
    os.chmod(os.path.dirname(path), 0o555)
Kept.save_checkpoint = save
"""
CLOSE_WORK = """
import os
from wsss_geo.inference.manifest import WorkFolder
keep = WorkFolder.save
def save(self, *what):
    keep(self, *what)
    os.chmod(self.folder, 0o555)
WorkFolder.save = save
"""


@pytest.fixture
def disk(tmp_path):
    """A small disk: its folder, and a function that sets its size in KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")

    def resize(kib):
        words = ["mount", "-t", "tmpfs", "-o", f"remount,size={kib}k", "none", str(folder)]
        subprocess.run(words, check=True, capture_output=True)

    yield folder, resize
    subprocess.run(["umount", "-l", str(folder)], check=True)


@KINDS
def test_a_disk_that_fills_at_any_point(request, kind, disk, left, tmp_path):
    """It grows from failure to failure: each leaves nothing half, and the last run uses what the first ones kept."""
    command = request.getfixturevalue(kind)
    folder, resize = disk
    whole = tmp_path / "whole"
    whole.mkdir()
    command.again(whole)
    needed = sum(p.stat().st_size for p in whole.rglob("*") if p.is_file()) >> 10
    failed = 0
    for share in (0.02, 0.2, 0.5, 0.8):
        resize(max(8, int(share * needed)))
        ended = command(folder, before=NO_ESTIMATE).wait()
        if not ended.code:
            break
        ended.refused(4, "o space left", "free some space")
        assert set(left(folder)) <= {"cover.tif.work"}
        failed += 1
    assert failed >= 2
    resize(1 << 16)
    command.again(folder, before=NO_ESTIMATE)
    command.check(folder)


def test_a_disk_that_is_too_small_is_seen_before_the_start(predict, disk):
    folder, resize = disk
    resize(64)
    predict(folder).wait().refused(4, "free on this disk", "needed")
    assert not list(folder.iterdir())


@KINDS
def test_a_disk_that_turns_read_only(request, kind, disk):
    """As file systems do when their disk fails."""
    folder, resize = disk
    resize(1 << 16)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    command = request.getfixturevalue(kind)
    command(folder).wait().refused(3, folder, "Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    command.again(folder)


@KINDS
def test_an_output_folder_without_permission(request, kind, tmp_path):
    command, folder = request.getfixturevalue(kind), tmp_path / "out"
    folder.mkdir(mode=0o555)
    command(folder, rights=False).wait().refused(3, folder, "Permission denied", "choose another")
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("kind", "closing", "place"), [("train", CLOSE_RUN, "run"), ("predict", CLOSE_WORK, "cover.tif.work")]
)
def test_permission_that_is_lost_on_the_way(request, kind, closing, place, left, tmp_path):
    command = request.getfixturevalue(kind)
    command(tmp_path, before=closing, rights=False).wait().refused(4, place, "ermission")
    assert not [n for n in left(tmp_path) if ".part" in n]
    (tmp_path / place).chmod(0o755)
    command.again(tmp_path, rights=False)
    command.check(tmp_path)


def test_inputs_without_permission(predict, train, tile, scene, tiles, tiny_scene, tmp_path):
    def closed(command, folder, name, code):
        other = command.with_inputs(folder, tmp_path / name)
        (tmp_path / name / name).chmod(0)
        out = tmp_path / f"{name}.out"
        out.mkdir()
        other(out, rights=False).wait().refused(code, tmp_path / name / name)
        assert not list(out.iterdir())

    closed(predict, scene, "long.tif", 3)
    closed(predict, scene, "m.safetensors", 3)
    closed(tile, tiny_scene, "scene.tif", 3)
    closed(tile, tiny_scene, "truth.tif", 3)
    closed(tile, tiny_scene, "classes.json", 3)
    closed(train, tiles, "index.parquet", 3)
