"""Train a few-shot model, which “Find similar” compares with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsSettings,
)

from ...wsss_geo.jobs import FewShotTrainJob
from ..model_card import ModelCardError, backbone_of
from ..options import LAST_FEW_SHOT
from ..report import facts, page, table
from ..translate import mark
from .base import JobAlgorithm, as_text


class TrainFewShot(JobAlgorithm):
    """Tile set with masks in; few-shot model out."""

    ID, TITLE = "train_few_shot", mark("Train few-shot model")
    SUMMARY = mark("Trains a model that learns to compare: “Find similar” finds with it what a few polygons show.")
    HELP = mark(
        "The tile set must hold masks: give “Make tile set” a mask raster as file of tags. Training plays the search "
        "over and over, for one class of the masks after the other, and the model then also finds what had no class "
        "there; the more kinds of things the masks tell apart, the better.\n\nFeatures come from a backbone that does "
        "not learn, so it needs weights: those that are published for it, or a file, such as a model of “Train model "
        "from tags” for the same bands, whose backbone is then taken.\n\nThe run folder receives the model "
        "(fewshot.safetensors) and its curves (metrics.csv). Training can be cancelled; the same run folder continues "
        "where it stopped."
    )
    TAGS = mark("train, few-shot, examples, similar, episodes, deep learning, model")
    JOB = FewShotTrainJob
    PLACED = ("tiles", "out")

    def add_inputs(self) -> None:
        """Add the tile set."""
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.addParameter(QgsProcessingParameterFile("INPUT", self.tr("Tile set with masks (folder)"), folder))

    def add_outputs(self) -> None:
        """Add run folder, model and losses."""
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", self.tr("Run folder")))
        self.add_report()
        self.addOutput(QgsProcessingOutputFile("MODEL", self.tr("Model")))
        self.add_text_output("LOSSES", self.tr("Losses at the end (JSON)"))

    def refusal(self, parameters: Any, context: Any) -> str:
        """Refuse backbone weights whose card cannot be read."""
        try:
            self._backbone(self._settings(parameters, context))
        except ModelCardError as error:
            return str(error)
        return ""

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return the tile set, and the backbone of the weights unless one is chosen; warn of one that knows nothing."""
        given = self._settings(parameters, context)
        if not any(given.get(name) for name in ("pretrained", "weights", "recipe")):
            feedback.pushWarning(
                self.tr("The backbone has random weights and does not learn; download published ones or give a file.")
            )
        return {"tiles": self.source_path(parameters, "INPUT", context), **self._backbone(given)}

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the run folder."""
        return {"out": self.parameterAsString(parameters, "OUTPUT", context)}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return run folder, model, losses and report; the next search starts with this model."""
        QgsSettings().setValue(LAST_FEW_SHOT, result["model"])
        losses = dict(result["losses"])
        summary = {
            self.tr("Model"): result["model"],
            self.tr("Tile set"): job.tiles,
            self.tr("Tiles"): result["tiles"],
            self.tr("Classes learned from"): ", ".join(result["seen"]),
            self.tr("Classes left out"): ", ".join(result["held"]) or None,
            self.tr("Episodes"): result["episodes"],
            self.tr("Steps"): result["steps"],
            self.tr("Seconds"): float(result["seconds"]),
        }
        parts = table((self.tr("Loss at the end"), self.tr("Value")), losses.items())
        report = page(self.tr("Training of a few-shot model"), facts(summary), parts)
        return {
            "OUTPUT": job.out,
            **self.write_report(parameters, context, report),
            "MODEL": result["model"],
            "LOSSES": as_text(losses),
        }

    def _backbone(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that say which backbone the weights are of, none if it is chosen. Raises ModelCardError."""
        chosen = given.get("backbone") != self.parameterDefinition("BACKBONE").defaultValue()
        if chosen or given.get("backbone_args") or given.get("recipe") or not given.get("weights"):
            return {}
        found = backbone_of(given["weights"])
        return {} if found is None else {"backbone": found[0], "backbone_args": found[1]}
