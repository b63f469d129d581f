"""Whether the outlines of a data set, or of one annotator, are systematically too wide or too tight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from labelmend.types import FloatArray
from labelmend.workflows.auditing.findings.case_score import Typical
from labelmend.workflows.auditing.findings.case_statistics import CaseStatistics
from labelmend.workflows.auditing.findings.finding import measured, titled

Against = Literal["prediction", "image edges"]

LEAST_CASES = 3
LEAST_BIAS_VOX = 0.5
"""Least bias in steps; nobody draws more accurately."""

LEVEL = 0.95


@dataclass(frozen=True)
class SystematicBias:
    """How far the outlines of one class are too wide on average.

    Args:
        annotator: whose outlines, empty for all.
        class_name: the class.
        offset_mm: positive: too wide.
        low_mm: lower end of the 95 % interval of the mean over cases (Student's t), and `high_mm` the upper.
        n_cases: number of cases measured.
        against: what it was measured against. A network trained on the same outlines shares their bias and
            hides it; edges do not, if the class has any.
        systematic: whether the interval excludes zero and the offset is more than half a pixel.
        reason: one sentence.
    """

    annotator: str
    class_name: str
    offset_mm: float
    low_mm: float
    high_mm: float
    n_cases: int
    against: Against
    systematic: bool
    reason: str


def biases(
    cases: Sequence[CaseStatistics],
    usual: Typical,
    classes: Sequence[str],
    *,
    annotators: Sequence[str],
    spacing_mm: float,
    unit: str,
) -> tuple[SystematicBias, ...]:
    """Rows for all cases and, if there are several, for each annotator.

    Args:
        cases: statistics of all cases.
        usual: what is typical of them.
        classes: names of the classes.
        annotators: per case its annotator.
        spacing_mm: a step in mm, see `step_mm`.
        unit: "mm" or "px".
    """
    names = sorted(set(annotators))
    people = ["", *(name for name in names if name)] if len(names) > 1 else [""]
    found = []
    for who in people:
        own = [case for case, name in zip(cases, annotators, strict=True) if who in ("", name)]
        for index, name in enumerate(classes):
            sides: list[tuple[Against, FloatArray]] = [
                ("prediction", np.array([case.offset_mm[index] for case in own])),
            ]
            if np.isfinite(usual.edge_spread[index]):
                sides.append(("image edges", -np.array([case.edge_mm[index] for case in own])))
            for against, values in sides:
                row = _row(who, name, values, against, spacing_mm=spacing_mm, unit=unit)
                found += [row] if row is not None else []
    return tuple(found)


def _row(
    annotator: str, class_name: str, values: FloatArray, against: Against, *, spacing_mm: float, unit: str
) -> SystematicBias | None:
    values = values[np.isfinite(values)]
    if len(values) < LEAST_CASES:
        return None
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    systematic = abs(mean) > half and abs(mean) >= LEAST_BIAS_VOX * spacing_mm
    whose = f"{annotator} draws {titled(class_name)}" if annotator else f"{titled(class_name)} is drawn"
    side = "wide" if mean > 0 else "tight"
    reference = {"prediction": "the predictions", "image edges": "edges in the images"}[against]
    reason = (
        f"{whose} {measured(abs(mean), 1, unit)} too {side} on average over {len(values)} cases, compared "
        f"with {reference}."
        if systematic
        else f"{whose} without a visible bias, compared with {reference}."
    )
    return SystematicBias(
        annotator, class_name, mean, mean - half, mean + half, len(values), against, systematic, reason
    )
