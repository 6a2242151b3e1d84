"""Charts as SVG inside the page: no script, colours by CSS classes, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wsss_geo.nn.calibration import Bin
from wsss_geo.reporting.figures import number, percent
from wsss_geo.reporting.markup import Markup, element

_POINTS = 240
#: What fewer pixels than this share say is chance.
_LITTLE = 0.001
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 22.0, 12.0, 34.0


@dataclass(frozen=True)
class Frame:
    """A chart of ``width`` x ``height`` units whose axes run over ``x`` and ``y``."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 460
    height: float = 260

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a value."""
        across = (x - self.x[0]) / max(self.x[1] - self.x[0], 1e-12)
        up = (y - self.y[0]) / max(self.y[1] - self.y[0], 1e-12)
        return (
            round(_LEFT + across * (self.width - _LEFT - _RIGHT), 1),
            round(self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM), 1),
        )

    def drawn(self, name: str, parts: Sequence[Markup], x_label: str, y_percent: bool, x_percent: bool) -> Markup:
        """Return the SVG, called ``name`` for who cannot see it: grid and numbers, then ``parts``."""
        lines, texts = [], []
        for value in ticks(*self.y):
            x0, y = self.at(self.x[0], value)
            lines.append(element("path", d=f"M{x0} {y}H{self.width - _RIGHT}"))
            label = percent(value).replace(".0 ", " ") if y_percent else number(value)
            texts.append(element("text", label, x=x0 - 6, y=y + 4, text_anchor="end"))
        for value in ticks(*self.x):
            x, y = self.at(value, self.y[0])
            label = percent(value).replace(".0 ", " ") if x_percent else number(value)
            texts.append(element("text", label, x=x, y=y + 16, text_anchor="middle"))
        middle = (_LEFT + self.width - _RIGHT) / 2
        texts.append(element("text", x_label, x=middle, y=self.height - 3, text_anchor="middle"))
        grid = element("g", lines, class_="grid")
        words = element("g", texts, class_="ticks")
        box = f"0 0 {self.width:g} {self.height:g}"
        return element("svg", element("title", name), grid, list(parts), words, viewBox=box, role="img", class_="chart")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return up to about ``most`` round numbers from ``low`` to ``high``."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    raw = span / most
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    values = [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return [int(v) if v == int(v) and abs(step) >= 1 else v for v in values]


def histogram(shares: Sequence[float], colours: Sequence[str], name: str) -> Markup:
    """Bars of the shares of equal steps of the confidence from 0 to 1, each in a colour."""
    top = max([*shares, 1e-9])
    frame = Frame((0.0, 1.0), (0.0, top * 1.05))
    bars = []
    for i, (share, colour) in enumerate(zip(shares, colours, strict=True)):
        left, high = frame.at(i / len(shares), share)
        right, low = frame.at((i + 1) / len(shares), 0)
        tip = element("title", f"{i / len(shares):.2f} to {(i + 1) / len(shares):.2f}: {percent(share)}")
        size = {"width": round(right - left - 1, 1), "height": round(low - high, 1)}
        bars.append(element("rect", tip, x=round(left + 0.5, 1), y=high, **size, fill=colour, rx=1.5))
    return frame.drawn(name, bars, "confidence", y_percent=True, x_percent=False)


def reliability_chart(before: Sequence[Bin], after: Sequence[Bin], name: str) -> Markup:
    """How often the winner is right by its confidence, before and after calibration; on the diagonal all is well."""
    frame = Frame((0.0, 1.0), (0.0, 1.0), 340, 320)
    (x0, y0), (x1, y1) = frame.at(0, 0), frame.at(1, 1)
    parts = [element("path", d=f"M{x0} {y0}L{x1} {y1}", class_="ideal")]
    for curve, kind in ((before, "s1"), (after, "s0")):
        curve = [b for b in curve if b.share >= _LITTLE]
        places = [frame.at(b.confidence, b.right) for b in curve]
        parts.append(element("path", d=_line(places), class_=f"line {kind}"))
        for (x, y), b in zip(places, curve, strict=True):
            tip = f"said {percent(b.confidence)}, right {percent(b.right)}, {percent(b.share)} of the pixels"
            radius = round(2.5 + 7 * math.sqrt(b.share), 1)
            parts.append(element("circle", element("title", tip), cx=x, cy=y, r=radius, class_=f"dot {kind}"))
    return frame.drawn(name, parts, "confidence", y_percent=True, x_percent=True)


def lines(series: Mapping[str, Sequence[tuple[float, float]]], name: str, shares: bool) -> Markup:
    """Curves over steps; ``shares``: the values lie in 0..1."""
    steps = [s for points in series.values() for s, _ in points]
    values = [v for points in series.values() for _, v in points]
    low, high = (0.0, 1.0) if shares else (min(0.0, *values), max(values) * 1.05)
    if not shares:
        ranked = sorted(values)  # the first steps of a training may tower above all others
        high = min(high, max(ranked[int(0.98 * (len(ranked) - 1))] * 1.15, 1e-6))
    frame = Frame((0.0, max(steps)), (low, max(high, low + 1e-9)))
    parts = []
    for place, (label, points) in enumerate(series.items()):
        thin = points[:: max(1, -(-len(points) // _POINTS))]
        path = _line([frame.at(s, min(max(v, low), high)) for s, v in thin])
        parts.append(element("path", element("title", label), d=path, class_=f"line s{place % 6}"))
    return frame.drawn(name, parts, "step", y_percent=shares, x_percent=False)


def legend(names: Sequence[str]) -> Markup:
    """The names of the curves of ``lines``, in order."""
    items = [element("span", element("i", class_=f"key s{i % 6}"), name) for i, name in enumerate(names)]
    return element("p", items, class_="keys")


def _line(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in places) if places else ""
