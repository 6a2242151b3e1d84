"""Lay the grid of scenes over a raster layer."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsFeatureSink,
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsRasterLayer,
    QgsWkbTypes,
)

from ..scenes.grid import SceneGrid
from ..scenes.layer import grid_of, scene_feature, scene_fields
from ..translate import mark
from .base import EngineAlgorithm


class MakeSceneGrid(EngineAlgorithm):
    """Raster layer in; squares with a field for tags out."""

    ID, TITLE = "scene_grid", mark("Make scene grid")
    SUMMARY = mark("Lays a grid of scenes over a raster layer, ready to be tagged.")
    HELP = mark(
        "Each scene is a square of the raster's pixels, the same that “Make tile set” cuts with this size. Write into "
        "the field “tags” which classes occur in a scene, as in water;field. NULL means that nobody looked at the "
        "scene yet, an empty text that it has none of the classes. The dock Tag Scenes does it with a key a class."
    )
    TAGS = mark("scenes, grid, tags, tiles, training data, fishnet")

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Declare layer, size and grid."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", self.tr("Raster layer")))
        whole = QgsProcessingParameterNumber.Type.Integer
        size = QgsProcessingParameterNumber("SIZE", self.tr("Scene size (pixels)"), whole, 256, False, 8, 8192)
        size.setHelp(self.tr("Side of a scene; use the same as tile size when you make the tile set."))
        self.addParameter(size)
        polygon = QgsProcessing.SourceType.TypeVectorPolygon
        self.addParameter(QgsProcessingParameterFeatureSink("OUTPUT", self.tr("Scenes"), polygon))
        self.addOutput(QgsProcessingOutputNumber("COUNT", self.tr("Number of scenes")))

    def canExecute(self) -> tuple[bool, str]:
        """QGIS alone can do it."""
        return True, ""

    def prepareAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> bool:
        """Read the layer; it belongs to the main thread."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        if not isinstance(layer, QgsRasterLayer) or not layer.isValid():
            raise QgsProcessingException(self.tr("The raster layer is missing or cannot be read; choose another."))
        self._grid: SceneGrid = grid_of(layer, self.parameterAsInt(parameters, "SIZE", context))
        self._name, self._crs = layer.name(), layer.crs()
        return True

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Write the scenes."""
        fields, total = scene_fields(), len(self._grid)
        polygon = QgsWkbTypes.Type.Polygon
        sink, path = self.parameterAsSink(parameters, "OUTPUT", context, fields, polygon, self._crs)
        if sink is None:
            raise QgsProcessingException(self.invalidSinkError(parameters, "OUTPUT"))
        for done, scene in enumerate(self._grid.scenes(self._name)):
            if feedback.isCanceled():
                return {}
            sink.addFeature(scene_feature(scene, self._grid.size, fields), QgsFeatureSink.Flag.FastInsert)
            feedback.setProgress(100.0 * (done + 1) / total)
        return {"OUTPUT": path, "COUNT": total}
