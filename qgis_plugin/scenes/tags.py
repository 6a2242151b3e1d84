"""Which scene has which tags: changes, undo and redo, counts, where to go next. Needs no QGIS."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Tuple

#: The names of a scene's classes; an empty tuple says that it has none of them, None that nobody looked yet.
Tags = Optional[Tuple[str, ...]]

_SEPARATORS = ";,|"


class TagTextError(ValueError):
    """A text that is no list of tags."""


def tags_to_text(tags: Tags) -> str | None:
    """Write tags as the engine reads them: ``a;b``, or a JSON list where a name holds a separator."""
    if tags is None:
        return None
    if any(set(name) & set(_SEPARATORS) or name.startswith("[") for name in tags):
        return json.dumps(list(tags), ensure_ascii=False)
    return ";".join(tags)


def tags_from_text(text: str | None) -> Tags:
    """Read what ``tags_to_text`` or a person wrote. Raises TagTextError."""
    if text is None:
        return None
    text = text.strip()
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            listed = None
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise TagTextError(text)
    else:
        for separator in _SEPARATORS:
            text = text.replace(separator, ";")
        listed = text.split(";")
    return tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))


@dataclass(frozen=True)
class Change:
    """What was done to one scene."""

    scene: int
    before: Tags
    after: Tags


class TagStore:
    """Tags of scenes 0 .. n-1. A change is first written by ``write(scene, tags)``; if that raises, nothing changed.

    ``order`` are the class names: tags are kept in this order.
    """

    def __init__(self, order: Sequence[str], tags: Sequence[Tags], write: Callable[[int, Tags], None]) -> None:
        self._order = list(order)
        self._tags = list(tags)
        self._write = write
        self._counts = Counter(name for names in self._tags for name in names or ())
        self._tagged = sum(names is not None for names in self._tags)
        self._done: list[Change] = []
        self._undone: list[Change] = []

    def __len__(self) -> int:
        return len(self._tags)

    def __getitem__(self, scene: int) -> Tags:
        return self._tags[scene]

    @property
    def tagged(self) -> int:
        """The number of scenes somebody looked at."""
        return self._tagged

    def count(self, name: str) -> int:
        """Return the number of scenes tagged with a class."""
        return self._counts[name]

    @property
    def names_in_use(self) -> list[str]:
        """Class names that occur, sorted."""
        return sorted(name for name, count in self._counts.items() if count)

    def set_order(self, order: Sequence[str]) -> None:
        """Take another list of class names; tags already given stay."""
        self._order = list(order)

    def toggle(self, scene: int, name: str) -> None:
        """Add a class to a scene or take it away; without its last class a scene is untagged again."""
        tags = self._tags[scene] or ()
        chosen = {*tags} ^ {name}
        self.set(scene, tuple(chosen) or None)

    def set(self, scene: int, tags: Tags) -> None:
        """Give a scene these tags, an empty tuple for "none of the classes", None for untagged."""
        change = Change(scene, self._tags[scene], self._sorted(tags))
        if change.before != change.after:
            self._apply(change.scene, change.after)
            self._done.append(change)
            self._undone.clear()

    def undo(self) -> int | None:
        """Take back the last change and return its scene; None if there is none."""
        return self._step(self._done, self._undone, back=True)

    def redo(self) -> int | None:
        """Do again what was taken back and return its scene; None if there is none."""
        return self._step(self._undone, self._done, back=False)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a change to do again."""
        return bool(self._undone)

    def next_untagged(self, after: int) -> int | None:
        """Return the first untagged scene after ``after``, from the start again at the end; None if all are tagged."""
        total = len(self)
        places = ((after + step) % total for step in range(1, total + 1))
        return next((i for i in places if self._tags[i] is None), None)

    def least_certain(self, certainty: Mapping[int, float]) -> int | None:
        """Return the untagged scene of the lowest known certainty, None if there is none."""
        open_scenes = [scene for scene in certainty if self._tags[scene] is None]
        return min(open_scenes, key=lambda scene: (certainty[scene], scene), default=None)

    def _step(self, source: list[Change], target: list[Change], back: bool) -> int | None:
        if not source:
            return None
        change = source[-1]
        self._apply(change.scene, change.before if back else change.after)
        target.append(source.pop())
        return change.scene

    def _apply(self, scene: int, tags: Tags) -> None:
        self._write(scene, tags)
        before = self._tags[scene]
        self._counts.subtract(before or ())
        self._counts.update(tags or ())
        self._tagged += (tags is not None) - (before is not None)
        self._tags[scene] = tags

    def _sorted(self, tags: Tags) -> Tags:
        if tags is None:
            return None
        place = {name: i for i, name in enumerate(self._order)}
        return tuple(sorted(set(tags), key=lambda name: (place.get(name, len(place)), name)))
