"""The command line: options from the jobs' own descriptions, one command a job."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from wsss_geo import __version__, jobs
from wsss_geo.console import TerminalProgress, claim_stdout, run_guarded
from wsss_geo.job_fields import MAPPING_OPTIONS, Job
from wsss_geo.progress import JsonProgress, Progress

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Numbers(click.ParamType[Any]):
    """Numbers separated by commas."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind = kind
        self.name = "n,n,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse ``1,2,3``."""
        try:
            return tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            return self.fail(f"{value!r} is not a list of numbers like 1,2,3", param, ctx)


class Assignment(click.ParamType[Any]):
    """``name=value``, the value read as JSON where it is JSON."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split at the first equals sign."""
        name, sign, text = str(value).partition("=")
        if not sign or not name:
            return self.fail(f"{value!r} is not name=value", param, ctx)
        try:
            return name, json.loads(text)
        except json.JSONDecodeError:
            return name, text


def _parameter(f: dataclasses.Field[Any]) -> click.Parameter:
    """Build the click parameter of a job field; what is not given stays None, so that a recipe can fill it."""
    rule, name = f.metadata, f.name
    kind = rule["kind"]
    if rule["positional"]:
        return click.Argument(
            [name],
            nargs=-1 if kind == "paths" else 1,
            required=True,
            metavar=name.upper() + ("..." if kind == "paths" else ""),
        )
    if kind == "mapping":
        return click.Option([MAPPING_OPTIONS[name], name], type=Assignment(), multiple=True, help=rule["help"])
    text = rule["help"]
    required = f.default is dataclasses.MISSING
    if not required and f.default is not None and f.default is not False:
        text += f"  [default: {'on' if f.default is True else f.default}]"
    option = name.replace("_", "-")
    declared = f"--{option}/--no-{option}" if kind == "flag" else f"--{option}"
    types: dict[str, Any] = {
        "int": click.IntRange(rule["low"], rule["high"]),
        "float": click.FloatRange(rule["low"], rule["high"]),
        "choice": click.Choice(rule["choices"]),
        "ints": Numbers(int),
        "floats": Numbers(float),
        "path": click.Path(readable=False),  # the job says what is wrong with a file
    }
    if kind == "flag":
        return click.Option([declared, name], default=None, help=text, is_flag=True)
    return click.Option(
        [declared, name], type=types.get(kind, click.STRING), default=None, required=required, help=text
    )


def _speaking(work: Callable[[Progress], Any], progress: str, debug: bool) -> None:
    """Run ``work`` with the reporter that ``--progress`` asks for and leave with its exit code."""
    report: Progress
    if progress == "json":
        report = JsonProgress(claim_stdout())
    elif progress == "none":
        report = _Quiet()
    else:
        report = TerminalProgress()

    def whole() -> None:
        result = work(report)
        if result is not None:
            report.result(result if isinstance(result, Mapping) else result.to_json())

    code = run_guarded(whole, report, debug=debug)
    sys.stdout.flush()
    sys.exit(code)


class _Quiet(TerminalProgress):
    """Errors and the result only."""

    def emit(self, kind: str, fields: Mapping[str, Any]) -> None:
        if kind in ("error", "result"):
            super().emit(kind, fields)


_COMMON: list[click.Parameter] = [
    click.Option(
        ["--progress"], type=click.Choice(["bar", "json", "none"]), default="bar", show_default=True,
        help="json prints one JSON object a line on standard output",
    ),
    click.Option(["--debug"], is_flag=True, help="Show tracebacks and the messages of libraries"),
]  # fmt: skip


def _job_command(kind: type[Job]) -> click.Command:
    def call(progress: str, debug: bool, **options: Any) -> None:
        given = {k: dict(v) if k in MAPPING_OPTIONS else v for k, v in options.items() if v not in (None, ())}

        def work(report: Progress) -> Any:
            from wsss_geo import api

            return api.run(api.build_job(kind.command, given), report)

        _speaking(work, progress, debug)

    parameters = [_parameter(f) for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return click.Command(
        kind.command, params=parameters + list(_COMMON), callback=call, help=kind.__doc__, context_settings=_CONTEXT
    )


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="wsss-geo")
def main() -> None:
    """Land-cover maps from scene tags.

    Tag small scenes with the classes they contain, train, and turn large rasters into georeferenced masks and
    polygons.

    \b
        wsss-geo tile scene.tif --tags tags.csv --out tiles
        wsss-geo train tiles --out run
        wsss-geo predict other.tif --model run/model.safetensors --out cover.tif --polygons cover.shp

    Exit codes: 0 done, 2 wrong usage, 3 bad input, 4 environment, 5 unfit model, 130 cancelled.
    """


for _kind in (
    jobs.TileJob,
    jobs.TrainJob,
    jobs.PredictJob,
    jobs.EvaluateJob,
    jobs.VectorizeJob,
    jobs.PretrainJob,
    jobs.ProbeJob,
    jobs.CalibrateJob,
    jobs.ReportJob,
    jobs.FewShotTrainJob,
    jobs.FewShotTestJob,
    jobs.FewShotJob,
):
    main.add_command(_job_command(_kind))


def _simple(name: str, text: str, *parameters: click.Parameter) -> Callable[[Callable[..., Any]], None]:
    """Add a command that is no job; the function gets the report and the parameters."""

    def add(function: Callable[..., Any]) -> None:
        def call(progress: str, debug: bool, **options: Any) -> None:
            _speaking(lambda report: function(report, **options), progress, debug)

        main.add_command(
            click.Command(name, params=[*parameters, *_COMMON], callback=call, help=text, context_settings=_CONTEXT)
        )

    return add


@_simple(
    "info",
    "Describe a model, a raster or a tile set.",
    click.Argument(["path"], metavar="MODEL|RASTER|TILES"),
    click.Option(["--stac"], type=click.Path(), help="Write the STAC item of a model to this file"),
)
def _info(report: Progress, path: str, stac: str | None) -> Any:
    from wsss_geo.info import describe_path

    if stac is not None:
        from wsss_geo.model_item import write_model_item

        write_model_item(path, stac)
    return describe_path(path)


@_simple("doctor", "Check this installation: packages, GPU, memory, disk.")
def _doctor(report: Progress) -> Any:
    from wsss_geo.doctor import examine

    return examine(report)


@_simple(
    "demo",
    "Map the sample landscape: tile, predict, polygons, scores and a picture.",
    click.Option(["--out"], default="demo", show_default=True, help="Folder for the results"),
    click.Option(["--data"], default="sample_data", show_default=True, help="Folder of the sample data"),
)
def _demo(report: Progress, out: str, data: str) -> Any:
    from wsss_geo.demo import run_demo

    return run_demo(data, out, report)


@_simple("run", "Run a job file.", click.Argument(["job"], metavar="JOB.json"))
def _run(report: Progress, job: str) -> Any:
    from wsss_geo.api import build_job, run
    from wsss_geo.worker import read_job_file

    data = read_job_file(job)
    return run(build_job(str(data.get("command")), data), report)


if __name__ == "__main__":
    main()
