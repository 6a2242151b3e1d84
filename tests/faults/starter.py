"""Starts commands as processes of their own, quickly: loads what all of them load, then forks one for each.

It says when it is ready. Then each line of standard input is a JSON object and gets a line back. ``{"words": [...],
...}`` starts ``wsss-geo WORD...`` and gives its process id; ``{"wait": pid}`` waits for its end and gives its exit
code, negative for a signal. A process leads a session, writes to the files ``out`` and ``err``, runs the Python of
``before`` first and, unless ``rights``, has none of the powers of root over files.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import signal
import sys

from wsss_geo.cli import main

PR_SET_PDEATHSIG = 1


def load():
    """Import what the commands import late."""
    rooms = (f"wsss_geo.{room}.run" for room in ("tiling", "training", "inference"))
    for name in (*rooms, "timm", "torch.utils.tensorboard"):
        importlib.import_module(name)


def give_up_rights():
    """Drop all capabilities, so that permissions hold for root as well; see capset(2)."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def become(order):
    """Turn this process, just forked, into the command."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no session of tests leaves anything running
    for number, name in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if not order["rights"]:
        give_up_rights()
    exec(order["before"], {"__name__": "before"})
    try:
        main(order["words"], prog_name="wsss-geo")
    except SystemExit as end:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code or 0)  # taking everything down in order would take longer than most commands
    os._exit(1)


if __name__ == "__main__":
    load()
    gc.freeze()  # so that those that are forked share it
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                become(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
