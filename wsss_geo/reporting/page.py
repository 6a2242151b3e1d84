"""The whole page: one file without scripts, fonts or addresses of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from wsss_geo import __version__
from wsss_geo.reporting.markup import Markup, element

#: Were a name to become markup in spite of all care, it could neither run nor fetch anything.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, subtitle: str, headline: Sequence[tuple[str, str]], sections: Sequence[Markup]) -> str:
    """Return the page; ``headline`` are its largest figures, each with what it is."""
    figures = [element("div", element("b", value), element("span", name), class_="figure") for name, value in headline]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(_style())),
    )
    body = element(
        "main",
        element("header", element("h1", title), element("p", subtitle, class_="soft")),
        element("div", figures, class_="figures"),
        list(sections),
        element("footer", f"Written by wsss-geo {__version__}."),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}\n"


@cache
def _style() -> str:
    text = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", text)
