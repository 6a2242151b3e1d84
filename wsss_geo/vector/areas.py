"""Geodesic areas of many polygons at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj

from wsss_geo.vector.compiled import compiled

_Floats = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]

#: Edges up to this length (radians, about 2 km on Earth) are great circles of the authalic sphere to 2e-7 of the area.
_SHORT = 2000 / 6.371e6
#: From this number of corners on, polynomials stand in for the projection where they are as good.
_MANY = 10_000


def polygon_areas(corners: _Floats, ring_starts: _Int64, polygon_starts: _Int64, crs: pyproj.CRS | None) -> _Floats:
    """Return the area of each polygon [N], holes taken off.

    ``corners`` [P, 2] are closed rings in the coordinates of ``crs`` (x, y); ring ``i`` is
    ``ring_starts[i]:ring_starts[i + 1]``, the first ring of a polygon is the outer one. With a CRS that is tied to an
    ellipsoid the area is in square metres on it, edges being geodesics: short edges through the authalic sphere
    (Karney 2013, section 6, without the correction that vanishes for them), polygons with longer edges or around a
    pole through `pyproj.Geod`. Otherwise it is plain: square metres for local CRSs, square units without any.
    NaN where a corner has no place on the ellipsoid.
    """
    if len(polygon_starts) < 2:
        return np.empty(0)
    geodetic = None if crs is None else crs.geodetic_crs
    if crs is None or geodetic is None:
        unit = 1.0 if crs is None or not crs.axis_info else crs.axis_info[0].unit_conversion_factor
        return _subtract_holes(_plane_areas(corners, ring_starts) * unit**2, polygon_starts)
    geod = crs.get_geod() or geodetic.get_geod()
    sphere = _AuthalicSphere(crs, geodetic, geod)
    areas, simple = _sphere_areas(*sphere.place(corners), ring_starts, _SHORT)
    areas *= sphere.radius2
    for i in np.flatnonzero(~simple & np.isfinite(areas)):
        longitude, latitude = sphere.geographic(corners[ring_starts[i] : ring_starts[i + 1]])
        areas[i] = abs(geod.polygon_area_perimeter(longitude, latitude, radians=True)[0])
    return _subtract_holes(areas, polygon_starts)


class _AuthalicSphere:
    """The sphere with the area of the ellipsoid, and the way to it from the coordinates of a CRS."""

    def __init__(self, crs: pyproj.CRS, geodetic: pyproj.CRS, geod: pyproj.Geod) -> None:
        self._unit = geodetic.axis_info[0].unit_conversion_factor
        self._project = None
        if not crs.is_geographic:
            self._project = pyproj.Transformer.from_crs(crs, geodetic.to_2d(), always_xy=True).transform
        self._e2 = float(geod.es)
        self._q_pole = float(self._q(1.0))
        self.radius2 = geod.a**2 * self._q_pole / 2

    def _q(self, sine: Any) -> Any:
        """Snyder 1987, eq. 3-12."""
        if self._e2 <= 0:
            return 2 * sine
        e = math.sqrt(self._e2)
        return (1 - self._e2) * (sine / (1 - self._e2 * sine**2) + np.arctanh(e * sine) / e)

    def geographic(self, corners: _Floats) -> tuple[_Floats, _Floats]:
        """Return longitude and latitude in radians; not finite outside the domain of the CRS."""
        x, y = corners[:, 0], corners[:, 1]
        if self._project is not None:
            x, y = self._project(x, y)
        return np.asarray(x) * self._unit, np.asarray(y) * self._unit

    def exact(self, corners: _Floats) -> _Floats:
        """Return longitude (radians) and tan(authalic latitude / 2) of each corner, [2, P] (Snyder 1987, eq. 3-11)."""
        longitude, latitude = self.geographic(corners)
        sine = np.clip(self._q(np.sin(latitude)) / self._q_pole, -1.0, 1.0)
        return np.stack([longitude, sine / (1 + np.sqrt(1 - sine**2))])

    def place(self, corners: _Floats) -> tuple[_Floats, _Floats]:
        """Do what ``exact`` does, through polynomials where there are many corners in a small part of the globe."""
        if len(corners) > _MANY:
            low = np.array([corners[:, 0].min(), corners[:, 1].min()])
            high = np.array([corners[:, 0].max(), corners[:, 1].max()])
            for degree in (3, 6):
                if (fit := _fit(self.exact, low, high, degree)) is not None:
                    return _evaluate(corners, low, high, *fit)
        longitude, half_tangent = self.exact(corners)
        return longitude, half_tangent


def _fit(
    function: Callable[[_Floats], _Floats], low: _Floats, high: _Floats, degree: int
) -> tuple[_Floats, _Floats] | None:
    """Return coefficients [degree + 1, degree + 1] of two polynomials over the box, None if they miss ``function``.

    They are fitted at Chebyshev nodes and tested between them, to 1e-10 of their range: lengths and areas then
    hold to about 1e-8.
    """
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    tests = np.cos(np.pi * np.linspace(0, 1, 2 * degree + 3))
    inverse = np.linalg.inv(np.vander(nodes, increasing=True))
    powers = np.vander(tests, degree + 1, increasing=True)
    found = []
    samples = _sample(function, low, high, nodes), _sample(function, low, high, tests)
    for at_nodes, at_tests in zip(*samples, strict=True):
        coefficients = inverse @ at_nodes @ inverse.T
        error = np.abs(powers @ coefficients @ powers.T - at_tests).max()
        if not error <= 1e-10 * np.ptp(at_tests):
            return None
        found.append(coefficients)
    return found[0], found[1]


def _sample(function: Callable[[_Floats], _Floats], low: _Floats, high: _Floats, at: _Floats) -> _Floats:
    """Return the two values of ``function`` on the grid ``at`` x ``at`` of the box, [2, N, N] (x first)."""
    x, y = np.meshgrid(at, at, indexing="ij")
    corners = (low + high) / 2 + np.stack([x.ravel(), y.ravel()], axis=1) * (high - low) / 2
    return function(corners).reshape(2, *x.shape)


@compiled
def _evaluate(
    corners: _Floats, low: _Floats, high: _Floats, first: _Floats, second: _Floats
) -> tuple[_Floats, _Floats]:
    """Return both polynomials at each corner, by Horner's scheme; what y gives is kept as long as y stays the same."""
    count, order = len(corners), len(first)
    results = np.empty((2, count), np.float64)
    in_u = np.empty((2, order), np.float64)
    u_scale, v_scale = 2 / (high[0] - low[0]), 2 / (high[1] - low[1])
    middle, level = (low + high) / 2, np.nan
    for i in range(count):
        if corners[i, 1] != level:
            level = corners[i, 1]
            v = (level - middle[1]) * v_scale
            for j in range(order):
                r = s = 0.0
                for k in range(order - 1, -1, -1):
                    r = r * v + first[j, k]
                    s = s * v + second[j, k]
                in_u[0, j], in_u[1, j] = r, s
        u = (corners[i, 0] - middle[0]) * u_scale
        p = q = 0.0
        for j in range(order - 1, -1, -1):
            p = p * u + in_u[0, j]
            q = q * u + in_u[1, j]
        results[0, i], results[1, i] = p, q
    return results[0], results[1]


