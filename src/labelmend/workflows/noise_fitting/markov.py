"""Fit the Markov noise: the settings that give clean outlines the errors of the given ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labelmend.errors import ConfigError
from labelmend.metrics.intervals import (
    Interval,
    draw_cases,
    interval_of,
    percentiles,
    weighted_mean,
    weighted_sd,
)
from labelmend.noise.base import check_probability
from labelmend.noise.markov import MarkovNoise
from labelmend.runtime.progress import Count
from labelmend.types import FloatArray
from labelmend.workflows.noise_fitting.displacement import Displacement, Pair, without_specks
from labelmend.workflows.noise_fitting.search import Cases, Search, SearchResult, n_points
from labelmend.workflows.noise_fitting.speckle import estimate_speckle, looks_smooth

MATCHED = ("bias", "spread", "roughness")
"""Matched moments: mean bias, its standard deviation over cases (log), mean roughness (log)."""

PROFILE_CASES = 40


@dataclass(frozen=True)
class Moment:
    """One statistic of the data and of masks simulated with the fitted settings.

    Args:
        name: bias, spread (standard deviation of the bias over cases), roughness, dice, area or perimeter.
        given: value in the data; spread and roughness in mm, area and perimeter as ratios to clean.
        simulated: value in the simulation.
        z: their difference in standard errors over cases, including simulation error.
        matched: True if matched by the fit, False if it is a check.
    """

    name: str
    given: float
    simulated: float
    z: float
    matched: bool


@dataclass(frozen=True)
class ProfileRow:
    """The best settings at one `flip`, and their distance from the data (chi-square; 1 is good)."""

    flip: float
    steps: float
    expand: float
    distance: float


@dataclass(frozen=True)
class MarkovFit:
    """Markov settings fitted to given masks of one class.

    Args:
        noise: the settings, ready to simulate with.
        steps: with interval, at the fixed `flip`.
        expand: with interval, at the fixed `flip`.
        speckle: with interval; 0 if too weak to detect.
        distance: chi-square of the matched moments, with one degree of freedom for two or more cases; below
            about 4 the model agrees with the data.
        moments: data and simulation compared, matched moments first.
        profile: the best settings at other values of `flip`; empty if none was requested.
        n_profile: number of cases for the profile.
        n_cases: cases fitted.
        simulated: statistics of one simulated mask per case, for plots.
    """

    noise: MarkovNoise
    steps: Interval
    expand: Interval
    speckle: Interval
    distance: float
    moments: tuple[Moment, ...]
    profile: tuple[ProfileRow, ...]
    n_profile: int
    n_cases: int
    simulated: tuple[Displacement, ...] = field(repr=False, default=())


def fit_markov(
    pairs: Sequence[Pair],
    measured: Sequence[Displacement] | None = None,
    *,
    flip: float = 0.05,
    flips: Sequence[float] = (),
    speckle: float | None = None,
    smooth: bool | None = None,
    n_boot: int = 500,
    level: float = 0.95,
    max_cases: int = 200,
    seed: int = 0,
    count: Count = lambda text, total: None,
) -> MarkovFit:
    """Fit `steps` and `expand` at a fixed `flip`, by simulating noise on the clean masks.

    The fit matches the mean bias, the standard deviation of the bias over cases and the mean roughness: it
    minimises the distance between these moments in the data and in simulations on the same masks, weighted by
    the inverse of their covariance over cases (simulated method of moments). Quadratic response surfaces
    through simulated designs replace further simulations; intervals are bootstrapped over cases, for data and
    simulation.

    Not identified: more steps with a smaller `flip` look nearly the same. The two differ only in how much the
    bias varies between cases, which has other causes in real data; so `flip` is fixed, and `flips` shows the
    fit at other values.

    Args:
        pairs: the cases of one class; those with a missing boundary are left out.
        measured: results of `Pair.against_clean` for the given masks of `pairs`, if available.
        flip: probability that a frontier pixel flips in a step, in (0, 1].
        flips: other values for the profile.
        speckle: fixed; None estimates it from wrong pixels far from both outlines.
        smooth: fixed; None checks whether the masks have the one-pixel spurs that smoothing removes.
        n_boot: bootstrap replicates for intervals.
        level: level of the intervals.
        max_cases: most cases to fit, drawn at random.
        seed: random seed.
        count: called after each simulated design point with a label and the number of points.

    Raises:
        DataError: no case has a boundary in both masks.
        ConfigError: a setting out of range.
    """
    check_probability("markov", flip=flip, level=level, speckle=speckle or 0.0)
    if not all(0 < value <= 1 for value in (flip, *flips)):
        raise ConfigError(f"flip must be a probability above 0, got {', '.join(map(str, (flip, *flips)))}")
    if n_boot < 0 or max_cases < 1:
        raise ConfigError(f"n_boot must be 0 or more and max_cases 1 or more, got {n_boot} and {max_cases}")
    cases = Cases.of(pairs, measured, max_cases, seed)
    smooth = (
        looks_smooth([without_specks(p.given, p.clean) for p in cases.pairs]) if smooth is None else smooth
    )
    boot = draw_cases(len(cases.pairs), n_boot, seed)
    spots = estimate_speckle(cases.measured, boot, level, smooth, cases.pairs[0].clean.ndim, seed)
    if speckle is not None:
        spots = Interval(speckle, speckle, speckle)
    known = MarkovNoise(steps=0, expand=0.5, flip=flip, speckle=spots.value, smooth=smooth)
    if not any(d.bias_mm or d.roughness_mm for d in cases.measured):
        nothing, even = Interval(0.0, 0.0, 0.0), Interval(0.5, 0.0, 1.0)
        return MarkovFit(known, nothing, even, spots, 0.0, (), (), 0, len(cases.pairs), tuple(cases.measured))
    total = n_points(cases, flip, len(set(flips) - {flip}))

    def tick(text: str) -> None:
        count(text, total)

    search = Search(cases, known, seed, tick)
    start = search.coarse()
    found = search.refine(start, boot, widths=(3.0, 1.6, 0.0))
    ends = percentiles(found.boot, level)
    noise = search.noise(found.best)
    steps = np.exp([found.best[0], *ends[:, 0]]) / flip
    simulated = cases.simulate(noise, seed, "check", details=True)
    few = cases.first(PROFILE_CASES)
    profile = _profile(few, known, found.best, (flip, *flips), seed, tick) if flips else ()
    return MarkovFit(
        noise=noise,
        steps=Interval(*map(float, steps)),
        expand=Interval(*(float(1 + u) / 2 for u in (found.best[1], *ends[:, 1]))),
        speckle=spots,
        distance=found.distance,
        moments=_moments(cases.measured, simulated, found),
        profile=profile,
        n_profile=len(few.pairs) if flips else 0,
        n_cases=len(cases.pairs),
        simulated=tuple(simulated),
    )


def summarise_displacements(
    measured: Sequence[Displacement], *, n_boot: int = 500, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Error statistics of a class, with intervals over cases; cases without a boundary are left out.

    Args:
        measured: one per case.
        n_boot: bootstrap replicates.
        level: level of the intervals.
        seed: random seed.

    Returns:
        bias_mm (positive: too large), spread_mm (standard deviation of the bias over cases), roughness_mm
        (root mean square over cases), correlation_mm, dice, area_ratio, perimeter_ratio, speck_share.
    """
    usable = [d for d in measured if math.isfinite(d.bias_mm)]
    weights = np.vstack(
        [np.full(len(usable), 1 / max(len(usable), 1)), draw_cases(len(usable), n_boot, seed)]
    )
    columns = {
        name: weighted_mean(np.array([getattr(d, name) for d in usable]), weights)
        for name in ("bias_mm", "correlation_mm", "dice", "area_ratio", "perimeter_ratio", "speck_share")
    }
    bias = np.array([d.bias_mm for d in usable])
    columns["spread_mm"] = weighted_sd(bias, weights)
    rough = np.array([d.roughness_mm for d in usable])
    columns["roughness_mm"] = np.sqrt(weighted_mean(rough**2, weights))
    return {name: interval_of(values, level, len(usable)) for name, values in columns.items()}


