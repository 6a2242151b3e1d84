"""Train a model from a tile set."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsSettings,
)

from ...wsss_geo.jobs import TrainJob
from ..report import facts, page, table
from ..translate import mark
from .base import JobAlgorithm, as_text
from .segment import LAST_MODEL


class Train(JobAlgorithm):
    """Tile set in; model out."""

    ID, TITLE = "train", mark("Train model from tags")
    SUMMARY = mark("Trains a segmentation model from scenes that are only tagged with the classes that occur in them.")
    HELP = mark(
        "The run folder receives the model (model.safetensors), its curves (metrics.csv) and previews. Training can "
        "be cancelled; the same run folder continues where it stopped. Without a graphics card use few steps and a "
        "small backbone."
    )
    TAGS = mark("train, weakly supervised, tags, deep learning, ViT, land cover, model")
    JOB = TrainJob
    PLACED = ("tiles", "out")
    HIDDEN = ("devices",)

    def add_inputs(self) -> None:
        """Add the tile set."""
        folder = QgsProcessingParameterFile.Behavior.Folder
        self.addParameter(QgsProcessingParameterFile("INPUT", self.tr("Tile set (folder)"), folder))

    def add_outputs(self) -> None:
        """Add run folder, model and scores."""
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", self.tr("Run folder")))
        self.add_report()
        self.addOutput(QgsProcessingOutputFile("MODEL", self.tr("Model")))
        self.add_text_output("SCORES", self.tr("Scores of the chosen checkpoint (JSON)"))

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return the tile set."""
        return {"tiles": self.source_path(parameters, "INPUT", context)}

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the run folder."""
        return {"out": self.parameterAsString(parameters, "OUTPUT", context)}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return run folder, model, scores and report; the next segmentation starts with this model."""
        QgsSettings().setValue(LAST_MODEL, result["model"])
        scores = dict(result["scores"])
        summary = {
            self.tr("Model"): result["model"],
            self.tr("Tile set"): job.tiles,
            self.tr("Method"): job.method,
            self.tr("Steps"): result["steps"],
            self.tr("Seconds"): float(result["seconds"]),
        }
        report = page(self.tr("Training"), facts(summary), table((self.tr("Score"), self.tr("Value")), scores.items()))
        return {
            "OUTPUT": job.out,
            **self.write_report(parameters, context, report),
            "MODEL": result["model"],
            "SCORES": as_text(scores),
        }
