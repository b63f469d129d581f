"""Which cases of a data set are wrong: what is typical, and how far each case is from it.

Four kinds of evidence complement each other: an outline that differs from the predicted one along an
unusually large part of its length; a whole object that is spurious, missing or of the wrong class; a
prediction that is unusually confident where it disagrees, whatever the shape; and outlines that are off the
edges in the image throughout, with which a network that learned the same bias agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.metrics.calibration import LEAST_PROB, Calibration
from labelmend.types import FloatArray
from labelmend.workflows.auditing.findings.case_statistics import CaseStatistics, Disagreements
from labelmend.workflows.auditing.findings.image_edges import REACH_VOX

NORMAL = 1.4826
"""Median absolute deviation to standard deviation, of the normal distribution."""

TENTH_TO_QUARTILE = 0.607
"""From the tenth to the lower quartile of the normal distribution, in standard deviations."""

LEAST_FAR, LEAST_EDGE_VOX, LEAST_DOUBT = 0.05, 0.7, 0.4
"""Least spreads: the pixel grid alone causes as much, and for doubt the network does."""

NEAR_EDGE_VOX = 2.0
"""An outline within this many pixels of an edge counts as drawn along it."""

SHARE_NEAR, SHARE_TELLING = 0.2, 0.8
"""Shares of cases: how many must follow edges for edges to count; how many must have them within half the
reach, else the steepest slope is arbitrary."""

MOST_FAR, MOST_DOUBT, MOST_EDGES = 8.0, 8.0, 5.0
"""Standard deviations at which evidence saturates, for outlines, doubt and edges; the steepest slope near an
outline may belong to something else, and is then arbitrary."""

FEW = 10.0
"""Number of confidently contradicting pixels at which they count half as much as many."""

FAR_WEIGHT, OBJECT_WEIGHT, EDGES_WEIGHT, DOUBT_WEIGHT = 1.25, 45.0, 2.0, 3.0
"""Weights that bring all evidence onto one scale; for objects of the cube of the score, since one that is
half certain says little. Chosen on 74 radiographs and 120 drawn volumes (benchmarks/audit_sets.py)."""

LEAST_SCORE = 0.1
"""For pixels, scores of cases are kept this far from 0 and 1: a case that seems right may have a wrong
pixel."""

FULL = 8.0
"""Strength of the evidence at which the score is 63 %."""


@dataclass(frozen=True, eq=False)
class Typical:
    """What is typical of the cases of a data set.

    Args:
        far: `(k)` lower quartile of the share of an outline that is off, since half of the cases may be
            wrong; `far_spread` `(k)` its spread, estimated from the lowest.
        offset_mm: `(k)` median distance of given outlines from predicted ones, `offset_spread` `(k)` its
            spread.
        edge_mm: `(k)` typical distance of edges from outlines, `edge_spread` `(k)` its spread; infinite for a
            class whose edges are not informative.
        doubt: lower quartile of the confidence of predictions where they disagree, in logits, over cases
            where they do; `doubt_spread` its spread, estimated from the lowest.
        calibration: of all cases.
    """

    far: FloatArray
    far_spread: FloatArray
    offset_mm: FloatArray
    offset_spread: FloatArray
    edge_mm: FloatArray
    edge_spread: FloatArray
    doubt: float
    doubt_spread: float
    calibration: Calibration


def typical(cases: Sequence[CaseStatistics], spacing_mm: float) -> Typical:
    """What is typical of one or more cases.

    Args:
        cases: of all cases.
        spacing_mm: a step in mm, see `step_mm`, for the least spreads.
    """
    far, far_spread = _lower_tail(np.array([case.far for case in cases]), LEAST_FAR)
    offset, offset_spread = _middle(np.array([case.offset_mm for case in cases]), 0.25 * spacing_mm)
    edges = [_edges(column, spacing_mm) for column in np.array([case.edge_mm for case in cases]).T]
    total = cases[0].calibration
    for case in cases[1:]:
        total = total + case.calibration
    edge_mm, edge_spread = np.array(edges).T
    doubt, doubt_spread = _lower_tail(_logits(np.array([[case.doubt] for case in cases])), LEAST_DOUBT)
    return Typical(
        far, far_spread, offset, offset_spread, edge_mm, edge_spread, doubt.item(), doubt_spread.item(), total
    )


@dataclass(frozen=True)
class CaseScore:
    """How far a case is from what is typical.

    Args:
        score: in [0, 1].
        far: evidence from outlines that differ from the predicted ones; classes count by length of outline.
        wrong_object: evidence from its most certain wrong object.
        edges: evidence from edges in the image.
        doubt: evidence from an unusually confident prediction where it disagrees.
    """

    score: float
    far: float
    wrong_object: float
    edges: float
    doubt: float

    @property
    def main(self) -> str:
        """The main reason: "far", "wrong_object", "edges", or "doubt", which counts half since it names no
        place."""
        evidence = {
            "wrong_object": self.wrong_object,
            "far": self.far,
            "edges": self.edges,
            "doubt": self.doubt / 2,
        }
        return max(evidence, key=evidence.__getitem__)


def case_score(case: CaseStatistics, usual: Typical) -> CaseScore:
    """Score of one case relative to what is typical."""
    far = np.nan_to_num((case.far - usual.far) / usual.far_spread).clip(0, MOST_FAR)
    share = case.outline_mm / max(case.outline_mm.sum(), 1e-9)
    edges = np.abs(np.nan_to_num((case.edge_mm - usual.edge_mm) / usual.edge_spread)).clip(0, MOST_EDGES)
    doubt = np.nan_to_num((_logits(case.doubt) - usual.doubt) / usual.doubt_spread).clip(0, MOST_DOUBT)
    doubt *= case.n_doubted / (case.n_doubted + FEW)
    evidence = (
        FAR_WEIGHT * float(np.sqrt(len(far) * (share * far**2).sum())),
        OBJECT_WEIGHT * case.wrong_object**3,
        EDGES_WEIGHT * float(edges.sum()),
        DOUBT_WEIGHT * float(doubt),
    )
    return CaseScore(float(1 - np.exp(-np.linalg.norm(evidence) / FULL)), *evidence)


def pixel_scores(seen: Disagreements, score: float) -> FloatArray:
    """How wrong each pixel of a case looks: its own doubt, and how wrong the case looks.

    Both are taken as odds and multiplied, as two witnesses who know nothing of each other: an outline that
    runs beside the predicted one says little in a case that looks right and much in one that looks wrong.

        odds = (1 - p) / p * s / (1 - s),   p the probability of the given class, s the score of the case

    Args:
        seen: the case.
        score: of the case, in [0, 1]; see `case_score`.

    Returns:
        `(*space)` in [0, 1], the largest of all tasks; 0 where nobody annotated.
    """
    case = float(np.clip(score, LEAST_SCORE, 1 - LEAST_SCORE))
    found = np.zeros(seen.known.shape, np.float32)
    for view in seen.views:
        given = np.take_along_axis(view.probs, view.given[None].astype(np.intp), axis=0)[0]
        doubt = np.clip(1 - given.astype(np.float32), LEAST_PROB, 1 - LEAST_PROB)
        wrong, right = doubt * case, (1 - doubt) * (1 - case)
        np.maximum(found, wrong / (wrong + right), out=found)
    return np.where(seen.known, found, 0)


def _logits(doubt: FloatArray | float) -> FloatArray:
    found = np.clip(doubt, LEAST_PROB, 1 - LEAST_PROB)
    return np.log(found / (1 - found))


def _middle(values: FloatArray, least: float) -> tuple[FloatArray, FloatArray]:
    """`(k)` medians and spreads over cases, NaN left out; of a class without a number 0 and `least`."""
    known = np.isfinite(values)
    filled = np.where(known.any(axis=0), values, 0.0)
    middle = np.nanmedian(filled, axis=0)
    spread = NORMAL * np.nanmedian(np.abs(filled - middle), axis=0)
    return middle, np.maximum(spread, least)


def _lower_tail(values: FloatArray, least: float) -> tuple[FloatArray, FloatArray]:
    """`(k)` lower quartiles, and the spread of a normal law whose tenth and lower quartile lie as far apart.

    Where half of the cases are wrong, the spread of the others comes out 1.4 times too large.
    """
    known = np.isfinite(values)
    filled = np.where(known.any(axis=0), values, 0.0)
    tenth, quartile = np.nanquantile(filled, (0.1, 0.25), axis=0)
    return quartile, np.maximum((quartile - tenth) / TENTH_TO_QUARTILE, least)


def _edges(values: FloatArray, spacing_mm: float) -> tuple[float, float]:
    """The typical place of the edge of one class, and its spread.

    Outlines near an edge count as right if there are enough of them, whatever the others do: half of the
    cases may be drawn too wide, all by the same amount.
    """
    values = values[np.isfinite(values)]
    near = values[np.abs(values) <= NEAR_EDGE_VOX * spacing_mm]
    if len(near) < max(3, SHARE_NEAR * len(values)):
        near = values
    if not len(near):
        return 0.0, float("inf")
    middle = float(np.median(near))
    spread = max(NORMAL * float(np.median(np.abs(near - middle))), LEAST_EDGE_VOX * spacing_mm)
    informative = np.mean(np.abs(values - middle) <= REACH_VOX / 2 * spacing_mm) >= SHARE_TELLING
    return middle, spread if informative else float("inf")
