"""Layers that a server draws (XYZ, WMS, WMTS): written to a file at a model's ground sample distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsDistanceArea,
    QgsMapLayer,
    QgsPointXY,
    QgsRasterBandStats,
    QgsRasterBlockFeedback,
    QgsRasterDataProvider,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
)
from qgis.PyQt.QtCore import Qt

from .compat import is_well
from .translate import fill, tr

#: The provider of QGIS for all three.
_PROVIDER = "wms"
#: More is not asked of a server: about 1,500 tiles.
MOST_PIXELS = 100_000_000

_BLOCK = 1024
_ALPHA = 4
_SAMPLE = 1_000_000


class OnlineError(Exception):
    """The layer cannot be fetched; the message is a sentence for the user."""


@dataclass(frozen=True)
class OnlinePart:
    """What to fetch: a box in the layer's CRS as so many columns and rows of pixels."""

    name: str
    provider: QgsRasterDataProvider
    crs: QgsCoordinateReferenceSystem
    box: QgsRectangle
    columns: int
    rows: int


def is_online(layer: QgsMapLayer | None) -> bool:
    """Whether a server draws the layer."""
    return isinstance(layer, QgsRasterLayer) and layer.isValid() and layer.providerType() == _PROVIDER


def online_part(
    layer: QgsRasterLayer, box: QgsRectangle, gsd: float, context: QgsCoordinateTransformContext
) -> OnlinePart:
    """Return how ``box`` of a layer is fetched with pixels of ``gsd`` metres on the ground. Raises OnlineError.

    Map units are not metres: those of Web Mercator are stretched by 1 / cos(latitude). So the box is measured on the
    ellipsoid, along the lines through its centre.
    """
    measure = QgsDistanceArea()
    measure.setSourceCrs(layer.crs(), context)
    measure.setEllipsoid(layer.crs().ellipsoidAcronym() or "EPSG:7030")
    middle = box.center()
    across = (QgsPointXY(box.xMinimum(), middle.y()), QgsPointXY(box.xMaximum(), middle.y()))
    along = (QgsPointXY(middle.x(), box.yMinimum()), QgsPointXY(middle.x(), box.yMaximum()))
    columns, rows = (max(1, math.ceil(measure.measureLine(*line) / gsd)) for line in (across, along))
    if columns * rows > MOST_PIXELS:
        raise OnlineError(
            fill(
                tr(
                    "The extent is {:,} x {:,} pixels at the model's {:.3g} m, too many to ask a server for; "
                    "choose a smaller extent."
                ),
                columns,
                rows,
                gsd,
            )
        )
    return OnlinePart(layer.name(), layer.dataProvider().clone(), layer.crs(), box, columns, rows)


def fetch(part: OnlinePart, path: str, context: QgsCoordinateTransformContext, feedback: Any) -> bool:
    """Write a part as GeoTIFF (red, green, blue, alpha) and return True, or False if cancelled. Raises OnlineError.

    ``feedback`` is a QgsFeedback with QgsProcessingFeedback's messages.
    """
    pipe, block = QgsRasterPipe(), QgsRasterBlockFeedback()
    if not pipe.set(part.provider.clone()):
        raise OnlineError(tr("Layer “{}” cannot be drawn.").format(part.name))
    # Direct: this thread works, so it would not come to hear a message in its queue.
    feedback.canceled.connect(block.cancel, Qt.ConnectionType.DirectConnection)
    block.progressChanged.connect(feedback.setProgress, Qt.ConnectionType.DirectConnection)
    feedback.setProgressText(fill(tr("Fetching {:,} x {:,} pixels of “{}”"), part.columns, part.rows, part.name))
    writer = QgsRasterFileWriter(path)
    writer.setOutputFormat("GTiff")
    writer.setCreateOptions(["COMPRESS=DEFLATE", "TILED=YES", "BIGTIFF=IF_SAFER"])
    writer.setMaxTileWidth(_BLOCK)
    writer.setMaxTileHeight(_BLOCK)
    written = writer.writeRaster(pipe, part.columns, part.rows, part.box, part.crs, context, block)
    if feedback.isCanceled():
        return False
    if not is_well(written):
        raise OnlineError(tr("“{}” cannot be written to {}; check disk and rights.").format(part.name, path))
    _check_drawn(part, path, block.errors(), feedback)
    return True


def _check_drawn(part: OnlinePart, path: str, errors: list[str], feedback: Any) -> None:
    """What the server did not draw is transparent, and the engine leaves it out: say so."""
    drawn = QgsRasterLayer(path, "drawn")
    share = 1.0
    if drawn.bandCount() >= _ALPHA:
        stats = drawn.dataProvider().bandStatistics(_ALPHA, QgsRasterBandStats.Stats.Mean, QgsRectangle(), _SAMPLE)
        share = stats.mean / 255
    if share == 0.0:
        why = f" ({errors[0]})" if errors else ""
        raise OnlineError(
            tr("The server of “{}” drew nothing here{}; check network, extent and zoom levels.").format(part.name, why)
        )
    if share < 1.0:
        feedback.pushWarning(fill(tr("{:.1%} of the extent was not drawn and is left out."), 1 - share))
