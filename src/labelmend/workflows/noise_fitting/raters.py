"""Bias and roughness of annotators from their masks of the same cases, without ground truth."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from labelmend.errors import ConfigError, DataError
from labelmend.metrics import dice as overlap
from labelmend.metrics.intervals import Interval, draw_cases, percentiles
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.noise_fitting.displacement import measure, without_specks


@dataclass(frozen=True, eq=False)
class Comparisons:
    """All pairs of annotators of the same cases; NaN if one of the two drew nothing.

    Args:
        larger_mm: `(n r r)`: mean distance of the second annotator's boundary outside the first's, averaged
            over both directions.
        variance_mm2: `(n r r)`: variance of that displacement along the boundary, averaged likewise.
        dice: `(n r r)`.
    """

    larger_mm: FloatArray
    variance_mm2: FloatArray
    dice: FloatArray


@dataclass(frozen=True)
class RaterFit:
    """Statistics of each annotator.

    Args:
        raters: their names.
        bias_mm: how much larger than the average annotator each one draws; the biases sum to zero. A shared
            bias cannot be detected without ground truth.
        spread_mm: standard deviation of each annotator's bias over cases.
        roughness_mm: standard deviation of each annotator's errors along the boundary, excluding errors
            that annotators share.
        n_cases: number of cases each annotator has in common with another.
        dice: mean pairwise Dice.
        split: False for two annotators: the variance cannot be attributed, so each gets half.
    """

    raters: tuple[str, ...]
    bias_mm: tuple[Interval, ...]
    spread_mm: tuple[Interval, ...]
    roughness_mm: tuple[Interval, ...]
    n_cases: tuple[int, ...]
    dice: Interval
    split: bool


def compare_raters(
    masks: Sequence[BoolArray | None], spacing_mm: Sequence[float] | float | None = None
) -> Comparisons:
    """Every pair of annotators of one case, `(1 r r)`.

    Args:
        masks: `(*space)` booleans each, None for an annotator without this case.
        spacing_mm: per axis in mm; a number for isotropic, None for 1 mm.
    """
    r = len(masks)
    larger, variance, dice = (np.full((1, r, r), math.nan) for _ in range(3))
    for i in range(r):
        for j in range(i + 1, r):
            first, second = masks[i], masks[j]
            if first is None or second is None:
                continue
            dice[0, i, j] = dice[0, j, i] = overlap(first, second)
            first, second = without_specks(first, second), without_specks(second, first)
            there = measure(second, first, spacing_mm, details=False)
            back = measure(first, second, spacing_mm, details=False)
            gap = (there.bias_mm - back.bias_mm) / 2
            larger[0, i, j], larger[0, j, i] = gap, -gap
            variance[0, i, j] = variance[0, j, i] = (there.roughness_mm**2 + back.roughness_mm**2) / 2
    return Comparisons(larger, variance, dice)


def pool_comparisons(cases: Sequence[Comparisons]) -> Comparisons:
    """Concatenate comparisons of cases, `(n r r)`."""
    return Comparisons(
        np.concatenate([c.larger_mm for c in cases]),
        np.concatenate([c.variance_mm2 for c in cases]),
        np.concatenate([c.dice for c in cases]),
    )


def fit_raters(
    found: Comparisons,
    raters: Sequence[str],
    *,
    groups: Sequence[Hashable] | None = None,
    n_boot: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> RaterFit:
    """Bias, spread and roughness of each annotator from pairwise displacements.

    With y_ij the distance of j outside i in a case, and independent errors around a common intended outline,

        E y_ij = bias_j - bias_i,    var(y_ij over cases) = spread_i^2 + spread_j^2,
        E var(y_ij along the boundary) = roughness_i^2 + roughness_j^2,

    solved by least squares, non-negative for the variances. Cases need not have all annotators.

    Args:
        found: comparisons `(n r r)`.
        raters: the r names.
        groups: group of each case (such as the patient) if cases are related; the bootstrap draws groups.
        n_boot: bootstrap replicates for intervals.
        level: level of the intervals.
        seed: random seed.

    Raises:
        ConfigError: fewer than two annotators, or not one name each.
        DataError: annotators share no case, directly or through others.
    """
    n, r = found.larger_mm.shape[:2]
    if r < 2 or len(raters) != r:
        raise ConfigError(
            f"got {r} annotators and {len(raters)} names: expected at least two, with one name each"
        )
    there = np.isfinite(found.larger_mm) & ~np.eye(r, dtype=bool)
    _check_connected(np.asarray(there.any(axis=0)), raters)
    weights = np.ones((1, n)) / n
    if n > 1:
        weights = np.vstack([weights, draw_cases(n, n_boot, seed, groups)])
    biases = _biases(np.nan_to_num(found.larger_mm), there, weights)
    expected = biases[:, None, :] - biases[:, :, None]
    rough = _pair_means(found.variance_mm2, weights)
    first = np.nan_to_num(found.larger_mm)
    # E (y - m)^2 = E y^2 - 2 m E y + m^2, each mean over the cases with the pair
    square = _pair_means(np.where(there, first**2, math.nan), weights)
    mean = _pair_means(found.larger_mm, weights)
    scatter = square - 2 * expected * mean + expected**2
    per_pair = [np.sqrt(_shares(values)) for values in (scatter, rough)]
    dice = found.dice[:, *np.triu_indices(r, 1)]
    case_dice = np.array(
        [row[np.isfinite(row)].mean() if np.isfinite(row).any() else math.nan for row in dice]
    )
    agreed = np.isfinite(case_dice)
    total = weights @ np.where(agreed, case_dice, 0) / np.maximum(weights @ agreed, 1e-12)
    return RaterFit(
        raters=tuple(raters),
        bias_mm=_intervals(biases, level),
        spread_mm=_intervals(per_pair[0], level) if n > 1 else (Interval(*[math.nan] * 3),) * r,
        roughness_mm=_intervals(per_pair[1], level),
        n_cases=tuple(int(c) for c in there.any(axis=2).sum(axis=0)),
        dice=_intervals(total[:, None], level)[0],
        split=r > 2,
    )


def _check_connected(shared: BoolArray, raters: Sequence[str]) -> None:
    reached = {0}
    while True:
        more = {int(j) for i in reached for j in np.flatnonzero(shared[i])} | reached
        if more == reached:
            break
        reached = more
    apart = [name for index, name in enumerate(raters) if index not in reached]
    if apart:
        raise DataError(
            f"{apart[0]} and {raters[0]} cannot be compared: they share no case in which both drew "
            "something, directly or through other annotators"
        )


def _biases(larger: FloatArray, there: BoolArray, weights: FloatArray) -> FloatArray:
    """`(b r)` biases that sum to zero; each case counts once, however many annotators it has."""
    n_raters = there.any(axis=2).sum(axis=1)
    share = there / np.maximum(n_raters, 1)[:, None, None]
    pairs = np.einsum("bn,nij->bij", weights, share)
    laplacian = -pairs
    r = larger.shape[1]
    laplacian[:, np.arange(r), np.arange(r)] = pairs.sum(axis=2)
    pull = np.einsum("bn,nij->bj", weights, share * larger)
    solved: FloatArray = np.einsum("bij,bj->bi", np.linalg.pinv(laplacian, hermitian=True), pull)
    return solved - solved.mean(axis=1, keepdims=True)


def _pair_means(values: FloatArray, weights: FloatArray) -> FloatArray:
    """`(b r r)` weighted means over the cases with a pair, NaN if there are none."""
    known = np.isfinite(values)
    mass = np.einsum("bn,nij->bij", weights, known.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = np.einsum("bn,nij->bij", weights, np.where(known, values, 0)) / mass
    return means


def _shares(values: FloatArray) -> FloatArray:
    """`(b r)`: variance of each annotator from the variances of pairs `(b r r)`."""
    r = values.shape[1]
    if r == 2:
        return np.repeat(np.maximum(values[:, :1, 1], 0) / 2, 2, axis=1)
    rows, columns = np.triu_indices(r, 1)
    design = np.zeros((rows.size, r))
    design[np.arange(rows.size), rows] = design[np.arange(rows.size), columns] = 1
    solved = np.full(values.shape[:2], math.nan)
    for index, pair in enumerate(values[:, rows, columns]):
        known = np.isfinite(pair)
        solved[index] = nnls(design[known], pair[known])[0]
    return solved


def _intervals(values: FloatArray, level: float) -> tuple[Interval, ...]:
    """One interval per column, from the value over all cases and the bootstrap replicates below it."""
    low, high = percentiles(values[1:], level)
    return tuple(Interval(float(v), float(a), float(b)) for v, a, b in zip(values[0], low, high, strict=True))
