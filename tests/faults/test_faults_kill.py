"""kill -9 at random moments, Ctrl-C and SIGTERM: nothing half is left, and the same command finishes the work."""

from __future__ import annotations

import signal

import pytest

KINDS = pytest.mark.parametrize("kind", ["tile", "train", "predict"])

#: Kills the process when an older tile set has been moved aside and the new one is not in its place yet.
KILL_BETWEEN = """
import os
move = os.replace
def replace(source, target):
    move(source, target)
    if str(target).endswith(".old.part"):
        os.kill(os.getpid(), 9)
os.replace = replace
"""


@KINDS
def test_killed_at_any_moment_the_same_command_ends_as_if_nothing_had_been(request, kind, share, tmp_path):
    command = request.getfixturevalue(kind)
    assert command.struck(tmp_path, share).code == -signal.SIGKILL
    if kind != "train":  # whose model is the best so far until it ends
        command.check_whole(tmp_path)
    command.again(tmp_path)
    command.check(tmp_path)


@KINDS
def test_cancelled_at_any_moment_it_leaves_nothing_half(request, kind, share, left, tmp_path):
    command = request.getfixturevalue(kind)
    number = signal.SIGINT if round(share * 1000) % 2 else signal.SIGTERM
    command.struck(tmp_path, share, number).refused(130, "cancelled")
    assert not left(tmp_path)
    if kind != "train":
        command.check_whole(tmp_path)
    command.again(tmp_path)
    command.check(tmp_path)


def test_an_older_tile_set_is_not_lost_between_two_names(tile, tmp_path):
    tile.again(tmp_path)
    assert tile(tmp_path, before=KILL_BETWEEN).wait().code == -signal.SIGKILL
    assert not (tmp_path / "tiles").exists()
    tile(tmp_path, "--bands", 7).wait().refused(3, "band 7")
    tile.check(tmp_path)
