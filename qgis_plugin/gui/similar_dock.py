"""The dock Find Similar: all that is like a few polygons."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from qgis.core import Qgis

from ..algorithms.find_similar import ALGORITHM
from ..translate import tr
from .results import load_results
from .run_dock import RunDock, Words
from .similar_form import SimilarForm


class SimilarDock(RunDock):
    """``open_dialog(parameters)`` opens the algorithm's own dialog with all its options."""

    form: SimilarForm

    def __init__(self, iface: Any, open_dialog: Callable[[dict[str, Any]], None]) -> None:
        words = Words("similar", tr("Find Similar"), tr("Find"), tr("Search the extent and write the results"))
        super().__init__(iface, ALGORITHM, words, SimilarForm(iface.mapCanvas()), open_dialog)
        self.form.refused.connect(lambda sentence: self.say(sentence, Qgis.MessageLevel.Warning))

    def begin(self, parameters: Callable[[], dict[str, Any]]) -> bool:
        """Search, or say why not; what is being drawn is left first."""
        started = super().begin(parameters)
        if started:
            self.form.draw_button.setChecked(False)
        return started

    def load(self, results: dict[str, Any]) -> list[str]:
        """Add the layers; only what was found is shown."""
        (name,) = json.loads(results["AREAS"])
        return load_results(self.raster.id, self.raster.name, results, preview=False, found=name)

    def shares(self, results: Mapping[str, Any], areas: Mapping[str, float]) -> dict[str, float]:
        """Return the share of what was found in what was searched."""
        return {name: float(results["SHARE"]) for name in areas}

    def stop(self) -> None:
        """Let go of everything, before the dock is deleted."""
        self.form.stop()
        super().stop()
