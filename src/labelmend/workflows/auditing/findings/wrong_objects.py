"""Objects that are missing, spurious, or of the wrong class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.auditing.findings.disagreement_regions import WHOLE, Region, likeliest, relative
from labelmend.workflows.auditing.findings.merge_regions import Crossing, crossings
from labelmend.workflows.auditing.findings.voxel_units import step_mm

LARGE = 6.0
"""Extent in steps (`step_mm`) at which a region counts 63 % as an object: smaller ones are often noise of the
network, and thin ones the rest of an outline that is off."""

ALONG = 0.2
"""Share of the surroundings of a region from which it counts as running along what is there: two fifths or
more for a displaced outline, a tenth for a disc that touches another one."""


@dataclass(frozen=True, eq=False)
class WrongObject:
    """A region that is a whole object, with its score.

    Args:
        region: the region.
        score: in [0, 1]: the median margin of the predicted class' probability, reduced for small or thin
            regions.
        pieces: its regions: itself, or several, see `crossings`.
    """

    region: Region
    score: float
    pieces: tuple[Region, ...]


def wrong_objects(
    given: NDArray[np.integer],
    probs: FloatArray,
    found: Sequence[Region],
    spacing_mm: Sequence[float],
    *,
    predicted: NDArray[np.integer] | None = None,
) -> tuple[WrongObject, ...]:
    """Regions that are whole objects, most certain first.

    A region, or all pieces of one object together, is a whole object if it is at least half of an object,
    given or predicted, and the other side does not have that object elsewhere. The other side has it if the
    region
    runs along the same class there: then it is a displaced outline. It also has it if most of the region is
    within its own thickness of an object without another counterpart: then that is the same object, displaced
    by more than its size. An object that has its counterpart is no partner, however near. Pieces reported as
    one object are not reported again, half of it or more, as part of another one.

    Args:
        given: `(*space)` indices of classes, 0 the background.
        probs: `(k+1 *space)` probabilities, background first.
        found: regions of this case.
        spacing_mm: per axis in mm.
        predicted: `(*space)` the likeliest classes, for callers that have them already.
    """
    if predicted is None:
        predicted = likeliest(probs)
    alone = (Crossing(region, (region,)) for region in found if region.is_object)
    scored = [
        WrongObject(item.region, _score(item.region, spacing_mm), item.pieces)
        for item in (*crossings(found, (given, predicted), probs, spacing_mm), *alone)
        if _has_no_partner(item.region, given, predicted, spacing_mm)
    ]
    kept: list[WrongObject] = []
    taken: set[int] = set()
    for item in sorted(scored, key=lambda item: (len(item.pieces) == 1, -item.score)):
        known = sum(np.count_nonzero(piece.inside) for piece in item.pieces if id(piece) in taken)
        if known < WHOLE * np.count_nonzero(item.region.inside):
            kept.append(item)
            taken |= {id(piece) for piece in item.pieces}
    return tuple(sorted(kept, key=lambda item: -item.score))


def _score(region: Region, spacing_mm: Sequence[float]) -> float:
    """Margin of the probabilities, reduced where the extent, between width and size, is small against
    LARGE."""
    size_mm = float(np.count_nonzero(region.inside) * np.prod(spacing_mm)) ** (1 / region.inside.ndim)
    extent = math.sqrt(size_mm * region.width_mm) / step_mm(spacing_mm)
    return max(0.0, 2 * region.core - 1) * (1 - math.exp(-extent / LARGE))


def _has_no_partner(
    region: Region,
    given: NDArray[np.integer],
    predicted: NDArray[np.integer],
    spacing_mm: Sequence[float],
) -> bool:
    """Whether the other side does not have the object of this region, given or predicted, elsewhere."""
    near, own = _surroundings(region, given.shape, spacing_mm)
    inside = np.zeros([s.stop - s.start for s in near], bool)
    inside[own] = region.inside
    sides = (
        (region.of_given, region.given, given, predicted),
        (region.of_predicted, region.predicted, predicted, given),
    )
    return any(
        share >= WHOLE and _lies_apart(region, inside, here[near] == index, there[near] == index, spacing_mm)
        for share, index, here, there in sides
    )


def _surroundings(
    region: Region, shape: Sequence[int], spacing_mm: Sequence[float]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The box of a region with its thickness around it, within the image, and the region's box in it."""
    margins = [math.ceil(region.thickness_mm / step) for step in spacing_mm]
    near = tuple(
        slice(max(0, s.start - m), min(n, s.stop + m))
        for s, m, n in zip(region.slices, margins, shape, strict=True)
    )
    return near, relative(region.slices, [s.start for s in near])


def _lies_apart(
    region: Region, inside: BoolArray, here: BoolArray, there: BoolArray, spacing_mm: Sequence[float]
) -> bool:
    """Whether a region neither runs along its class on the other side nor has a partner there.

    Args:
        region: the region, of a class on one side and of another on the other side.
        inside: `(*space)` booleans, the region in its surroundings.
        here: `(*space)` booleans, its class on its own side.
        there: `(*space)` booleans, the same class on the other side.
        spacing_mm: per axis in mm.
    """
    if not there.any():
        return True
    around = np.ones((3,) * inside.ndim, bool)
    shell = ndimage.binary_dilation(inside, around) & ~inside
    if np.mean(ndimage.binary_dilation(there, around)[shell]) > ALONG:
        return False
    numbers, n = ndimage.label(there, around)
    met = np.bincount(numbers[here & ~inside], minlength=n + 1)
    free = there & (2 * met <= np.bincount(numbers.ravel()))[numbers]
    if not free.any():
        return True
    distance = ndimage.distance_transform_edt(~free, sampling=spacing_mm)
    return float(np.mean(distance[inside] > region.thickness_mm)) > 0.5
