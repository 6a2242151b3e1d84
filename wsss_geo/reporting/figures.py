"""How figures are written for people."""

from __future__ import annotations


def area(square_metres: float, metric: bool = True) -> str:
    """Return an area in the unit that fits it: m2, ha or km2; of rasters without CRS in pixels."""
    if not metric:
        return f"{square_metres:,.0f} px"
    if square_metres < 1e4:
        return f"{square_metres:,.0f} m\u00b2"
    if square_metres < 1e7:
        return f"{square_metres / 1e4:,.2f} ha" if square_metres < 1e6 else f"{square_metres / 1e4:,.1f} ha"
    return f"{square_metres / 1e6:,.1f} km\u00b2"


def percent(share: float) -> str:
    """Return a share of 0..1 in percent."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Return a number with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def seconds(value: float) -> str:
    """Return a time in seconds, minutes or hours."""
    if value < 90:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def size(count: int) -> str:
    """Return bytes."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024  # type: ignore[assignment]
    return f"{count:,.1f} GiB"
