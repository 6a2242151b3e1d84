"""Tagging as it goes on: the current scene, moving on, and every change kept at once in the layer."""

from __future__ import annotations

from bisect import bisect_left

from qgis.core import QgsGeometry, QgsRectangle, QgsVectorLayer

from ...wsss_geo.classes import ClassScheme
from .layer import Scene, SceneLayer
from .tags import Tags, TagStore


class TagSession:
    """The scenes of a layer with a current one. Raises SceneLayerError where the layer cannot be read or written.

    The classes are those kept with the layer, else ``classes``; names that only its tags know are added to them.
    """

    def __init__(self, layer: QgsVectorLayer, classes: ClassScheme | None = None) -> None:
        self.layer = SceneLayer(layer)
        self.scenes: list[Scene] = self.layer.scenes()
        self.certainty: dict[int, float] = {}
        self._passed: set[int] = set()
        self.store = TagStore((), [s.tags for s in self.scenes], self._write)
        self._places = {(s.row, s.col): i for i, s in enumerate(self.scenes)}
        self._by_fid = {s.fid: i for i, s in enumerate(self.scenes)}
        self.set_classes(_with_names(self.layer.classes() or classes, self.store.names_in_use))
        first = self.store.next_untagged(-1)
        self.current = first if first is not None else 0

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that are tags, in the order of their keys."""
        return self.classes.taggable if self.classes else ()

    @property
    def tags(self) -> Tags:
        """The tags of the current scene."""
        return self.store[self.current]

    def set_classes(self, classes: ClassScheme | None) -> None:
        """Tag with these classes from now on, and keep them with the layer."""
        self.classes = classes
        self.store.set_order(self.names)
        if classes is not None:
            self.layer.keep_classes(classes)

    def add_class(self, name: str) -> None:
        """Add a class. Raises UsageError if there is one of this name."""
        self.set_classes(_added(self.classes, [name]))

    def toggle(self, position: int) -> None:
        """Add the class with this position to the current scene, or take it away."""
        if 0 <= position < len(self.names):
            self.store.toggle(self.current, self.names[position])

    def set_tags(self, tags: Tags) -> None:
        """Give the current scene these tags."""
        self.store.set(self.current, tags)

    def go(self, scene: int | None) -> bool:
        """Make ``scene`` the current one; False if there is no such scene."""
        if scene is None or not 0 <= scene < len(self.scenes):
            return False
        self.current = scene
        return True

    def step(self, by: int) -> bool:
        """Go to the scene ``by`` places on."""
        return self.go(self.current + by)

    def row_step(self, by: int) -> bool:
        """Go to the scene above (-1) or below (1)."""
        here = self.scenes[self.current]
        if here.row is None:
            return self.step(by)
        rows = sorted({row for row, col in self._places if col == here.col})
        at = bisect_left(rows, here.row) + by
        return 0 <= at < len(rows) and self.go(self._places[rows[at], here.col])

    def undo(self) -> bool:
        """Take back the last change and go to its scene."""
        return self.go(self.store.undo())

    def redo(self) -> bool:
        """Do again what was taken back and go to its scene."""
        return self.go(self.store.redo())

    def next_untagged(self) -> bool:
        """Go to the next untagged scene; False if all are tagged."""
        return self.go(self.store.next_untagged(self.current))

    def least_certain(self) -> bool:
        """Go to the untagged scene that the model was least sure of; False if there is none whose certainty is known.

        Scenes that were left untagged come again when all others have been seen.
        """
        self._passed.add(self.current)
        left = {scene: sure for scene, sure in self.certainty.items() if scene not in self._passed}
        found = self.store.least_certain(left)
        if found is None:
            self._passed = {self.current}
            found = self.store.least_certain(self.certainty)
        return self.go(found)

    def find(self, x: float, y: float) -> int | None:
        """Return the scene at a place in the layer's CRS; where scenes overlap the one that begins last."""
        found = [self._by_fid[fid] for fid in self.layer.at(x, y) if fid in self._by_fid]
        return max(found, default=None)

    def outline(self) -> QgsGeometry:
        """Return the outline of the current scene in the layer's CRS."""
        return self.layer.geometry(self.scenes[self.current].fid)

    def open_boxes(self) -> list[tuple[int, QgsRectangle]]:
        """Return the untagged scenes with their boxes in the layer's CRS."""
        boxes = {f.id(): f.geometry().boundingBox() for f in self.layer.layer.getFeatures()}
        untagged = (i for i in range(len(self.scenes)) if self.store[i] is None)
        return [(i, boxes[self.scenes[i].fid]) for i in untagged if self.scenes[i].fid in boxes]

    def _write(self, scene: int, tags: Tags) -> None:
        self.layer.write(self.scenes[scene].fid, tags)


def _with_names(classes: ClassScheme | None, names: list[str]) -> ClassScheme | None:
    known = classes.names if classes else ()
    missing = [name for name in names if name not in known]
    return _added(classes, missing) if missing else classes


def _added(classes: ClassScheme | None, names: list[str]) -> ClassScheme:
    """Return the classes and ``names``, which get the next free ids and colours of their own."""
    old = classes.classes if classes else ()
    used = {c.id for c in old}
    free = [i for i in range(256 + len(names)) if i not in used]  # beyond 254 the scheme refuses them
    palette = ClassScheme.from_names([str(i) for i in range(len(old) + len(names))]).classes
    listed = [{"id": c.id, "name": c.name, "color": c.color} for c in old]
    for offset, name in enumerate(names):
        listed.append({"id": free[offset], "name": name, "color": palette[len(old) + offset].color})
    return ClassScheme.from_json({"classes": listed, "background": classes.background if classes else None})
