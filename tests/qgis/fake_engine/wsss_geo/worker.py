"""Speak the worker's protocol, well or badly."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
notes = Path(os.environ["FAKE_NOTES"])
RESULT = {"mask": "m.tif", "count": 2}


def say(kind, **fields):
    print("@wsss-geo " + json.dumps({"type": kind, **fields}), flush=True)


def note_process(process):
    with notes.open("a") as file:
        file.write(f"{process}\n")


def good():
    say("info", message="an info")
    for i in range(5):
        say("progress", done=i, total=4, eta_s=120.0, note="windows", stage="segment")
    print("a library speaks")
    print("and complains", file=sys.stderr)
    say("warn", message="a warning")
    say("result", **RESULT, job=job, words=sys.argv[2:], cwd=os.getcwd(), env=dict(os.environ))


def sleep():
    """Sleep with a child that sleeps too; neither would end by itself in time."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note_process(os.getpid())
    note_process(child.pid)
    say("progress", done=0, total=10)
    time.sleep(60)


def tidy():
    """Write a part, and remove it when asked to end."""
    part = notes.with_name("cover.part.tif")
    part.write_text("half")

    def leave(*_):
        part.unlink()
        print("tidied up " * 2000)
        sys.exit(130)

    signal.signal(signal.SIGTERM, leave)
    say("progress", done=0, total=10)
    note_process(os.getpid())
    time.sleep(60)


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note_process(os.getpid())
    time.sleep(60)


def fail():
    say("error", message="scene.tif: has no band 7", code=3, hint="choose bands 1 to 3")
    sys.exit(3)


def crash():
    print("Traceback (most recent call last):", file=sys.stderr)
    print("RuntimeError: <b>boom</b>", file=sys.stderr)
    sys.exit(1)


def out_of_memory():
    say("error", message="out of memory (4 GB asked for)", code=4, hint="lower --batch-size or close other programs")
    sys.exit(4)


def disk_full():
    say("error", message="cover.tif: no space left on the disk", code=4, hint="free some space and run again")
    sys.exit(4)


def segmented():
    """Do a prediction in steps, part by part and renamed when whole; go on once the file "go" is there."""
    from osgeo import gdal

    note_process(os.getpid())
    parts = []

    def leave(*_):
        for part in parts:
            part.unlink(missing_ok=True)
        sys.exit(130)

    signal.signal(signal.SIGTERM, leave)
    for done in range(4):
        say("progress", done=done, total=4, stage="segment")
        time.sleep(0.02)
    while not notes.with_name("go").exists():
        time.sleep(0.02)
    for field in ("out", "confidence"):
        if job.get(field):
            whole = Path(job[field])
            parts.append(whole.with_suffix(".part.tif"))
            data = gdal.GetDriverByName("GTiff").Create(str(parts[-1]), 96, 80, 1, gdal.GDT_Byte)
            data.SetGeoTransform((500_000, 1, 0, 5_000_000, 0, -1))
            data.FlushCache()
            del data
    for part in list(parts):
        os.replace(part, str(part).replace(".part.tif", ".tif"))
        parts.remove(part)
    say("progress", done=4, total=4)
    say("result", area_m2={"water": 7680.0}, share={"water": 1.0}, width=96, height=80, valid_share=1.0, seconds=0.1)


def killed():
    say("progress", done=1, total=10)
    os.kill(os.getpid(), signal.SIGKILL)


def silent():
    """End well without a word."""


def late_failure():
    say("result", **RESULT)
    sys.exit(1)


def error_but_zero():
    say("result", **RESULT)
    say("error", message="and yet it failed", code=1, hint="")


def forge():
    """Print what looks like messages and is none."""
    print('x @wsss-geo {"type": "result", "count": 99}')
    print('@wsss-geo {"type": "result", "count": 98', flush=True)
    print('@wsss-geo ["result"]')
    print('@wsss-geo {"type": "__init__"}')
    print("@wsss-geo " + "[" * 100_000)
    print('@wsss-geo {"type": "result", "count": 97}', file=sys.stderr)
    say("progress", done="many", total=None, eta_s="soon")
    say("progress", done=float("nan"), total=float("inf"))
    say("result", **RESULT)


def bytes_of_any_kind():
    sys.stdout.buffer.write(b"\xff\xfe\x00 not text\r\n")
    sys.stdout.buffer.flush()
    say("result", **RESULT, name="Übersee-Straße")


def flood():
    for i in range(200_000):
        print(f"line {i} " + "x" * 60)
    say("result", **RESULT)


def endless():
    note_process(os.getpid())
    while True:
        print("x" * 200)


def orphan():
    """End well and leave a child that holds the pipes."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note_process(child.pid)
    say("result", **RESULT)


def closed():
    """Close both streams and go on."""
    note_process(os.getpid())
    say("result", **RESULT)
    os.close(1)
    os.close(2)
    time.sleep(60)


globals()[os.environ["FAKE_BEHAVIOUR"]]()
