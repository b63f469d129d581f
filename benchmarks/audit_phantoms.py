"""Drawn volumes for audit_data.py: two organs, two vessels, two to four lesions, and much else.

Slices are 2.5 times as thick as pixels are wide, as in CT. Edges are soft, light is uneven, brightness varies
from case to case, organs are blotchy, and some blobs of background are as bright as lesions, so that a small
network does well and not perfectly. Nothing here is anatomy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from labelmend.types import BoolArray, FloatArray

CLASSES = ("organ", "vessel", "lesion")  # painted in this order
SHAPE, SPACING_MM = (16, 48, 48), (2.5, 1.0, 1.0)

# Brightness of each part over that of the background, and widths of edges in mm; chosen by eye.
ORGAN, VESSEL, LESION, BLOB, BLOTCHES, GRAIN = 0.20, 0.28, 0.26, 0.26, 0.035, 0.035
EDGE_MM = 2.0


def draw(rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """A volume and its masks.

    Args:
        rng: source of all random numbers.

    Returns:
        image `SHAPE`, about [0, 1], and masks `(3 *SHAPE)` booleans in the order of `CLASSES`, overlapping.
    """
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING_MM)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))  # mm from the middle
    centres = [np.array([*rng.uniform(-3, 3, 2), side * rng.uniform(10, 12.5)]) for side in (-1, 1)]
    radii = [rng.uniform((13, 12, 7.5), (17, 17, 9.5)) for _ in centres]
    organs = np.minimum(*[_blob(rng, points, c, r) for c, r in zip(centres, radii)])
    vessels = np.minimum(_tube(rng, points, along=0), _tube(rng, points, along=2))
    lesions = _lesions(rng, points, centres, radii)
    blobs = _blobs(rng, points, np.minimum(organs, lesions))
    image = (
        0.3
        + _varied(rng, ORGAN) * _soft(organs)
        + _varied(rng, VESSEL) * _soft(vessels)
        + _varied(rng, LESION) * _soft(lesions)
        + _varied(rng, BLOB) * _soft(blobs)
        + BLOTCHES * _grain(rng, scale_mm=3.0)
    )
    light = 1 + np.tensordot(rng.normal(scale=0.003, size=3), points, axes=1)
    blurred = gaussian_filter(image * light, (0.35, 0.6, 0.6))
    return blurred + rng.normal(scale=GRAIN, size=SHAPE), np.stack([organs < 0, vessels < 0, lesions < 0])


def _lesions(
    rng: np.random.Generator, points: FloatArray, centres: Sequence[FloatArray], radii: Sequence[FloatArray]
) -> FloatArray:
    """Two to four on or near the surface of an organ, apart from each other, some of them flat."""
    found, places = np.full(SHAPE, np.inf), np.zeros((0, 3))
    while len(places) < rng.integers(2, 5):
        which, direction = int(rng.integers(2)), rng.normal(size=3)
        place = centres[which] + rng.uniform(0.4, 1.0) * radii[which] * direction / np.linalg.norm(direction)
        outside = (np.abs(place) > np.array([15, 19, 19])).any()
        if outside or (np.linalg.norm(places - place, axis=1) < 13).any():
            continue
        own = rng.uniform(3.2, 6.2) * np.array([rng.uniform(0.7, 1.0), *rng.uniform(0.85, 1.2, 2)])
        found, places = np.minimum(found, _blob(rng, points, place, own)), np.vstack([places, place])
    return found


def _blobs(rng: np.random.Generator, points: FloatArray, level: FloatArray) -> FloatArray:
    """Two to four blobs of background outside of organs and lesions."""
    found = np.full(SHAPE, np.inf)
    for _ in range(rng.integers(2, 5)):
        free = np.argwhere(level > 3)
        place = points[(slice(None), *free[rng.integers(len(free))])]
        found = np.minimum(found, _blob(rng, points, place, rng.uniform(2.0, 4.5, 3)))
    return np.maximum(found, 1 - level)


def _blob(rng: np.random.Generator, points: FloatArray, centre: FloatArray, radii: FloatArray) -> FloatArray:
    """About the distance in mm to an uneven ellipsoid, negative inside."""
    gaps = (points - centre.reshape(3, 1, 1, 1)) / radii.reshape(3, 1, 1, 1)
    waves = [
        np.cos(np.tensordot(rng.normal(scale=2.0, size=3), gaps, axes=1) + rng.uniform(0, 2 * np.pi))
        for _ in range(2)
    ]
    return (np.sqrt((gaps**2).sum(axis=0)) - 1 + 0.07 * np.sum(waves, axis=0)) * radii.mean()


def _tube(rng: np.random.Generator, points: FloatArray, *, along: int) -> FloatArray:
    """About the distance in mm to a bent tube between the organs, through the slices or across them."""
    t = np.linspace(-1, 1, 30)
    line = np.zeros((3, 30))
    half, bent = (17.0, 2) if along == 0 else (13.0, 0)
    line[along] = rng.uniform(-2, 2) + half * t
    line[1] = rng.uniform(2, 8) * (1 if along == 0 else -1) + rng.uniform(-3, 3) * t**2
    line[bent] += rng.uniform(-3, 3) + rng.uniform(-3, 3) * t**2
    radius = rng.uniform(2.2, 3.2)
    squares = np.full(SHAPE, np.inf)
    for place in line.T:
        squares = np.minimum(squares, ((points - place.reshape(3, 1, 1, 1)) ** 2).sum(axis=0))
    return np.sqrt(squares) - radius


def _soft(level: FloatArray) -> FloatArray:
    """1 inside and 0 outside, with a soft edge."""
    return 1 / (1 + np.exp(np.clip(level / (EDGE_MM / 4), -50, 50)))


def _varied(rng: np.random.Generator, amount: float) -> float:
    return amount * rng.uniform(0.75, 1.2)


def _grain(rng: np.random.Generator, scale_mm: float) -> FloatArray:
    """Smooth noise of unit spread."""
    noise = gaussian_filter(rng.normal(size=SHAPE), [scale_mm / step / 2 for step in SPACING_MM], mode="wrap")
    return noise / noise.std()
