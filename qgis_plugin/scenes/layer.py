"""The layer that keeps scenes and tags: one polygon a scene, its tags in the field ``tags``.

NULL says that nobody looked at the scene yet, an empty text that it has none of the classes. The engine reads the
layer's GeoPackage as tags as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsFields,
    QgsGeometry,
    QgsMapLayer,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

from ...wsss_geo.classes import ClassScheme, read_classes, write_classes
from ...wsss_geo.errors import WsssGeoError
from ...wsss_geo.outputs import replacing
from ..pixel_grid import pixel_grid
from ..translate import tr
from .grid import GridScene, SceneGrid
from .tags import Tags, TagTextError, tags_from_text, tags_to_text

_FIELDS = "field=scene:string(254)&field=row:integer&field=col:integer&field=size:integer&field=tags:string(0)"
_PROPERTY = "wsss_geo/classes"
_UNDEFINED = "Undefined"


class SceneLayerError(Exception):
    """A layer of scenes cannot be made, read or written; the message is a sentence for the user."""


@dataclass(frozen=True)
class Scene:
    """A scene of a layer: its feature and its first row and column in pixels (None where the layer does not tell)."""

    fid: int
    row: int | None
    col: int | None
    tags: Tags


def grid_of(raster: QgsRasterLayer, size: int) -> SceneGrid:
    """Return the grid of scenes of ``size`` pixels over a raster layer."""
    grid = pixel_grid(raster)
    return SceneGrid(grid.height, grid.width, size, grid.place)


def scene_fields() -> QgsFields:
    """Return the fields of a layer of scenes."""
    return QgsVectorLayer(f"Polygon?{_FIELDS}", "scenes", "memory").fields()


def scene_feature(scene: GridScene, size: int, fields: QgsFields) -> QgsFeature:
    """Return the feature of an untagged scene."""
    feature = QgsFeature(fields)
    feature.setGeometry(QgsGeometry.fromPolygonXY([[QgsPointXY(x, y) for x, y in scene.corners]]))
    for name, value in (("scene", scene.name), ("row", scene.row), ("col", scene.col), ("size", size)):
        feature.setAttribute(name, value)
    return feature


def new_scene_layer(grid: SceneGrid, raster: str, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
    """Return a memory layer with all scenes of the grid, untagged; ``raster`` is the raster's name."""
    layer = QgsVectorLayer(f"Polygon?{_FIELDS}", f"{raster}: {tr('Scenes')}", "memory")
    layer.setCrs(crs)
    fields = layer.fields()
    ok, _ = layer.dataProvider().addFeatures([scene_feature(s, grid.size, fields) for s in grid.scenes(raster)])
    if not ok:
        raise SceneLayerError(tr("QGIS cannot hold these scenes; choose larger ones."))
    layer.updateExtents()
    return layer


def save_scenes(layer: QgsVectorLayer, path: str, classes: ClassScheme) -> QgsVectorLayer:
    """Write a layer of scenes as GeoPackage with its classes beside it, and return it. Raises SceneLayerError.

    The file appears when it is whole; one that the project shows is not replaced.
    """
    target = Path(path)
    if shown_layer(path) is not None:
        raise SceneLayerError(tr("{} is open in the project; choose another name, or remove its layer.").format(path))
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName, options.fileEncoding = "GPKG", "scenes", "UTF-8"
    try:
        with replacing(target) as part:
            context = QgsProject.instance().transformContext()
            code, reason, *_ = QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(part), context, options)
            if code != QgsVectorFileWriter.WriterError.NoError:
                raise SceneLayerError(tr("{} cannot be written ({}).").format(path, reason))
        write_classes(classes, classes_path(path))
    except (OSError, WsssGeoError) as error:
        raise SceneLayerError(tr("{} cannot be written ({}).").format(path, error)) from None
    return open_scenes(path)


def open_scenes(path: str) -> QgsVectorLayer:
    """Return the layer of scenes in a GeoPackage. Raises SceneLayerError."""
    if not os.path.isfile(path):
        raise SceneLayerError(tr("{} does not exist.").format(path))
    layer = QgsVectorLayer(path, Path(path).stem, "ogr")
    if not layer.isValid():
        raise SceneLayerError(tr("{} cannot be read as a vector layer.").format(path))
    return layer


def shown_layer(path: str) -> QgsMapLayer | None:
    """Return a layer of the project that comes from this file, None if there is none."""
    wanted = os.path.abspath(path)
    layers = QgsProject.instance().mapLayers().values()
    return next((x for x in layers if os.path.abspath(x.source().split("|", 1)[0]) == wanted), None)


def classes_path(path: str) -> Path:
    """Return where the classes of the scenes in ``path`` are kept; ``wsss-geo tile --classes`` reads it."""
    return Path(path).with_suffix(".classes.json")


