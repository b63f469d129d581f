"""Regions where annotation and prediction name different classes: the basis of findings.

A region is connected; all of it is given as one class and predicted as one other. Most are slivers along a
boundary; if a region is a large part of an object, that object is missing, spurious or of another class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labelmend.geometry.boxes import mask_box
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.auditing.findings.finding import Box
from labelmend.workflows.auditing.findings.voxel_units import MOST_STEPS, step_mm, steps_along

IntArray = NDArray[np.integer]

WHOLE = 0.5
"""Share of an object, given or predicted, from which a region counts as the object, not its outline."""

LEAST_THICKNESS = 2.0
"""In steps (`step_mm`): thinner regions are artefacts of the pixel grid."""


@dataclass(frozen=True, eq=False)
class Region:
    """One connected region of one disagreement.

    Args:
        given: index of the class annotated there; 0: background.
        predicted: index of the class predicted there; 0: background.
        box: `[start, stop)` along each axis.
        inside: `(*box)` booleans, the region in its box.
        thickness_mm: twice the largest distance of the centre of a pixel of the region from its outside.
        width_mm: mean thickness, that of a long strip with the same mean distance from its outside.
        width_steps: the same in steps, a pixel as `steps_along` each axis.
        of_given: share of the given object that it lies in; 0 in the background.
        of_predicted: share of the predicted object that it lies in; 0 in the background.
        certainty: in [0, 1], mean over the region of half of one plus the predicted class' probability less
            the given class'.
        core: in [0, 1], the median of the same: at the rim of an object even a right prediction is uncertain.
        given_object: number of the given object that it lies in, among those of its class; 0 in the
            background. And `predicted_object` that of the predicted one.
    """

    given: int
    predicted: int
    box: Box
    inside: BoolArray
    thickness_mm: float
    width_mm: float
    width_steps: float
    of_given: float
    of_predicted: float
    certainty: float
    core: float
    given_object: int
    predicted_object: int

    @property
    def is_object(self) -> bool:
        """Whether it is a whole object, given or predicted, not only its outline."""
        return max(self.of_given, self.of_predicted) >= WHOLE

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(*ends) for ends in self.box)


def likeliest(probs: FloatArray) -> IntArray:
    """`(*space)` index of the largest of `(k *space)` probabilities, the first of equal ones."""
    best = probs[0].copy()
    index = np.zeros(best.shape, np.uint8 if len(probs) <= 256 else np.uint16)
    for number, channel in enumerate(probs[1:], start=1):
        np.copyto(index, number, where=channel > best)
        np.maximum(best, channel, out=best)
    return index


def regions(
    given: IntArray,
    probs: FloatArray,
    spacing_mm: Sequence[float],
    known: BoolArray | None = None,
    *,
    predicted: IntArray | None = None,
    background: bool = True,
) -> Iterator[Region]:
    """All regions of a case that are thick enough to count.

    Args:
        given: `(*space)` indices of classes, 0 the background.
        probs: `(k+1 *space)` probabilities, background first.
        spacing_mm: per axis in mm.
        known: `(*space)` booleans, True where somebody annotated; None: everywhere.
        predicted: `(*space)` the likeliest classes, for callers that have them already.
        background: whether 0 is the background, which has no objects; False where it is a class.
    """
    predicted = likeliest(probs) if predicted is None else predicted
    differ = given != predicted
    if known is not None:
        differ &= known
    where = mask_box(differ)
    if where is None:
        return
    pairs = np.where(differ[where], given[where].astype(np.intp) * len(probs) + predicted[where] + 1, 0)
    objects = _Objects(given, background), _Objects(predicted, background)
    least_mm = LEAST_THICKNESS * step_mm(spacing_mm)
    for pair, within in enumerate(ndimage.find_objects(pairs), start=1):
        if within is None:
            continue
        of_given, of_predicted = divmod(pair - 1, len(probs))
        for inside, place in _components(pairs[within] == pair, least_mm, spacing_mm):
            depth = depths(inside, spacing_mm)
            if 2 * depth[0] < least_mm:
                continue
            at = placed(where, placed(within, place))
            margin = probs[of_predicted][at][inside] - probs[of_given][at][inside]
            found = objects[0].under(of_given, at, inside), objects[1].under(of_predicted, at, inside)
            named = (of_given, of_predicted)
            yield measured_region(named, at, inside, found, depth=depth, margin=margin, spacing_mm=spacing_mm)


def measured_region(
    classes: tuple[int, int],
    at: tuple[slice, ...],
    inside: BoolArray,
    objects: tuple[tuple[int, float], tuple[int, float]],
    *,
    depth: tuple[float, float],
    margin: FloatArray,
    spacing_mm: Sequence[float],
) -> Region:
    """A region with its measures.

    Args:
        classes: given there, and predicted.
        at: its box.
        inside: `(*box)` booleans.
        objects: number of the given object that it lies in, and its share of that; and of the predicted one.
        depth: from `depths`, in mm.
        margin: `(n)` of each pixel, the predicted class' probability less the given class'.
        spacing_mm: per axis in mm.
    """
    (given_object, of_given), (predicted_object, of_predicted) = objects
    deepest, mean = depth
    along = steps_along(spacing_mm)
    return Region(
        given=classes[0],
        predicted=classes[1],
        box=tuple((s.start, s.stop) for s in at),
        inside=inside,
        thickness_mm=2 * deepest,
        width_mm=4 * mean,
        width_steps=4 * (mean / step_mm(spacing_mm) if max(along) < MOST_STEPS else depths(inside, along)[1]),
        of_given=of_given,
        of_predicted=of_predicted,
        certainty=float((1 + margin.mean(dtype=np.float64)) / 2),
        core=float((1 + np.median(margin)) / 2),
        given_object=given_object,
        predicted_object=predicted_object,
    )


def _components(
    mask: BoolArray, least_mm: float, spacing_mm: Sequence[float]
) -> Iterator[tuple[BoolArray, tuple[slice, ...]]]:
    """Each component of a mask, pixels that touch by a corner together, in its box; and the box.

    Components whose box is thinner than `least_mm` are left out.
    """
    numbers, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    for number, place in enumerate(ndimage.find_objects(numbers), start=1):
        deepest = min(((s.stop - s.start + 1) // 2 - 0.5) * step for s, step in zip(place, spacing_mm))
        if 2 * deepest >= least_mm:
            yield numbers[place] == number, place


def placed(outer: tuple[slice, ...], box: tuple[slice, ...]) -> tuple[slice, ...]:
    """A box within another one, in the axes of the other one's image."""
    return tuple(slice(o.start + s.start, o.start + s.stop) for o, s in zip(outer, box, strict=True))


