"""How much is done at once: as the job says, or less, to keep to the memory that is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsss_geo.jobs import PredictJob
from wsss_geo.streaming.strips import STRIP_BYTES

#: GDAL's cache of decoded blocks.
GDAL_CACHE = 128 << 20

#: What a process has in memory before the first pixel: Python, PyTorch, GDAL and compiled code; measured, rounded up.
PROGRAM = 672 << 20

#: Threads, bytes of a strip and of GDAL's cache, from the fastest to the smallest.
_FRUGAL = ((2, STRIP_BYTES // 2, GDAL_CACHE // 2), (1, STRIP_BYTES // 4, GDAL_CACHE // 4), (1, 4 << 20, 16 << 20))


@dataclass(frozen=True)
class Limits:
    """``batch`` windows at once, ``threads`` that decode, the most bytes of a ``strip``, bytes of GDAL's ``cache``."""

    batch: int
    threads: int
    strip: int = STRIP_BYTES
    cache: int = GDAL_CACHE

    @classmethod
    def of(cls, job: PredictJob) -> Limits:
        """Return what ``job`` asks for."""
        return cls(job.batch_size, job.threads)

    def smaller(self) -> Iterator[Limits]:
        """Yield these limits and ever smaller ones; the batch, on which speed hangs most, is halved last."""
        batch = self.batch
        while batch:
            yield Limits(batch, self.threads, self.strip, self.cache)
            for threads, strip, cache in _FRUGAL:
                yield Limits(batch, min(threads, self.threads), min(strip, self.strip), min(cache, self.cache))
            batch //= 2
