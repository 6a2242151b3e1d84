"""The files that a prediction writes, named and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss_geo.errors import UsageError
from wsss_geo.jobs import PredictJob
from wsss_geo.outputs import check_output, check_output_folder
from wsss_geo.raster.sources import Source
from wsss_geo.vector.files import check_polygon_suffix

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Targets:
    """The files of one raster; ``confidence`` may lie in the work folder if only the polygons need it."""

    mask: Path
    confidence: Path | None
    cam: Path | None

    @property
    def files(self) -> list[Path]:
        """Those that are wanted."""
        return [path for path in (self.mask, self.confidence, self.cam) if path is not None]

    @property
    def work(self) -> Path:
        """The work folder."""
        return self.mask.with_name(self.mask.name + ".work")


def name_targets(job: PredictJob, rasters: Sequence[Source]) -> list[Targets]:
    """Return the files of each raster; checks that they can be written. Raises UsageError, InputError."""
    if job.polygons is not None:
        check_polygon_suffix(job.polygons)
        check_output(job.polygons)
    wanted = [p for p in (job.out, job.confidence, job.cam) if p is not None]
    if len({Path(p).absolute() for p in wanted}) < len(wanted):
        raise UsageError("mask, confidence and cam would go to the same place", "give each an output of its own")
    if len(rasters) == 1 and not Path(job.out).is_dir():
        return [Targets(*(None if p is None else _tiff(p) for p in (job.out, job.confidence, job.cam)))]  # type: ignore[arg-type]
    for path in wanted:
        if Path(path).suffix.lower() in _TIFF:
            raise UsageError(f"{path}: {len(rasters)} rasters do not go into one file", "name a folder")
    folders = [None if p is None else check_output_folder(p) for p in (job.out, job.confidence, job.cam)]
    return [
        Targets(*(None if f is None else f / f"{raster.name}.tif" for f in folders))  # type: ignore[arg-type]
        for raster in rasters
    ]


def check_inputs_survive(job: PredictJob, rasters: Sequence[Source], targets: Sequence[Targets]) -> None:
    """Raise UsageError if an output would replace an input."""
    read = [*(r.path for r in rasters), *job.rasters, job.model, *([job.aoi] if job.aoi else [])]
    inputs = {Path(p).absolute() for p in read}
    for target in targets:
        for path in (target.mask, target.confidence, target.cam, job.polygons and Path(job.polygons)):
            if path and path.absolute() in inputs:
                raise UsageError(f"{path}: is an input of this run", "choose another output")


def _tiff(path: str) -> Path:
    if Path(path).suffix.lower() not in _TIFF:
        raise UsageError(f"{path}: rasters are written as GeoTIFF", "end the name with .tif")
    return check_output(path)