def _profile(
    cases: Cases,
    known: MarkovNoise,
    best: FloatArray,
    flips: Sequence[float],
    seed: int,
    tick: Callable[[str], None],
) -> tuple[ProfileRow, ...]:
    """The best settings at each flip, on the same cases so that distances are comparable."""
    rows = []
    for flip in sorted(set(flips)):
        other = MarkovNoise(steps=0, expand=0.5, flip=flip, speckle=known.speckle, smooth=known.smooth)
        found = Search(cases, other, seed, tick).refine(best, np.empty((0, len(cases.pairs))), (3.0, 1.6))
        steps = math.exp(found.best[0]) / flip
        rows.append(ProfileRow(flip, steps, float(1 + found.best[1]) / 2, found.distance))
    return tuple(rows)


def _moments(
    given: Sequence[Displacement], simulated: Sequence[Displacement], found: SearchResult
) -> tuple[Moment, ...]:
    """Matched moments from the fitted surface, then unmatched checks."""
    rows = []
    for index, name in enumerate(MATCHED):
        one, other = float(found.moments[index]), float(found.surface[index])
        z = (other - one) / found.spread[index]
        shown = (one, other) if name == "bias" else (math.exp(one), math.exp(other))
        rows.append(Moment(name, *shown, float(z), True))
    for name, attribute in (("dice", "dice"), ("area", "area_ratio"), ("perimeter", "perimeter_ratio")):
        pairs = np.array([[getattr(d, attribute) for d in side] for side in (given, simulated)])
        pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
        gap = pairs[1] - pairs[0]
        error = gap.std(ddof=1) / math.sqrt(gap.size) if gap.size > 1 else math.nan
        z = float(gap.mean() / error) if error else math.nan
        rows.append(Moment(name, float(pairs[0].mean()), float(pairs[1].mean()), z, False))
    return tuple(rows)


def flags(noise: MarkovNoise) -> str:
    """The flags of `labelmend simulate` for these settings.

    >>> flags(MarkovNoise(steps=9, flip=0.05))[:46]
    '--noise markov --noise.steps 9 --noise.expand '
    """
    fields: Mapping[str, object] = {
        "steps": noise.steps,
        "expand": round(noise.expand, 3),
        "flip": noise.flip,
        "speckle": round(noise.speckle, 4),
    }
    smooth = "--noise.smooth" if noise.smooth else "--no-noise.smooth"
    return " ".join(
        ["--noise markov", *(f"--noise.{name} {value}" for name, value in fields.items()), smooth]
    )
