"""The parts of the page; each is left out where nothing is known that it could tell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss_geo.classes import ClassScheme
from wsss_geo.nn.calibration import Calibration, calibration_error
from wsss_geo.nn.model_file import ModelCard
from wsss_geo.reporting import figures
from wsss_geo.reporting.charts import histogram, legend, lines, reliability_chart
from wsss_geo.reporting.markup import Content, Markup, element
from wsss_geo.reporting.pictures import SCALE, confidence_colours
from wsss_geo.reporting.survey import Survey

_STEPS = 20
_DASH = "\u2013"
_SCORES = ("score", "tag_f1", "within", "cam_f1")


@dataclass(frozen=True)
class SceneNote:
    """A scene to tag next: its centre in the CRS (or pixels) and, where known, in longitude and latitude."""

    confidence: float
    x: float
    y: float
    lon_lat: tuple[float, float] | None
    classes: tuple[str, ...]
    picture: str | None


def section(title: str, *content: Content) -> Markup:
    """A part of the page."""
    return element("section", element("h2", title), *content)


def facts(rows: Mapping[str, Any]) -> Markup:
    """A table of names and values; those of None are left out."""
    cells = [
        element("tr", element("td", name, class_="name"), element("td", value))
        for name, value in rows.items()
        if value is not None and value != ""
    ]
    return element("table", cells)


def overview(pictures: Mapping[str, str], scheme: ClassScheme, areas: NDArray[np.float64], sure: bool) -> Markup:
    """The pictures by their captions, the legend of the classes that occur and, where it is known (``sure``), of the
    confidence."""
    panels = [
        element("figure", element("img", src=address, alt=name), element("figcaption", name))
        for name, address in pictures.items()
    ]
    entries = [element("li", swatch(c.color), c.name) for c in scheme.classes if areas[c.id] > 0]
    keys = [element("ul", entries, class_="legend"), ramp() if sure else None]
    return section("Map", element("div", panels, class_="panels"), element("div", keys, class_="legends"))


def ramp() -> Markup:
    """The colours of the confidence with numbers below."""
    stops = ", ".join(f"rgb({r}, {g}, {b}) {100 * at:g}%" for at, (r, g, b) in SCALE)
    scale = element("span", class_="ramp", style=f"background: linear-gradient(90deg, {stops})")
    return element("div", "confidence 0", scale, "1", class_="scale")


def swatch(color: str) -> Markup:
    """A little square of a class's colour."""
    return element("i", class_="swatch", style=f"background: {color}")


def areas(found: Survey, scheme: ClassScheme, expected: NDArray[np.float64] | None, calibrated: bool) -> Markup:
    """Area of every class, the one that is ``expected`` where that is known (float64 [256], NaN for classes of which
    it is not), and the range that the confidence leaves."""
    by_class, doubt = found.by_class(), found.doubtful()
    total = max(by_class.sum(), 1e-12)
    sure = found.scenes is not None
    low, high = found.ranges(expected)
    top = max(float(np.nanmax([high, by_class] if sure else by_class)), 1e-12)
    rows = []
    for c in sorted(scheme.classes, key=lambda c: -by_class[c.id]):
        if by_class[c.id] == 0 and not (expected is not None and expected[c.id] > 0):
            continue
        ends = (low[c.id] / top, high[c.id] / top) if sure and not math.isnan(low[c.id]) else None
        rows.append(
            element(
                "tr",
                element("td", swatch(c.color), c.name),
                element("td", range_bar(by_class[c.id] / top, ends, c.color), class_="bar"),
                _numbers(figures.area(by_class[c.id], found.metric), figures.percent(by_class[c.id] / total)),
                None if expected is None else _numbers(_span(expected[c.id], metric=found.metric)),
                _numbers(
                    _span(low[c.id], high[c.id], metric=found.metric),
                    figures.percent(1 - doubt[c.id] / by_class[c.id]) if by_class[c.id] else _DASH,
                )
                if sure
                else None,
            )
        )
    head = ["Class", "", "Area", "Share"]
    head += [*([] if expected is None else ["Expected"]), *(["Range", "Confidence"] if sure else [])]
    heads = [element("th", text, class_="n" if i > 1 else None) for i, text in enumerate(head)]
    table = element("div", element("table", element("tr", heads), rows), class_="wide")
    notes = _area_notes(expected is not None, sure, calibrated)
    return section("Area", table, [element("p", n, class_="soft") for n in notes], _left_out(found, total))


def _span(*areas: float, metric: bool) -> str:
    """An area, or from one to another; a dash where that is not known (NaN)."""
    return f" {_DASH} ".join(figures.area(a, metric) for a in areas if not math.isnan(a)) or _DASH


