"""Check the engine: what its Python has, and one small real job."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
    QgsRasterBlock,
    QgsRasterFileWriter,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QByteArray

from ...wsss_geo.jobs import VectorizeJob
from ...wsss_geo.outputs import replacing
from .. import worker
from ..engine.locate import EngineMissingError, engine_environment, find_engine, probe_command
from ..engine.requirements import LOADED
from ..report import facts, page, table
from ..translate import mark, tr
from .base import EngineAlgorithm, absolute, as_text

_SIDE = 64


class SelfTest(EngineAlgorithm):
    """Nothing in; a report on the engine out."""

    ID, TITLE = "selftest", mark("Test the engine")
    SUMMARY = mark("Loads every package of the engine and runs one small job, as the other algorithms would.")
    HELP = mark(
        "The report names the engine's Python, the versions of its packages and the devices it can compute on. "
        "The job turns a small mask into polygons, whose area is checked."
    )
    TAGS = mark("engine, diagnostics, torch, GPU, self-test")

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Declare report and outputs."""
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "REPORT", self.tr("Report"), self.tr("HTML files (*.html)"), None, True, True
            )
        )
        self.addOutput(QgsProcessingOutputString("VERSIONS", self.tr("Versions (JSON)")))
        self.addOutput(QgsProcessingOutputString("DEVICES", self.tr("Devices (JSON)")))
        self.addOutput(QgsProcessingOutputNumber("POLYGON_COUNT", self.tr("Polygons made by the job")))

    def processAlgorithm(self, parameters: Any, context: Any, feedback: Any) -> dict[str, Any]:
        """Probe, run, compare, report."""
        try:
            engine = find_engine()
            found = self._loaded(engine.python, feedback)
        except (EngineMissingError, worker.WorkerError) as error:
            raise QgsProcessingException(str(error)) from None
        if found is None:
            return {}
        count = self._small_job(feedback)
        if count is None:
            return {}
        versions = {"python": found["python"], **found["versions"]}
        known = {self.tr("Engine"): engine.python, self.tr("Origin"): self.tr(engine.origin), "QGIS": Qgis.QGIS_VERSION}
        report = page(
            self.tr("Engine"),
            facts(
                {
                    **known,
                    self.tr("Devices"): ", ".join(found["devices"]),
                    self.tr("Polygons of the small job"): count,
                }
            ),
            table((self.tr("Package"), self.tr("Version")), versions.items()),
        )
        outputs = {"VERSIONS": as_text(versions), "DEVICES": as_text(found["devices"]), "POLYGON_COUNT": count}
        path = absolute(self.parameterAsFileOutput(parameters, "REPORT", context))
        if path:
            with replacing(path) as part:
                part.write_text(report, encoding="utf-8")
            outputs["REPORT"] = path
        return outputs

    def _loaded(self, python: str, feedback: Any) -> Any:
        """Let the engine load its packages; return what it says of them, None if cancelled."""
        with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder:
            command = probe_command(python, LOADED, load=True)
            found = worker.run_command(command, folder, engine_environment(), feedback)
        faults = "; ".join(f"{name}: {fault}" for name, fault in found["faults"].items()) if found else ""
        if faults:
            raise QgsProcessingException(
                self.tr("The engine's packages do not load ({}); install them again.").format(faults)
            )
        return found

    def _small_job(self, feedback: Any) -> int | None:
        """Vectorize a mask of two halves; return the number of polygons, None if cancelled."""
        with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder:
            mask, polygons = Path(folder) / "mask.tif", Path(folder) / "polygons.geojson"
            write_two_halves(mask)
            job = VectorizeJob(mask=str(mask), out=str(polygons))
            result = self.run_job(job.to_json(), feedback)
            if result is None:
                return None
            layer = QgsVectorLayer(str(polygons), "polygons", "ogr")
            count = layer.featureCount() if layer.isValid() else 0
            del layer
        if count != 2 or result.get("count") != 2:
            raise QgsProcessingException(
                self.tr("The engine made {} polygons of a mask with two classes; install the plugin again.").format(
                    count
                )
            )
        return int(count)


def write_two_halves(path: Path) -> None:
    """Write a uint8 GeoTIFF of 1 m pixels, its left half 0, its right half 1."""
    extent = QgsRectangle(500_000, 5_000_000, 500_000 + _SIDE, 5_000_000 + _SIDE)
    writer = QgsRasterFileWriter(str(path))
    writer.setOutputProviderKey("gdal")
    writer.setOutputFormat("GTiff")
    crs = QgsCoordinateReferenceSystem("EPSG:32632")
    provider = writer.createOneBandRaster(Qgis.DataType.Byte, _SIDE, _SIDE, extent, crs)
    if provider is None or not provider.isValid():
        raise QgsProcessingException(tr("{} cannot be written; check the folder for temporary files.").format(path))
    block = QgsRasterBlock(Qgis.DataType.Byte, _SIDE, _SIDE)
    row = bytes(_SIDE // 2) + bytes([1]) * (_SIDE // 2)
    block.setData(QByteArray(row * _SIDE))
    provider.setEditable(True)
    provider.writeBlock(block, 1)
    provider.setEditable(False)
