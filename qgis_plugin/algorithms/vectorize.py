"""Turn a mask raster into polygons."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
)

from ...wsss_geo.jobs import VectorizeJob
from ..report import area_table, facts, page
from ..styling import style_on_load
from ..translate import mark
from .base import JobAlgorithm, as_text
from .sources import engine_raster, raster_refusal


class Vectorize(JobAlgorithm):
    """Mask in; polygons with class, area and confidence out."""

    ID, TITLE = "vectorize", mark("Vectorize mask")
    SUMMARY = mark("Turns a mask raster into polygons with class, area and confidence.")
    HELP = mark(
        "Neighbouring polygons share their borders exactly, before and after simplification. Patches below the "
        "minimum area join their surroundings. With a confidence raster on the same grid every polygon gets its mean."
    )
    TAGS = mark("polygonize, vectorise, mask, land cover, polygons, simplify")
    JOB = VectorizeJob
    PLACED = ("mask", "out", "confidence")

    def add_inputs(self) -> None:
        """Add mask and confidence."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Mask")))
        self.addParameter(QgsProcessingParameterRasterLayer("CONFIDENCE", self.tr("Confidence raster"), None, True))

    def add_outputs(self) -> None:
        """Add polygons, report and figures."""
        polygon = QgsProcessing.SourceType.TypeVectorPolygon
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", self.tr("Polygons"), polygon))
        self.add_report()
        self.add_text_output("AREAS", self.tr("Area of each class in square metres (JSON)"))
        self.addOutput(QgsProcessingOutputNumber("POLYGON_COUNT", self.tr("Number of polygons")))

    def refusal(self, parameters: Any, context: Any) -> str:
        """Refuse layers that are no files and a confidence raster of another grid."""
        mask = self.parameterAsRasterLayer(parameters, "INPUT", context)
        confidence = self.parameterAsRasterLayer(parameters, "CONFIDENCE", context)
        reason = raster_refusal(mask) or (raster_refusal(confidence) if confidence else "")
        if not reason and confidence and (confidence.width(), confidence.height()) != (mask.width(), mask.height()):
            reason = self.tr("Confidence “{}” has another size than mask “{}”; choose its own.").format(
                confidence.name(), mask.name()
            )
        return reason

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return mask and confidence."""
        mask = self.parameterAsRasterLayer(parameters, "INPUT", context)
        confidence = self.parameterAsRasterLayer(parameters, "CONFIDENCE", context)
        self._name, self._metric = mask.name(), mask.crs().isValid()
        return {"mask": engine_raster(mask), "confidence": engine_raster(confidence) if confidence else None}

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the polygons' path."""
        return {"out": self.parameterAsOutputLayer(parameters, "OUTPUT", context)}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return path, areas and report."""
        style_on_load(context, job.out, "polygons", f"{self._name}: {self.tr('Polygons')}", self._name)
        areas = dict(result["area_m2"])
        whole = sum(areas.values())
        shares = {name: area / whole for name, area in areas.items()} if whole else {}
        summary = facts({self.tr("Mask"): self._name, self.tr("Polygons"): result["count"], self.tr("File"): job.out})
        report = page(self.tr("{}: polygons").format(self._name), area_table(areas, shares, self._metric), summary)
        return {
            "OUTPUT": job.out,
            **self.write_report(parameters, context, report),
            "AREAS": as_text(areas),
            "POLYGON_COUNT": result["count"],
        }
