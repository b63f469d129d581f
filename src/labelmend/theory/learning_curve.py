"""When a class has been learnt: its IoU over training, a curve through it, and rules that find its knee.

A network first learns what labels have in common and later their errors, so its IoU with wrong labels rises
fast and then slowly. The curve f(t) = a (1 - exp(-b t^c)) is fitted to the IoU of one class, and three rules
say whether its knee is behind it: `has_settled` is ours, `paper_trigger` follows the formula, and
`published_trigger` both released programs.

The rule of the paper hides a unit. It compares slopes with f'(1), the slope at the end of the first epoch, so
an epoch of half as many cases moves the trigger, and a class learnt within the first epoch has hardly any
f'(1): noise decides. `has_settled` compares with the mean slope since the curve left the ground. With
u = b t^c that is

    t f'(t) / f(t) = c u / (exp(u) - 1),

a number that no unit of time changes. Times are in epochs.

Paper: Liu, Liu, Zhu, Shen, Fernandez-Granda, "Adaptive Early-Learning Correction for Segmentation from Noisy
    Annotations", CVPR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

from labelmend.errors import ConfigError

FloatArray = NDArray[np.floating]

MIN_POINTS = 5
"""Least points since the curve left the ground for `has_settled` to say yes."""

MIN_RISE = 0.1
"""IoU by which a fitted curve must have risen since its first point, unless it stands high."""

GROUND = 0.1
"""Share of the highest points under which a curve has not left the ground."""

ERROR = 0.005
"""Least standard error of an IoU that is reckoned with."""

EVIDENCE = 4.0
"""By how many variances a curve that still rises must fit worse than the best: two standard errors."""

EXPONENTS = (0.3, 3.0)
"""Exponents c that are tried: from a curve that creeps to one that starts slowly, as warm-ups make it."""

RISE_IN_ONE_EPOCH = 0.1
"""SegTHOR's program looks at a curve from its first rise by this much on."""


@dataclass(frozen=True)
class Curve:
    """f(t) = level * (1 - exp(-rate * (t - onset)^exponent)), zero before the onset.

    Args:
        level: a, the IoU that it tends to.
        rate: b, in 1 / epochs^c.
        exponent: c.
        onset: time before which nothing is learnt.
    """

    level: float
    rate: float
    exponent: float
    onset: float = 0.0

    def value(self, time: FloatArray | float) -> FloatArray:
        """f(t)."""
        return -self.level * np.expm1(
            -self.rate * np.maximum(np.subtract(time, self.onset), 0) ** self.exponent
        )


@dataclass(frozen=True)
class CurveVerdict:
    """Whether a class has been learnt, and why one thinks so.

    Args:
        settled: True where the knee of the curve is behind it.
        why: in words.
        curve: the curve that was fitted, or None where none was.
    """

    settled: bool
    why: str
    curve: Curve | None = None


def slope_loss(curve: Curve, time: FloatArray | float) -> FloatArray:
    """Share of its slope at t = 1 that a curve has lost: 1 - t^(c-1) exp(-b (t^c - 1)); under 0 if it gained.

    >>> float(slope_loss(Curve(0.8, 0.3, 1.0), 8.675).round(3))
    0.9
    """
    b, c = curve.rate, curve.exponent
    t = np.asarray(time, float)
    with np.errstate(over="ignore"):
        return 1 - np.exp((c - 1) * np.log(t) - b * (t**c - 1))


def trigger_time(curve: Curve, loss: float = 0.9) -> float:
    """First time from 1 on at which a curve has lost this share of its slope at 1; inf if it never does.

    Args:
        curve: with an exponent up to 1, so that its slope only falls.
        loss: r of the paper, in (0, 1).

    >>> round(trigger_time(Curve(0.8, 0.3, 1.0), 0.9), 1)
    8.7
    """
    if not (0 < curve.exponent <= 1 and 0 < loss < 1):
        raise ConfigError(f"an exponent in (0, 1] and a loss in (0, 1) expected, got {curve} and {loss}")
    late = 2.0
    while slope_loss(curve, late) <= loss:
        late *= 2
        if late > 1e12:
            return math.inf
    return float(brentq(lambda t: float(slope_loss(curve, t)) - loss, 1.0, late))


def slope_share(curve: Curve, time: float) -> float:
    """Slope of a curve over its mean slope since its onset: c u / (exp(u) - 1); between 0 and c.

    >>> round(slope_share(Curve(0.8, 0.3, 1.0), 8.675), 2)
    0.21
    """
    return float(_slope_share(curve.rate * (time - curve.onset) ** curve.exponent, curve.exponent))


def _slope_share(u: FloatArray | float, exponent: FloatArray | float) -> FloatArray:
    u = np.clip(u, 1e-12, 500)
    return exponent * u / np.expm1(u)


