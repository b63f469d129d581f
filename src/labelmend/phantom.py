"""Drawn pictures with known outlines, for the demo and for tests: a chest radiograph, a volume of two blobs.

Nothing here is anatomy. The pictures are easy enough for a small network and too hard for a threshold: soft
edges, ribs and spine as bright as the structures looked for, uneven exposure, grain.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from labelmend.errors import ConfigError
from labelmend.types import BoolArray, FloatArray

PHANTOM_CLASSES = ("clavicle", "heart", "lung")
PHANTOM_3D_CLASSES = ("organ", "lesion")
MIN_SIZE = 16

# Attenuation of each part, in units of the trunk's; chosen by eye.
LUNG, HEART, CLAVICLE, RIB, SPINE, VESSELS = -0.52, 0.26, 0.28, 0.09, 0.20, 0.04


def draw_phantom(rng: np.random.Generator, size: int = 96) -> tuple[FloatArray, BoolArray]:
    """A radiograph-like picture: two lungs, a heart over the left one, two clavicles over the lung tops.

    Place, size, tilt and outline of every part vary from picture to picture. The masks overlap.

    Args:
        rng: source of all random numbers.
        size: height and width in pixels, at least 16.

    Returns:
        image `(1 size size)` float32, about [0, 1], and masks `(3 size size)` booleans in the order of
        `PHANTOM_CLASSES`.

    >>> image, masks = draw_phantom(np.random.default_rng(0))
    >>> image.shape, masks.shape
    ((1, 96, 96), (3, 96, 96))
    """
    if size < MIN_SIZE:
        raise ConfigError(f"a phantom needs at least {MIN_SIZE} pixels along each side, got {size}")
    x, y = _coordinates(rng, size)
    depth = rng.uniform(0.50, 0.66)  # of the diaphragm
    lungs = np.minimum(_lung(rng, x, y, depth, side=-1), _lung(rng, x, y, depth + 0.04, side=1))
    heart = _heart(rng, x, y, depth)
    clavicles = np.minimum(_clavicle(rng, x, y, side=-1), _clavicle(rng, x, y, side=1))
    trunk = _trunk(rng, x, y)
    attenuation = (
        trunk
        + LUNG * rng.uniform(0.85, 1.1) * _soft(lungs, 0.035)
        + HEART * rng.uniform(0.85, 1.15) * _soft(heart, 0.04)
        + CLAVICLE * rng.uniform(0.85, 1.15) * _soft(clavicles, 0.02)
        + RIB * trunk * _ribs(rng, x, y)
        + SPINE * np.exp(-((x / rng.uniform(0.09, 0.12)) ** 2)) * (1 + 0.15 * np.sin(y * rng.uniform(38, 44)))
        + VESSELS * _soft(lungs, 0.05) * _grain(rng, size, scale=0.025)
    )
    masks = np.stack([clavicles < 0, heart < 0, lungs < 0])
    return _exposed(rng, attenuation, x, y)[None], masks


def draw_phantom_3d(
    rng: np.random.Generator, shape: tuple[int, int, int] = (24, 32, 32)
) -> tuple[FloatArray, BoolArray]:
    """A volume with a large blob and a small one that lies across its surface.

    Args:
        rng: source of all random numbers.
        shape: `(d h w)` in voxels.

    Returns:
        image `(1 d h w)` float32, about [0, 1], and masks `(2 d h w)` booleans in the order of
        `PHANTOM_3D_CLASSES`.
    """
    if min(shape) < MIN_SIZE // 2:
        raise ConfigError(f"a 3-D phantom needs at least {MIN_SIZE // 2} voxels along each axis, got {shape}")
    axes = [(np.arange(n) + 0.5) / n * 2 - 1 for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    centre, radii = rng.uniform(-0.1, 0.1, 3), rng.uniform(0.55, 0.7, 3)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    organ = _ellipsoid(points, centre, radii) + 0.08 * _wave(rng, points)
    lesion = _ellipsoid(points, centre + 0.75 * radii * direction, rng.uniform(0.28, 0.36, 3))
    image = 0.3 + 0.25 * _soft(organ, 0.12) + 0.2 * _soft(lesion, 0.12) + 0.05 * _wave(rng, points)
    image = gaussian_filter(image, 0.5) + rng.normal(scale=0.04, size=shape)
    return image.astype(np.float32)[None], np.stack([organ < 0, lesion < 0])


def _coordinates(rng: np.random.Generator, size: int) -> tuple[FloatArray, FloatArray]:
    """Coordinates x, y, about [-1, 1], of a patient who stands a little off, tilted, nearer or farther."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    angle, scale = rng.normal(scale=0.04), rng.uniform(0.92, 1.1)
    x, y = axis[None, :] - rng.normal(scale=0.05), axis[:, None] - rng.normal(scale=0.04)
    return (np.cos(angle) * x + np.sin(angle) * y) / scale, (np.cos(angle) * y - np.sin(angle) * x) / scale


def _lung(rng: np.random.Generator, x: FloatArray, y: FloatArray, depth: float, *, side: int) -> FloatArray:
    """Level function, negative inside: narrow at the top, cut from below by the dome of the diaphragm."""
    width, height = rng.uniform(0.29, 0.35), rng.uniform(0.70, 0.82)
    centre = side * rng.uniform(0.40, 0.44)
    v = (y - depth + height * 0.8) / height
    u = (x - centre - side * 0.05 * v) / (width * (1 + 0.22 * np.clip(v, -1, 1)))
    power = rng.uniform(2.2, 2.8)
    outline = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power) - 1
    outline = outline + _wobble(rng, u, v, 0.05)
    dome = y - depth + rng.uniform(0.08, 0.18) * (1 - ((x - centre + side * 0.1) / width) ** 2)
    return np.maximum(outline * width, dome * 0.9)


