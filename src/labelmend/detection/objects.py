"""Objects that are missing, too much, or of the wrong class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labelmend.detection.regions import WHOLE, Region, likeliest
from labelmend.types import FloatArray

SLIVER_VOX = 3.0
"""Thickness in pixels (of the mean spacing) at which a region counts 63 % as an object: outlines are off by
that much in many places, and a region that thin is rarely a whole object."""


@dataclass(frozen=True, eq=False)
class WrongObject:
    """A region that is a whole object, with how sure it is.

    Args:
        region: the region.
        score: in [0, 1]: the margin of the predicted class' probability, less where the region is thin.
    """

    region: Region
    score: float


def wrong_objects(
    given: NDArray[np.integer],
    probs: FloatArray,
    found: Sequence[Region],
    spacing_mm: Sequence[float],
    *,
    predicted: NDArray[np.integer] | None = None,
) -> tuple[WrongObject, ...]:
    """Those regions that are objects of their own, surest first.

    A region is one where it is half of an object or more, given or predicted, and that object has no partner
    nearby: most of its pixels lie farther than the region is thick from what the other annotation holds of
    the same class. A displaced outline cannot do that.

    Args:
        given: `(*space)` indices of classes, 0 the background.
        probs: `(k+1 *space)` probabilities, background first.
        found: regions of this case.
        spacing_mm: per axis in mm.
        predicted: `(*space)` the likeliest classes, for callers that have them already.
    """
    if predicted is None:
        predicted = likeliest(probs)
    whole = (region for region in found if region.is_object)
    apart = (region for region in whole if _has_no_partner(region, given, predicted, spacing_mm))
    step = float(np.mean(spacing_mm))
    scored = [WrongObject(region, _score(region, step)) for region in apart]
    return tuple(sorted(scored, key=lambda item: -item.score))


def _score(region: Region, step_mm: float) -> float:
    margin = max(0.0, 2 * region.certainty - 1)
    return margin * float(1 - np.exp(-region.thickness_mm / (SLIVER_VOX * step_mm)))


def _has_no_partner(
    region: Region,
    given: NDArray[np.integer],
    predicted: NDArray[np.integer],
    spacing_mm: Sequence[float],
) -> bool:
    """Whether the object that a region is, given or predicted, is far from its class on the other side."""
    sides = [(region.of_given, region.given, predicted), (region.of_predicted, region.predicted, given)]
    return any(
        share >= WHOLE and _lies_apart(region, other, index, spacing_mm) for share, index, other in sides
    )


def _lies_apart(region: Region, other: NDArray[np.integer], index: int, spacing_mm: Sequence[float]) -> bool:
    """Whether most pixels of a region lie farther than it is thick from a class of the other annotation."""
    near = tuple(
        slice(max(0, start - margin), stop + margin)
        for (start, stop), margin in zip(
            region.box, (math.ceil(region.thickness_mm / step) for step in spacing_mm), strict=True
        )
    )
    partner = other[near] == index
    if not partner.any():
        return True
    distance = ndimage.distance_transform_edt(~partner, sampling=spacing_mm)
    own = tuple(slice(s.start - n.start, s.stop - n.start) for s, n in zip(region.slices, near, strict=True))
    return float(np.mean(distance[own][region.inside] > region.thickness_mm)) > 0.5
