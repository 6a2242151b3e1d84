"""How sure a model was of each scene: the mean of its confidence raster there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsProject,
    QgsRasterBandStats,
    QgsRasterLayer,
    QgsRectangle,
)

#: Pixels looked at in a scene; QGIS reads overviews where a scene has more.
_SAMPLE = 4096


def scene_certainty(
    confidence: QgsRasterLayer, boxes: Sequence[tuple[int, QgsRectangle]], crs: QgsCoordinateReferenceSystem
) -> Iterator[tuple[int, float | None]]:
    """Yield (scene, mean confidence) for ``boxes``, (scene, box in ``crs``) each; None where there is no confidence."""
    provider = confidence.dataProvider()
    transform = QgsCoordinateTransform(crs, confidence.crs(), QgsProject.instance())
    for scene, box in boxes:
        try:
            there = transform.transformBoundingBox(box)
        except QgsCsException:
            yield scene, None
            continue
        if not there.intersects(confidence.extent()):
            yield scene, None
            continue
        found = provider.bandStatistics(1, QgsRasterBandStats.Stats.Mean, there, _SAMPLE)
        yield scene, found.mean if found.elementCount else None
