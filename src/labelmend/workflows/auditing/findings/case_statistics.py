"""Statistics of one case: a few numbers per class, to be compared with those of other cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from labelmend.errors import GeometryError
from labelmend.geometry import boundary_displacements, class_boxes, joint_box, trimmed_mean
from labelmend.geometry.boxes import Slices, mask_box
from labelmend.metrics.calibration import Calibration, calibration_of
from labelmend.types import BoolArray, FloatArray, LabelMap
from labelmend.workflows.auditing.findings.disagreement_regions import (
    Region,
    likeliest,
    regions,
)
from labelmend.workflows.auditing.findings.image_edges import REACH_VOX, edge_profile, peak_mm
from labelmend.workflows.auditing.findings.voxel_units import MOST_STEPS, step_mm, steps_along
from labelmend.workflows.auditing.findings.wrong_objects import WrongObject, wrong_objects

FAR_STEPS = 2.0
"""Distance in steps (`steps_along` each axis) beyond which an outline counts as off."""

DOUBT_SCALE = 0.1
"""A contradicting pixel weighs e times less for this much less doubt."""

TRIM = 0.25
"""Share trimmed at each end of the distances of an outline, so that a part that is off does not dominate."""


@dataclass(frozen=True, eq=False)
class ClassView:
    """One overlapping class of a case, or all exclusive classes together.

    Args:
        given: `(*space)` indices of classes, 0 the background.
        probs: `(j+1 *space)` probabilities, background first.
        classes: which class of the case each foreground index is.
    """

    given: NDArray[np.integer]
    probs: FloatArray
    classes: tuple[int, ...]

    @cached_property
    def predicted(self) -> NDArray[np.integer]:
        """`(*space)` indices of the likeliest classes."""
        return likeliest(self.probs)


@dataclass(frozen=True, eq=False)
class CaseStatistics:
    """Statistics of one case.

    Args:
        n_given: `(k)` pixels of each class.
        n_predicted: `(k)` pixels of each class in the prediction.
        dice: `(k)` of annotation and prediction, NaN where both are empty.
        far: `(k)` share of the given outline that is over FAR_STEPS from the predicted one, NaN without one.
        outline_mm: `(k)` length of the given outline in mm, in volumes its area in mm^2; 0 where `far` is
            NaN.
        offset_mm: `(k)` mean distance of the given outline from the predicted one, positive: too wide.
        edge_mm: `(k)` position of the edge in the image, in mm outward of the given outline; NaN without
            image.
        wrong_object: in [0, 1], score of the most certain wrong object.
        doubt: in [0, 1], confidence of the prediction where it disagrees, NaN where it never does.
        n_doubted: number of contradicting pixels, each counted by its weight in `doubt`, at most one.
        calibration: counts for the data set.
    """

    n_given: NDArray[np.integer]
    n_predicted: NDArray[np.integer]
    dice: FloatArray
    far: FloatArray
    outline_mm: FloatArray
    offset_mm: FloatArray
    edge_mm: FloatArray
    wrong_object: float
    doubt: float
    n_doubted: float
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class Disagreements:
    """Disagreements of a case, the basis of its statistics and findings.

    Args:
        views: the tasks of the case.
        known: `(*space)` booleans, True where somebody annotated.
        regions: of each task.
        objects: of each task, those regions that are whole objects.
    """

    views: tuple[ClassView, ...]
    known: BoolArray
    regions: tuple[tuple[ClassView, tuple[Region, ...]], ...]
    objects: tuple[tuple[ClassView, tuple[WrongObject, ...]], ...]


def views(given: LabelMap, probs: FloatArray) -> tuple[ClassView, ...]:
    """The tasks of a case: one for all exclusive classes, one per overlapping class.

    Raises:
        GeometryError: probabilities of another shape than `(k+1 *space)`, or `(k *space)` for overlapping.
    """
    k = len(given.classes)
    expected = (k if given.overlapping else k + 1, *given.grid.shape)
    if probs.shape != expected:
        raise GeometryError(f"probabilities of shape {expected} expected, got {probs.shape}")
    if given.overlapping:
        return tuple(
            ClassView(mask.astype(np.uint8), np.stack([1 - p, p]), (index,))
            for index, (mask, p) in enumerate(zip(given.array, probs, strict=True))
        )
    indices = np.zeros(given.grid.shape, np.uint8 if k < 255 else np.uint16)
    boxes = class_boxes(given)
    for index, name in enumerate(given.classes, start=1):
        box = boxes[name]
        if box is not None:
            indices[box][given.cropped(box).mask(name)] = index
    return (ClassView(indices, probs, tuple(range(k))),)


def find_disagreements(given: LabelMap, probs: FloatArray) -> Disagreements:
    """Regions and objects of disagreement of a case."""
    known, spacing = ~given.ignored(), given.grid.spacing_mm
    tasks, background = views(given, probs), given.background is None
    found = tuple(
        (
            view,
            tuple(
                regions(
                    view.given, view.probs, spacing, known, predicted=view.predicted, background=background
                )
            ),
        )
        for view in tasks
    )
    objects = tuple(
        (view, wrong_objects(view.given, view.probs, here, spacing, predicted=view.predicted))
        for view, here in found
    )
    return Disagreements(tasks, known, found, objects)


def statistics_of(given: LabelMap, seen: Disagreements, image: FloatArray | None = None) -> CaseStatistics:
    """The statistics of one case.

    Args:
        given: the annotation.
        seen: disagreements of the same case.
        image: `(c *space)` on the grid of the annotation, or None.

    Raises:
        GeometryError: an image of another shape.
    """
    if image is not None and image.shape[1:] != given.grid.shape:
        raise GeometryError(
            f"an image of shape (channels, *{given.grid.shape}) expected, got {image.shape}: "
            "audit labels on the grid of the images"
        )
    boxes, rows = class_boxes(given), []
    for view in seen.views:
        found = find_objects(view.predicted, max_label=len(view.classes))
        for number, index in enumerate(view.classes, start=1):
            around = boxes[given.classes[index]], found[number - 1]
            rows.append(_of_class(given, seen.known, view, number, around, image))
    counts, gaps, edges = zip(*rows, strict=True)
    n_given, n_predicted, n_both = np.array(counts).T
    offset_mm, far, outline_mm = np.array(gaps).T
    total = n_given + n_predicted
    return CaseStatistics(
        n_given,
        n_predicted,
        np.where(total > 0, 2 * n_both / np.maximum(total, 1), np.nan),
        far,
        outline_mm,
        offset_mm,
        np.array(edges),
        max((found.score for _, objects in seen.objects for found in objects), default=0.0),
        *_doubt(seen),
        _calibration(seen),
    )


def _of_class(
    given: LabelMap,
    known: BoolArray,
    view: ClassView,
    number: int,
    around: tuple[Slices | None, Slices | None],
    image: FloatArray | None,
) -> tuple[tuple[int, int, int], tuple[float, float, float], float]:
    """Pixels of one class given, predicted and both; what `_outline_gap` returns; and the position of its
    edge.

    Args:
        given: the annotation.
        known: `(*space)` booleans.
        view: the task of the class.
        number: of the class in the view.
        around: boxes of the class where it is given and where it is predicted; nothing else is read.
        image: `(c *space)`, or None.
    """
    name, spacing, shape = given.classes[view.classes[number - 1]], given.grid.spacing_mm, given.grid.shape
    box = joint_box(around, shape, margin=1)
    mask = (
        given.cropped(box).mask(name) & known[box]
    )  # masks of overlapping classes may cover pixels that are not
    guess = (view.predicted[box] == number) & known[box]
    counts = tuple(int(np.count_nonzero(m)) for m in (mask, guess, mask & guess))
    edge = float("nan")
    if image is not None:
        step = step_mm(spacing)
        wide = joint_box(
            around[:1], shape, margin=max(math.ceil((REACH_VOX + 1) * step / s) for s in spacing)
        )
        drawn = given.cropped(wide).mask(name)
        edge = peak_mm(edge_profile(image[(slice(None), *wide)], drawn, spacing, known[wide]), step)
    return counts, _outline_gap(mask, guess, spacing), edge  # type: ignore[return-value]


def _outline_gap(
    given: BoolArray, predicted: BoolArray, spacing_mm: Sequence[float]
) -> tuple[float, float, float]:
    """Mean signed distance in mm from the predicted outline to the given one, the share of the given one that
    is off, and its length."""
    nothing = float("nan"), float("nan"), 0.0
    if not given.any() or not predicted.any():
        return nothing
    crop = joint_box([mask_box(given | predicted)], given.shape, margin=1)
    given, predicted = given[crop], predicted[crop]
    if given.all() or predicted.all():
        return nothing
    values, areas = boundary_displacements(None, predicted, given, spacing_mm)
    steps, along = values / step_mm(spacing_mm), steps_along(spacing_mm)
    if max(along) >= MOST_STEPS:
        steps, _ = boundary_displacements(None, predicted, given, along)
    far = np.abs(steps) > FAR_STEPS
    length = float(areas.sum())
    return trimmed_mean(values, areas, TRIM), float((far * areas).sum() / length), length


def _doubt(seen: Disagreements) -> tuple[float, float]:
    """Confidence of predictions where they disagree, confident pixels counting most, and how many count.

        sum(w d) / sum(w)  and  sum(w),   d = 1 - p,   w = exp((d - 1) / DOUBT_SCALE)

    over pixels whose likeliest class is not the given one, which has probability p. Apart from the other
    pixels, which hardly count, the first is one minus the softmin of an image (Lad and Mueller, 2023).
    """
    doubts = [np.zeros(0)]
    for view in seen.views:
        at = np.flatnonzero((view.given != view.predicted) & seen.known)
        given = view.probs.reshape(len(view.probs), -1)[view.given.ravel()[at], at]
        doubts.append(1 - given.astype(np.float64))
    doubt = np.concatenate(doubts)
    weights = np.exp((doubt - 1) / DOUBT_SCALE)
    total = float(weights.sum())
    return (float(weights @ doubt) / total if total else float("nan")), total


def _calibration(seen: Disagreements) -> Calibration:
    """Calibration over all tasks; those of overlapping classes are summed."""
    found = []
    at = slice(None) if seen.known.all() else np.flatnonzero(seen.known)
    for view in seen.views:
        probs = view.probs.reshape(len(view.probs), -1)[:, at]
        found.append(calibration_of(view.given.ravel()[at], probs, _at_outlines(view.given).ravel()[at]))
    return sum(found[1:], found[0])


def _at_outlines(indices: NDArray[np.integer]) -> BoolArray:
    """`(*space)` booleans, True for pixels that touch one of another class across a face."""
    near = np.zeros(indices.shape, bool)
    for axis in range(indices.ndim):
        every = (slice(None),) * axis
        low, high = (*every, slice(None, -1)), (*every, slice(1, None))
        crossing = indices[low] != indices[high]
        near[low] |= crossing
        near[high] |= crossing
    return near