class SceneLayer:
    """Reads and writes the scenes of a vector layer. Raises SceneLayerError if it is none of scenes."""

    def __init__(self, layer: QgsVectorLayer) -> None:
        fields = layer.fields()
        self._tags_at = fields.indexOf("tags")
        polygons = layer.geometryType() == QgsWkbTypes.GeometryType.PolygonGeometry
        if not polygons or self._tags_at < 0 or fields.at(self._tags_at).isNumeric():
            sentence = tr("“{}” is no layer of scenes: it needs polygons and a text field “tags”; make a grid first.")
            raise SceneLayerError(sentence.format(layer.name()))
        if layer.crs().isValid() and layer.crs().description().startswith(_UNDEFINED):
            layer.setCrs(QgsCoordinateReferenceSystem())  # how a GeoPackage says that there is none
        self.layer = layer

    @property
    def path(self) -> str:
        """The file, empty if the layer is in memory alone."""
        return "" if self.layer.providerType() != "ogr" else self.layer.source().split("|", 1)[0]

    def scenes(self) -> list[Scene]:
        """Return the scenes row by row, or in the order of their features. Raises SceneLayerError."""
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        found = [self._scene(f) for f in self.layer.getFeatures(request)]
        if not found:
            raise SceneLayerError(tr("“{}” has no scenes; make a grid first.").format(self.layer.name()))
        if all(s.row is not None and s.col is not None for s in found):
            return sorted(found, key=lambda s: (s.row, s.col, s.fid))
        return found

    def size(self) -> int | None:
        """Return the side of a scene in pixels, None if the layer does not tell."""
        value = next(self.layer.getFeatures(QgsFeatureRequest().setLimit(1)), None)
        size = value["size"] if value is not None and self.layer.fields().indexOf("size") >= 0 else None
        return size if isinstance(size, int) and size > 0 else None

    def write(self, fid: int, tags: Tags) -> None:
        """Keep the tags of a scene. Raises SceneLayerError."""
        text = tags_to_text(tags)
        if self.layer.isEditable():
            ok = self.layer.changeAttributeValue(fid, self._tags_at, text)
        else:
            ok = self._has(fid) and self.layer.dataProvider().changeAttributeValues({fid: {self._tags_at: text}})
        if not ok:
            sentence = tr("The tags cannot be written to “{}”; check that its file is there and may be changed.")
            raise SceneLayerError(sentence.format(self.layer.name()))
        self.layer.triggerRepaint()

    def geometry(self, fid: int) -> QgsGeometry:
        """Return the outline of a scene; null if it is gone."""
        return self.layer.getFeature(fid).geometry()

    def at(self, x: float, y: float) -> Iterator[int]:
        """Yield the features at a place in the layer's CRS."""
        point = QgsGeometry.fromWkt(f"POINT({x!r} {y!r})")
        request = QgsFeatureRequest().setFilterRect(QgsRectangle(x, y, x, y)).setNoAttributes()
        yield from (f.id() for f in self.layer.getFeatures(request) if f.geometry().intersects(point))

    def classes(self) -> ClassScheme | None:
        """Return the classes kept beside the file or in the layer, None if there are none that can be read."""
        if self.path and classes_path(self.path).is_file():
            with suppress(WsssGeoError):
                return read_classes(classes_path(self.path))
        with suppress(WsssGeoError, ValueError):
            return ClassScheme.from_json(json.loads(str(self.layer.customProperty(_PROPERTY, "") or "")))
        return None

    def keep_classes(self, classes: ClassScheme) -> None:
        """Keep the classes in the layer, and beside its file. Raises SceneLayerError."""
        self.layer.setCustomProperty(_PROPERTY, json.dumps(classes.to_json()))
        if self.path:
            place = classes_path(self.path)
            try:
                write_classes(classes, place)
            except OSError as error:
                raise SceneLayerError(tr("{} cannot be written ({}).").format(place, error.strerror)) from None

    def _scene(self, feature: QgsFeature) -> Scene:
        value = feature.attribute(self._tags_at)
        try:
            tags = tags_from_text(value if isinstance(value, str) else None)
        except TagTextError as error:
            sentence = tr("“{}”: {} is not a list of tags; correct it in the attribute table.")
            raise SceneLayerError(sentence.format(self.layer.name(), error)) from None
        return Scene(feature.id(), self._number(feature, "row"), self._number(feature, "col"), tags)

    def _number(self, feature: QgsFeature, name: str) -> int | None:
        at = self.layer.fields().indexOf(name)
        value: Any = feature.attribute(at) if at >= 0 else None
        return value if isinstance(value, int) else None

    def _has(self, fid: int) -> bool:
        return self.layer.getFeature(fid).isValid()  # a provider says yes to a change of what is not there


def is_scene_layer(layer: Any) -> bool:
    """Whether a layer of the project was tagged before."""
    return isinstance(layer, QgsVectorLayer) and bool(layer.customProperty(_PROPERTY, ""))
