"""The worker's process and protocol, with an engine that misbehaves in every way we could think of."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_engine")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def pids(notes):
    return [int(line) for line in notes.read_text().split()] if notes.exists() else []


@pytest.fixture
def worker(package):
    return package("worker")


@pytest.fixture
def run(worker, tmp_path):
    def call(behaviour, feedback, job=None):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(FAKE),
            "PYTHONIOENCODING": "utf-8",
            "FAKE_BEHAVIOUR": behaviour,
            "FAKE_NOTES": str(tmp_path / "notes"),
        }
        return worker.run_worker(sys.executable, job or {"command": "predict"}, environment, feedback)

    call.notes = tmp_path / "notes"
    return call


def test_a_good_run_is_reported_whole(run, feedback):
    heard = feedback()
    result = run("good", heard, {"command": "predict", "rasters": ["a b.tif"]})
    assert result["job"] == {"command": "predict", "rasters": ["a b.tif"]}
    assert (result["mask"], result["count"]) == ("m.tif", 2)
    assert "type" not in result
    assert heard.said("setProgress") == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert heard.said("setProgressText") == ["segment, windows, about 2 min left"]
    assert heard.said("pushInfo") == ["an info"]
    assert heard.said("pushWarning") == ["a warning"]
    assert sorted(heard.said("pushConsoleInfo")) == ["a library speaks", "and complains"]


def test_the_job_file_and_its_folder_go(run, feedback):
    result = run("good", feedback())
    assert result["cwd"] != os.getcwd()
    assert not Path(result["cwd"]).exists()


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("fail", "scene.tif: has no band 7; choose bands 1 to 3"),
        ("crash", "stopped unexpectedly (exit 1)"),
        ("killed", "killed by signal 9, most often for lack of memory"),
        ("silent", "ended without a result"),
        ("late_failure", "stopped unexpectedly (exit 1)"),
        ("error_but_zero", "and yet it failed"),
    ],
)
def test_failures_are_one_sentence(worker, run, feedback, behaviour, sentence):
    with pytest.raises(worker.WorkerError) as caught:
        run(behaviour, feedback())
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_log_tail_travels_with_the_failure(worker, run, feedback):
    with pytest.raises(worker.WorkerError) as caught:
        run("crash", feedback())
    assert caught.value.log[-1] == "RuntimeError: <b>boom</b>"


def test_only_whole_messages_on_standard_output_count(run, feedback):
    heard = feedback()
    assert run("forge", heard)["count"] == 2
    assert len(heard.said("pushConsoleInfo")) == 6
    assert heard.said("setProgress") == []


def test_bytes_that_are_no_text_do_no_harm(run, feedback):
    assert run("bytes_of_any_kind", feedback())["name"] == "Übersee-Straße"


def test_a_flood_of_log_lines_arrives_whole(run, feedback):
    heard = feedback()
    assert run("flood", heard)["count"] == 2
    assert len(heard.said("pushConsoleInfo")) == 200_000


@pytest.mark.parametrize("behaviour", ["sleep", "endless", "closed"])
def test_cancel_ends_before_the_grace_and_leaves_no_process(worker, run, feedback, behaviour):
    wanted = 2 if behaviour == "sleep" else 1
    heard = feedback(lambda: len(pids(run.notes)) >= wanted)
    assert run(behaviour, heard) is None
    assert time.monotonic() - heard.cancelled_at < worker._GRACE
    assert not any(map(alive, pids(run.notes)))


def test_a_worker_may_tidy_up_when_cancelled(worker, run, feedback):
    heard = feedback(lambda: len(pids(run.notes)) >= 1)
    assert run("tidy", heard) is None
    assert time.monotonic() - heard.cancelled_at < worker._GRACE
    assert not run.notes.with_name("cover.part.tif").exists()


def test_a_worker_that_will_not_end_is_killed(worker, run, feedback, monkeypatch):
    monkeypatch.setattr(worker, "_GRACE", 0.5)
    heard = feedback(lambda: len(pids(run.notes)) >= 1)
    assert run("stubborn", heard) is None
    assert 0.4 < time.monotonic() - heard.cancelled_at < 10.0
    assert not any(map(alive, pids(run.notes)))


def test_a_child_that_outlives_the_worker_does_not_hold_us_up(run, feedback):
    started = time.monotonic()
    assert run("orphan", feedback())["count"] == 2
    assert time.monotonic() - started < 5.0
    assert not any(map(alive, pids(run.notes)))


def test_unloading_ends_running_workers(worker, run, feedback):
    outcome = []

    def job():
        try:
            outcome.append(run("sleep", feedback()))
        except worker.WorkerError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=job)
    thread.start()
    while len(pids(run.notes)) < 2:
        time.sleep(0.02)
    worker.stop_all()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert "signal 15" in outcome[0]
    assert not any(map(alive, pids(run.notes)))


def test_no_reader_thread_is_left(run, feedback):
    before = threading.active_count()
    run("good", feedback())
    assert threading.active_count() == before


def test_a_python_that_is_not_there_is_named(worker, feedback):
    with pytest.raises(worker.WorkerError, match="/nowhere/python cannot be started"):
        worker.run_worker("/nowhere/python", {}, {}, feedback())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (-1, ""), ("soon", ""), (5, "about 5 s left"), (600, "about 10 min left"), (9000, "about 2.5 h left")],
)
def test_time_left(worker, seconds, words):
    assert worker.time_left(seconds) == words
