"""Scores of a case per class, and their summary over cases in which nothing missing is averaged unseen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.errors import GeometryError
from labelmend.geometry import class_boxes, joint_box
from labelmend.metrics.overlap import dice, iou
from labelmend.metrics.surface import known_boundary_bias, surface_distances
from labelmend.types import LabelMap, class_index

MEASURES = ("dice", "iou", "nsd", "hd95_mm", "boundary_bias_mm")


@dataclass(frozen=True)
class Score:
    """One class of one case, compared with its reference.

    Args:
        case: case id.
        class_name: name of the class.
        dice: in [0, 1]; NaN if the class is in neither, 0 if in one only (likewise `iou` and `nsd`).
        iou: in [0, 1].
        nsd: in [0, 1], normalised surface Dice.
        hd95_mm: 95th percentile Hausdorff distance; NaN if the class is in neither, infinite if in one only.
        boundary_bias_mm: mean signed distance from the reference boundary to the evaluated one; negative: the
            evaluated labels are too large; NaN where either has no boundary.
        labels_vox: pixels of the class in the evaluated labels, ignored ones left out.
        reference_vox: pixels of the class in the reference, ignored ones left out.
    """

    case: str
    class_name: str
    dice: float
    iou: float
    nsd: float
    hd95_mm: float
    boundary_bias_mm: float
    labels_vox: int
    reference_vox: int


@dataclass(frozen=True)
class Spread:
    """Mean, spread and middle of the finite values; NaN where there are too few.

    Args:
        mean: of the finite values.
        sd: standard deviation with n - 1.
        median: of the finite values.
        n: how many there are.
    """

    mean: float
    sd: float
    median: float
    n: int


@dataclass(frozen=True)
class ClassSummary:
    """One class over all cases.

    Args:
        class_name: name of the class.
        spreads: per measure, the spread over cases.
        n_cases: cases compared.
        n_empty: cases with the class in neither; they have no score.
        n_missing: cases with the class in the reference only.
        n_spurious: cases with the class in the evaluated labels only.
        n_infinite: cases whose HD95 is infinite; it is in no mean.
    """

    class_name: str
    spreads: Mapping[str, Spread]
    n_cases: int
    n_empty: int
    n_missing: int
    n_spurious: int
    n_infinite: int


def score_case(
    case: str,
    labels: LabelMap,
    reference: LabelMap,
    *,
    tolerance_mm: float = 2.0,
    spacing_mm: Sequence[float] | float | None = None,
) -> tuple[Score, ...]:
    """The scores of one case, a class each in the order of the reference, a named value 0 first.

    One class at a time is looked at, in the box that holds it: memory does not grow with their number.

    Args:
        case: case id.
        labels: the labels to evaluate; they must have all classes of the reference.
        reference: the labels to compare with; pixels it ignores are left out of both.
        tolerance_mm: tolerance of the NSD.
        spacing_mm: per axis; None takes that of the reference.

    Raises:
        ConfigError: a class of the reference is not among those of the labels.
        GeometryError: shapes differ.
    """
    spacing = reference.grid.spacing_mm if spacing_mm is None else spacing_mm
    if labels.grid.shape != reference.grid.shape:
        raise GeometryError(
            f"case {case}: labels of shape {labels.grid.shape}, reference of shape {reference.grid.shape}; "
            "they must be equal"
        )
    ours, theirs = class_boxes(labels), class_boxes(reference)
    scores = []
    for name in reference.names:
        class_index(labels.names, name)
        box = joint_box((ours[name], theirs[name]), reference.grid.shape, margin=1)
        scores.append(_score(case, name, labels.cropped(box), reference.cropped(box), tolerance_mm, spacing))
    return tuple(scores)


def _score(
    case: str,
    name: str,
    labels: LabelMap,
    reference: LabelMap,
    tolerance_mm: float,
    spacing_mm: Sequence[float] | float,
) -> Score:
    """The score of one class, of both annotations in the box that holds it in both, and one pixel around."""
    mask, truth, ignore = labels.mask(name), reference.mask(name), reference.ignored()
    surfaces = surface_distances(mask, truth, spacing_mm=spacing_mm, ignore=ignore)
    return Score(
        case=case,
        class_name=name,
        dice=dice(mask, truth, ignore),
        iou=iou(mask, truth, ignore),
        nsd=surfaces.nsd(tolerance_mm),
        hd95_mm=surfaces.hausdorff(95),
        boundary_bias_mm=known_boundary_bias(mask, truth, spacing_mm=spacing_mm, ignore=ignore),
        labels_vox=int(np.count_nonzero(mask & ~ignore)),
        reference_vox=int(np.count_nonzero(truth & ~ignore)),
    )


def summarise(class_name: str, scores: Iterable[Score]) -> ClassSummary:
    """One class over cases; scores of other classes are passed over."""
    mine = [s for s in scores if s.class_name == class_name]
    return ClassSummary(
        class_name=class_name,
        spreads={measure: spread([getattr(s, measure) for s in mine]) for measure in MEASURES},
        n_cases=len(mine),
        n_empty=sum(s.labels_vox == 0 and s.reference_vox == 0 for s in mine),
        n_missing=sum(s.labels_vox == 0 and s.reference_vox > 0 for s in mine),
        n_spurious=sum(s.labels_vox > 0 and s.reference_vox == 0 for s in mine),
        n_infinite=sum(math.isinf(s.hd95_mm) for s in mine),
    )


def spread(values: Iterable[float]) -> Spread:
    """Mean, standard deviation (n - 1) and median of the finite values.

    >>> spread([1.0, 2.0, 6.0, float("nan"), float("inf")])
    Spread(mean=3.0, sd=2.6457513110645907, median=2.0, n=3)
    """
    finite = np.array([v for v in values if math.isfinite(v)])
    if not finite.size:
        return Spread(math.nan, math.nan, math.nan, 0)
    sd = float(finite.std(ddof=1)) if finite.size > 1 else math.nan
    return Spread(float(finite.mean()), sd, float(np.median(finite)), finite.size)
