"""Cut raster layers into a tile set."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
)

from ...wsss_geo.jobs import TileJob
from ..report import facts, page, table
from ..translate import mark
from .base import JobAlgorithm, as_text
from .sources import VECTOR_FORMATS, raster_path, raster_refusal


class Tile(JobAlgorithm):
    """Raster layers and tags in; tile set out."""

    ID, TITLE = "tile", mark("Make tile set")
    SUMMARY = mark("Cuts raster layers into scenes and joins them with their tags, ready for training.")
    HELP = mark(
        "Tags say which classes occur in a scene, not where. They come from a polygon or point layer (a scene takes "
        "the classes of what it contains) or from a file: CSV with tile or coordinates and tags, a mask raster, or a "
        "folder of class folders. No pixel is copied unless you ask for it.\n\n"
        "Scenes for validation and testing are kept apart from those for training."
    )
    TAGS = mark("tiles, chips, scenes, tags, training data, land cover")
    JOB = TileJob
    PLACED = ("rasters", "out", "tags", "field")
    HIDDEN = ("dataset", "protocol", "variant")  # folders of files, not layers

    def add_inputs(self) -> None:
        """Add layers and tags."""
        self.addParameter(
            QgsProcessingParameterMultipleLayers("INPUT", self.tr("Raster layers"), QgsProcessing.SourceType.TypeRaster)
        )
        vector = QgsProcessing.SourceType.TypeVectorAnyGeometry
        self.addParameter(
            QgsProcessingParameterFeatureSource("TAG_LAYER", self.tr("Layer of tags"), [vector], None, True)
        )
        self.addParameter(
            QgsProcessingParameterField("FIELD", self.tr("Field with the class"), None, "TAG_LAYER", optional=True)
        )
        file = QgsProcessingParameterFile.Behavior.File
        self.addParameter(QgsProcessingParameterFile("TAG_FILE", self.tr("File of tags"), file, optional=True))

    def add_outputs(self) -> None:
        """Add the tile set, report and figures."""
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", self.tr("Tile set (folder)")))
        self.add_report()
        self.add_text_output("COUNTS", self.tr("Tiles of each class (JSON)"))
        self.addOutput(QgsProcessingOutputNumber("TILES", self.tr("Number of tiles")))
        self.addOutput(QgsProcessingOutputNumber("TAGGED", self.tr("Number of tagged tiles")))

    def refusal(self, parameters: Any, context: Any) -> str:
        """Refuse layers that are no files and tags from two places."""
        reasons = [raster_refusal(r) for r in self.parameterAsLayerList(parameters, "INPUT", context)]
        reason = next((r for r in reasons if r), "")
        by_layer = parameters.get("TAG_LAYER") not in (None, "")
        by_file = parameters.get("TAG_FILE") not in (None, "")
        if not reason and by_layer and by_file:
            reason = self.tr("Both a layer and a file of tags are given; keep one of them.")
        if not reason and by_layer and not self.parameterAsFields(parameters, "FIELD", context):
            reason = self.tr("The field with the class is not chosen; choose a field of the layer of tags.")
        return reason

    def sources(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Return rasters and tags."""
        found: dict[str, Any] = {
            "rasters": [raster_path(r) for r in self.parameterAsLayerList(parameters, "INPUT", context)],
            "tags": self.source_path(parameters, "TAG_FILE", context),
        }
        if parameters.get("TAG_LAYER") not in (None, ""):
            found["tags"] = self.parameterAsCompatibleSourceLayerPath(
                parameters, "TAG_LAYER", context, VECTOR_FORMATS, "gpkg", feedback
            )
            found["field"] = self.parameterAsFields(parameters, "FIELD", context)[0]
        return found

    def destinations(self, parameters: Any, context: Any) -> dict[str, Any]:
        """Return the tile set's folder."""
        return {"out": self.parameterAsString(parameters, "OUTPUT", context)}

    def results(self, job: Any, result: dict[str, Any], parameters: Any, context: Any) -> dict[str, Any]:
        """Return folder, counts and report."""
        counts, splits = dict(result["counts"]), dict(result["splits"])
        together = zip(result["classes"], result["cooccurrence"])  # noqa: B905 - QGIS's Python is 3.9
        report = page(
            self.tr("Tile set"),
            facts(
                {
                    self.tr("Folder"): job.out,
                    self.tr("Tiles"): result["total"],
                    self.tr("Tagged"): result["tagged"],
                }
            ),
            table((self.tr("Class"), self.tr("Tiles")), counts.items()),
            table((self.tr("Split"), self.tr("Tiles")), splits.items()),
            table((self.tr("Tiles with both"), *result["classes"]), ((name, *row) for name, row in together)),
        )
        return {
            "OUTPUT": job.out,
            **self.write_report(parameters, context, report),
            "COUNTS": as_text(counts),
            "TILES": result["total"],
            "TAGGED": result["tagged"],
        }
