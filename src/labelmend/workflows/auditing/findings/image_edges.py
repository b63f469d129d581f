"""Edges in the image next to a given outline: they show a bias that a network has learned.

A network trained on outlines that are all too wide predicts wide outlines and agrees with them. The image
does not. Slopes of the grey values across an outline, averaged along it, peak at the edge of the structure,
wherever the outline was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from labelmend.geometry import signed_distance
from labelmend.geometry.boxes import mask_box
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.auditing.findings.voxel_units import step_mm

REACH_VOX = 8
"""Search range for edges on both sides of an outline, in steps (`step_mm`)."""

BLUR_VOX = 1.0


def edge_profile(
    image: FloatArray, mask: BoolArray, spacing_mm: Sequence[float], known: BoolArray | None = None
) -> FloatArray:
    """Mean slope of the image outward across the outline of a mask, by distance from it.

    Args:
        image: `(c *space)`; the channel with the steepest mean slope counts.
        mask: `(*space)` booleans.
        spacing_mm: per axis in mm.
        known: `(*space)` booleans, True where somebody annotated; None: everywhere.

    Returns:
        `(2 REACH_VOX + 1)` slopes, divided by the mean of their sizes, from inside to outside in steps, the
        middle one on the outline; NaN where the mask has no outline or the image no slope.
    """
    nothing = np.full(2 * REACH_VOX + 1, np.nan)
    if mask.all() or not mask.any():
        return nothing
    step = step_mm(spacing_mm)
    crop = _around(mask, spacing_mm, (REACH_VOX + 1) * step)
    distance = signed_distance(mask[crop], spacing_mm)
    near = np.abs(distance) <= REACH_VOX * step
    if known is not None:
        near &= known[crop]
    outward = _gradient(distance, spacing_mm)
    found = [_slopes(channel[crop], outward, spacing_mm)[near] for channel in image]
    profiles = _means(distance[near] / step + REACH_VOX, found)
    best = max(profiles, key=lambda profile: float(np.abs(profile).max()))
    size = np.abs(best).mean()
    return best / size if size > 0 else nothing


def peak_mm(profile: FloatArray, step: float) -> float:
    """Position of the steepest slope of a profile, interpolated by a parabola.

    Args:
        profile: from `edge_profile`, or a mean of such.
        step: in mm, from one to the next.

    Returns:
        mm outward of the outline, negative if the edge is inside; NaN without a profile.

    >>> float(peak_mm(np.array([0.0, 0, 1, 4, 4, 1, 0]), 2.0))
    1.0
    """
    sizes = np.abs(profile)
    if not np.isfinite(sizes).all():
        return float("nan")
    top = int(sizes.argmax())
    shift = 0.0
    if 0 < top < len(sizes) - 1:
        low, high = sizes[top - 1], sizes[top + 1]
        shift = 0.5 * (low - high) / (low - 2 * sizes[top] + high)
    return float((top - len(sizes) // 2 + shift) * step)


def _around(mask: BoolArray, spacing_mm: Sequence[float], margin_mm: float) -> tuple[slice, ...]:
    """The box of a mask and a margin, within the image."""
    found = mask_box(mask) or ()
    margins = [int(np.ceil(margin_mm / spacing)) for spacing in spacing_mm]
    return tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(found, margins, strict=True))


def _slopes(channel: FloatArray, outward: Sequence[FloatArray], spacing_mm: Sequence[float]) -> FloatArray:
    """Slope of a blurred image along the outward direction."""
    smooth = ndimage.gaussian_filter(channel.astype(np.float32), BLUR_VOX)
    return np.sum([a * b for a, b in zip(_gradient(smooth, spacing_mm), outward, strict=True)], axis=0)


def _gradient(field: FloatArray, spacing_mm: Sequence[float]) -> list[FloatArray]:
    """Slope along each axis; 0 along axes of one pixel."""
    return [
        np.gradient(field, step, axis=axis) if field.shape[axis] > 1 else np.zeros_like(field)
        for axis, step in enumerate(spacing_mm)
    ]


def _means(places: FloatArray, channels: Sequence[FloatArray]) -> list[FloatArray]:
    """Mean of the values of each channel by step, each pixel shared by the two steps that it lies between.

    Args:
        places: `(n)` in steps, in [0, 2 REACH_VOX]: pixels beside straight outlines lie half-way between two.
        channels: of each `(n)` values.
    """
    low = np.minimum(places.astype(np.intp), 2 * REACH_VOX - 1)
    upper = places - low
    n = 2 * REACH_VOX + 1
    count = np.bincount(low, 1 - upper, n) + np.bincount(low + 1, upper, n)
    sums = [
        np.bincount(low, (1 - upper) * values, n) + np.bincount(low + 1, upper * values, n)
        for values in channels
    ]
    return [total / np.where(count > 0, count, 1) for total in sums]
