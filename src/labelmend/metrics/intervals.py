"""Estimates with bootstrap intervals over cases."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.runtime.randomness import case_generator
from labelmend.types import FloatArray


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval over cases; the ends are NaN where one case is all there is."""

    value: float
    low: float
    high: float


def draw_cases(
    n: int, n_boot: int, seed: int, groups: Sequence[Hashable] | FloatArray | None = None
) -> FloatArray:
    """Weights of cases drawn with replacement.

    Args:
        n: how many cases.
        n_boot: how many draws.
        seed: of the draws.
        groups: what cases belong to (a patient, a scan); whole groups are drawn, since their cases are alike.

    Returns:
        `(n_boot n)`, each row adding up to one; no rows where there is a single case or group.
    """
    inverse = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    m = int(inverse.max()) + 1 if n else 0
    if m < 2:
        return np.empty((0, n))
    rng = case_generator(seed, "bootstrap")
    drawn = rng.multinomial(m, np.full(m, 1 / m), size=n_boot)[:, inverse]
    weights: FloatArray = drawn / drawn.sum(axis=1, keepdims=True)
    return weights


def percentiles(values: FloatArray, level: float) -> FloatArray:
    """`(2 ...)` ends of the interval over the first axis; NaN without draws."""
    if len(values) < 2:
        return np.full((2, *values.shape[1:]), math.nan)
    ends: FloatArray = np.nanpercentile(values, [50 - 50 * level, 50 + 50 * level], axis=0)
    return ends


def interval_of(values: FloatArray, level: float, n: int) -> Interval:
    """From the value over all cases, then those of the draws."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = percentiles(drawn, level)
    return Interval(float(values[0]) if n else math.nan, float(low), float(high))


def weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    there = np.isfinite(values)
    mass = weights @ there
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = (weights @ np.where(there, values, 0)) / mass
    return mean


def weighted_sd(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Standard deviation over cases, with n - 1 as far as the weights allow."""
    n = len(values)
    if n < 2:
        return np.full(len(weights), math.nan)
    mean = weighted_mean(values, weights)
    square = weighted_mean(values**2, weights)
    return np.sqrt(np.maximum(square - mean**2, 0) * n / (n - 1))