@compiled
def _sphere_areas(
    longitude: _Floats, half_tangent: _Floats, ring_starts: _Int64, short: float
) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Return the area [G] of each ring on the unit sphere, and whether its edges are short and leave the poles out.

    Each edge adds the spherical excess of the figure between it and the equator; for short edges two terms of tangent
    and arc tangent are exact.
    """
    count = len(ring_starts) - 1
    areas = np.empty(count, np.float64)
    simple = np.empty(count, np.bool_)
    for i in range(count):
        excess = turn = 0.0
        all_short = True
        for j in range(ring_starts[i], ring_starts[i + 1] - 1):
            width = longitude[j + 1] - longitude[j]
            if width > math.pi:
                width -= 2 * math.pi
            elif width < -math.pi:
                width += 2 * math.pi
            t, u = half_tangent[j], half_tangent[j + 1]
            ratio = (t + u) / (1 + t * u)
            half = width / 2
            if abs(width) < 1e-3:
                tangent = half * (1 + half * half / 3) * ratio
                excess += 2 * tangent * (1 - tangent * tangent / 3)
            else:
                excess += 2 * math.atan(math.tan(half) * ratio)
            turn += width
            height, level = 2 * (u - t), width * (1 - t * t)  # of the edge, times 1 + t * t
            reach = short * (1 + t * t)
            all_short &= height * height + level * level <= reach * reach
        areas[i] = abs(excess)
        simple[i] = all_short and abs(turn) < math.pi
    return areas, simple


@compiled
def _plane_areas(corners: _Floats, ring_starts: _Int64) -> _Floats:
    areas = np.empty(len(ring_starts) - 1, np.float64)
    for i in range(len(areas)):
        first = ring_starts[i]
        doubled = 0.0
        for j in range(first, ring_starts[i + 1] - 1):  # relative to the first corner, so that little cancels
            x, y = corners[j, 0] - corners[first, 0], corners[j, 1] - corners[first, 1]
            u, v = corners[j + 1, 0] - corners[first, 0], corners[j + 1, 1] - corners[first, 1]
            doubled += x * v - u * y
        areas[i] = abs(doubled) / 2
    return areas


def _subtract_holes(ring_areas: _Floats, polygon_starts: _Int64) -> _Floats:
    return 2 * ring_areas[polygon_starts[:-1]] - np.add.reduceat(ring_areas, polygon_starts[:-1])
