"""The Processing provider: all algorithms under one name."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.evaluate import Evaluate
from .algorithms.find_similar import FindSimilar
from .algorithms.scene_grid import MakeSceneGrid
from .algorithms.segment import Segment
from .algorithms.selftest import SelfTest
from .algorithms.tile import Tile
from .algorithms.train import Train
from .algorithms.train_few_shot import TrainFewShot
from .algorithms.vectorize import Vectorize
from .engine.locate import package_root

_ALGORITHMS = (Segment, FindSimilar, MakeSceneGrid, Tile, Train, TrainFewShot, Evaluate, Vectorize, SelfTest)


class WsssGeoProvider(QgsProcessingProvider):
    """Lists the algorithms, whether or not an engine is set up; each says itself what it lacks."""

    def id(self) -> str:
        """Return the id, which never changes."""
        return "wsss_geo"

    def name(self) -> str:
        """Return the name in the toolbox."""
        return "wsss-geo"

    def icon(self) -> QIcon:
        """Return the plugin's icon."""
        return QIcon(str(package_root() / "icon.png"))

    def loadAlgorithms(self) -> None:
        """Add all algorithms."""
        for algorithm in _ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """Masks are cloud-optimised GeoTIFF."""
        return ["tif"]

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        """Return the formats of polygons that every QGIS reads, the best first."""
        return ["gpkg", "shp", "fgb", "geojson"]

    def defaultVectorFileExtension(self, hasGeometry: bool = True) -> str:
        """Return the format of temporary polygons."""
        return "gpkg"

    def defaultRasterFileExtension(self) -> str:
        """Return the format of temporary rasters."""
        return "tif"

    def supportsNonFileBasedOutput(self) -> bool:
        """The engine writes files; databases and memory layers are not reached."""
        return False
