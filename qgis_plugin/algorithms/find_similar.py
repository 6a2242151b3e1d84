"""Find all that is like a few polygons."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
    QgsRasterLayer,
    QgsRectangle,
    QgsSettings,
)

from ...wsss_geo.jobs import FewShotJob
from ..few_shot_card import read_few_shot_card
from ..model_card import ModelCardError
from ..options import LAST_FEW_SHOT
from ..report import area_table, facts, page, percent
from ..styling import style_on_load
from ..translate import mark
from .area import area_of, area_refusal, bands_refusal
from .base import JobAlgorithm, as_text
from .sources import VECTOR_FORMATS, engine_raster, raster_refusal

ALGORITHM = "wsss_geo:find_similar"


class FindSimilar(JobAlgorithm):
    """Example polygons, the raster they were drawn in and a raster to search in; mask and polygons out."""

    ID, TITLE = "find_similar", mark("Find similar")
    SUMMARY = mark("Finds everything in a raster layer that is like a few polygons drawn in it or in another.")
    HELP = mark(
        "Draw polygons around a few examples; what lies around them counts as something else. A few-shot model finds "
        "the rest, without training. Five examples do better than one. The raster to search is read window by window, "
        "so its size does not matter.\n\nThe model is a few-shot model, which “Train few-shot model” makes from "
        "tiles with masks; models of “Train model from tags” are of another kind."
    )
    TAGS = mark("few-shot, examples, similar, search, one-shot, polygons, deep learning")
    JOB = FewShotJob
    PLACED = ("support", "support_raster", "query", "out", "polygons", "confidence", "aoi")

    def add_inputs(self) -> None:
        """Add examples, rasters, model and area of interest."""
        polygon = QgsProcessing.SourceType.TypeVectorPolygon
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Raster layer to search")))
        examples = QgsProcessingParameterFeatureSource("EXAMPLES", self.tr("Examples"), [polygon])
        examples.setHelp(self.tr("Polygons around a few of what is sought."))
        self.addParameter(examples)
        drawn = QgsProcessingParameterRasterLayer("EXAMPLE_RASTER", self.tr("Raster layer of the examples"), None, True)
        drawn.setHelp(self.tr("Where the examples were drawn; the raster layer to search unless given."))
        self.addParameter(drawn)
        self.add_setting("model")
        extent = QgsProcessingParameterExtent("EXTENT", self.tr("Extent to search"), None, True)
        extent.setHelp(self.tr("Only this rectangle is searched; the whole layer unless given."))
        self.addParameter(extent)
        clip = QgsProcessingParameterBoolean("CLIP", self.tr("Write the extent alone"), False, True)
        clip.setHelp(self.tr("The results end with the extent, and nothing else is read: quick on large rasters."))
        clip.setFlags(clip.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
        self.addParameter(clip)
        area = QgsProcessingParameterFeatureSource("AOI", self.tr("Polygons to search within"), [polygon], None, True)
        area.setHelp(self.tr("Only what lies within these polygons is searched."))
        self.addParameter(area)

    def add_outputs(self) -> None:
        """Add the destinations, the report and the figures."""
        polygon = QgsProcessing.SourceType.TypeVectorPolygon
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", self.tr("Mask")))
        self.addParameter(
            QgsProcessingParameterVectorDestination("POLYGONS", self.tr("Polygons"), polygon, None, True, True)
        )
        self.addParameter(
            QgsProcessingParameterRasterDestination("CONFIDENCE", self.tr("Confidence"), None, True, False)
        )
        self.add_report()
        self.add_text_output("AREAS", self.tr("Area found in square metres (JSON)"))
        self.addOutput(QgsProcessingOutputNumber("POLYGON_COUNT", self.tr("Number of polygons")))
        self.addOutput(QgsProcessingOutputNumber("SHARE", self.tr("Share of what was searched")))

    def refusal(self, parameters: Any, context: Any) -> str:
        """Refuse layers that are no files, bands that a layer lacks, and examples that are none."""
        layer, drawn = self._rasters(parameters, context)
        bands = self._settings(parameters, context).get("bands", [])
        reason = raster_refusal(layer) or raster_refusal(drawn)
        reason = reason or bands_refusal(bands, layer) or bands_refusal(bands, drawn)
        reason = reason or self._no_examples(parameters, context, drawn)
        reason = reason or area_refusal(self, parameters, context, layer)
        if reason:
            return reason
        try:
            read_few_shot_card(self.source_path(parameters, "MODEL", context) or "")
        except ModelCardError as error:
            return str(error)
        return ""

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return rasters, examples and area of interest."""
        layer, drawn = self._rasters(parameters, context)
        self._name, self._metric = layer.name(), layer.crs().isValid()
        QgsSettings().setValue(LAST_FEW_SHOT, self.source_path(parameters, "MODEL", context))
        query, area = area_of(self, parameters, context, layer, feedback)
        examples = self.parameterAsCompatibleSourceLayerPath(
            parameters, "EXAMPLES", context, VECTOR_FORMATS, "gpkg", feedback
        )
        return {"query": query, "aoi": area, "support": examples, "support_raster": engine_raster(drawn)}

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the outputs that are wanted."""
        fields = {"out": "OUTPUT", "polygons": "POLYGONS", "confidence": "CONFIDENCE"}
        return {f: self.parameterAsOutputLayer(parameters, name, context) for f, name in fields.items()}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return the paths, the area and the report; name and style the layers."""
        written = {"OUTPUT": job.out, "POLYGONS": job.polygons, "CONFIDENCE": job.confidence}
        titles = {"OUTPUT": self.tr("Mask"), "POLYGONS": self.tr("Polygons"), "CONFIDENCE": self.tr("Confidence")}
        roles = {"OUTPUT": "found", "POLYGONS": "polygons", "CONFIDENCE": "confidence"}
        for name, path in written.items():
            if path:
                style_on_load(context, path, roles[name], f"{self._name}: {job.name}, {titles[name]}", self._name)
        areas = {job.name: result["area_m2"]}
        summary = {
            self.tr("Raster"): job.query,
            self.tr("Model"): job.model,
            self.tr("Mask"): job.out,
            self.tr("Examples"): result["drawn"],
            self.tr("Share of what was searched"): percent(result["share"]),
            self.tr("Polygons"): result.get("polygon_count"),
            self.tr("Seconds"): float(result["seconds"]),
        }
        table = area_table(areas, {job.name: result["share"]}, self._metric)
        report = page(self.tr("{}: where “{}” was found").format(self._name, job.name), table, facts(summary))
        return {
            **{name: path for name, path in written.items() if path},
            **self.write_report(parameters, context, report),
            "AREAS": as_text(areas),
            "POLYGON_COUNT": result.get("polygon_count"),
            "SHARE": result["share"],
        }

    def _rasters(self, parameters: Any, context: Any) -> tuple[QgsRasterLayer, QgsRasterLayer]:
        """Return the layer to search and that of the examples."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        if parameters.get("EXAMPLE_RASTER") in (None, ""):
            return layer, layer
        return layer, self.parameterAsRasterLayer(parameters, "EXAMPLE_RASTER", context)

    def _no_examples(self, parameters: Any, context: Any, drawn: QgsRasterLayer) -> str:
        """Return why there are no examples in the layer they should lie in, or an empty text."""
        source = self.parameterAsSource(parameters, "EXAMPLES", context)
        if source is None:
            return self.tr("The layer of examples cannot be read; choose another.")
        name = source.sourceName()
        if source.featureCount() == 0:
            return self.tr("“{}” holds no polygon; draw polygons around a few examples, or select some.").format(name)
        crs = source.sourceCrs()
        if crs.isValid() != drawn.crs().isValid():
            without, other = (drawn.name(), name) if crs.isValid() else (name, drawn.name())
            return self.tr("Layer “{}” has no CRS, but “{}” has one; set it in the layer's properties.").format(
                without, other
            )
        if not _moved(source.sourceExtent(), crs, drawn.crs(), context).intersects(drawn.extent()):
            return self.tr(
                "No polygon of “{}” lies in layer “{}”; draw examples there, or choose the raster they were drawn in."
            ).format(name, drawn.name())
        return ""


def _moved(
    box: QgsRectangle, crs: QgsCoordinateReferenceSystem, target: QgsCoordinateReferenceSystem, context: Any
) -> QgsRectangle:
    """Return a box in another CRS, an empty one if it lies where that CRS is not defined."""
    try:
        return QgsCoordinateTransform(crs, target, context.transformContext()).transformBoundingBox(box)
    except QgsCsException:
        return QgsRectangle()
