"""Land-cover classes: names, colours, mask values and the background policy."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError, UsageError

#: Mask value of pixels that belong to no class: nodata in masks, "ignore" in labels.
IGNORE = 255

#: Colour of pixels that are not sure enough.
UNSURE_COLOR = "#e2e2e2"

_LONGEST_NAME = 200
#: Control characters, and halves of characters, which no file format takes.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_PALETTE = (
    "#2b6cb0", "#2f855a", "#d69e2e", "#c53030", "#718096", "#9ae6b4",
    "#805ad5", "#dd6b20", "#319795", "#b83280", "#975a16", "#4c51bf",
)  # fmt: skip


@dataclass(frozen=True)
class LandCoverClass:
    """One class: its mask value (0..254), its name and its colour (``#rrggbb``)."""

    id: int
    name: str
    color: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0..255 each."""
        return int(self.color[1:3], 16), int(self.color[3:5], 16), int(self.color[5:7], 16)


@dataclass(frozen=True)
class ClassScheme:
    """The classes of a project in channel order, and how pixels of no tagged class are explained.

    ``background`` is one of

    - ``none``: every pixel belongs to one of the classes;
    - ``explicit``: the first class is real background, never a tag, never a classifier output;
    - ``surrogate:<name>``: the class ``<name>`` is whatever the class activation maps leave cold.

    The channel of a class in score maps is its position here; its value in masks is its ``id``.
    """

    classes: tuple[LandCoverClass, ...]
    background: str = "none"

    def __post_init__(self) -> None:
        ids = [c.id for c in self.classes]
        names = [c.name for c in self.classes]
        if not self.classes:
            raise UsageError("a class scheme needs at least one class", "name the classes")
        if len(ids) > IGNORE:
            raise UsageError(f"{len(ids)} classes are too many", f"masks hold up to {IGNORE}; join some")
        if len(set(ids)) != len(ids) or any(not 0 <= i < IGNORE for i in ids):
            raise UsageError(f"class ids {ids} must be different and lie in 0..254", "renumber the classes")
        if len(set(names)) != len(names) or not all(n.strip() for n in names):
            raise UsageError(f"class names {names} must be different and not empty", "rename the classes")
        for name in names:
            if len(name) > _LONGEST_NAME or _UNWRITABLE.search(name):
                problem = f"class name {name[:40]!r} is too long or has characters that cannot be written"
                raise UsageError(problem, f"rename the class: one line of up to {_LONGEST_NAME} characters")
        for c in self.classes:
            if not _COLOR.fullmatch(c.color):
                raise UsageError(f"colour {c.color!r} of class {c.name!r} is not #rrggbb", "write it like #2b6cb0")
        if self.background.startswith("surrogate:"):
            if self.background.partition(":")[2] not in names:
                raise UsageError(f"background {self.background!r} names no class", f"choose one of {', '.join(names)}")
        elif self.background not in ("none", "explicit"):
            raise UsageError(
                f"background {self.background!r} is unknown", "use none, explicit or surrogate:<class name>"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in channel order."""
        return tuple(c.name for c in self.classes)

    @property
    def ids(self) -> tuple[int, ...]:
        """Mask values in channel order."""
        return tuple(c.id for c in self.classes)

    @property
    def background_name(self) -> str | None:
        """Name of the background or surrogate class, None under policy ``none``."""
        if self.background == "none":
            return None
        if self.background == "explicit":
            return self.classes[0].name
        return self.background.partition(":")[2]

    @property
    def taggable(self) -> tuple[str, ...]:
        """The K classes that tags and the classifier speak of, in channel order."""
        return tuple(n for n in self.names if n != self.background_name)

    def __len__(self) -> int:
        return len(self.classes)

    def by_name(self, name: str) -> LandCoverClass:
        """Return the class called ``name``; raises KeyError."""
        for c in self.classes:
            if c.name == name:
                return c
        raise KeyError(name)

    def with_unsure(self) -> ClassScheme:
        """Return these classes and, last, one for pixels that are none of them surely enough.

        Its id is the largest that is free, its name ``unsure``, with a number where a class is called so already.
        Raises UsageError where no id is free.
        """
        number = max(set(range(IGNORE)) - set(self.ids), default=IGNORE)
        names = ("unsure", *(f"unsure {n}" for n in range(2, len(self) + 3)))
        name = next(n for n in names if n not in self.names)
        return ClassScheme((*self.classes, LandCoverClass(number, name, UNSURE_COLOR)), self.background)

    def to_json(self) -> Any:
        """A list of classes; an object with ``background`` where the list alone would not tell it."""
        listed = [{"id": c.id, "name": c.name, "color": c.color} for c in self.classes]
        if self.background == _implied_background(self.names):
            return listed
        return {"background": self.background, "classes": listed}

    @classmethod
    def from_json(cls, data: Any) -> ClassScheme:
        """Read what ``to_json`` writes; a missing colour gets one, a missing id its position. Raises UsageError."""
        background = None
        if isinstance(data, dict):
            background, data = data.get("background"), data.get("classes")
        if not isinstance(data, list) or not all(isinstance(c, dict) and "name" in c for c in data):
            raise UsageError('classes must be a list of {"id", "name", "color"}', "see the sample data's classes.json")
        classes = []
        for position, entry in enumerate(data):
            number = entry.get("id", position)
            if not isinstance(number, int) or isinstance(number, bool):
                raise UsageError(f"class id {number!r} is not a whole number", "use 0..254")
            color = str(entry.get("color", _PALETTE[position % len(_PALETTE)]))
            classes.append(LandCoverClass(number, str(entry["name"]), color))
        names = [c.name for c in classes]
        return cls(tuple(classes), str(background) if background is not None else _implied_background(names))

    @classmethod
    def from_names(cls, names: list[str], background: str | None = None) -> ClassScheme:
        """Number and colour classes that are only known by name."""
        scheme = cls.from_json([{"name": n} for n in names])
        return cls(scheme.classes, background) if background else scheme


def _implied_background(names: Any) -> str:
    return "explicit" if names and names[0].strip().lower() == "background" else "none"


def read_classes(path: Path | str) -> ClassScheme:
    """Read a ``classes.json``. Raises InputError."""
    try:
        return ClassScheme.from_json(json.loads(Path(path).read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise InputError(path, "no such file", "give the path of a classes.json") from None
    except UsageError as error:
        raise InputError(path, error.problem, error.hint) from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, an endless number
        raise InputError(path, f"not readable as JSON ({error})", "write it like the sample data's") from None


def write_classes(scheme: ClassScheme, path: Path | str) -> None:
    """Write a ``classes.json``."""
    Path(path).write_text(json.dumps(scheme.to_json(), indent=2) + "\n", encoding="utf-8")
