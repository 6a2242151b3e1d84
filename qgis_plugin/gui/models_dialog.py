"""The dialog Models: those of a folder, with their cards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QSplitter,
    QTextBrowser,
    QVBoxLayout,
)

from ..few_shot_card import FewShotCard
from ..model_card import ModelCard
from ..models import Model, list_models, model_html
from ..options import LAST_FEW_SHOT, LAST_MODEL, MODEL_FOLDER, model_folder
from ..translate import tr
from .class_rows import swatch


class ModelsDialog(QDialog):
    """Lists models; ``segment`` and ``search`` are called when one was chosen to segment, or to find similar, with."""

    def __init__(self, segment: Callable[[], None], search: Callable[[], None], parent: Any = None) -> None:
        super().__init__(parent)
        self.setObjectName("wsss_geo_models")
        self.setWindowTitle(tr("Models"))
        self._segment, self._search = segment, search
        self.models: list[Model] = []
        self.folder = QgsFileWidget()
        self.folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.list = QListWidget()
        self.page = QTextBrowser()
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.list)
        split.addWidget(self.page)
        split.setStretchFactor(1, 2)
        form = QFormLayout()
        form.addRow(tr("Folder"), self.folder)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.use_button = buttons.addButton(tr("Segment With It"), QDialogButtonBox.ButtonRole.ActionRole)
        self.use_button.clicked.connect(self.use)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addLayout(form)
        whole.addWidget(split, 1)
        whole.addWidget(buttons)
        self.resize(800, 520)
        self.list.currentRowChanged.connect(self._show)
        self.folder.setFilePath(model_folder())
        self.folder.fileChanged.connect(self._on_folder)
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again; the model used last is chosen."""
        self.models = list_models(self.folder.filePath().strip())
        self.list.clear()
        for model in self.models:
            item = QListWidgetItem(model.name)
            item.setToolTip(model.path)
            if isinstance(model.card, ModelCard):
                item.setIcon(swatch(_first_color(model.card)))
            self.list.addItem(item)
        last = str(QgsSettings().value(LAST_MODEL, "") or "")
        paths = [model.path for model in self.models]
        self.list.setCurrentRow(paths.index(last) if last in paths else 0 if paths else -1)
        self._show(self.list.currentRow())

    def use(self) -> None:
        """Segment, or find similar, with the chosen model."""
        model = self._current()
        if model is not None and model.card is not None:
            few_shot = isinstance(model.card, FewShotCard)
            QgsSettings().setValue(LAST_FEW_SHOT if few_shot else LAST_MODEL, model.path)
            self.accept()
            (self._search if few_shot else self._segment)()

    def _on_folder(self, path: str) -> None:
        QgsSettings().setValue(MODEL_FOLDER, path.strip())
        self.refresh()

    def _current(self) -> Model | None:
        row = self.list.currentRow()
        return self.models[row] if 0 <= row < len(self.models) else None

    def _show(self, _: int) -> None:
        model = self._current()
        nothing = tr("There are no models here. “Train model from tags” makes one; or choose another folder.")
        self.page.setHtml(model_html(model) if model is not None else nothing)
        self.use_button.setEnabled(model is not None and model.card is not None)
        few_shot = model is not None and isinstance(model.card, FewShotCard)
        self.use_button.setText(tr("Find Similar With It") if few_shot else tr("Segment With It"))


def _first_color(card: ModelCard) -> str:
    return card.classes.classes[-1].color
