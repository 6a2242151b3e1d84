"""Who computes which bands. Pure arithmetic."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

#: Bands that a part has where there are enough: at each border between parts about one row of windows is run twice.
_BANDS = 16


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1) of ``count``."""

    number: int
    count: int

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.number}/{self.count}"

    @property
    def writer(self) -> str:
        """The name of its manifest."""
        return f"shard-{self.number}-of-{self.count}"


def split(bands: int, sharers: int) -> list[range]:
    """Return runs of the bands ``0 .. bands - 1`` for ``sharers`` to take in turn.

    There are as many runs as sharers, or a multiple of that where runs of sixteen bands and more allow it, so that
    nobody waits long for the last one; fewer only where there are not enough bands.
    """
    count = min(bands, sharers * max(1, bands // (_BANDS * sharers)))
    edges = [bands * i // count for i in range(count + 1)] if count else []
    return [range(a, b) for a, b in itertools.pairwise(edges)]


def parts_of(shard: Shard, bands: int, before: int = 0) -> list[range]:
    """Return the runs of bands that ``shard`` takes; ``before`` counts the runs of earlier rasters."""
    return [run for i, run in enumerate(split(bands, shard.count)) if (before + i) % shard.count == shard.number - 1]


def within(runs: list[range], limits: list[range]) -> list[range]:
    """Return the pieces of ``runs`` that lie in one of ``limits``."""
    pieces = (range(max(r.start, k.start), min(r.stop, k.stop)) for k in limits for r in runs)
    return [piece for piece in pieces if piece]


def describe_bands(runs: list[range]) -> str:
    """Return ``bands 3 to 7 and 12``, counted from 1."""
    names = [str(r.start + 1) if len(r) == 1 else f"{r.start + 1} to {r.stop}" for r in runs]
    shown = names if len(names) <= 6 else [*names[:5], f"{len(names) - 5} more runs"]
    text = " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
    return f"band{'s' if sum(map(len, runs)) > 1 else ''} {text}"
