"""Sun, sky, lens and sensor: from what lies on the ground to an 8-bit picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from landscape.canvas import BUILDING, GSD, SIZE, Array, Canvas
from landscape.noise import fractal

SUN_AZIMUTH = np.deg2rad(152.0)
SUN_HEIGHT = np.deg2rad(47.0)
#: Direction to the sun: east, south, up.
SUN = np.array([np.sin(SUN_AZIMUTH), -np.cos(SUN_AZIMUTH), np.tan(SUN_HEIGHT)])
SUN = SUN / np.sqrt((SUN * SUN).sum())
GAMMA = 2.2


@dataclass(frozen=True)
class Tone:
    """How one flight was developed: gain of the bands, haze, lack of colour, noise."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    haze: float = 0.012
    pallor: float = 0.2
    noise: float = 1.0


def expose(canvas: Canvas, tone: Tone, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture, [H, W, 3] uint8."""
    direct = _lambert(canvas) * (1 - _shadow(canvas.height) * np.where(canvas.crown, 0.86, 0.97))
    flat = float(SUN[2])
    ambient = _openness(canvas.height)
    sky = np.array([0.165, 0.185, 0.225])
    light = (direct / flat)[..., None] * (1 - sky) + ambient[..., None] * sky
    linear = (np.clip(canvas.color, 1, 255) / 255) ** GAMMA * light
    linear *= _unevenness(rng)[..., None]
    grey = 0.3 * linear[..., :1] + 0.6 * linear[..., 1:2] + 0.1 * linear[..., 2:]
    linear += tone.pallor * (grey - linear)
    slant = ((canvas.x - canvas.y * 0.6) / (SIZE * GSD) * 0.5 + 0.6)[..., None]
    haze = tone.haze * np.array([0.75, 0.95, 1.25])
    linear = linear * (1 - haze * slant) * np.array(tone.gain) + haze * slant
    linear = np.stack([_lens(linear[..., band]) for band in range(3)], axis=-1)
    shot = rng.normal(size=linear.shape) * np.sqrt(np.clip(linear, 0, None) * 0.00016 + 0.000012) * tone.noise
    linear = linear + ndimage.gaussian_filter(shot, (0.45, 0.45, 0.3)) * 1.25
    display = np.clip(linear, 0, 1.5) ** (1 / GAMMA)
    display = display + 0.06 * np.sin(2 * np.pi * np.clip(display, 0, 1)) * -0.5  # a little more contrast
    picture: NDArray[np.uint8] = np.rint(np.clip(display, 0, 1) * 255).astype(np.uint8)
    return picture


def _lambert(canvas: Canvas) -> Array:
    """Cosine of the angle between the surface and the sun, 0 where it faces away."""
    height = canvas.height + 1.1 * canvas.broad + canvas.crown * (0.45 * canvas.fine)
    smooth = ndimage.gaussian_filter(height, 0.8)
    slope_y, slope_x = np.gradient(smooth, GSD)
    soft = np.where(canvas.crown, 0.9, 1.0)  # leaves scatter: gentler than stone
    bound = np.where(canvas.crown, 1.15, 0.6)
    slope_x, slope_y = (bound * np.tanh(soft * s / bound) for s in (slope_x, slope_y))
    roof = canvas.truth == BUILDING
    slope_x = np.where(roof, canvas.roof_slope[..., 0], slope_x)
    slope_y = np.where(roof, canvas.roof_slope[..., 1], slope_y)
    steep = np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
    return np.asarray(np.clip((SUN[2] - SUN[0] * slope_x - SUN[1] * slope_y) / steep, 0.0, None))


def _shadow(height: Array) -> Array:
    """How much of the sun is hidden, 0..1: walk towards the sun and look whether anything stands higher."""
    level = np.hypot(SUN[0], SUN[1])
    step = GSD * 0.8
    hidden = np.zeros_like(height)
    for i in range(1, int(float(height.max()) * level / SUN[2] / step) + 2):
        drop = i * step * SUN[2] / level
        down, right = round(i * step * SUN[1] / level / GSD), round(i * step * SUN[0] / level / GSD)
        rows, cols = SIZE - down, SIZE - right
        over = height[down:, right:] - drop - height[:rows, :cols]
        part = hidden[:rows, :cols]
        np.maximum(part, np.clip(over / 0.7, 0, 1), out=part)
    return np.asarray(ndimage.gaussian_filter(hidden, 0.5))


def _openness(height: Array) -> Array:
    """Share of the sky a place sees, from how deep it lies below its surroundings."""
    deep = np.clip(ndimage.gaussian_filter(height, 4.0) - height, 0, None)
    return np.asarray(1 / (1 + 0.09 * deep))


def _unevenness(rng: np.random.Generator) -> Array:
    """Slow changes of brightness across the mosaic."""
    return np.asarray(1 + 0.035 * fractal(rng, SIZE, longest=3000, shortest=500, beta=2.0))


def _lens(band: Array) -> Array:
    """Blur of optics and motion, then the usual mild sharpening of the developed picture."""
    blurred = ndimage.gaussian_filter(band, (0.72, 0.62))
    return np.asarray(blurred + 0.35 * (blurred - ndimage.gaussian_filter(blurred, 1.2)))
