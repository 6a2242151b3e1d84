"""Whether the raster that is searched can be compared with that of the examples: its scale and its values."""

from __future__ import annotations

from dataclasses import dataclass

from wsss_geo.jobs import FewShotJob
from wsss_geo.progress import Progress
from wsss_geo.raster.info import describe
from wsss_geo.raster.reader import GSD_TOLERANCE, RasterReader
from wsss_geo.streaming.colours import sampled_values

#: A band whose mean lies so many deviations, those of both rasters added, from that of the examples is another.
_APART = 1.5
#: So is one that varies so many times as much, or as little.
_TIMES = 4.0
_LEAST = 1e-9


@dataclass(frozen=True)
class Spread:
    """``mean`` and ``deviation`` of a band in raster values."""

    mean: float
    deviation: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.deviation:.3g}"


@dataclass(frozen=True)
class Look:
    """A raster, the ``kind`` of its pixels, and its ``bands``, none of a raster without a valid pixel."""

    path: str
    kind: str
    bands: tuple[Spread, ...]


def look_at(reader: RasterReader) -> Look:
    """Look at places spread over what ``reader`` reads. Raises InputError when it cannot be read."""
    values = sampled_values(reader)
    found = [Spread(float(band.mean()), float(band.std())) for band in values] if values.size else []
    return Look(reader.path, str(reader.dtype), tuple(found))


def scale_to_search_at(job: FewShotJob, trained: float | None, seen: float | None, report: Progress) -> float | None:
    """Metres a pixel at which the raster is searched, None for as it is; says what is noteworthy.

    That is what the model was ``trained`` at or, where its tiles had no scale, what the examples are ``seen`` at.
    Raises InputError for a raster that cannot be read.
    """
    own = describe(job.query).gsd
    wanted = (trained or seen) if job.resample else None
    if not wanted and own and seen and abs(own / seen - 1) > GSD_TOLERANCE:
        report.warn(
            f"{job.query}: has pixels of {own:.4g} m, the examples of {seen:.4g} m, and both are read as they are; "
            "leave --no-resample out to compare like with like"
        )
    if job.resample and not trained and (own is None) != (seen is None):
        lacking, other = (job.query, job.support_raster) if own is None else (job.support_raster, job.query)
        report.warn(f"{lacking}: resolution unknown, so it may be another than that of {other} ({own or seen:.4g} m)")
    if wanted and not trained and own and abs(own / wanted - 1) > GSD_TOLERANCE:
        report.info(f"{job.query}: searched at the {wanted:.4g} m of the examples; the model has no scale of its own")
    return wanted


def warn_of_other_values(examples: Look, query: Look, report: Progress) -> None:
    """Warn where the raster holds values that the examples say little about: of another type or range."""
    if query.kind != examples.kind:
        report.warn(
            f"{query.path}: holds {query.kind}, {examples.path} with the examples {examples.kind}; bring both to the "
            "same values if the result is poor"
        )
    for channel, (own, other) in enumerate(zip(query.bands, examples.bands, strict=False), 1):
        ratio = max(own.deviation, _LEAST) / max(other.deviation, _LEAST)
        apart = abs(own.mean - other.mean) > _APART * (own.deviation + other.deviation)
        if apart or not 1 / _TIMES <= ratio <= _TIMES:
            report.warn(
                f"{query.path}: channel {channel} is {own}, that of {examples.path} with the examples {other}; draw "
                "examples in imagery like that which is searched"
            )
            return
