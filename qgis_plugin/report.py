"""HTML reports: tables of what a job found."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .translate import number, tr

_STYLE = (
    "body{font-family:sans-serif;margin:1.5em}table{border-collapse:collapse;margin:.6em 0 1.4em}"
    "th,td{border:1px solid #999;padding:.25em .7em}td.n{text-align:right}"
)


def page(title: str, *parts: str) -> str:
    """Return a whole HTML page."""
    heading = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{heading}</title><style>{_STYLE}</style></head>\n'
        f"<body><h1>{heading}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def facts(rows: Mapping[str, Any]) -> str:
    """Return a table of names and values."""
    return table(("", ""), rows.items())


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; numbers are set to the right."""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>\n" for row in rows)
    return f"<table>{'<tr>' + head + '</tr>' if any(header) else ''}\n{body}</table>"


def area_table(areas: Mapping[str, float], shares: Mapping[str, float], metric: bool) -> str:
    """Return the table of area and share per class; ``metric`` tells square metres from pixels."""
    header = (tr("Class"), tr("Hectares") if metric else tr("Pixels"), tr("Share"))
    rows = [(name, area / 10_000 if metric else area, percent(shares.get(name))) for name, area in areas.items()]
    return table(header, rows)


def percent(share: float | None) -> str:
    """Return a share of 0..1 in percent."""
    return "-" if share is None else number(100 * share, ".1f") + " %"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = "-" if value is None else str(value)
        return f'<td class="n">{html.escape(text)}</td>' if text.endswith("%") else f"<td>{html.escape(text)}</td>"
    return f'<td class="n">{number(value, "," if isinstance(value, int) else ",.3f")}</td>'
