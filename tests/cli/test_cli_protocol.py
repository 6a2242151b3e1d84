"""Processes of their own: JSON lines, the worker, signals, what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

NOISE = """
import os, sys, warnings
from wsss_geo.console import claim_stdout, run_guarded
from wsss_geo.progress import JsonProgress
report = JsonProgress(claim_stdout(), sys.argv[1])
def work():
    print("a library talks")
    os.write(1, b"compiled code talks\\n")
    os.system("echo a child talks")
    warnings.warn("deprecated")
    report.step(1, 2, "half", "work")
    report.result({"ok": True})
raise SystemExit(run_guarded(work, report))
"""


def environment():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("prefix", ["", "@wsss-geo "])
def test_what_libraries_print_stays_out_of_the_protocol(prefix):
    done = subprocess.run(
        [sys.executable, "-c", NOISE, prefix], capture_output=True, text=True, env=environment(), check=True
    )
    lines = done.stdout.splitlines()
    assert all(line.startswith(prefix) for line in lines)
    kinds = [json.loads(line.removeprefix(prefix))["type"] for line in lines]
    assert kinds == ["progress", "result"]
    for words in ("a library talks", "compiled code talks", "a child talks"):
        assert words in done.stderr


def test_json_lines_end_with_the_result(shell, tiny, tmp_path):
    out = tmp_path / "cover.tif"
    done = shell("wsss_geo.cli", "predict", tiny.scene, "--model", tiny.model, "--out", out, "--progress", "json")
    assert done.code == 0, done.err
    messages = done.messages()
    assert messages[-1]["type"] == "result"
    assert messages[-1]["mask"] == str(out)
    steps = [m for m in messages if m["type"] == "progress"]
    assert steps
    assert all({"done", "total", "eta_s", "note", "stage"} <= m.keys() for m in steps)
    assert {m["type"] for m in messages} <= {"progress", "info", "warn", "result"}


def test_json_lines_end_with_the_error(shell, tmp_path):
    done = shell("wsss_geo.cli", "info", tmp_path / "gone.tif", "--progress", "json")
    assert done.code == 3
    last = done.messages()[-1]
    assert (last["type"], last["code"]) == ("error", 3)
    assert "gone.tif" in last["message"]
    assert last["hint"]
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback(shell, tmp_path):
    done = shell("wsss_geo.cli", "info", tmp_path / "gone.tif", "--debug")
    assert done.code == 3
    assert "Traceback" in done.err


def test_job_file_by_worker_and_by_run(shell, command, tiny, tmp_path):
    job = tmp_path / "job.json"
    fields = {"command": "evaluate", "prediction": str(tiny.truth), "reference": str(tiny.truth)}
    job.write_text(json.dumps(fields))
    done = shell("wsss_geo.worker", job)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert all(line.startswith("@wsss-geo ") for line in lines)
    last = json.loads(lines[-1].removeprefix("@wsss-geo "))
    assert last["type"] == "result"
    assert last["miou"] == 1.0
    assert {"iou", "accuracy", "f1", "confusion"} <= last.keys()
    here = command("run", job)
    assert here.code == 0
    assert "miou  1.0000" in here.out


def test_worker_without_a_job(shell):
    done = shell("wsss_geo.worker")
    assert done.code == 2
    assert json.loads(done.out.removeprefix("@wsss-geo "))["type"] == "error"


def started(words, folder, waits_for):
    """Start a command and wait for a line of standard output that ``waits_for`` accepts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wsss_geo.cli", *map(str, words), "--progress", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=folder,
    )  # fmt: skip
    for line in process.stdout:
        if waits_for(json.loads(line)):
            return process
    raise AssertionError(process.stderr.read())


def leftovers(folder):
    return [str(p) for p in folder.rglob("*") if ".part" in p.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_training(tiny, tmp_path, number):
    words = [
        "train", tiny.tiles, "--out", tmp_path / "run", "--method", "toco", "--backbone", "vit_tiny_patch16_224",
        "--backbone-arg", "patch_size=8", "--backbone-arg", "depth=2", "--backbone-arg", "embed_dim=32",
        "--backbone-arg", "num_heads=1", "--set", "decoder_width=16", "--batch-size", 2, "--steps", 100_000,
        "--check-every", 5, "--device", "cpu",
    ]  # fmt: skip
    process = started(words, tmp_path, lambda m: m["type"] == "progress" and m["done"] >= 6)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["code"] == 130
    assert "Traceback" not in err
    assert not leftovers(tmp_path)
    assert (tmp_path / "run" / "resume.ckpt").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_predicting(tiny, write_tiff, tmp_path, number):
    import numpy as np

    scene = write_tiff(tmp_path / "wide.tif", np.full((3, 4096, 4096), 90, np.uint8))
    words = ["predict", scene, "--model", tiny.model, "--out", tmp_path / "cover.tif", "--device", "cpu"]
    process = started([*words, "--overlap", 0.9], tmp_path, lambda m: m["type"] == "progress")
    time.sleep(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["code"] == 130
    assert "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["wide.tif"]


def test_help_of_every_command(command):
    for words in (["--help"], *([name, "--help"] for name in ("tile", "train", "predict", "evaluate", "vectorize"))):
        from click.testing import CliRunner

        from wsss_geo.cli import main

        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0
        assert "Usage:" in done.output


def test_cancelled_progress_stops_at_the_next_step():
    from wsss_geo.errors import Cancelled
    from wsss_geo.progress import Progress

    report = Progress()
    report.step(1, 2)
    report.cancelled = True
    with pytest.raises(Cancelled):
        report.step(2, 2)