def fit_curve(times: Sequence[float] | FloatArray, values: Sequence[float] | FloatArray) -> Curve:
    """The curve through points of one class that starts at time 0, by least squares on true times.

    A point more than three standard errors off counts less, by the square of its distance: an epoch in which
    a rare class went missing does not bend the curve.

    Args:
        times: `(n)` increasing, positive.
        values: `(n)` IoU in [0, 1], no NaN.

    >>> t = np.arange(1.0, 21.0)
    >>> found = fit_curve(t, Curve(0.75, 0.4, 0.8).value(t))
    >>> [round(x, 4) for x in (found.level, found.rate, found.exponent)]
    [0.75, 0.4, 0.8]
    """
    t, y = np.asarray(times, float), np.asarray(values, float)
    search = _search(t, y)
    low = [0.0, math.log(search.scale[0]), EXPONENTS[0]]
    high = [1.0, math.log(search.scale[-1]), EXPONENTS[1]]
    best = [search.best.level, -math.log(search.best.rate) / search.best.exponent, search.best.exponent]
    start = np.clip(best, np.add(low, 1e-9), np.subtract(high, 1e-9))
    root = np.sqrt(search.weights)

    def misses(p: FloatArray) -> FloatArray:
        return root * (-p[0] * np.expm1(-((t / math.exp(p[1])) ** p[2])) - y)

    level, scale, exponent = least_squares(misses, start, bounds=(low, high), xtol=1e-12, ftol=1e-12).x
    return Curve(float(level), math.exp(-scale * exponent), float(exponent))


@dataclass(frozen=True, eq=False)
class _Search:
    """Least squares over a grid of time scales `(i)` and exponents `(j)`, the level in closed form."""

    scale: FloatArray
    exponent: FloatArray
    squares: FloatArray
    best: Curve
    weights: FloatArray


def _search(t: FloatArray, y: FloatArray) -> _Search:
    scale = np.geomspace(t[0] / 30, t[-1] * 20, 80)
    exponent = np.linspace(*EXPONENTS, 28)
    shapes = -np.expm1(-((t[:, None, None] / scale[:, None]) ** exponent))
    weights = np.ones_like(y)
    for _ in range(3):
        product = np.einsum("n,nij->ij", weights * y, shapes)
        norm = np.einsum("n,nij->ij", weights, shapes * shapes)
        level = np.clip(product / np.maximum(norm, 1e-12), 0, 1)
        # weighted sum of (level * shape - y)^2, written out so that nothing of size n i j is made again
        squares = level * (level * norm - 2 * product) + (weights * y * y).sum()
        i, j = np.unravel_index(squares.argmin(), squares.shape)
        miss = np.abs(level[i, j] * shapes[:, i, j] - y)
        error = max(1.4826 * float(np.median(miss)), ERROR)
        used, weights = weights, np.minimum(1, (3 * error / np.maximum(miss, 1e-12)) ** 2)
    best = Curve(float(level[i, j]), float(scale[i] ** -exponent[j]), float(exponent[j]))
    return _Search(scale, exponent, np.maximum(squares, 0), best, used)


def has_settled(
    times: Sequence[float] | FloatArray,
    values: Sequence[float] | FloatArray,
    now: float,
    *,
    drop: float = 0.8,
    min_iou: float = 0.5,
) -> CurveVerdict:
    """Whether the slope of a curve has fallen to under 1 - `drop` of its mean slope, beyond doubt.

    No, as long as

    * fewer than five points lie above the ground, a tenth of the highest points;
    * it has neither risen by 0.1 since its first point nor reached `min_iou`: the class is not learnt at all;
    * a curve that still rises fits the points nearly as well (within two standard errors).

    Args:
        times: `(n)` when each IoU was measured, increasing, positive.
        values: `(n)` IoU of one class; NaN where there was nothing to measure.
        now: the time that is asked about, not before the last point.
        drop: in (0, 1).
        min_iou: a curve that never rose while it was watched may have settled before, from this IoU on.

    >>> t = np.arange(40) + 0.5
    >>> rising = Curve(0.7, 0.2, 1.0).value(t)
    >>> [has_settled(t[:n], rising[:n], n).settled for n in (8, 12, 16, 20)]
    [False, False, True, True]
    """
    t, y = np.asarray(times, float), np.asarray(values, float)
    t, y = t[~np.isnan(y)], y[~np.isnan(y)]
    first = _first_above_ground(y)
    if first is None:
        return CurveVerdict(False, "not learnt yet")
    onset = float(t[first - 1]) if first else 0.0
    t, y, now = t[first:] - onset, y[first:], now - onset
    if len(y) < MIN_POINTS:
        return CurveVerdict(False, f"learnt for {len(y)} epochs, {MIN_POINTS} are needed to know a curve")
    search = _search(t, y)
    curve = Curve(search.best.level, search.best.rate, search.best.exponent, onset)
    start, end = search.best.value(t[[0, -1]])
    if end - start < MIN_RISE and end < min_iou:
        return CurveVerdict(False, f"IoU {end:.2f} without rising: not learnt", curve)
    share = slope_share(search.best, now)
    text = f"IoU {end:.2f}, slope {share:.0%} of its mean"
    if share >= 1 - drop:
        return CurveVerdict(False, f"still rising: {text}", curve)
    shares = _slope_share((now / search.scale[:, None]) ** search.exponent, search.exponent)
    least = search.squares.min()
    variance = max(least / max(len(y) - 3, 1), ERROR**2)
    rising = search.squares[shares >= 1 - drop].min()
    if rising - least < EVIDENCE * variance:
        return CurveVerdict(False, f"may still be rising: {text}", curve)
    return CurveVerdict(True, f"settled: {text}", curve)


