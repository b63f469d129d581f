"""Displacement of a given outline from a clean one, per case: bias, roughness, correlation and specks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import binary_erosion, label

from labelmend.errors import GeometryError
from labelmend.geometry import boundary_displacements, check_spacing, face_values, signed_distance
from labelmend.types import BoolArray, FloatArray

SPECK_SHARE = 0.01
LEAST_SPECK = 30
"""An island or hole is a speck up to this fraction of the clean mask, or this many pixels."""

DEEP = 3
"""Margin in pixels from the outlines' range, and from the image border, where specks are not counted."""

MOST_FACES = 400
"""Most boundary faces used to estimate the correlation along the boundary."""


@dataclass(frozen=True)
class Displacement:
    """One given mask compared with its clean one; NaN if a boundary is missing.

    Args:
        bias_mm: mean signed displacement of the given boundary from the clean one, by area of the clean
            boundary; positive: outward, the given mask is too large (`boundary_bias` has the opposite sign).
        roughness_mm: standard deviation of that displacement along the boundary.
        correlation_mm: straight-line distance at which the correlation of displacements falls below 1/e; NaN
            if not requested or not reached.
        dice: Dice of given and clean, specks included.
        area_ratio: size of the given mask divided by that of the clean one, specks included.
        perimeter_ratio: boundary of the given mask without specks divided by that of the clean one.
        speck_share: fraction of wrong pixels among those far from both boundaries.
        n_deep: number of pixels that fraction is based on.
        values_mm: `(m,)` displacements at the faces of the clean boundary; empty if there is none.
        weights: `(m,)` areas of these faces.
    """

    bias_mm: float
    roughness_mm: float
    correlation_mm: float
    dice: float
    area_ratio: float
    perimeter_ratio: float
    speck_share: float
    n_deep: int
    values_mm: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Pair:
    """A given and a clean mask of one case.

    Args:
        given: `(*space)` booleans.
        clean: `(*space)` booleans.
        spacing_mm: per axis; None for 1 mm.
        ignored: `(*space)` booleans, True for unannotated pixels, or None; the masks count as equal there.
    """

    given: BoolArray
    clean: BoolArray
    spacing_mm: tuple[float, ...] | None = None
    ignored: BoolArray | None = None

    def against_clean(self, mask: BoolArray, *, details: bool = True) -> Displacement:
        """Compare a mask of this case with the clean one."""
        known = mask if self.ignored is None else np.where(self.ignored, self.clean, mask)
        return measure(known, self.clean, self.spacing_mm, details=details)


def measure(
    given: BoolArray,
    clean: BoolArray,
    spacing_mm: Sequence[float] | float | None = None,
    *,
    details: bool = True,
) -> Displacement:
    """Compare a given mask with the clean one.

    Islands and holes that are specks (`without_specks`) do not count as boundary.

    Args:
        given: `(*space)` booleans.
        clean: `(*space)` booleans, the truth, or another annotator's mask.
        spacing_mm: per axis in mm; a number for isotropic, None for 1 mm.
        details: also compute correlation along the boundary and specks, which is slower.

    Raises:
        GeometryError: shapes or spacing do not match.

    >>> clean = np.array([[0, 0, 0, 1, 1, 1, 0, 0, 0]], bool)
    >>> given = np.array([[0, 1, 1, 1, 1, 1, 0, 0, 0]], bool)
    >>> found = measure(given, clean, spacing_mm=0.5, details=False)
    >>> found.bias_mm, found.roughness_mm, found.area_ratio
    (0.5, 0.5, 1.6666666666666667)
    """
    given, clean = np.asarray(given, bool), np.asarray(clean, bool)
    if given.shape != clean.shape:
        raise GeometryError(f"given mask has shape {given.shape}, clean mask {clean.shape}")
    spacing = check_spacing(spacing_mm, clean.ndim)
    sizes = int(given.sum()), int(clean.sum())
    dice = 2 * int((given & clean).sum()) / sum(sizes) if sum(sizes) else math.nan
    kept = without_specks(given, clean)
    wrong, n_deep = math.nan, 0
    values: FloatArray = np.empty(0)
    weights: FloatArray = np.empty(0)
    ratio = correlation = math.nan
    if all(mask.any() and not mask.all() for mask in (kept, clean)):
        whole, box = (kept, clean), _box(kept | clean)
        kept, clean = kept[box], clean[box]
        distance = signed_distance(kept, spacing)
        values, weights = boundary_displacements(distance, kept, clean, spacing)
        values = -values
        ratio = float(_perimeter(kept, spacing) / weights.sum())
        if details:
            correlation = _correlation(values, clean, spacing)
            wrong, n_deep = _deep(given, *whole, values, spacing)
    bias = float(np.average(values, weights=weights)) if values.size else math.nan
    variance = float(np.average((values - bias) ** 2, weights=weights)) if values.size else math.nan
    return Displacement(
        bias_mm=bias,
        roughness_mm=math.sqrt(variance),
        correlation_mm=correlation,
        dice=dice,
        area_ratio=sizes[0] / sizes[1] if sizes[1] else math.nan,
        perimeter_ratio=ratio,
        speck_share=wrong,
        n_deep=n_deep,
        values_mm=values,
        weights=weights,
    )


