"""The job that tells about a map or a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import UsageError
from ..job_fields import REQUIRED, Job, Result, setting


@dataclass(frozen=True)
class ReportJob(Job):
    """Write a page about a map or a training: areas, confidence, the scenes to tag next, model and provenance."""

    command: ClassVar[str] = "report"

    source: str = setting(REQUIRED, "path", "Mask that predict wrote, run folder of train, or model", positional=True)
    out: str = setting(REQUIRED, "path", "Page to write (.html); it needs no other file")
    title: str | None = setting(None, "text", "Title of the page; the name of the source unless given")
    confidence: str | None = setting(None, "path", "Confidence of the mask; that of its record unless given")
    model: str | None = setting(None, "path", "Model of the mask; that of its record unless given")
    scene: int | None = setting(
        None, "int", "Side in pixels of a scene to tag; that of the training's scenes unless given", low=8, high=65536
    )
    scenes: int = setting(12, "int", "Scenes to list that should be tagged next", low=0, high=100)

    def check(self) -> None:
        """It is a page."""
        if not self.out.lower().endswith((".html", ".htm")):
            raise UsageError(f"report.out: {self.out} is no name of a page", "let it end with .html")


@dataclass(frozen=True)
class ReportResult(Result):
    """``confidence``: the mean over the map; ``error``: expected calibration error of the model by the tags."""

    report: str
    bytes: int
    confidence: float | None = None
    error: float | None = None
    scenes: int = 0
