"""Score a model or a mask against a reference."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorLayer,
)

from ...wsss_geo.errors import UsageError
from ...wsss_geo.jobs import EvaluateJob
from ..report import facts, page, percent, table
from ..translate import mark
from .base import JobAlgorithm, as_text
from .sources import VECTOR_FORMATS, engine_raster, raster_refusal

_RASTERS = {"raster": "INPUT", "prediction": "PREDICTION", "reference": "REFERENCE"}


class Evaluate(JobAlgorithm):
    """Model and tiles, or mask and reference in; scores out."""

    ID, TITLE = "evaluate", mark("Evaluate")
    SUMMARY = mark("Scores a model on tiles with masks, or a mask against a reference mask or polygons.")
    HELP = mark(
        "Give one of: model and tile set; mask and reference; model, raster layer and reference. The report shows "
        "intersection over union and F1 of every class, and which class was taken for which."
    )
    TAGS = mark("evaluate, accuracy, IoU, F1, confusion matrix, validation")
    JOB = EvaluateJob
    PLACED = ("tiles", "prediction", "raster", "reference", "field", "out")

    def add_inputs(self) -> None:
        """Add what is compared."""
        self.add_setting("model")
        file = QgsProcessingParameterFile.Behavior
        self.addParameter(
            QgsProcessingParameterFile("TILES", self.tr("Tile set with masks (folder)"), file.Folder, optional=True)
        )
        self.addParameter(QgsProcessingParameterRasterLayer("PREDICTION", self.tr("Mask to score"), None, True))
        self.addParameter(
            QgsProcessingParameterRasterLayer("INPUT", self.tr("Raster layer to segment and score"), None, True)
        )
        self.addParameter(QgsProcessingParameterRasterLayer("REFERENCE", self.tr("Reference mask"), None, True))
        polygon = QgsProcessing.SourceType.TypeVectorPolygon
        self.addParameter(
            QgsProcessingParameterVectorLayer(
                "REFERENCE_POLYGONS", self.tr("Reference polygons"), [polygon], None, True
            )
        )
        self.addParameter(
            QgsProcessingParameterField(
                "FIELD", self.tr("Field with the class"), None, "REFERENCE_POLYGONS", optional=True
            )
        )

    def add_outputs(self) -> None:
        """Add figures, report and scores."""
        self.addParameter(
            QgsProcessingParameterFolderDestination("OUTPUT", self.tr("Folder for figures"), None, True, False)
        )
        self.add_report()
        self.addOutput(QgsProcessingOutputNumber("MIOU", self.tr("Mean intersection over union")))
        self.addOutput(QgsProcessingOutputNumber("ACCURACY", self.tr("Pixel accuracy")))
        self.add_text_output("IOU", self.tr("Intersection over union of each class (JSON)"))

    def refusal(self, parameters: Any, context: Any) -> str:
        """Refuse layers that are no files and combinations that compare nothing."""
        for name in _RASTERS.values():
            layer = self.parameterAsRasterLayer(parameters, name, context)
            if layer and raster_refusal(layer):
                return raster_refusal(layer)
        mask, polygons = (parameters.get(n) not in (None, "") for n in ("REFERENCE", "REFERENCE_POLYGONS"))
        if mask and polygons:
            return self.tr("Both a reference mask and reference polygons are given; keep one of them.")
        if polygons and not self.parameterAsFields(parameters, "FIELD", context):
            return self.tr("The field with the class is not chosen; choose a field of the reference polygons.")
        given = {
            "model": self.source_path(parameters, "MODEL", context),
            "tiles": self.source_path(parameters, "TILES", context),
            "reference": "reference" if mask or polygons else None,
            "prediction": "mask" if parameters.get("PREDICTION") else None,
            "raster": "raster" if parameters.get("INPUT") else None,
        }
        try:
            EvaluateJob(**given)
        except UsageError:
            return self.tr(
                "Give model and tile set, or mask and reference, or model, raster layer and reference; nothing else."
            )
        return ""

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return what is compared."""
        found: dict[str, Any] = {"tiles": self.source_path(parameters, "TILES", context)}
        for field, name in _RASTERS.items():
            layer = self.parameterAsRasterLayer(parameters, name, context)
            found[field] = engine_raster(layer) if layer else None
        if parameters.get("REFERENCE_POLYGONS") not in (None, ""):
            found["reference"] = self.parameterAsCompatibleSourceLayerPath(
                parameters, "REFERENCE_POLYGONS", context, VECTOR_FORMATS, "gpkg", feedback
            )
            found["field"] = self.parameterAsFields(parameters, "FIELD", context)[0]
        return found

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the folder for figures, if wanted."""
        return {"out": self.parameterAsString(parameters, "OUTPUT", context)}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return scores and report."""
        classes, iou, f1 = result["classes"], dict(result["iou"]), dict(result["f1"])
        summary = {
            self.tr("Mean intersection over union"): percent(result["miou"]),
            self.tr("Accuracy"): percent(result["accuracy"]),
            self.tr("Pixels"): result["pixels"],
        }
        confusion = zip(classes, result["confusion"])  # noqa: B905 - QGIS's Python is 3.9
        report = page(
            self.tr("Evaluation"),
            facts(summary),
            table(
                (self.tr("Class"), self.tr("Intersection over union"), "F1"),
                ((c, percent(iou.get(c)), percent(f1.get(c))) for c in classes),
            ),
            table((self.tr("Reference \\ prediction"), *classes), ((name, *row) for name, row in confusion)),
        )
        return {
            **({"OUTPUT": job.out} if job.out else {}),
            **self.write_report(parameters, context, report),
            "MIOU": result["miou"],
            "ACCURACY": result["accuracy"],
            "IOU": as_text(iou),
        }
