"""What all algorithms share: parameters from the job's fields, one worker process, declared outputs."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

import dataclasses
import errno
import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any, ClassVar

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
)
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QIcon

from ...wsss_geo.errors import WsssGeoError
from ...wsss_geo.job_fields import Job
from ...wsss_geo.outputs import replacing
from .. import worker
from ..engine.locate import EngineMissingError, engine_environment, find_engine, package_root
from ..options import load_options
from ..translate import tr
from .settings import parameter_name, setting_parameter, setting_values
from .sources import file_of

Parameters = Mapping[str, Any]


class EngineAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that needs the engine. Subclasses give the texts; ids and parameter names never change."""

    ID: ClassVar[str]
    TITLE: ClassVar[str]
    SUMMARY: ClassVar[str]
    HELP: ClassVar[str]
    TAGS: ClassVar[str]

    def name(self) -> str:
        """Return the id."""
        return self.ID

    def displayName(self) -> str:
        """Return the title."""
        return self.tr(self.TITLE)

    def shortDescription(self) -> str:
        """Return one sentence."""
        return self.tr(self.SUMMARY)

    def shortHelpString(self) -> str:
        """Return the help beside the dialog."""
        return self.tr(self.SUMMARY) + "\n\n" + self.tr(self.HELP)

    def helpUrl(self) -> str:
        """Return the address of the help page that comes with the plugin."""
        page = QUrl.fromLocalFile(str(package_root() / "qgis_plugin/help" / self.tr("index.html")))
        page.setFragment(self.ID)
        return page.toString()

    def tags(self) -> list[str]:
        """Return the words under which the toolbox finds the algorithm."""
        return self.tr(self.TAGS).split(", ")

    def icon(self) -> QIcon:
        """Return the plugin's icon."""
        return QIcon(str(package_root() / "icon.png"))

    def createInstance(self) -> QgsProcessingAlgorithm:
        """Return a fresh copy."""
        return type(self)()

    def tr(self, text: str) -> str:
        """Return ``text`` in the user's language."""
        return tr(text)

    def canExecute(self) -> tuple[bool, str]:
        """Tell whether the engine is there, and if not, why."""
        try:
            find_engine()
        except EngineMissingError as error:
            return False, str(error)
        return True, ""

    def run_job(self, job: Mapping[str, Any], feedback: QgsProcessingFeedback) -> dict[str, Any] | None:
        """Do a job in the engine and return its result, None if cancelled. Raises QgsProcessingException."""
        try:
            engine = find_engine()
            tracebacks = load_options().tracebacks
            return worker.run_worker(engine.python, job, engine_environment(), feedback, tracebacks)
        except (EngineMissingError, worker.WorkerError) as error:
            raise QgsProcessingException(str(error)) from None


