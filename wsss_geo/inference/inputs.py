"""The rasters of a prediction: one by one, or joined into one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from wsss_geo.errors import UsageError
from wsss_geo.jobs import PredictJob
from wsss_geo.lock import alone
from wsss_geo.outputs import check_output
from wsss_geo.progress import Progress
from wsss_geo.raster.mosaic import write_mosaic
from wsss_geo.raster.sources import Source, list_sources


@contextlib.contextmanager
def gathered(job: PredictJob, report: Progress) -> Iterator[list[Source]]:
    """Yield the rasters that ``job`` means.

    With ``job.mosaic`` that is one, a VRT beside the mask that shows all of them. It stays, also when the run is to go
    on later; it goes if the run fails and nothing of it is left. Raises UsageError, InputError.
    """
    sources = list_sources(job.rasters, job.asset)
    if job.mosaic is None:
        yield sources
        return
    out = Path(job.out)
    mosaic = out / "mosaic.vrt" if out.is_dir() else out.with_suffix(".vrt")
    if mosaic.absolute() in {Path(source.path).absolute() for source in sources}:
        raise UsageError(f"{mosaic}: the mosaic would replace an input of this run", "choose another output")
    mask = mosaic.with_suffix(".tif") if out.is_dir() else out
    before = mosaic.exists()
    check_output(mosaic)
    with alone(*(() if job.shard else (mosaic,)), report=report):  # shards share it
        write_mosaic(mosaic, [source.path for source in sources], job.mosaic)
        try:
            yield [Source(str(mosaic), mosaic.stem)]
        except BaseException:
            if not (before or mask.exists() or mask.with_name(f"{mask.name}.work").exists()):
                mosaic.unlink(missing_ok=True)
            raise
