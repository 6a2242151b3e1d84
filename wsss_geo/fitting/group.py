"""Data-parallel training: one process a device, started here, by torchrun or by SLURM.

The first process does what one alone would do; the others only take their part of every step and write nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess  # nosec B404 - starts this very program, without a shell
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from wsss_geo.errors import WsssGeoError
from wsss_geo.job_fields import Job

_PACKAGE = Path(__file__).resolve().parents[1]
#: Variable with the folder in which a process that was started here says that it is about to join.
_READY = "WSSS_GEO_READY"


@dataclass(frozen=True)
class Group:
    """``devices`` processes on each of ``nodes`` machines, of which this one is ``rank``."""

    devices: int = 1
    nodes: int = 1
    rank: int = 0
    starter: str = ""
    """Who has started the others: ``torchrun``, ``slurm``, ``parent``; nobody yet if empty."""

    @property
    def world(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.nodes

    @property
    def leads(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.rank == 0


def find_group(devices: int, variables: Mapping[str, str] = os.environ) -> Group:
    """The group this process belongs to, by the ``variables`` its starter has set; else ``devices`` on this machine."""
    if "TORCHELASTIC_RUN_ID" in variables:
        local, world = int(variables["LOCAL_WORLD_SIZE"]), int(variables["WORLD_SIZE"])
        return Group(local, world // local, int(variables["RANK"]), "torchrun")
    tasks, nodes = int(variables.get("SLURM_NTASKS", 1)), int(variables.get("SLURM_NNODES", 1))
    if tasks > 1 and variables.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return Group(tasks // nodes, nodes, int(variables["SLURM_PROCID"]), "slurm")
    if devices > 1 and "LOCAL_RANK" in variables:
        return Group(devices, 1, int(variables["LOCAL_RANK"]), "parent")
    return Group(devices)


@contextlib.contextmanager
def companions(job: Job, group: Group) -> Iterator[None]:
    """Start the other processes of ``group`` on ``job``, unless somebody has, and end them with the block.

    Raises WsssGeoError where the block fails because one of them has died.
    """
    if group.world == 1 or group.starter:
        if _READY in os.environ and group.starter == "parent":
            Path(os.environ[_READY], str(group.rank)).touch()
        with _connection():
            yield
        return
    threads = max(1, (os.cpu_count() or 1) // group.devices)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "LOCAL_RANK": "0"}
    others: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder, _variables(place), _threads(threads):
        task = Path(folder) / "job.json"
        task.write_text(json.dumps({"command": job.command, **job.to_json()}), encoding="utf-8")
        paths = os.pathsep.join([str(_PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        shared = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads), _READY: folder}
        try:
            for rank in range(1, group.devices):
                # Without -P, modules in the folder that the user happens to be in would go before all others.
                command = [sys.executable, "-P", "-m", "wsss_geo.worker", str(task)]
                variables = {**shared, "LOCAL_RANK": str(rank)}
                # What they have to say, the first process says as well.
                companion = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)  # nosec B603 - no shell
                others.append(companion)
            # A rendezvous would wait half an hour for one that has died on its way there.
            while not all(Path(folder, str(rank)).exists() for rank in range(1, group.devices)):
                _check_alive(others)
                time.sleep(0.02)
            with _connection():
                yield
        except RuntimeError:
            # Whoever dies takes the connection away; it may take a moment to be seen as dead.
            until = time.monotonic() + 2
            while time.monotonic() < until:
                _check_alive(others)
                time.sleep(0.05)
            raise
        finally:
            for other in others:
                other.kill()
            for other in others:
                other.wait()


def _check_alive(others: Sequence[subprocess.Popen[bytes]]) -> None:
    dead = [rank for rank, other in enumerate(others, 1) if other.poll()]
    if dead:
        raise WsssGeoError(
            f"process {dead[0]} of {len(others) + 1} ended, and the training with it",
            "see what it said above; the same command goes on from the last checkpoint",
        )


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    """Leave no open group behind: what comes next in this process may be a training of its own."""
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while; others that a library sets meanwhile go as well."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Share the processor with the other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
