"""The mean of one number a case, with its interval: how far outlines lie off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

SURE_ERRORS = 2.0
"""Standard errors by which a bias must differ from zero. Not the t interval: with two cases that asks for
12.7 errors, and leaving a bias of ten voxels alone costs far more than undoing it with an error of one."""


@dataclass(frozen=True)
class Bias:
    """The boundary bias of one class over the clean cases.

    Args:
        class_name: the class.
        mean_mm: mean signed distance from clean to predicted boundary; negative: predictions are too large.
        low_mm: lower end of the interval of the mean; NaN with fewer than two cases.
        high_mm: upper end.
        error_mm: standard error of the mean; NaN with fewer than two cases.
        n_cases: clean cases in which both boundaries exist.
    """

    class_name: str
    mean_mm: float
    low_mm: float
    high_mm: float
    error_mm: float
    n_cases: int


def estimate_bias(per_case_mm: Sequence[float], class_name: str = "", confidence: float = 0.95) -> Bias:
    """Mean bias over clean cases, with Student's t interval.

    A t interval rather than a bootstrap: two to five cases are the usual number here, and the percentile
    bootstrap of two values covers the mean half of the time at best.

    Args:
        per_case_mm: `boundary_bias` of each clean case; NaN where there was nothing to measure.
        class_name: for messages and reports.
        confidence: coverage of the interval, in (0, 1).

    >>> estimate_bias([-5.0, -5.2, -4.8]).mean_mm
    -5.0
    """
    values = np.asarray([value for value in per_case_mm if np.isfinite(value)], float)
    if values.size == 0:
        return Bias(class_name, math.nan, math.nan, math.nan, math.nan, 0)
    mean = float(values.mean())
    if values.size == 1:
        return Bias(class_name, mean, math.nan, math.nan, math.nan, 1)
    error = float(values.std(ddof=1) / math.sqrt(values.size))
    half = float(student_t.ppf((1 + confidence) / 2, values.size - 1)) * error
    return Bias(class_name, mean, mean - half, mean + half, error, int(values.size))