def range_bar(share: float, ends: tuple[float, float] | None, color: str) -> Markup:
    """A bar of a share of 0..1, and the range around it."""
    bars = [element("rect", x=0, y=2, width=round(100 * share, 2), height=8, fill=color)]
    if ends is not None:
        width = max(round(100 * (ends[1] - ends[0]), 2), 0.4)
        bars.append(element("rect", x=round(100 * ends[0], 2), y=0, width=width, height=12, class_="span"))
    return element("svg", bars, viewBox="0 0 100 12", preserveAspectRatio="none", class_="range", aria_hidden="true")


def _numbers(*texts: str) -> list[Markup]:
    return [element("td", text, class_="n") for text in texts]


def _area_notes(expected: bool, sure: bool, calibrated: bool) -> list[str]:
    """What the columns of the table of areas mean, and what they do not know."""
    notes = []
    if expected:
        notes.append(
            "Expected: the sum of the probability of the class over all that is mapped, not only where it wins. Where "
            "the model is as often right as it says, this is the better figure."
        )
    if sure:
        known = "" if expected else ", shared in proportion to their areas, as the record of the map does not tell more"
        notes.append(
            "Range: from the area less what of it is expected to be something else, by its confidence, to the area and "
            f"what is expected to be hidden in the other classes{known}. It does not know of errors of which the model "
            "is sure."
        )
    if (expected or sure) and not calibrated:
        notes.append("The confidence of this map is not calibrated, so that the truth may lie farther off.")
    return notes


def _left_out(found: Survey, total: float) -> Markup | None:
    hidden = float(found.areas[255, 1:].sum())
    if not hidden:
        return None
    share = hidden / (total + hidden)
    return element("p", f"Without a class, since less sure than the threshold: {figures.area(hidden, found.metric)}, "
                   f"{figures.percent(share)}.")  # fmt: skip