def _first_above_ground(y: FloatArray) -> int | None:
    """Position of the first of two successive points above a tenth of the highest three, or None."""
    if len(y) < 2 or y.max() <= 0:
        return None
    above = y > GROUND * np.median(np.sort(y)[-3:])
    pairs = np.flatnonzero(above[:-1] & above[1:])
    return int(pairs[0]) if len(pairs) else None


def paper_trigger(values: Sequence[float] | FloatArray, *, loss: float = 0.9) -> CurveVerdict:
    """The rule as the formula has it: the slope has lost more than `loss` of what it was after one epoch.

    Args:
        values: `(n)` IoU after epochs 1 to n.
        loss: r of the paper.
    """
    y = np.asarray(values, float)
    t = np.arange(1.0, len(y) + 1)
    t, y = t[~np.isnan(y)], y[~np.isnan(y)]
    if len(y) < 4:
        return CurveVerdict(False, f"{len(y)} points, 4 are needed to fit a curve")
    curve = fit_curve(t, y)
    lost = float(slope_loss(curve, t[-1]))
    return CurveVerdict(lost > loss, f"IoU {y[-1]:.2f}, slope {lost:.0%} under that after one epoch", curve)


def published_trigger(
    values: Sequence[float] | FloatArray,
    epoch: int,
    *,
    horizon: int,
    elapsed: float | None = None,
    loss: float = 0.9,
    wait_for_rise: bool = False,
) -> CurveVerdict:
    """The rule as it was programmed; an epoch it names may lie beyond the data.

    The n points are stretched over [0, elapsed], the last one weighs a hundred times the first, the exponent
    is at most 1, and the loss of slope is read at whole epochs 1 to horizon - 1 only. A class is on when
    `epoch` has come to one more than the number of those at which no more than `loss` is lost.

    Args:
        values: `(n)` IoU, a point an epoch or more; NaN, where a class was absent, counts as 0.
        epoch: number of the epoch that ended, from 0.
        horizon: 16 in the program for VOC, where every class is on from epoch 16; 100 for SegTHOR.
        elapsed: epochs that the points cover; None means one each.
        loss: r of the paper.
        wait_for_rise: SegTHOR's: drop the points before the first rise by 0.1 from one to the next, and
            never trigger without one.
    """
    y = np.nan_to_num(np.asarray(values, float))
    step = 1.0 if elapsed is None else elapsed / len(y)
    dropped = 0
    if wait_for_rise:
        rises = np.flatnonzero(np.diff(y) >= RISE_IN_ONE_EPOCH)
        if not len(rises):
            return CurveVerdict(False, f"never rose by {RISE_IN_ONE_EPOCH} in one epoch")
        dropped = int(rises[0])
        y = y[dropped:]
    curve = _published_fit(np.linspace(0, len(y) * step, len(y)), y)
    whole = np.arange(1, horizon) + 1e-6
    start, slopes = _slope(curve, 1 + 1e-6), _slope(curve, whole)
    lost = np.abs(start - slopes) / start if start > 0 else np.zeros(len(whole))
    lost[lost > 1] = 0
    named = int((lost <= loss).sum()) + 1 + dropped
    return CurveVerdict(epoch >= named, f"IoU {y[-1]:.2f}, to be corrected from epoch {named + 1}", curve)


def _published_fit(t: FloatArray, y: FloatArray) -> Curve:
    """a (1 - exp(-t^B / C)) with 0 <= a, B <= 1, from (1, 1, 1), errors from 1 (oldest) to 0.1 (newest)."""
    errors = np.geomspace(1, 0.1, len(y))

    def misses(p: FloatArray) -> FloatArray:
        return (-p[0] * np.expm1(-(t ** p[1]) / p[2]) - y) / errors

    with np.errstate(over="ignore", divide="ignore"):
        a, exponent, scale = least_squares(misses, (1.0, 1.0, 1.0), bounds=([0] * 3, [1, 1, np.inf])).x
    return Curve(float(a), float(1 / scale), float(exponent))


def _slope(curve: Curve, t: FloatArray | float) -> FloatArray:
    """f'(t)."""
    a, b, c = curve.level, curve.rate, curve.exponent
    return np.asarray(a * b * c * np.power(t, c - 1) * np.exp(-b * np.power(t, c)))
