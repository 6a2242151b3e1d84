"""Sharing the bands of a raster among the workers of a Dask cluster: processes of this machine, or any scheduler's.

The workers write finished bands into the work folder, where this process picks them up in order; so input, model and
outputs must lie where all of them see them under the same path. A worker that dies costs what it had not finished.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from wsss_geo.errors import EnvironmentFault, UsageError
from wsss_geo.inference.band_order import BandOrder, compute_order, order_device
from wsss_geo.inference.compute import Pace, RasterTask, WriteBand
from wsss_geo.inference.manifest import WorkFolder
from wsss_geo.inference.one_raster import Fill, read_band
from wsss_geo.inference.sharing import describe_bands, split, within
from wsss_geo.jobs import PredictJob
from wsss_geo.progress import Progress

try:
    from dask.distributed import Client, LocalCluster
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise EnvironmentFault(
        f"sharing the work needs Dask, which is not installed ({error})", 'pip install "wsss-geo[cluster]"'
    ) from None

#: Seconds between looks at the work folder, until a scheduler must have answered, after which the wait for workers is
#: said, and that a band may take to show up on a shared file system after its worker said that it is done.
_LOOK, _ANSWER, _PATIENCE, _LAG = 0.2, 10, 5, 60


class Team:
    """The workers of one cluster."""

    def __init__(self, client: Any, sharers: int, threads: int | None, report: Progress) -> None:
        """``sharers`` is how many are expected, ``threads`` what the network gets on each (None: as they were set)."""
        self._client, self.sharers, self._threads, self._report = client, sharers, threads, report

    def device(self, name: str) -> str:
        """Return what the device ``name`` means on the workers; waits for the first of them."""
        future = self._client.submit(order_device, name, pure=False)
        started, said = time.monotonic(), False
        while not future.done():
            if not said and time.monotonic() - started > _PATIENCE:
                self._report.info(f"waiting for a worker of {self._client.scheduler.address}")
                said = True
            self._report.step(0, 1, "", "waiting")
            time.sleep(_LOOK)
        return str(self._result(future, "asking for the device"))

    @contextlib.contextmanager
    def share(self, task: RasterTask, work: WorkFolder, report: Progress) -> Iterator[Fill]:
        """Have the bands that are missing computed and yield what waits for them.

        Raises what the workers raise; EnvironmentFault when they die or do not see the work folder.
        """
        count = len(task.scene.layout.bands)
        runs = within(work.missing(count), split(count, self.sharers))
        orders = [BandOrder.of(task, work, bands, self._threads) for bands in runs]
        futures = {o: self._client.submit(compute_order, o, pure=False) for o in orders}
        info = task.scene.info
        pace = Pace(report, info.width * info.height / 1e6)
        sizes = [(b.last - b.first) * info.width / 1e6 for b in task.scene.layout.bands]
        last_look = [0.0]

        def look() -> None:
            """Take note of finished bands and of failures."""
            time.sleep(max(0.0, last_look[0] + _LOOK - time.monotonic()))
            work.refresh()
            pace(sum(sizes[b] for b in work.bands))
            for order, future in list(futures.items()):
                if future.status != "pending":
                    self._result(future, describe_bands([order.bands]))
                    del futures[order]
            last_look[0] = time.monotonic()

        def wait_for(band: int) -> None:
            patience: float | None = None
            while band not in work.bands:
                look()
                mine = any(band in order.bands for order in futures)
                patience = None if mine else patience or time.monotonic() + _LAG
                if patience is not None and time.monotonic() > patience:
                    raise EnvironmentFault(
                        f"{work.folder}: {describe_bands([range(band, band + 1)])} is done but does not show up",
                        "put the output where all workers see it under the same path",
                    )

        def fill(bands: range, write: WriteBand) -> None:
            for band in (task.scene.layout.bands[b] for b in bands):
                wait_for(band.index)
                arrays = read_band(task, work, band)
                if arrays is None:
                    work.drop(band.index)
                    raise EnvironmentFault(
                        f"{work.folder}: {describe_bands([range(band.index, band.index + 1)])} is damaged",
                        "check the disk and run again; what is finished is kept",
                    )
                write(band, arrays)

        try:
            yield fill
        finally:
            self._client.cancel(list(futures.values()))

    def _result(self, future: Any, what: str) -> Any:
        if future.status in ("cancelled", "lost"):
            raise EnvironmentFault(
                f"the scheduler {self._client.scheduler.address} is gone or dropped {what}",
                "start it and run again; what is finished is kept",
            )
        try:
            return future.result()
        except KilledWorker:
            raise EnvironmentFault(
                f"workers died again and again over {what}", "give them more memory or use --max-memory, then run again"
            ) from None


@contextlib.contextmanager
def gather_team(job: PredictJob, report: Progress) -> Iterator[Team]:
    """Yield the cluster that ``job`` names: new processes of this machine, or those of a scheduler.

    Raises EnvironmentFault if the scheduler does not answer, UsageError if its address is none.
    """
    with contextlib.ExitStack() as stack:
        if job.scheduler is None:
            # no memory limit of Dask's: it would stop workers for memory that GDAL and torch could give back
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=job.workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
                    memory_limit=0, silence_logs=50, preload="wsss_geo.inference.band_order",
                )
            )  # fmt: skip
            client = stack.enter_context(Client(cluster, set_as_default=False))
            yield Team(client, job.workers, _threads(job.workers), report)
            return
        try:
            client = stack.enter_context(Client(job.scheduler, timeout=_ANSWER, set_as_default=False))
        except (OSError, TimeoutError) as error:
            raise EnvironmentFault(
                f"{job.scheduler}: no Dask scheduler answers ({' '.join(str(error).split())})",
                "start one with `dask scheduler`, or check the address",
            ) from None
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{job.scheduler}: is no address of a scheduler ({error})", "write tcp://host:8786"
            ) from None
        yield Team(client, max(1, len(client.scheduler_info(n_workers=-1)["workers"])), None, report)


def _threads(workers: int) -> int:
    """Return the threads that each of ``workers`` processes of this machine has for the network."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else max(1, cores // workers)
