"""Objects that cross several classes of the other annotation, put together from their pieces.

A missed lesion that reaches out of an organ gives two regions: one given as organ, one as background. Neither
need be half of the lesion, and a reader would call neither of them missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.auditing.findings.disagreement_regions import (
    WHOLE,
    Region,
    depths,
    measured_region,
    placed,
    relative,
)


@dataclass(frozen=True, eq=False)
class Crossing:
    """The wrong part of one object, as one region.

    Args:
        region: all of it; of the class that it crosses, the one of most pixels is named.
        pieces: regions of the case that it is made of, each of one class on either side.
    """

    region: Region
    pieces: tuple[Region, ...]


Sides = tuple[NDArray[np.integer], NDArray[np.integer]]


def crossings(
    found: Sequence[Region], sides: Sides, probs: FloatArray, spacing_mm: Sequence[float]
) -> Iterator[Crossing]:
    """Given and predicted objects of which several connected pieces are wrong, half or more in all.

    Args:
        found: regions of this case.
        sides: `(*space)` indices of the given classes, 0 the background, and of the likeliest ones.
        probs: `(k+1 *space)` probabilities, background first.
        spacing_mm: per axis in mm.
    """
    of_given: dict[tuple[int, int], list[Region]] = {}
    of_predicted: dict[tuple[int, int], list[Region]] = {}
    for region in found:
        if region.given_object:
            of_given.setdefault((region.given, region.given_object), []).append(region)
        if region.predicted_object:
            of_predicted.setdefault((region.predicted, region.predicted_object), []).append(region)
    for objects, is_given in ((of_given, True), (of_predicted, False)):
        for pieces in objects.values():
            share = sum(piece.of_given if is_given else piece.of_predicted for piece in pieces)
            if len(pieces) == 1 or share < WHOLE:
                continue
            box, inside, kept = _largest(*_union(pieces))
            connected = tuple(piece for piece in pieces if _is_part(piece, box, inside))
            if len(connected) > 1 and kept * share >= WHOLE:
                shares = (kept * share, 0.0) if is_given else (0.0, kept * share)
                region = _region(box, inside, shares, sides=sides, probs=probs, spacing_mm=spacing_mm)
                yield Crossing(region, connected)


def _union(pieces: Sequence[Region]) -> tuple[tuple[slice, ...], BoolArray]:
    """The box of all pieces, and what they fill of it."""
    ends = np.array([piece.box for piece in pieces])
    start, stop = ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)
    inside = np.zeros(stop - start, bool)
    for piece in pieces:
        inside[relative(piece.slices, start)] |= piece.inside
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True)), inside


def _largest(box: tuple[slice, ...], inside: BoolArray) -> tuple[tuple[slice, ...], BoolArray, float]:
    """The box of the largest component of a mask in a box, what it fills of it, and its share of the mask."""
    numbers, _ = ndimage.label(inside, np.ones((3,) * inside.ndim))
    sizes = np.bincount(numbers.ravel())[1:]
    number = int(sizes.argmax()) + 1
    place = ndimage.find_objects(numbers)[number - 1]
    return placed(box, place), numbers[place] == number, float(sizes.max() / sizes.sum())


def _is_part(piece: Region, box: tuple[slice, ...], inside: BoolArray) -> bool:
    """Whether a piece, which is connected, is part of a component of the union."""
    own = relative(piece.slices, [s.start for s in box])
    if any(s.start < 0 or s.stop > n for s, n in zip(own, inside.shape, strict=True)):
        return False
    return bool(inside[own][piece.inside].any())


def _region(
    box: tuple[slice, ...],
    inside: BoolArray,
    shares: tuple[float, float],
    *,
    sides: Sides,
    probs: FloatArray,
    spacing_mm: Sequence[float],
) -> Region:
    here, there = (side[box][inside] for side in sides)
    values = probs[(slice(None), *box)][:, inside]
    each = np.arange(values.shape[1])
    margin = values[there, each] - values[here, each]
    return measured_region(
        (int(np.bincount(here).argmax()), int(np.bincount(there).argmax())),
        box,
        inside,
        ((0, shares[0]), (0, shares[1])),
        depth=depths(inside, spacing_mm),
        margin=margin,
        spacing_mm=spacing_mm,
    )
