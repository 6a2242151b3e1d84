"""Segment a raster layer with a model."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
    QgsSettings,
)

from ...wsss_geo.jobs import PredictJob
from ..model_card import ModelCardError, read_model_card
from ..online import OnlineError, OnlinePart, fetch, is_online, online_part
from ..options import LAST_MODEL
from ..report import area_table, facts, page, percent
from ..styling import style_on_load
from ..translate import mark
from .area import area_of, area_refusal, bands_refusal, has_extent
from .base import JobAlgorithm, as_text
from .sources import raster_refusal

ALGORITHM = "wsss_geo:segment"
_LAYERS = (
    ("OUTPUT", "mask", mark("Mask")),
    ("POLYGONS", "polygons", mark("Polygons")),
    ("CONFIDENCE", "confidence", mark("Confidence")),
    ("CAM", "cam", mark("Class activation maps")),
)


class Segment(JobAlgorithm):
    """Raster layer and model in; mask, polygons, confidence, class activation maps and areas out."""

    ID, TITLE = "segment", mark("Segment layer")
    SUMMARY = mark("Turns a raster layer into a land-cover mask and polygons with a trained model.")
    HELP = mark(
        "The raster is read window by window, so its size does not matter. Mask, confidence and class activation maps "
        "keep its grid and CRS. Choose an extent or polygons to segment only a part. The report lists the area of "
        "every class.\n\nThe layer is a file that QGIS opened with GDAL (GeoTIFF, VRT, JPEG 2000, …), or an online "
        "layer (XYZ, WMS, WMTS), of which the extent is fetched first at the model's ground sample distance."
    )
    TAGS = mark("land cover, segmentation, classification, deep learning, mask, polygons, ViT, predict")
    JOB = PredictJob
    PLACED = ("rasters", "out", "polygons", "confidence", "cam", "aoi")
    # many processes and machines are for scripts; what QGIS has open is one layer
    HIDDEN = ("workers", "scheduler", "shard", "finish", "mosaic", "asset")

    def add_inputs(self) -> None:
        """Add layer, model and area of interest."""
        polygon = QgsProcessing.SourceType.TypeVectorPolygon
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Raster layer")))
        self.add_setting("model")
        extent = QgsProcessingParameterExtent("EXTENT", self.tr("Extent to segment"), None, True)
        extent.setHelp(self.tr("Only this rectangle is segmented; the whole layer unless given."))
        self.addParameter(extent)
        clip = QgsProcessingParameterBoolean("CLIP", self.tr("Write the extent alone"), False, True)
        clip.setHelp(self.tr("The results end with the extent, and nothing else is read: quick on large rasters."))
        clip.setFlags(clip.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
        self.addParameter(clip)
        area = QgsProcessingParameterFeatureSource("AOI", self.tr("Polygons to segment within"), [polygon], None, True)
        area.setHelp(self.tr("Only what lies within these polygons is segmented."))
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
        self.addParameter(
            QgsProcessingParameterRasterDestination("CAM", self.tr("Class activation maps"), None, True, False)
        )
        self.add_report()
        self.add_text_output("AREAS", self.tr("Area of each class in square metres (JSON)"))
        self.addOutput(QgsProcessingOutputNumber("POLYGON_COUNT", self.tr("Number of polygons")))
        self.addOutput(QgsProcessingOutputNumber("VALID_SHARE", self.tr("Share of valid pixels")))

    def refusal(self, parameters: Any, context: Any) -> str:
        """Refuse layers that are no files, bands the layer lacks, and an area given twice."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        online = is_online(layer)
        reason = "" if online else raster_refusal(layer)
        if reason:
            return reason
        if online and not has_extent(self, parameters, context, layer):
            return self.tr("Layer “{}” is drawn by a server; choose the extent to fetch from it.").format(layer.name())
        bands = self._settings(parameters, context).get("bands", [])
        reason = "" if online else bands_refusal(bands, layer)
        reason = reason or area_refusal(self, parameters, context, layer)
        if reason:
            return reason
        if online:
            try:
                self._online_part(parameters, context, layer)
            except (OnlineError, ModelCardError) as error:
                return str(error)
        return ""

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return raster and area of interest."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        self._name, self._metric = layer.name(), layer.crs().isValid()
        QgsSettings().setValue(LAST_MODEL, self.source_path(parameters, "MODEL", context))
        self._part = None
        if is_online(layer):
            self._part = self._online_part(parameters, context, layer)
            return {}
        raster, area = area_of(self, parameters, context, layer, feedback)
        return {"rasters": [raster], "aoi": area}

    def fetched(self, folder: str, context: Any, feedback: Any) -> dict[str, Any] | None:
        """Return the raster, fetched from its server if it has one."""
        if self._part is None:
            return super().fetched(folder, context, feedback)
        path = os.path.join(folder, "fetched.tif")
        try:
            whole = fetch(self._part, path, context.transformContext(), feedback)
        except OnlineError as error:
            raise QgsProcessingException(str(error)) from None
        return {"rasters": [path]} if whole else None

    def command_refusal(self) -> str:
        """Refuse online layers, of which a command could not know what to fetch."""
        if self._part is None:
            return ""
        return self.tr("Layer “{}” is drawn by a server; save it as a file to use it in a command.").format(self._name)

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the outputs that are wanted."""
        fields = {"out": "OUTPUT", "polygons": "POLYGONS", "confidence": "CONFIDENCE", "cam": "CAM"}
        return {f: self.parameterAsOutputLayer(parameters, name, context) for f, name in fields.items()}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return the paths, the areas and the report; name and style the layers."""
        written = {"OUTPUT": job.out, "POLYGONS": job.polygons, "CONFIDENCE": job.confidence, "CAM": job.cam}
        for name, role, title in _LAYERS:
            if written[name]:
                style_on_load(context, written[name], role, f"{self._name}: {self.tr(title)}", self._name)
        areas, shares = dict(result["area_m2"]), dict(result["share"])
        summary = {
            self.tr("Raster"): self._name,
            self.tr("Model"): job.model,
            self.tr("Mask"): job.out,
            self.tr("Size"): self.tr("{} x {} pixels").format(result["width"], result["height"]),
            self.tr("Valid"): percent(result["valid_share"]),
            self.tr("Polygons"): result.get("polygon_count"),
            self.tr("Seconds"): float(result["seconds"]),
        }
        report = page(
            self.tr("{}: land cover").format(self._name), area_table(areas, shares, self._metric), facts(summary)
        )
        return {
            **{name: path for name, path in written.items() if path},
            **self.write_report(parameters, context, report),
            "AREAS": as_text(areas),
            "POLYGON_COUNT": result.get("polygon_count"),
            "VALID_SHARE": result["valid_share"],
        }

    def _online_part(self, parameters: Any, context: Any, layer: Any) -> OnlinePart:
        """Return what to fetch, at the model's ground sample distance. Raises OnlineError or ModelCardError."""
        gsd = read_model_card(self.source_path(parameters, "MODEL", context) or "").gsd
        if gsd is None:
            raise OnlineError(self.tr("The model does not say its ground sample distance; save the layer as a file."))
        box = self.parameterAsExtent(parameters, "EXTENT", context, layer.crs()).intersect(layer.extent())
        return online_part(layer, box, gsd, context.transformContext())
