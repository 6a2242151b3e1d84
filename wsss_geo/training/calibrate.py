"""The ``calibrate`` job: a model in, the same model with a temperature out."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from wsss_geo.errors import UsageError
from wsss_geo.fitting.calibration import calibrate_model
from wsss_geo.jobs import CalibrateJob, CalibrateResult
from wsss_geo.nn.calibration import Calibration, calibration_error
from wsss_geo.nn.device import choose_device
from wsss_geo.nn.model_file import load_model, save_card
from wsss_geo.outputs import check_output
from wsss_geo.progress import Progress
from wsss_geo.record import write_record
from wsss_geo.tileset.index import TileSet, read_tileset


def run(job: CalibrateJob, report: Progress) -> CalibrateResult:
    """Fit the temperature of ``job.model`` to the tags of ``job.tiles`` and write the model to ``job.out`` with it.

    A temperature that the model has already is replaced. Raises UsageError, InputError for tiles that do not fit,
    EnvironmentFault, ModelError.
    """
    out = check_output(job.out)
    if out.resolve() == Path(job.model).resolve():
        raise UsageError(f"{out}: is the model itself", "choose another --out")
    started = time.monotonic()
    tileset = read_tileset(job.tiles)
    found = calibrate_file(job.model, out, tileset, job.split, job.batch_size, job.device, report)
    result = CalibrateResult(
        model=str(out),
        temperature=found.temperature,
        split=found.split,
        scenes=found.scenes,
        error_before=round(calibration_error(found.before), 4),
        error_after=round(calibration_error(found.after), 4),
    )
    write_record(f"{out}.json", job, result, [job.tiles], {"calibrate": time.monotonic() - started}, job.model)
    return result


def calibrate_file(
    model: Path | str,
    out: Path | str,
    tileset: TileSet,
    split: str | None,
    batch_size: int,
    device: str,
    report: Progress,
) -> Calibration:
    """Calibrate the model file ``model`` and write it to ``out``, which may be the same; see ``calibrate_model``."""
    loaded = load_model(model, choose_device(device))
    found = calibrate_model(loaded, tileset, split, batch_size, report)
    save_card(model, out, dataclasses.replace(loaded.card, calibration=found))
    before, after = calibration_error(found.before), calibration_error(found.after)
    report.info(
        f"confidence calibrated on {found.scenes} scenes of {found.split}: temperature {found.temperature:.3g}, "
        f"error {before:.1%} without and {after:.1%} with it"
    )
    return found
