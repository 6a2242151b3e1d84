"""Set up the plugin's own Python environment: built beside, tested, and put in place when whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qgis.core import QgsSettings

from ...wsss_geo import __version__
from .. import worker
from ..translate import fill, tr
from .faults import explain
from .locate import engine_environment, forget_checks, own_environment, probe_command
from .pythons import Python
from .record import Record, write_record
from .requirements import LOADED, REQUIREMENTS
from .steps import Source, bytes_needed, environment_python, shown, steps

_KEPT_LINES = 400


class SetUpError(Exception):
    """The set-up did not succeed and left nothing; the message is a sentence, ``log`` what the programs printed."""

    def __init__(self, sentence: str, log: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.log = tuple(log)


def build_folder() -> Path:
    """Return the folder in which an environment is made before it is put in place."""
    return own_environment().with_name("engine.part")


def log_file() -> Path:
    """Return the file that keeps the log of the last set-up."""
    return own_environment().with_name("engine.log")


def set_up(python: Python, source: Source, feedback: Any) -> Record | None:
    """Make the plugin's own environment with ``python`` and return what it has, None if cancelled.

    An environment made before stays in use until the new one is whole. ``feedback`` hears ``setProgressText``,
    ``setProgress``, ``pushCommandInfo`` and ``pushConsoleInfo``, and is asked ``isCanceled()``. Raises SetUpError.
    """
    log: deque[str] = deque(maxlen=_KEPT_LINES)
    build, place = build_folder(), own_environment()
    _check(source, place)
    try:
        _remove(build)
        (build / "tmp").mkdir(parents=True)
        record = _make(python, source, build, log, feedback)
        if record is not None:
            write_record(build / "env", record)
            _put(build / "env", place)
        return record
    except OSError as error:
        raise SetUpError(
            tr("The environment cannot be made in {} ({}); check rights and disk.").format(
                place.parent, error.strerror or error
            ),
            log,
        ) from None
    finally:
        shutil.rmtree(build, ignore_errors=True)
        _keep_log(log)


def remove_environment() -> None:
    """Remove the plugin's own environment. Raises SetUpError."""
    try:
        _remove(own_environment())
    except OSError as error:
        sentence = tr("{} cannot be removed ({}); end what uses it and try again.")
        raise SetUpError(sentence.format(own_environment(), error.strerror or error)) from None
    finally:
        forget_checks()


def pip_environment(scratch: Path, offline: bool) -> dict[str, str]:
    """Return the environment for venv and pip: nothing of QGIS but its proxy, temporary files in ``scratch``.

    The user's settings of pip (index, certificates) hold, except ``offline``, where the folder of wheels is all.
    """
    clean = {k: v for k, v in engine_environment().items() if k != "PYTHONPATH"}
    if offline:
        clean = {k: v for k, v in clean.items() if not k.upper().startswith("PIP_")}
        clean["PIP_CONFIG_FILE"] = os.devnull
    return {**clean, **proxy(), "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}


def proxy() -> dict[str, str]:
    """Return the HTTP proxy of QGIS's settings as environment variables; empty if there is none."""
    settings = QgsSettings()
    host = str(settings.value("proxy/proxyHost", "") or "")
    wanted = str(settings.value("proxy/proxyEnabled", "")).lower() == "true"
    if not wanted or not host or settings.value("proxy/proxyType") not in ("HttpProxy", "HttpCachingProxy"):
        return {}
    user, password = (str(settings.value(f"proxy/proxy{x}", "") or "") for x in ("User", "Password"))
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    port = str(settings.value("proxy/proxyPort", "") or "")
    address = f"http://{login}{host}{':' + port if port else ''}"
    return {"HTTP_PROXY": address, "HTTPS_PROXY": address}


def _check(source: Source, place: Path) -> None:
    if source.folder and not any(Path(source.folder).glob("*.whl")):
        raise SetUpError(tr("Folder {} holds no wheels (*.whl); choose another.").format(source.folder))
    there = next(p for p in place.parents if p.is_dir())
    needed, free = bytes_needed(source), shutil.disk_usage(there).free
    if free < needed:
        raise SetUpError(
            fill(
                tr("The set-up needs about {:.1f} GB in {}, and {:.1f} GB are free; free some space."),
                needed / 1e9,
                there,
                free / 1e9,
            )
        )


def _make(python: Python, source: Source, build: Path, log: deque[str], feedback: Any) -> Record | None:
    planned = steps(python.path, source, build / "env")
    environment = pip_environment(build / "tmp", bool(source.folder))
    for number, step in enumerate(planned, 1):
        feedback.setProgressText(tr("Step {} of {}: {}").format(number, len(planned) + 1, step.title))
        feedback.pushCommandInfo(shown(step.command))
        log.append(f"$ {shown(step.command)}")

        def hear(line: str) -> None:
            log.append(line)
            feedback.pushConsoleInfo(line)

        code = worker.run_program(list(step.command), str(build), environment, hear, feedback.isCanceled)
        if code is None:
            return None
        if code:
            raise SetUpError(explain(step.title, code, log, source.folder, python.version), log)
    feedback.setProgressText(tr("Step {} of {}: {}").format(len(planned) + 1, len(planned) + 1, tr("Test the engine")))
    return _tested(environment_python(build / "env"), build, log, feedback)


def _tested(python: str, folder: Path, log: deque[str], feedback: Any) -> Record | None:
    """Let the new Python load all that the engine needs, and the engine that comes with the plugin."""
    try:
        command = probe_command(python, LOADED, load=True)
        found = worker.run_command(command, str(folder), engine_environment(), feedback)
    except worker.WorkerError as error:
        raise SetUpError(str(error), [*log, *error.log]) from None
    if found is None:
        return None
    log.extend(f"{name}: {fault}" for name, fault in found["faults"].items())
    wrong = [*found["missing"], *found["faults"]]
    if wrong:
        hint = ""
        if any("DLL" in fault or "WinError" in fault for fault in found["faults"].values()):
            hint = tr(" (on Windows often for lack of the Microsoft Visual C++ Redistributable, or by an antivirus)")
        raise SetUpError(
            tr("All was installed, but {} cannot be loaded{}; the log tells more.").format(", ".join(wrong), hint), log
        )
    if found["versions"].get("wsss_geo") != __version__:
        raise SetUpError(
            tr("The new Python loads version {} of the engine, and the plugin is version {}; install the plugin again.")
            .format(found["versions"].get("wsss_geo"), __version__),
            log,
        )  # fmt: skip
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Record(
        __version__, str(found["python"]), made, REQUIREMENTS, found["versions"], tuple(found.get("devices", ()))
    )


def _put(new: Path, place: Path) -> None:
    """Let ``new`` take the place of an older environment.

    A Python finds its environment by where it lies, so it can be moved; of its commands only ``python`` is ever used.
    """
    old = place.with_name("engine.old")
    _remove(old)
    if place.exists():
        os.replace(place, old)
    try:
        os.replace(new, place)
    except OSError:
        if old.exists():
            os.replace(old, place)
        raise
    finally:
        forget_checks()
    shutil.rmtree(old, ignore_errors=True)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _keep_log(log: Sequence[str]) -> None:
    """Keep the log for the diagnostics."""
    with contextlib.suppress(OSError):  # a full disk has been told of
        log_file().write_text("\n".join(log) + "\n", encoding="utf-8")
