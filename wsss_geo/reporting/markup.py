"""HTML in which nothing is unescaped by accident: only what ``element`` returns is taken for markup."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Iterable[Any] | float | None


def element(name: str, /, *children: Content, **attributes: Any) -> Markup:
    """Return ``<name ...>children</name>``; texts are escaped, attributes of None left out.

    Children are texts, numbers, markup, lists of them, or None. ``class_`` is the attribute class, ``stroke_width``
    the attribute stroke-width.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[Any]) -> Markup:
    """Return children one after the other."""
    parts = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(str(child))
        elif isinstance(child, (list, tuple)):
            parts.append(joined(child))
        elif child is not None:
            parts.append(escaped(child))
    return Markup("".join(parts))


def escaped(value: Any) -> str:
    """Return a value as text that is neither markup nor the end of an attribute.

    Control characters, halves of characters and marks that turn the direction of a text are replaced.
    """
    text = "".join(c if c in "\n\t" or unicodedata.category(c) not in _UNSEEN else "\ufffd" for c in str(value))
    return html.escape(text, quote=True)


_UNSEEN = ("Cc", "Cf", "Cs")
_VOID = ("img", "br", "meta", "col")
