"""The plugin: a provider of algorithms, three docks, and the buttons and menus that open them."""
# ruff: noqa: N802 - the names are QGIS's

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import Qgis, QgsApplication, QgsRasterLayer, QgsSettings
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QFileDialog

from .algorithms.segment import LAST_MODEL
from .compat import QAction
from .engine.locate import EngineMissingError, check_python, find_engine, interpreter_in, package_root
from .options import LAST_FEW_SHOT, PYTHON
from .provider import WsssGeoProvider
from .styling import forget_stylers
from .translate import install_translation, mark, remove_translation, tr
from .worker import stop_all

MENU = "wsss-geo"


class WsssGeoPlugin:
    """What QGIS loads. ``iface`` is None in ``qgis_process``, which calls ``initProcessing`` alone."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._provider: WsssGeoProvider | None = None
        self._actions: list[QAction] = []
        self._dialogs: list[Any] = []
        self._docks: dict[str, Any] = {}
        self._engine_menu: Any = None
        self._translator: Any = install_translation()  # before anything is named

    def initProcessing(self) -> None:
        """Register the algorithms."""
        if self._provider is None:
            provider = WsssGeoProvider()
            # Refused (and deleted) if another copy of the plugin has registered its own.
            if QgsApplication.processingRegistry().addProvider(provider):
                self._provider = provider

    def initGui(self) -> None:
        """Add button and menu."""
        self.initProcessing()
        icon, folder = QIcon(str(package_root() / "icon.png")), package_root() / "qgis_plugin"
        segment = self._add_action("wsss_geo_segment", icon, self.tr("Segment Layer"), self.show_segment_dock)
        segment.setToolTip(self.tr("Segment the active raster layer with a model"))
        tag = self._add_action(
            "wsss_geo_tag", QIcon(str(folder / "tag.svg")), self.tr("Tag Scenes"), self.show_tag_dock
        )
        tag.setToolTip(self.tr("Tag scenes of a raster layer with the classes that occur in them"))
        similar = self._add_action(
            "wsss_geo_similar", QIcon(str(folder / "similar.svg")), self.tr("Find Similar"), self.show_similar_dock
        )
        similar.setToolTip(self.tr("Find all that is like a few polygons drawn on the map"))
        for action in (segment, tag, similar):
            self._iface.addToolBarIcon(action)
        title = self.tr("Segment Layer With All Options…")
        self._add_action("wsss_geo_segment_dialog", icon, title, self.segment_layer)
        for name, title in (
            ("tile", mark("Make Tile Set…")),
            ("train", mark("Train Model From Tags…")),
            ("train_few_shot", mark("Train Few-Shot Model…")),
        ):
            self._add_action(f"wsss_geo_{name}", icon, self.tr(title), lambda _=False, n=name: self.open(n, {}))
        from .gui.engine_menu import EngineMenu  # there is no window without initGui

        self._engine_menu = EngineMenu(
            self._iface, self._add_action, self.segment_with_last_model, self.search_with_last_model
        )
        self._add_action("wsss_geo_engine", QIcon(), self.tr("Choose Engine…"), self.choose_engine)

    def unload(self) -> None:
        """Take everything away again: docks, dialogs, actions, algorithms, running workers."""
        for dock in self._docks.values():
            dock.stop()
            self._iface.removeDockWidget(dock)
            dock.deleteLater()
        self._docks.clear()
        if self._engine_menu is not None:
            self._engine_menu.stop()
            self._engine_menu = None
        stop_all()
        for dialog in self._open_dialogs():
            dialog.close()
            dialog.deleteLater()
        self._dialogs.clear()
        for action in self._actions:
            self._iface.removePluginRasterMenu(MENU, action)
            self._iface.removeToolBarIcon(action)
            action.deleteLater()
        self._actions.clear()
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
        forget_stylers()
        remove_translation(self._translator)
        self._translator = None

    def show_segment_dock(self) -> None:
        """Show the dock Segment Layer with the active raster layer."""
        from .gui.segment_dock import SegmentDock  # when it is wanted, so that QGIS starts quickly

        dock = self._show_dock("segment", lambda: SegmentDock(self._iface, lambda given: self.open("segment", given)))
        dock.form.choose(self._iface.activeLayer())

    def segment_with_last_model(self) -> None:
        """Show the dock Segment Layer with the model used last."""
        self.show_segment_dock()
        self._docks["segment"].form.model.setFilePath(str(QgsSettings().value(LAST_MODEL, "") or ""))

    def search_with_last_model(self) -> None:
        """Show the dock Find Similar with the few-shot model used last."""
        self.show_similar_dock()
        self._docks["similar"].form.model.setFilePath(str(QgsSettings().value(LAST_FEW_SHOT, "") or ""))

    def show_tag_dock(self) -> None:
        """Show the dock Tag Scenes with the active raster layer."""
        from .gui.tag_dock import TagDock

        dock = self._show_dock("tag", lambda: TagDock(self._iface, lambda given: self.open("tile", given)))
        layer = self._iface.activeLayer()
        if isinstance(layer, QgsRasterLayer):
            dock.setup.raster.setLayer(layer)

    def show_similar_dock(self) -> None:
        """Show the dock Find Similar with the active raster layer."""
        from .gui.similar_dock import SimilarDock

        dock = self._show_dock(
            "similar", lambda: SimilarDock(self._iface, lambda given: self.open("find_similar", given))
        )
        dock.form.choose(self._iface.activeLayer())

    def _show_dock(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._docks:
            dock = self._docks[name] = make()
            others = [d for d in self._docks.values() if d is not dock]
            self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
            if others:
                self._iface.mainWindow().tabifyDockWidget(others[0], dock)
        dock = self._docks[name]
        dock.setUserVisible(True)
        return dock

    def segment_layer(self) -> None:
        """Open the dialog of "Segment layer" with the active raster layer and the model used last."""
        parameters = {}
        layer = self._iface.activeLayer()
        if isinstance(layer, QgsRasterLayer):
            parameters["INPUT"] = layer.id()
        model = str(QgsSettings().value(LAST_MODEL, "") or "")
        if model:
            parameters["MODEL"] = model
        self.open("segment", parameters)

    def open(self, name: str, parameters: dict[str, Any]) -> None:
        """Open the dialog of an algorithm, or say in the message bar why it cannot run."""
        try:
            find_engine()
        except EngineMissingError as error:
            self._say(str(error), Qgis.MessageLevel.Warning)
            return
        import processing  # QGIS's own plugin, there only once the interface is up

        dialog = processing.createAlgorithmDialog(f"wsss_geo:{name}", parameters)
        if dialog is None:
            self._say(self.tr("The dialog cannot be opened; is the Processing plugin on?"), Qgis.MessageLevel.Warning)
            return
        self._dialogs = [*self._open_dialogs(), dialog]
        dialog.show()

    def choose_engine(self) -> None:
        """Let the user choose the engine's Python; a wrong choice is refused with its reason."""
        path, _ = QFileDialog.getOpenFileName(self._iface.mainWindow(), self.tr("Python of the Engine"))
        if not path:
            return
        python = interpreter_in(path)
        problem = check_python(python)
        if problem:
            self._say(self.tr("{} {}.").format(python, problem), Qgis.MessageLevel.Warning)
            return
        QgsSettings().setValue(PYTHON, python)
        self._say(self.tr("The engine's Python is now {}.").format(python), Qgis.MessageLevel.Success)

    def tr(self, text: str) -> str:
        """Return ``text`` in the user's language."""
        return tr(text)

    def _open_dialogs(self) -> list[Any]:
        return [d for d in self._dialogs if not sip.isdeleted(d) and d.isVisible()]

    def _say(self, sentence: str, level: Any) -> None:
        self._iface.messageBar().pushMessage(MENU, sentence, level)

    def _add_action(self, name: str, icon: QIcon, title: str, slot: Any) -> QAction:
        action = QAction(icon, title, self._iface.mainWindow())
        action.setObjectName(name)
        action.triggered.connect(slot)
        self._iface.addPluginToRasterMenu(MENU, action)
        self._actions.append(action)
        return action
