"""Two runs on one output: the second is refused while the first lives, and takes over when it is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsss_geo.errors import EnvironmentFault
from wsss_geo.lock import alone
from wsss_geo.progress import Progress

#: Makes the command wait where it writes, with its lock taken, until the file is there.
WAITING = """
import os, time, wsss_geo.record, wsss_geo.{room}.run as room
def wait(*args, **more):
    while not os.path.exists({gate!r}):
        time.sleep(0.01)
    wsss_geo.record.write_record(*args, **more)
room.write_record = wait
"""
#: Counts in a file, under the lock, what races would lose.
COUNTING = """
import sys, time
from pathlib import Path
from wsss_geo.errors import EnvironmentFault
from wsss_geo.lock import alone
from wsss_geo.progress import Progress
path, done = Path(sys.argv[1]), 0
while done < 40:
    try:
        with alone(path, report=Progress()):
            count = int(path.read_text())
            path.write_text(str(count + 1))
            done += 1
    except EnvironmentFault:
        time.sleep(0.0005)
"""


@pytest.mark.parametrize(
    ("kind", "room", "output", "lock"),
    [
        ("tile", "tiling", "tiles", ".tiles.lock"),
        ("train", "training", "run", "run/.lock"),
        ("predict", "inference", "cover", ".cover.tif.lock"),
    ],
)
def test_the_second_run_is_refused_and_takes_over_from_a_dead_one(request, kind, room, output, lock, tmp_path):
    command, gate = request.getfixturevalue(kind), tmp_path.with_name(f"{tmp_path.name}.gate")
    waiting = WAITING.format(room=room, gate=str(gate))
    first = command(tmp_path, before=waiting).until(lambda _: (tmp_path / lock).exists())
    command(tmp_path).wait().refused(4, output, "another run is writing it", f"process {first.pid} on")
    assert first.alive()
    first.send(signal.SIGKILL).wait()
    assert (tmp_path / lock).exists()
    second = command(tmp_path, before=waiting).until(lambda _: f"process {first.pid} " not in said_by(tmp_path / lock))
    command(tmp_path).wait().refused(4, f"process {second.pid} on")
    gate.touch()
    second.wait().done()
    command.check(tmp_path)


def said_by(lock):
    return lock.read_text() or f"process {os.getpid()} "


def test_polygons_of_two_masks_do_not_go_into_one_file(start, scene, tmp_path):
    gate = tmp_path / "gate"
    words = ("predict", scene / "long.tif", "--model", scene / "m.safetensors", "--polygons", tmp_path / "p.gpkg",
             "--device", "cpu")  # fmt: skip
    first = start(*words, "--out", tmp_path / "a.tif", before=WAITING.format(room="inference", gate=str(gate)))
    first.until(lambda _: (tmp_path / ".p.gpkg.lock").exists())
    start(*words, "--out", tmp_path / "b.tif").wait().refused(4, "p.gpkg", "another run is writing it")
    gate.touch()
    first.wait().done()


def test_within_a_process_as_well(tmp_path):
    with alone(tmp_path / "a", tmp_path / "b", report=Progress()):
        with alone(tmp_path / "c", report=Progress()):
            pass
        with (
            pytest.raises(EnvironmentFault, match="another run of this process"),
            alone(tmp_path / "c", tmp_path / "b", report=Progress()),
        ):
            pass
        with pytest.raises(EnvironmentFault), alone(tmp_path / "x" / ".." / "a", report=Progress()):
            pass
        assert sorted(p.name for p in tmp_path.iterdir()) == [".a.lock", ".b.lock"]
    assert not list(tmp_path.iterdir())


def test_it_goes_with_an_error_and_a_lock_left_behind_hinders_nobody(tmp_path):
    (tmp_path / ".a.lock").write_text("process 1 on nowhere since for ever")
    os.utime(tmp_path / ".a.lock", (4e9, 4e9))
    with pytest.raises(KeyError, match=f"process {os.getpid()} on"), alone(tmp_path / "a", report=Progress()):
        raise KeyError((tmp_path / ".a.lock").read_text())
    assert not list(tmp_path.iterdir())


def test_nobody_slips_in_while_locks_come_and_go(tmp_path):
    count = tmp_path / "count"
    count.write_text("0")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    crowd = [subprocess.Popen([sys.executable, "-c", COUNTING, str(count)], env=environment) for _ in range(4)]
    assert [p.wait(120) for p in crowd] == [0] * 4
    assert count.read_text() == "160"
    assert [p.name for p in tmp_path.iterdir()] == ["count"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_hold_it_on(tmp_path):
    """As the processes that read tiles would, which outlive a killed training for a while."""
    with alone(tmp_path / "a", report=Progress()):
        child = os.fork()
        if not child:
            signal.pause()
            os._exit(0)
    try:
        with alone(tmp_path / "a", report=Progress()):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_file_systems_without_locks_are_named(tmp_path, monkeypatch):
    import errno
    import fcntl

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    heard = Progress()
    heard.emit = lambda kind, fields: warnings.append((kind, fields["message"]))
    warnings = []
    monkeypatch.setattr(fcntl, "lockf", refuse)
    with alone(tmp_path / "a", report=heard):
        pass
    assert [kind for kind, _ in warnings] == ["warn"]
    assert "No locks available" in warnings[0][1]
    assert not list(tmp_path.iterdir())