def _heart(rng: np.random.Generator, x: FloatArray, y: FloatArray, depth: float) -> FloatArray:
    """Level function of a tilted egg on the diaphragm that reaches into the left lung, right in the image."""
    tilt = rng.uniform(0.3, 0.7)
    a, b = rng.uniform(0.34, 0.42), rng.uniform(0.25, 0.31)
    dx, dy = x - rng.uniform(0.10, 0.17), y - depth + rng.uniform(0.17, 0.24)
    u = (np.cos(tilt) * dx + np.sin(tilt) * dy) / a
    v = (np.cos(tilt) * dy - np.sin(tilt) * dx) / (b * (1 + 0.15 * np.clip(u, -1, 1)))
    return (np.hypot(u, v) - 1 + _wobble(rng, u, v, 0.04)) * b


def _clavicle(rng: np.random.Generator, x: FloatArray, y: FloatArray, *, side: int) -> FloatArray:
    """Level function of a bent bar from beside the spine to the shoulder: distance to its axis less width."""
    t = np.linspace(0, 1, 48)
    rise, bend = rng.uniform(0.06, 0.15), rng.uniform(0.01, 0.035)
    axis_x = side * (rng.uniform(0.12, 0.16) + rng.uniform(0.46, 0.54) * t)
    axis_y = rng.uniform(-0.62, -0.54) - rise * t + bend * np.sin(2 * np.pi * t)
    half_width = rng.uniform(0.075, 0.09) * (1 - 0.2 * np.sin(np.pi * t))
    distance = np.hypot(x[..., None] - axis_x, y[..., None] - axis_y) - half_width
    return distance.min(axis=-1)


def _trunk(rng: np.random.Generator, x: FloatArray, y: FloatArray) -> FloatArray:
    """Attenuation of chest, shoulders and neck: 1 in the middle, 0 in the air beside them."""
    half = rng.uniform(0.88, 0.98) - 0.1 * np.clip(y, 0, 1)
    shoulder = 0.25 + (half - 0.25) / (1 + np.exp(-(y + rng.uniform(0.86, 0.92)) / 0.04))
    return _soft(np.abs(x) - shoulder, 0.05) * (0.95 + 0.25 * np.clip(y - 0.3, 0, 1))


def _ribs(rng: np.random.Generator, x: FloatArray, y: FloatArray) -> FloatArray:
    """Bands that fall outward from the spine (behind), and fainter ones that rise (in front)."""
    spacing, phase = rng.uniform(0.19, 0.23), rng.uniform(0, 1)
    inward = np.abs(x)
    back = (y - 0.55 * inward + 0.75 * inward**2) / spacing + phase
    front = (y + 0.45 * inward) / spacing + phase / 2
    bands = np.clip(np.cos(2 * np.pi * back), 0, 1) ** 0.7 + 0.6 * np.clip(np.cos(2 * np.pi * front), 0, 1)
    return bands * _soft(inward - 0.80, 0.03) * _soft(y - 0.65, 0.05) * _soft(-0.85 - y, 0.03)


def _exposed(rng: np.random.Generator, attenuation: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """The film: blurred, unevenly lit, grainy, stretched to about [0, 1] with bone bright and air dark."""
    blurred = gaussian_filter(attenuation, 0.006 * len(attenuation))
    light = 1 + rng.normal(scale=0.05) * x + rng.normal(scale=0.05) * y
    film = 1 - np.exp(-rng.uniform(0.85, 1.15) * np.clip(blurred, 0, None) * light)
    film = film + rng.normal(scale=rng.uniform(0.012, 0.025), size=film.shape)
    return ((film - 0.05) * rng.uniform(1.2, 1.35)).astype(np.float32)


def _soft(level: FloatArray, width: float) -> FloatArray:
    """1 inside and 0 outside of a level function, with an edge of about this width."""
    return 1 / (1 + np.exp(np.clip(level / (width / 4), -50, 50)))


def _wobble(rng: np.random.Generator, u: FloatArray, v: FloatArray, amount: float) -> FloatArray:
    """A smooth change of an outline with the angle around its centre."""
    angle = np.arctan2(v, u)
    total = np.zeros_like(angle)
    for k in (2, 3, 4):
        total += rng.normal(scale=amount / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return total


def _grain(rng: np.random.Generator, size: int, scale: float) -> FloatArray:
    """Smooth noise of unit spread whose blotches span `scale` of the picture."""
    noise = gaussian_filter(rng.normal(size=(size, size)), scale * size / 2, mode="wrap")
    return noise / noise.std()


def _ellipsoid(points: FloatArray, centre: FloatArray, radii: FloatArray) -> FloatArray:
    column = (-1, 1, 1, 1)
    return np.sqrt((((points - centre.reshape(column)) / radii.reshape(column)) ** 2).sum(axis=0)) - 1


def _wave(rng: np.random.Generator, points: FloatArray) -> FloatArray:
    """A plane wave of random direction, about one period across the volume."""
    return np.cos(np.tensordot(rng.normal(scale=2.0, size=3), points, axes=1) + rng.uniform(0, 2 * np.pi))