def confidence(found: Survey, calibration: Calibration | None, why_not: str, but: str | None) -> Markup:
    """How sure the map is, and how much that is worth."""
    shares = found.by_confidence()
    shares = shares / max(shares.sum(), 1e-12)
    edges = [round(i * 256 / _STEPS) for i in range(_STEPS + 1)]
    bars = [float(shares[a:b].sum()) for a, b in itertools.pairwise(edges)]
    colours = ["#{:02x}{:02x}{:02x}".format(*confidence_colours()[(a + b) // 2]) for a, b in itertools.pairwise(edges)]
    below = {f"below {t:g}": figures.percent(float(shares[: round(t * 255)].sum())) for t in (0.5, 0.7, 0.9)}
    left = element(
        "div",
        element("h3", "How sure the map is"),
        histogram(bars, colours, "Share of the map by confidence"),
        facts({"mean": f"{found.confidence:.3f}", **below}),
    )
    return section("Confidence", element("div", left, reliability(calibration, why_not, but), class_="two"))


def reliability(calibration: Calibration | None, why_not: str, but: str | None = None) -> Markup:
    """How often the model is right by its confidence, judged by tags."""
    title = element("h3", "How much that is worth")
    if calibration is None:
        return element("div", title, element("p", why_not, class_="note"))
    before, after = calibration_error(calibration.before), calibration_error(calibration.after)
    kind = (
        "Counted in scenes of a single class, of which each pixel is known."
        if calibration.exact
        else "Right means: one of the tags of the scene, which is too kind: confusion within a scene counts as right."
    )
    table = facts(
        {
            "temperature": f"{calibration.temperature:.3g}",
            "calibration error": f"{figures.percent(after)}; {figures.percent(before)} without temperature",
            "judged by": f"{calibration.scenes:,} tagged scenes ({calibration.split}), no mask",
        }
    )
    chart = reliability_chart(calibration.before, calibration.after, "Share of right pixels by confidence")
    keys = legend(["calibrated", "as trained"])
    return element(
        "div",
        title,
        element("div", chart, class_="square"),
        keys,
        table,
        [element("p", text, class_=name) for text, name in ((kind, "soft"), (but, "note")) if text],
    )


def scenes(notes: Sequence[SceneNote], side: int, metres: float | None, crs: str | None) -> Markup:
    """The scenes to tag next, as pictures and as a table of tags to fill in."""
    cards = []
    for place, note in enumerate(notes, start=1):
        where = f"{note.x:.1f}, {note.y:.1f}"
        degrees = None if note.lon_lat is None else f"{note.lon_lat[1]:.5f}\u00b0, {note.lon_lat[0]:.5f}\u00b0"
        picture = None if note.picture is None else element("img", src=note.picture, alt=f"scene {place}")
        said = " / ".join(note.classes[:2])
        cards.append(
            element(
                "figure",
                picture,
                element(
                    "figcaption",
                    element("b", f"{place}. {figures.percent(note.confidence)} sure"),
                    [[element("br"), text] for text in (said, where, degrees) if text],
                ),
            )
        )
    size = f"{side} x {side} px" + (f" ({metres:.0f} m)" if metres else "")
    text = (
        f"Scenes of {size} in which the map is least sure, none beside another. Tags here teach most. "
        f"Coordinates: x, y of the centre {'in ' + crs if crs else 'in pixels'}"
        + ("; latitude, longitude." if crs else ".")
    )
    listed = "".join(f"{n.x:.3f},{n.y:.3f},\n" for n in notes)
    sheet = element("details", element("summary", "As tags.csv, to fill in"), element("pre", "x,y,tags\n" + listed))
    return section("Tag next", element("p", text), element("div", cards, class_="scenes"), sheet)


def training(metrics: Mapping[str, Sequence[tuple[float, float]]], preview: str | None) -> Markup:
    """Losses and scores of the run, and what it saw last."""
    losses = {k: v for k, v in metrics.items() if k not in _SCORES and v}
    scores = {k: metrics[k] for k in _SCORES if metrics.get(k)}
    charts = []
    if losses:
        charts.append(element("div", element("h3", "Losses"), lines(losses, "Losses", False), legend(list(losses))))
    if scores:
        title = element("h3", "Agreement with the tags of held-out scenes")
        charts.append(element("div", title, lines(scores, "Scores", True), legend(list(scores))))
    picture = None
    if preview is not None:
        text = "Last preview: image, activation map, pseudo label, prediction."
        shown = element("img", src=preview, alt="preview of the training", class_="preview")
        picture = element("details", element("summary", "Preview"), element("p", text, class_="soft"), shown)
    return section("Training", element("div", charts, class_="two"), picture)


def model(card: ModelCard, name: str, sha256: str) -> Markup:
    """The model card."""
    low = card.area["bbox"] if card.area else None
    rows = {
        "file": name,
        "SHA-256": sha256,
        "method": card.method,
        "backbone": str(card.network.get("backbone", "")),
        "bands": ", ".join(card.bands),
        "pixel": None if card.gsd is None else f"{card.gsd:.4g} m",
        "view": f"{card.tile_size} x {card.tile_size} px",
        "background": card.classes.background,
        "scores": ", ".join(f"{k} {v:.3f}" for k, v in card.scores.items()) or None,
        "training area": None
        if low is None
        else ", ".join(f"{float(v):.5f}" for v in low) + f" ({card.area['crs']})"
        if card.area
        else None,
        "licence": card.licence or None,
        "settings": ", ".join(f"{k}={v}" for k, v in card.settings.items()) or None,
    }
    counts = max([*card.tag_counts.values(), 1])
    tags = [
        element(
            "tr",
            element("td", swatch(c.color), c.name),
            element("td", range_bar(card.tag_counts.get(c.name, 0) / counts, None, c.color), class_="bar"),
            _numbers(f"{card.tag_counts.get(c.name, 0):,}"),
        )
        for c in card.classes.classes
    ]
    heads = [element("th", t, class_="n" if i == 2 else None) for i, t in enumerate(("Class", "", "Tagged scenes"))]
    return section("Model", element("div", facts(rows), element("table", element("tr", heads), tags), class_="two"))


def provenance(record: Mapping[str, Any]) -> Markup:
    """The record of the run: command, inputs, times, versions."""
    command = record.get("command")
    inputs = [i for i in _listed(record.get("inputs")) if isinstance(i, Mapping)]
    listed = [element("tr", element("td", i.get("path", "")), _numbers(_size(i.get("bytes")))) for i in inputs]
    times = {k: figures.seconds(float(v)) for k, v in _pairs(record.get("seconds")) if isinstance(v, (int, float))}
    versions = ", ".join(f"{k} {v}" for k, v in _pairs(record.get("versions")))
    return section(
        "Provenance",
        element("pre", command) if isinstance(command, str) else None,
        facts({"finished": record.get("finished"), "took": ", ".join(f"{k} {v}" for k, v in times.items()) or None,
               "versions": versions or None}),
        element("h3", "Inputs") if listed else None,
        element("table", listed) if listed else None,
    )  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _pairs(value: Any) -> list[tuple[str, Any]]:
    return [(str(k), v) for k, v in value.items()] if isinstance(value, Mapping) else []


def _size(count: Any) -> str:
    return figures.size(count) if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else ""
