"""Memory that a training frees is kept until its end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wsss_geo.fitting import memory

#: Prints page faults of ten arrays of 40 MB within the block and after it, and what the process holds at either time.
PROGRAM = """
import resource
import torch
from wsss_geo.fitting.memory import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.full((10_000_000,), 1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

torch.set_num_threads(1)
with kept_memory():
    faults()
    print(faults(), held())
print(faults(), held())
"""


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not glibc")
def test_freed_arrays_are_used_again_and_given_back_in_the_end():
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    (within, held), (after, left) = (map(int, line.split()) for line in said.splitlines())
    assert within < 1000
    assert after > 10 * within
    assert held - left > 30e6


def test_without_glibc_nothing_changes(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with memory.kept_memory():
        pass
    with pytest.raises(KeyError), memory.kept_memory():
        raise KeyError("passes through")