def relative(box: tuple[slice, ...], start: Sequence[int]) -> tuple[slice, ...]:
    """A box relative to an array that starts elsewhere, the inverse of `placed`."""
    return tuple(slice(s.start - o, s.stop - o) for s, o in zip(box, start, strict=True))


def depths(inside: BoolArray, spacing: Sequence[float]) -> tuple[float, float]:
    """Largest and mean distance of pixels' centres from the faces to the outside, in the unit of the spacing.

    Where pixels are longer along one axis, the nearest face is not that of the pixel with the nearest centre,
    so that faces along each axis are looked at too; and a layer of single such pixels is not as deep in the
    mean as its centres are.
    """
    wide = np.zeros([n + 2 for n in inside.shape], bool)
    wide[(slice(1, -1),) * inside.ndim] = inside
    depth = ndimage.distance_transform_edt(wide, sampling=spacing)[wide] - min(spacing) / 2
    if len(set(spacing)) == 1:
        return float(depth.max()), float(depth.mean())
    mean = np.full(depth.shape, np.inf)
    for axis, step in enumerate(spacing):
        down, up = (steps[wide] for steps in _steps_out(wide, axis))
        depth = np.minimum(depth, (np.minimum(down, up) - 0.5) * step)
        mean[down + up == 2] = np.minimum(mean[down + up == 2], step / 4)
    mean = np.minimum(mean, depth)
    return float(depth.max()), float(mean.mean())


def _steps_out(wide: BoolArray, axis: int) -> tuple[IntArray, IntArray]:
    """Pixels to the next one outside of a mask that has a margin, down and up an axis."""
    last = wide.shape[axis] - 1
    at = np.arange(last + 1).reshape([-1 if a == axis else 1 for a in range(wide.ndim)])
    below = np.maximum.accumulate(np.where(wide, 0, at), axis)
    above = np.flip(np.minimum.accumulate(np.flip(np.where(wide, last, at), axis), axis), axis)
    return at - below, above - at


class _Objects:
    """Objects of the classes of an index map, computed on demand per class."""

    def __init__(self, indices: IntArray, background: bool) -> None:
        self._indices, self._background = indices, background
        self._found: dict[int, tuple[IntArray, IntArray, list[int]]] = {}

    def under(self, index: int, at: tuple[slice, ...], inside: BoolArray) -> tuple[int, float]:
        """Number of the object of a class under a region, and how much of it is the region; 0 for the
        background."""
        if index == 0 and self._background:
            return 0, 0.0
        if index not in self._found:
            self._found[index] = self._find(index)
        numbers, sizes, start = self._found[index]
        number = int(numbers[relative(at, start)].flat[inside.argmax()])
        return number, float(np.count_nonzero(inside) / sizes[number])

    def _find(self, index: int) -> tuple[IntArray, IntArray, list[int]]:
        """Numbers of the objects of a class within its box, their sizes, and where the box starts."""
        mask = self._indices == index
        box = mask_box(mask) or ()
        numbers, _ = ndimage.label(mask[box], np.ones((3,) * mask.ndim))
        return numbers, np.bincount(numbers.ravel()), [side.start for side in box]
