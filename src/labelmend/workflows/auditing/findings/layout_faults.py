"""Faults visible without a prediction: nothing annotated, fragments, left and right exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labelmend.geometry import class_boxes
from labelmend.geometry.orientation import turn_to
from labelmend.types import FloatArray, LabelMap
from labelmend.workflows.auditing.findings.finding import Finding, Frame, measured, titled

FRAGMENT = 0.05
"""A component smaller than this share of the largest one of its class is a fragment."""

LEAST_CASES = 10
"""Fewest cases whose layouts say where classes belong."""

MOST_FRAGMENTED = 0.3
"""If a larger share of the cases has fragments of a class, fragments are normal for it."""

SHARE_PRESENT = 0.95
"""A class present in this share of the cases is expected in all."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where classes are in one case, k being all of `LabelMap.names`.

    Args:
        present: `(k)` booleans.
        centres: `(k d)` mean position of each class as a share of the image, NaN where absent; along the axes
            of the patient (RAS) if there is an affine, else along those of the array.
        fragments: `(k)` pixels in components that are fragments, and `n_fragments` `(k)` their number.
    """

    present: NDArray[np.bool_]
    centres: FloatArray
    fragments: NDArray[np.integer]
    n_fragments: NDArray[np.integer]


def layout_of(given: LabelMap) -> Layout:
    """The layout of one case."""
    found = (_laid_out(given, name, box) for name, box in class_boxes(given).items())
    present, places, fragments = zip(*found, strict=True)
    centres = np.array(places)
    turn = turn_to(given.grid, "RAS")
    if turn is not None:
        centres = centres[:, turn.axes]
        centres = np.where(turn.back, 1 - centres, centres)
    return Layout(np.array(present), centres, *np.array(fragments).T)


def _laid_out(
    given: LabelMap, name: str, box: tuple[slice, ...] | None
) -> tuple[bool, list[float], tuple[int, int]]:
    """Whether a class is present, its centre, and its fragments."""
    if box is None:
        return False, [float("nan")] * given.grid.ndim, (0, 0)
    inside = given.cropped(box).mask(name)
    return True, _centre(inside, [s.start for s in box], given.grid.shape), _fragments(inside)


def _centre(inside: NDArray[np.bool_], start: Sequence[int], shape: Sequence[int]) -> list[float]:
    """Mean position of a mask along each axis as a share of the image, 0.5 in the middle.

    Args:
        inside: the mask in its box.
        start: of the box along each axis.
        shape: of the image.
    """
    total, axes = np.count_nonzero(inside), range(inside.ndim)
    counts = [inside.sum(axis=tuple(a for a in axes if a != axis)) for axis in axes]
    places = [np.arange(first, first + len(count)) + 0.5 for first, count in zip(start, counts, strict=True)]
    return [float(c @ place) / total / n for c, place, n in zip(counts, places, shape, strict=True)]


@dataclass(frozen=True, eq=False)
class UsualLayout:
    """Where classes typically are in a data set.

    Args:
        n: number of cases.
        present: `(k)` share of the cases that have the class.
        fragmented: `(k)` share of the cases in which the class has fragments.
        centres: `(k d)` median position as a share of the image, NaN where no case has the class.
        spread: `(k d)` median distance from it.
    """

    n: int
    present: FloatArray
    fragmented: FloatArray
    centres: FloatArray
    spread: FloatArray


def usual_layout(layouts: Sequence[Layout]) -> UsualLayout:
    """The typical layout of all cases."""
    centres = np.array([layout.centres for layout in layouts])
    known = np.isfinite(centres).any(axis=0)
    filled = np.where(known, centres, 0.0)
    middle = np.nanmedian(filled, axis=0)
    spread = np.nanmedian(np.abs(filled - middle), axis=0)
    present = np.mean([layout.present for layout in layouts], axis=0)
    fragmented = np.mean([layout.n_fragments > 0 for layout in layouts], axis=0)
    return UsualLayout(len(layouts), present, fragmented, np.where(known, middle, np.nan), spread)


def faults(given: LabelMap | Frame, own: Layout, usual: UsualLayout) -> Iterator[Finding]:
    """Likely slips in one case.

    Args:
        given: the annotation, or its frame, with the classes of the layout.
        own: its layout.
        usual: that of the data set.
    """
    if not own.present.any():
        yield Finding("fault", "", 1.0, "Nothing is annotated.")
        return
    for index, name in enumerate(given.names):
        if not own.present[index] and usual.present[index] >= SHARE_PRESENT:
            reason = f"{titled(name)} is missing; {usual.present[index]:.0%} of the cases have it."
            yield Finding("fault", name, float(usual.present[index]), reason)
        if own.n_fragments[index] and usual.fragmented[index] <= MOST_FRAGMENTED:
            yield _fragmented(given, own, index)
    yield from _exchanged(given, own, usual)


def _fragmented(given: LabelMap | Frame, own: Layout, index: int) -> Finding:
    n, pixel_mm = int(own.n_fragments[index]), float(np.prod(given.grid.spacing_mm))
    size_mm = float(own.fragments[index] * pixel_mm)
    size = measured(size_mm, given.grid.ndim, given.grid.unit)
    parts = f"a fragment of {size}" if n == 1 else f"{n} fragments of {size} in all"
    score = float(1 - 0.5 ** min(n, 10))
    return Finding(
        "fault", given.names[index], score, f"{titled(given.names[index])} has {parts}.", size_mm=size_mm
    )


def _fragments(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Pixels in fragments of a mask that is not empty, in its box, and how many fragments there are."""
    numbers, _ = ndimage.label(inside, np.ones((3,) * inside.ndim))
    sizes = np.bincount(numbers.ravel())[1:]
    small = sizes < FRAGMENT * sizes.max()
    return int(sizes[small].sum()), int(small.sum())


def _exchanged(given: LabelMap | Frame, own: Layout, usual: UsualLayout) -> Iterator[Finding]:
    """Classes that are where they would be in the mirrored image: the image or the mask was flipped."""
    if usual.n < LEAST_CASES:
        return
    spread = usual.spread + 0.01
    for axis in range(given.grid.ndim):
        place, own_place = usual.centres[:, axis], own.centres[:, axis]
        as_is, turned = np.abs(own_place - place), np.abs(1 - own_place - place)
        sided = np.isfinite(as_is) & (np.abs(place - 0.5) > 3 * spread[:, axis])
        wide = spread[sided, axis]
        if sided.any() and (as_is[sided] > 4 * wide).all() and (turned[sided] < 3 * wide).all():
            names = ", ".join(name for name, has_side in zip(given.names, sided, strict=True) if has_side)
            reason = (
                f"{names}: positions as in a mirrored image (axis {axis}). Is the image or the mask flipped?"
            )
            yield Finding("fault", "", 0.9, reason)
