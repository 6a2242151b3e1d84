"""The dock Tag Scenes: from a raster layer to a GeoPackage of scenes and tags."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from qgis.core import Qgis, QgsMapLayer, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.gui import QgsDockWidget, QgsMapTool
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QFileDialog, QInputDialog, QStackedWidget

from ...wsss_geo.errors import WsssGeoError
from ..algorithms.sources import raster_path
from ..scenes.certainty import scene_certainty
from ..scenes.layer import (
    SceneLayerError,
    classes_path,
    grid_of,
    new_scene_layer,
    open_scenes,
    save_scenes,
    shown_layer,
)
from ..scenes.session import TagSession
from ..scenes.style import style_scenes
from ..translate import fill, tr
from .draw_tool import TOOL
from .fitting import scrolling
from .scene_view import SceneView
from .tag_page import TagPage
from .tag_setup import TagSetup

_SLICE = 0.05
_RASTER = "wsss_geo/raster"


class TagDock(QgsDockWidget):
    """Two pages: what is tagged, and tagging. ``make_tiles(parameters)`` opens the dialog of "Make tile set"."""

    def __init__(self, iface: Any, make_tiles: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(tr("Tag Scenes"), iface.mainWindow())
        self.setObjectName("wsss_geo_tag_dock")
        self._iface = iface
        self._make_tiles = make_tiles
        self.session: TagSession | None = None
        self._measuring: Iterator[tuple[int, float | None]] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._measure)
        self.view = SceneView(iface.mapCanvas(), self._on_map_click)
        self.setup, self.page = TagSetup(), TagPage()
        self._pages = QStackedWidget()
        for page in (self.setup, self.page):
            self._pages.addWidget(scrolling(page))
        self.setWidget(self._pages)
        self.setup.begun.connect(self._guarded(self.begin))
        self.setup.resumed.connect(self._guarded(lambda layer: self.resume(QgsProject.instance().mapLayer(layer))))
        self.setup.opened.connect(self._guarded(self.open))
        self.page.acted.connect(self._guarded(self.act))
        self.page.confidence.layerChanged.connect(self.use_confidence)
        self.visibilityChanged.connect(self._on_visible)
        iface.mapCanvas().mapToolSet.connect(self._on_tool)
        project = QgsProject.instance()
        project.layersWillBeRemoved.connect(self._on_removal)
        project.layersAdded.connect(self._on_layers)
        project.layersRemoved.connect(self._on_layers)

    # -- beginning and end --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Lay the grid over the chosen raster and tag. Raises SceneLayerError or WsssGeoError."""
        raster, path, classes = self.setup.raster.currentLayer(), self.setup.path(), self.setup.classes()
        if not isinstance(raster, QgsRasterLayer):
            raise SceneLayerError(tr("Add a raster layer to the project and choose it."))
        if path and os.path.exists(path):
            raise SceneLayerError(tr("{} exists; open it to go on, or choose another name.").format(path))
        if classes is None:
            raise SceneLayerError(tr("Name the classes first, or load them."))
        layer = new_scene_layer(grid_of(raster, self.setup.scene_size.value()), raster.name(), raster.crs())
        if path:
            layer = save_scenes(layer, path, classes)
        layer.setCustomProperty(_RASTER, raster.id())
        session = TagSession(layer, classes)
        self.setup.remember()
        self.setup.file.setFilePath("")
        self._add(layer)
        self._start(session)

    def open(self, path: str) -> None:
        """Go on with the scenes in a GeoPackage. Raises SceneLayerError."""
        shown = shown_layer(path)
        if shown is not None:
            self.resume(shown)
            return
        layer = open_scenes(path)
        session = TagSession(layer, self.setup.classes())
        self._add(layer)
        self._start(session)

    def resume(self, layer: QgsMapLayer | None) -> None:
        """Go on with a layer of the project. Raises SceneLayerError."""
        if not isinstance(layer, QgsVectorLayer) or not layer.isValid():
            raise SceneLayerError(tr("The layer of scenes cannot be read; open its file."))
        self._start(TagSession(layer, None))

    def leave(self) -> None:
        """Go back to the first page; nothing is lost, for every change is kept at once."""
        if self.session is not None:
            self.session.layer.layer.afterCommitChanges.disconnect(self._on_edited)
        self._timer.stop()
        self._measuring = None
        self.session = None
        self.page.deafen()
        self.view.hide()
        self._pages.setCurrentIndex(0)
        self.setup.refresh()

    def stop(self) -> None:
        """Let go of everything, before the dock is deleted."""
        self.leave()
        self.view.remove()
        self.visibilityChanged.disconnect(self._on_visible)
        self._iface.mapCanvas().mapToolSet.disconnect(self._on_tool)
        project = QgsProject.instance()
        project.layersWillBeRemoved.disconnect(self._on_removal)
        project.layersAdded.disconnect(self._on_layers)
        project.layersRemoved.disconnect(self._on_layers)

    # -- actions ------------------------------------------------------------------------------------------------

    def act(self, name: str) -> None:
        """Do what a key or button asks for. Raises SceneLayerError or WsssGeoError."""
        session = self.session
        if session is None:
            return
        if name.startswith("class:"):
            session.toggle(int(name[6:]))
        elif name == "next_untagged":
            if not session.next_untagged():
                self._say(tr("All scenes are tagged."), Qgis.MessageLevel.Success)
        elif name == "none":
            session.set_tags(())
        elif name == "clear":
            session.set_tags(None)
        elif name in ("add_class", "save", "tile", "pick"):
            getattr(self, f"_{name}")(session)
        elif name == "leave":
            self.leave()
            return
        else:
            moves = {"previous": (session.step, -1), "next": (session.step, 1), "above": (session.row_step, -1),
                     "below": (session.row_step, 1), "undo": (session.undo,), "redo": (session.redo,),
                     "least_certain": (session.least_certain,)}  # fmt: skip
            move, *words = moves[name]
            move(*words)
        self._show()

    def use_confidence(self, layer: QgsMapLayer | None) -> None:
        """Measure how sure a model was of each untagged scene, in slices between which QGIS stays awake."""
        self._timer.stop()
        self._measuring = None
        session = self.session
        self.page.certainty.setText("")
        if session is None:
            return
        session.certainty.clear()
        if isinstance(layer, QgsRasterLayer) and layer.isValid():
            self._measuring = scene_certainty(layer.clone(), session.open_boxes(), session.layer.layer.crs())
            self._timer.start()
        self.page.show_session(session)

    def _measure(self) -> None:
        session, until = self.session, time.monotonic() + _SLICE
        while session is not None and self._measuring is not None and time.monotonic() < until:
            scene, sure = next(self._measuring, (None, None))
            if scene is None:
                self._measuring = None
                self._timer.stop()
                self.page.show_session(session)
            elif sure is not None:
                session.certainty[scene] = sure
        if session is not None:
            known = fill(tr("{:,} scenes measured"), len(session.certainty))
            self.page.certainty.setText(known if self._measuring is None else f"{known} …")

    def _add_class(self, session: TagSession) -> None:
        name, ok = QInputDialog.getText(self, tr("Add Class"), tr("Name of the class"))
        if ok and name.strip():
            session.add_class(name.strip())
            self.page.rows.set_classes(session.classes)

    def _save(self, session: TagSession) -> None:
        path, _ = QFileDialog.getSaveFileName(self, tr("Save Scenes"), "", tr("GeoPackage (*.gpkg)"))
        if path:
            self.save_as(path if path.lower().endswith(".gpkg") else f"{path}.gpkg")

    def save_as(self, path: str) -> None:
        """Write the scenes to a GeoPackage and go on with it in the layer's place. Raises SceneLayerError."""
        session = self.session
        if session is None:
            return
        if session.classes is None:
            raise SceneLayerError(tr("There are no classes yet; add one first."))
        old, current = session.layer.layer, session.current
        layer = save_scenes(old, path, session.classes)
        layer.setCustomProperty(_RASTER, old.customProperty(_RASTER, ""))
        self.leave()
        self._add(layer)
        self._start(TagSession(layer, session.classes))
        QgsProject.instance().removeMapLayer(old.id())
        if self.session is not None:
            self.session.go(current)
        self._show()
        self._say(tr("Saved to {}.").format(path), Qgis.MessageLevel.Success)

    def _tile(self, session: TagSession) -> None:
        path = session.layer.path
        parameters: dict[str, Any] = {"TAG_FILE": path, "CLASSES": str(classes_path(path))}
        if session.layer.size():
            parameters["SIZE"] = session.layer.size()
        raster = QgsProject.instance().mapLayer(str(session.layer.layer.customProperty(_RASTER, "")))
        if isinstance(raster, QgsRasterLayer) and raster_path(raster):
            parameters["INPUT"] = [raster.id()]
        self._make_tiles(parameters)

    def _pick(self, session: TagSession) -> None:
        self.view.pick()

    # -- within -------------------------------------------------------------------------------------------------

    def _add(self, layer: QgsVectorLayer) -> None:
        style_scenes(layer)
        QgsProject.instance().addMapLayer(layer)

    def _start(self, session: TagSession) -> None:
        self.leave()
        self.session = session
        layer = session.layer.layer
        layer.afterCommitChanges.connect(self._on_edited)
        self.page.rows.set_classes(session.classes)
        self.page.confidence.setLayer(None)
        self.page.certainty.setText("")
        self._pages.setCurrentIndex(1)
        if self.isVisible():
            self._on_visible(True)
        if layer.providerType() == "memory":
            self._say(tr("This layer is temporary: save the scenes to keep their tags."), Qgis.MessageLevel.Info)

    def _show(self) -> None:
        if self.session is not None:
            self.page.show_session(self.session)
            self.view.show(self.session.outline())

    def _guarded(self, act: Callable[..., None]) -> Callable[..., None]:
        def run(*words: Any) -> None:
            try:
                act(*words)
            except (SceneLayerError, WsssGeoError) as error:
                self._say(str(error), Qgis.MessageLevel.Warning)

        return run

    def _say(self, sentence: str, level: Any) -> None:
        self._iface.messageBar().pushMessage(tr("Tag Scenes"), sentence, level)

    def _on_map_click(self, x: float, y: float) -> None:
        if self.session is not None and self.session.go(self.session.find(x, y)):
            self._show()

    def _on_visible(self, visible: bool) -> None:
        if self.session is None:
            return
        if visible:
            self.page.listen(self._iface.mapCanvas())
            self.view.start(self.session.layer.layer.crs())
            self._show()
        else:
            self.page.deafen()
            self.view.hide()

    def _on_tool(self, tool: Any, _: Any) -> None:
        """Tools that draw have keys of their own."""
        draws = tool is not None and (tool.flags() & QgsMapTool.Flag.EditTool or tool.toolName() == TOOL)
        self.page.listen_on_map(not draws)

    def _on_layers(self, *_: Any) -> None:
        if self.session is None:
            self.setup.refresh()

    def _on_removal(self, layers: list[str]) -> None:
        """The layer of scenes goes, with its project or alone; a file keeps its tags."""
        if self.session is None or self.session.layer.layer.id() not in layers:
            return
        path = self.session.layer.path
        self.leave()
        kept = tr("The layer of scenes was removed; its tags are in {}.").format(path)
        self._say(kept if path else tr("The temporary layer of scenes was removed."), Qgis.MessageLevel.Info)

    def _on_edited(self) -> None:
        """Somebody changed the layer otherwise: read it again."""
        session = self.session
        if session is None:
            return
        current, layer = session.current, session.layer.layer
        self.leave()
        self._guarded(lambda: self._start(TagSession(layer, session.classes)))()
        if self.session is not None:
            self.session.go(current)
            self._show()