class JobAlgorithm(EngineAlgorithm):
    """An algorithm that is one job of the engine.

    Fields of the job that are neither in ``PLACED`` (the subclass has its own parameters for them) nor in ``HIDDEN``
    become parameters by themselves.
    """

    JOB: ClassVar[type[Job]]
    PLACED: ClassVar[tuple[str, ...]]
    HIDDEN: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._sources: dict[str, Any] = {}

    # -- what subclasses say ------------------------------------------------------------------------------------

    def add_inputs(self) -> None:
        """Add the parameters before the settings."""

    def add_outputs(self) -> None:
        """Add destinations and other outputs."""

    def refusal(self, parameters: Parameters, context: QgsProcessingContext) -> str:
        """Return in one sentence why these parameters cannot work, or an empty text."""
        return ""

    def sources(
        self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Return the fields of the job that come from layers; runs in the main thread."""
        raise NotImplementedError

    def fetched(
        self, folder: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any] | None:
        """Return ``sources``, fetched into ``folder`` where needed, None if cancelled; runs in the background."""
        return self._sources

    def destinations(self, parameters: Parameters, context: QgsProcessingContext) -> dict[str, Any]:
        """Return the fields of the job that name outputs."""
        raise NotImplementedError

    def results(
        self, job: Job, result: dict[str, Any], parameters: Parameters, context: QgsProcessingContext
    ) -> dict[str, Any]:
        """Return the values of the algorithm's outputs."""
        raise NotImplementedError

    # -- what QGIS calls ----------------------------------------------------------------------------------------

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Declare parameters and outputs."""
        self.add_inputs()
        for field in self._setting_fields():
            if self.parameterDefinition(parameter_name(field)) is None:
                self.addParameter(setting_parameter(field))
        self.add_outputs()

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """Refuse early, in one sentence, what the engine would refuse later."""
        ok, reason = super().checkParameterValues(parameters, context)
        if not ok:
            return ok, reason
        try:
            self._settings(parameters, context)
            reason = self.refusal(parameters, context) or self._still_open(parameters, context)
        except QgsProcessingException as error:
            reason = str(error)
        return not reason, reason

    def prepareAlgorithm(
        self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read the layers; they belong to the main thread."""
        self._sources = self.sources(parameters, context, feedback)
        return True

    def processAlgorithm(
        self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run the job; an empty dictionary if it was cancelled."""
        loading = set(context.layersToLoadOnCompletion())
        fields = self._own_fields(parameters, context)
        done = None
        try:
            with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder:
                sources = self.fetched(folder, context, feedback)
                if sources is None:
                    return {}
                self._keep_inputs(sources, fields)
                job = self.JOB(**{**fields, **sources})
                feedback.pushCommandInfo(job.command_line(chosen=True))
                done = self.run_job(job.to_json(chosen=True), feedback)
            return {} if done is None else self.results(job, done, parameters, context)
        except WsssGeoError as error:
            raise QgsProcessingException(str(error)) from None
        except OSError as error:
            raise QgsProcessingException(cannot_write(error)) from None
        except (KeyError, TypeError, AttributeError) as error:
            raise QgsProcessingException(
                self.tr("The engine's result lacks {}; is it of another version?").format(error)
            ) from error
        finally:
            if done is None:  # what was not made must not be loaded
                context.setLayersToLoadOnCompletion(
                    {k: v for k, v in context.layersToLoadOnCompletion().items() if k in loading}
                )

    def createCustomParametersWidget(self, parent: Any = None) -> Any:
        """Return QGIS's own dialog with a button that copies the command."""
        from ..gui.algorithm_dialog import CommandDialog  # needs QGIS's window

        return CommandDialog(self, parent)

    # -- for the command line -----------------------------------------------------------------------------------

    def job(self, parameters: Parameters, context: QgsProcessingContext) -> Job:
        """Return the job that a run with these parameters does. Raises QgsProcessingException.

        For the main thread. Layers that the engine cannot read as they are get exported to temporary files.
        """
        ok, reason = self.checkParameterValues(parameters, context)
        if not ok:
            raise QgsProcessingException(reason)
        sources = self.sources(parameters, context, QgsProcessingFeedback(False))
        reason = self.command_refusal()
        if reason:
            raise QgsProcessingException(reason)
        try:
            return self.JOB(**{**self._own_fields(parameters, context), **sources})
        except WsssGeoError as error:
            raise QgsProcessingException(str(error)) from None

    def command_refusal(self) -> str:
        """Return why what ``sources`` found cannot stand in a command, or an empty text."""
        return ""

    # -- helpers for subclasses ---------------------------------------------------------------------------------

    def add_setting(self, name: str) -> None:
        """Add the parameter of the job's field ``name`` here, before the other settings."""
        self.addParameter(setting_parameter(next(f for f in self._setting_fields() if f.name == name)))

    def add_report(self) -> None:
        """Add the HTML report."""
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "REPORT", self.tr("Report"), self.tr("HTML files (*.html)"), None, True, True
            )
        )

    def add_text_output(self, name: str, label: str) -> None:
        """Declare an output that is a JSON object (QGIS 3.22 has no other for several numbers)."""
        self.addOutput(QgsProcessingOutputString(name, label))

    def write_report(self, parameters: Parameters, context: QgsProcessingContext, page: str) -> dict[str, str]:
        """Write the HTML report if it is wanted and return its output."""
        path = absolute(self.parameterAsFileOutput(parameters, "REPORT", context))
        if not path:
            return {}
        with replacing(path) as part:
            part.write_text(page, encoding="utf-8")
        return {"REPORT": path}

    def source_path(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> str | None:
        """Return the absolute path of a file parameter, None if it is not set."""
        return absolute(self.parameterAsString(parameters, name, context).strip()) or None

    def _setting_fields(self) -> list[dataclasses.Field[Any]]:
        left_out = (*self.PLACED, *self.HIDDEN)
        return [f for f in dataclasses.fields(self.JOB) if f.name not in left_out]

    def _keep_inputs(self, sources: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Refuse an output that is the file of a raster. Raises QgsProcessingException.

        The engine refuses it too, but a part of a raster it does not know by its file.
        """
        given = [p for v in sources.values() for p in (v if isinstance(v, list) else [v]) if isinstance(p, str)]
        files = {os.path.realpath(file_of(path)) for path in given}
        for value in fields.values():
            if isinstance(value, str) and os.path.isabs(value) and os.path.realpath(value) in files:
                raise QgsProcessingException(
                    self.tr("{} is an input; choose another name for the output.").format(value)
                )

    def _own_fields(self, parameters: Parameters, context: QgsProcessingContext) -> dict[str, Any]:
        """Return the fields of the job that come from settings and destinations."""
        places = self.destinations(parameters, context)
        return {**self._settings(parameters, context), **{k: absolute(v) for k, v in places.items()}}

    def _still_open(self, parameters: Parameters, context: QgsProcessingContext) -> str:
        """Return which output is a file that the project has open, or an empty text.

        A database that is replaced under its reader is damaged, and Windows lets nobody replace an open file.
        """
        project = context.project()
        if project is None:
            return ""
        aside = QgsProcessingContext()  # asking for destinations notes what is to be loaded
        aside.setProject(project)
        aside.setExpressionContext(context.expressionContext())
        outputs = {os.path.realpath(str(v)) for v in self.destinations(parameters, aside).values() if v}
        for layer in project.mapLayers().values():
            path = layer.source().split("|", 1)[0]
            if path and os.path.realpath(path) in outputs:
                return self.tr(
                    "{} is open in the project as layer “{}”; choose another name or remove the layer first."
                ).format(path, layer.name())
        return ""

    def _settings(self, parameters: Parameters, context: QgsProcessingContext) -> dict[str, Any]:
        fields = self._setting_fields()
        values = setting_values(self, fields, parameters, context)
        paths = {f.name for f in fields if f.metadata["kind"] == "path"}
        return {k: absolute(v) if k in paths else v for k, v in values.items()}


def cannot_write(error: OSError) -> str:
    """Return a sentence on a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return tr("The disk is full ({}); free some space and run again.").format(error.filename or error.strerror)
    return tr("{} cannot be written ({}); check folder and rights.").format(
        error.filename or tr("A temporary file"), error.strerror or error
    )


def absolute(path: str | None) -> str | None:
    """Return ``path`` as seen from here; the worker has another working folder."""
    return os.path.abspath(path) if path else None


def as_text(values: Any) -> str:
    """Return ``values`` as JSON for an output."""
    return json.dumps(values, ensure_ascii=False)
