"""What is segmented, with which model, where, and what is written."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsMapLayer, QgsProject, QgsRasterLayer, QgsRectangle, QgsReferencedRectangle, QgsSettings

from ..algorithms.segment import LAST_MODEL
from ..model_card import ModelCardError, card_html, read_model_card
from ..online import OnlineError, is_online, online_part
from ..pixel_grid import pixel_grid
from ..translate import fill, tr
from .results import output_paths
from .run_form import FormError, RunForm

#: More pixels than this are no preview.
MOST_PREVIEW_PIXELS = 16_000_000


class SegmentForm(RunForm):
    """The fields of the dock Segment Layer, which takes online layers too, and its preview."""

    def __init__(self, canvas: Any, parent: Any = None) -> None:
        super().__init__(canvas, tr("Raster layer"), str(QgsSettings().value(LAST_MODEL, "") or ""), parent)

    def card_text(self, path: str) -> str:
        """Return classes in their colours and facts. Raises ModelCardError."""
        return card_html(read_model_card(path))

    def no_model(self) -> str:
        """Return where models come from."""
        return tr("Choose a model; “Train model from tags” makes one.")

    def accepts(self, layer: QgsMapLayer | None) -> bool:
        """Whether it is a layer of files or one that a server draws."""
        return is_online(layer) or super().accepts(layer)

    def preview_parameters(self) -> dict[str, Any]:
        """Return the parameters of a preview of what the canvas shows. Raises FormError."""
        layer = self.layer()
        box = self.visible_box(layer)
        width, height = self._size(layer, box)
        if width * height > MOST_PREVIEW_PIXELS:
            sentence = tr("The map shows {:,} pixels of “{}”, too many for a preview; zoom in.")
            raise FormError(fill(sentence, width * height, layer.name()))
        paths = output_paths(layer.name(), "", False)
        return {**self.inputs(layer), "EXTENT": QgsReferencedRectangle(box, layer.crs()), "CLIP": True, **paths}

    def _size(self, layer: QgsRasterLayer, box: QgsRectangle) -> tuple[int, int]:
        """Return the columns and rows of pixels in a box; those of an online layer are the model's."""
        if not is_online(layer):
            return pixel_grid(layer).window(box)[2:]
        try:
            gsd = read_model_card(self.model.filePath().strip()).gsd
            part = online_part(layer, box, gsd or 1.0, QgsProject.instance().transformContext())
        except (ModelCardError, OnlineError) as error:
            raise FormError(str(error)) from None
        return part.columns, part.rows
