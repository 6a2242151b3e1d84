"""What jobs and results are made of: fields that describe themselves, validation, the forms JSON and command line."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, ClassVar

from .errors import UsageError

#: Command-line options of the fields that map names to values: given once a name, as name=value.
MAPPING_OPTIONS = {"settings": "--set", "backbone_args": "--backbone-arg"}

DEVICES = ("auto", "cpu", "cuda", "mps")

#: Default of a field that must be given.
REQUIRED: Any = object()
_LARGEST = 1e18
_BYTES = {
    "": 1 << 20, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tib": 1 << 40,
    "mb": 10**6, "gb": 10**9, "tb": 10**12, "k": 1 << 10, "kib": 1 << 10, "kb": 10**3, "b": 1,
}  # fmt: skip


def setting(
    default: Any,
    kind: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    positional: bool = False,
    advanced: bool = False,
) -> Any:
    """A job field with its description.

    ``kind`` is one of text, path, int, float, flag, choice, texts, paths, ints, floats, mapping. A default of None
    makes the field optional.
    """
    metadata = {
        "kind": kind,
        "help": help,
        "low": low,
        "high": high,
        "choices": choices,
        "positional": positional,
        "advanced": advanced,
        "optional": default is None,
    }
    if default is REQUIRED:
        return field(metadata=metadata)
    if kind == "mapping":
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


class Job:
    """What all jobs share: validation, JSON and the command that runs them."""

    command: ClassVar[str]

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            value = _checked(f"{self.command}.{f.name}", getattr(self, f.name), f.metadata)
            object.__setattr__(self, f.name, value)
        self.check()

    def check(self) -> None:
        """Check what concerns several fields at once. Raises UsageError."""

    def to_json(self, chosen: bool = False) -> dict[str, Any]:
        """Return a plain dictionary that ``from_json`` reads; with ``chosen``, without what is as it is by default.

        The latter is for a form whose every field has a value: beside its recipe those left alone are not given.
        """
        own = [f for f in fields(self) if not (chosen and self._is_default(f))]  # type: ignore[arg-type]
        data = {f.name: getattr(self, f.name) for f in own}
        return {"command": self.command, **{k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}}

    def command_line(self, chosen: bool = False) -> str:
        """Return the shell command that runs this job; ``chosen`` as in ``to_json``."""
        words = ["wsss-geo", self.command]
        # Then even a default value may differ from that of the recipe or data set.
        overruled = not chosen and any(getattr(self, n, None) is not None for n in ("recipe", "dataset"))
        for f in fields(self):  # type: ignore[arg-type]
            value, kind = getattr(self, f.name), f.metadata["kind"]
            option = "--" + f.name.replace("_", "-")
            if f.metadata["positional"]:
                words += [str(v) for v in (value if isinstance(value, tuple) else (value,))]
            elif value is None or (not overruled and self._is_default(f)):
                continue
            elif kind == "flag":
                words.append(option if value else "--no-" + option[2:])
            elif kind == "mapping":
                words += [w for k, v in value.items() for w in (MAPPING_OPTIONS[f.name], f"{k}={_assigned(v)}")]
            elif isinstance(value, tuple):
                words += [option, ",".join(str(v) for v in value)]
            else:
                words += [option, str(value)]
        return shlex.join(words)

    def _is_default(self, own: dataclasses.Field[Any]) -> bool:
        value = getattr(self, own.name)
        if own.default is not dataclasses.MISSING:
            return bool(value == own.default)
        return own.default_factory is not dataclasses.MISSING and bool(value == own.default_factory())


def _assigned(value: Any) -> str:
    """Write a value as ``name=value`` options read it: as JSON, a text bare unless it would be taken for JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)


def _checked(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    """Return ``value`` in its canonical type. Raises UsageError that names the field, the value and what is allowed."""
    kind = rule["kind"]
    if value is None and rule["optional"]:
        return None
    if kind in ("texts", "paths", "ints", "floats"):
        if isinstance(value, (str, int, float)) or hasattr(value, "__fspath__"):
            value = (value,)
        try:
            items = list(value)
        except TypeError:
            raise UsageError(f"{name}: {value!r} is not a list", f"give a list of {kind}") from None
        if kind == "paths" and not items:
            raise UsageError(f"{name}: nothing given", "give at least one path")
        return tuple(_checked(name, item, {**rule, "kind": kind[:-1], "optional": False}) for item in items)
    if kind == "mapping":
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            raise UsageError(f"{name}: {value!r} is not a mapping of names to values", "write name=value")
        return dict(value)
    if kind == "flag":
        if not isinstance(value, bool):
            raise UsageError(f"{name}: {value!r} is neither true nor false", "use true or false")
        return value
    if kind in ("int", "float"):
        return _checked_number(name, value, rule)
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if not isinstance(value, str) or not value or "\0" in value or not _encodable(value):
        raise UsageError(f"{name}: {value!r} is not a {kind}", "give a text that is not empty")
    if kind == "choice" and value not in rule["choices"]:
        raise UsageError(f"{name}: {value!r} is unknown", f"choose one of {', '.join(rule['choices'])}")
    return value


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _checked_number(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    whole = rule["kind"] == "int"
    wrong = isinstance(value, bool) or not isinstance(value, (int, float))
    wrong = wrong or (isinstance(value, float) and not math.isfinite(value)) or abs(value) > _LARGEST
    if wrong or (whole and int(value) != value):
        raise UsageError(f"{name}: {value!r} is not a {'whole number' if whole else 'number'}", "give a number")
    low, high = rule["low"], rule["high"]
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"{low} to {high}" if high is not None and low is not None else f"at least {low}"
        raise UsageError(f"{name}: {value} is out of range", f"allowed: {allowed}")
    return int(value) if whole else float(value)


def is_required(f: dataclasses.Field[Any]) -> bool:
    """Whether a job field has no default."""
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``2/8``: part and number of parts. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"predict.shard: {text!r} is not a part of a whole", "write 1/8, 2/8, ... 8/8")
    return number, count


def parse_bytes(name: str, text: str) -> int:
    """Read ``1.5GiB``, ``800 MB`` or a plain number of MiB as bytes. Raises UsageError that begins with ``name``."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)", text.strip().lower())
    unit = _BYTES.get(match[2]) if match else None
    if match is None or unit is None or float(match[1]) == 0:
        raise UsageError(f"{name}: {text!r} is no amount of memory", "write it like 1.5GiB or 800MiB")
    return int(float(match[1]) * unit)


class Result:
    """What a finished job returns: the paths written and the counts."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]