def without_specks(given: BoolArray, clean: BoolArray) -> BoolArray:
    """A given mask without islands and holes too small to have their own outline.

    Dropped are islands of at most 1 % of the clean mask, or of 30 pixels if that is more, that share no pixel
    with the clean mask; filled are holes of that size unless the clean mask has a hole there too.

    Args:
        given: `(*space)` booleans.
        clean: `(*space)` booleans.

    >>> clean = np.pad(np.ones((20, 20), bool), 10)
    >>> given = clean.copy()
    >>> given[2, 2], given[15, 15] = True, False
    >>> bool((without_specks(given, clean) == clean).all())
    True
    """
    limit = max(LEAST_SPECK, SPECK_SHARE * int(clean.sum()))
    kept = given.copy()
    for inside in (True, False):
        parts, n = label(kept == inside)
        if n <= 1:
            continue
        small = np.bincount(parts.ravel(), minlength=n + 1) <= limit
        small[np.unique(parts[clean if inside else _own_holes(clean, 10 * limit)])] = False
        small[0] = False
        kept[small[parts]] = not inside
    return kept


def _own_holes(clean: BoolArray, limit: float) -> BoolArray:
    """Holes: background disconnected from the rest, up to a size."""
    parts, n = label(~clean)
    holes = np.bincount(parts.ravel(), minlength=n + 1) <= limit
    holes[0] = False
    found: BoolArray = holes[parts]
    return found


def _deep(
    given: BoolArray, kept: BoolArray, clean: BoolArray, values: FloatArray, spacing: tuple[float, ...]
) -> tuple[float, int]:
    """Fraction of wrong pixels among those far from both outlines, and the number of such pixels.

    A walk leaves holes and islands within the range of its displacements, so only pixels further from the
    clean outline count. Smoothing mirrors the image at its border and leaves more specks there, so pixels
    near the border do not count.
    """
    distance = signed_distance(clean, spacing)
    margin = DEEP * max(spacing)
    beyond = (distance > max(values.max(), 0) + margin) | (distance < min(values.min(), 0) - margin)
    deep = beyond & binary_erosion(kept == clean, iterations=DEEP)
    n = int(deep.sum())
    return (int(((given != clean) & deep).sum()) / n if n else math.nan), n


def _perimeter(mask: BoolArray, spacing: tuple[float, ...]) -> float:
    return float(face_values(np.zeros(mask.shape), mask, spacing)[1].sum())


def _correlation(values: FloatArray, clean: BoolArray, spacing: tuple[float, ...]) -> float:
    """Distance at which the correlation of displacements falls below 1/e, from a sample of boundary faces."""
    places = np.stack([face_values(axis, clean, spacing)[0] for axis in _coordinates(clean.shape, spacing)])
    chosen = np.linspace(0, values.size - 1, min(values.size, MOST_FACES)).astype(int)
    centred, places = values[chosen] - values.mean(), places[:, chosen]
    if np.allclose(centred, 0):
        return math.nan
    apart = np.sqrt(((places[:, :, None] - places[:, None]) ** 2).sum(axis=0))
    width = max(spacing)
    bins = np.rint(apart / width).astype(int).ravel()
    counts = np.bincount(bins)
    product = np.bincount(bins, (centred[:, None] * centred).ravel())
    reached = product / np.maximum(counts, 1) / np.mean(centred**2)
    level, known = math.exp(-1), np.flatnonzero(counts)
    rho = reached[known]
    below = np.flatnonzero(rho < level)
    if not below.size or below[0] == 0:
        return math.nan
    after = int(below[0])
    part = (rho[after - 1] - level) / (rho[after - 1] - rho[after])
    return float(width * (known[after - 1] + part * (known[after] - known[after - 1])))


def _coordinates(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[FloatArray]:
    lines = (step * np.arange(n, dtype=float) for n, step in zip(shape, spacing, strict=True))
    return list(np.meshgrid(*lines, indexing="ij"))


def _box(mask: BoolArray) -> tuple[slice, ...]:
    """Bounding box of a mask plus one voxel: displacements depend on nothing outside."""
    box = []
    for axis in range(mask.ndim):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(max(int(held[0]) - 1, 0), int(held[-1]) + 2))
    return tuple(box)
