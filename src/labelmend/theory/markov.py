"""How far Markov boundary noise moves a boundary: drift, spread and the bias that a network learns.

At each of `steps` steps the mask expands (probability `expand`) or shrinks; every pixel beside the boundary
then flips with probability `flip`. Three things decide how far a front gets:

* In its first step a flat front along an axis moves by `flip`, and one with unit normal n by
  flip * max |n_i|: by 0.9003 flip over all normals in 2-D, by 0.8312 flip in 3-D.
* Then the front roughens, and a rough front holds more pixels that can flip: it gets faster, up to threefold.
* Steps of the other kind cut holes into what was gained, and holes have boundaries too. The closer `expand`
  is to 0.5, the more of the boundary becomes a band of foam that widens on both sides. The mask as a whole
  then gains little (the mean displacement, or drift), while the place where half of all masks hold a pixel
  (the level) runs ahead with the outer edge of the foam.

No formula is known for the speed of such fronts. It is measured: `markov_front.json` holds the ratio of the
drift to steps * flip * (2 expand - 1), and the other results here, over travel (steps * flip), expand and
flip, in 2 and 3 dimensions, as a mean over the normals of large discs and balls
(`benchmarks/theory_markov.py`, which also measured the errors stated). Shrinkage needs no table: a mask that
shrinks is a complement that expands.

Lengths are in voxels unless a name ends in mm. Everything assumes boundaries that are flat, in voxels, on the
scale of the displacement (a body of ten times its thickness, say) and away from the image border, before
smoothing and speckle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from labelmend.errors import ConfigError
from labelmend.geometry import check_spacing

MAX_STEPS = 10**6

# Beyond the longest travel measured a front keeps its last speed; this share of that is unsure.
UNSURE_BEYOND = 0.1

# Shares of the lead of the level over the mean that are unsure; more in the first interval of the table
# beside `expand` 0.5, where the level rises from zero to the edge of the foam.
UNSURE_LEAD, UNSURE_STEEP = 0.1, 0.4


@dataclass(frozen=True)
class Estimate:
    """A number with its error.

    Args:
        value: the best value.
        error: one standard error, of measurement, interpolation and finite size together.
    """

    value: float
    error: float


@dataclass(frozen=True)
class FrontSpread:
    """How masks that were drawn by the same law differ, as standard deviations in voxels.

    Args:
        between: of the mean displacement of a whole mask, from case to case: some cases draw more expansion
            steps than others.
        within: of the edge about that mean, from place to place of one mask; of the foam's depth, where the
            boundary is foam.
    """

    between: Estimate
    within: Estimate


def naive_drift_vox(*, steps: int, expand: float, flip: float) -> float:
    """Displacement in voxels if the front stayed flat and along an axis; positive outward.

    Args:
        steps: number of steps.
        expand: probability of an expansion step.
        flip: probability that a boundary pixel flips in a step.

    >>> round(naive_drift_vox(steps=180, expand=0.8, flip=0.05), 3)
    5.4
    """
    _check(steps, expand, flip, 2)
    return steps * (2 * expand - 1) * flip


def front_drift_vox(*, steps: int, expand: float, flip: float, ndim: int) -> Estimate:
    """Mean displacement in voxels, as volume gained per area of boundary; positive outward.

    The mean over normals of all directions; a front along an axis is the fastest, a diagonal one the slowest.

    Args:
        steps: number of steps.
        expand: probability of an expansion step.
        flip: probability that a boundary pixel flips in a step.
        ndim: 2 or 3.

    Raises:
        ConfigError: a parameter out of its range.
    """
    _check(steps, expand, flip, ndim)
    table, sign, lean = _table(ndim), math.copysign(1, expand - 0.5), abs(2 * expand - 1)

    return table.estimate(
        "drift", lambda travel: table.drift(travel, lean, flip), steps * flip, lean, flip, sign
    )


def front_level_vox(*, steps: int, expand: float, flip: float, ndim: int) -> Estimate:
    """Displacement in voxels of the place where half of all masks hold a pixel; positive outward.

    This is where a network that has learned from many such masks puts its boundary. At `expand` 0.5 it is
    zero by symmetry, though all of the foam is level there.

    Args:
        steps: number of steps.
        expand: probability of an expansion step.
        flip: probability that a boundary pixel flips in a step.
        ndim: 2 or 3.

    Raises:
        ConfigError: a parameter out of its range.
    """
    _check(steps, expand, flip, ndim)
    table, sign, lean = _table(ndim), math.copysign(1, expand - 0.5), abs(2 * expand - 1)

    def level(travel: float) -> float:
        return max(0.0, table.drift(travel, lean, flip) + table.read("lead", travel, lean, flip))

    lead = table.read("lead", steps * flip, lean, flip)
    unsure = (UNSURE_STEEP if lean < 0.05 else UNSURE_LEAD) * abs(lead)
    found = table.estimate("level", level, steps * flip, lean, flip, sign)
    return Estimate(found.value, math.hypot(found.error, unsure))


def front_spread_vox(*, steps: int, expand: float, flip: float, ndim: int) -> FrontSpread:
    """How far masks differ in their mean displacement, and places of one mask about it.

    For a large mask; a small one adds chance of its own to `between`.

    Args:
        steps: number of steps.
        expand: probability of an expansion step.
        flip: probability that a boundary pixel flips in a step.
        ndim: 2 or 3.

    Raises:
        ConfigError: a parameter out of its range.
    """
    _check(steps, expand, flip, ndim)
    table, lean, travel = _table(ndim), abs(2 * expand - 1), steps * flip

    def between(travel: float) -> float:
        coins = math.sqrt(travel * flip * expand * (1 - expand))
        return coins * table.read("between", travel, lean, flip)

    def within(travel: float) -> float:
        return table.read("within", travel, lean, flip)

    return FrontSpread(
        table.estimate("between", between, travel, lean, flip),
        table.estimate("within", within, travel, lean, flip),
    )


def expected_bias_mm(
    *,
    steps: int,
    expand: float,
    flip: float,
    spacing_mm: Sequence[float],
    of: Literal["level", "mean"] = "level",
) -> Estimate:
    """Bias that Markov noise puts into labels, with the sign of `labelmend.geometry.boundary_bias`.

    Negative: labels too large (`expand` above 0.5); positive: too small. The result is the mean over the
    boundary of a body with normals of all directions alike, such as a ball in mm.

    A step is a step of voxels. A boundary with normal n (in mm) that has moved by v voxels in the voxel grid
    has moved by v |(s_i n_i)| mm for spacings s_i: farther along coarse axes, about v s_i across axis i.

    `boundary_bias` of digital masks reads up to 0.4 voxels less: it looks for the nearest pixel, and the
    nearest of a staircase juts out.

    Args:
        steps: number of steps.
        expand: probability of an expansion step.
        flip: probability that a boundary pixel flips in a step.
        spacing_mm: per axis, two or three of them.
        of: "level", where half of all masks hold a pixel, which is what a network learns; or "mean", the
            volume gained per area of boundary, which is what one mask has on average.

    Raises:
        ConfigError: a parameter out of its range.
        GeometryError: a spacing that is not positive.

    >>> bias = expected_bias_mm(steps=180, expand=0.8, flip=0.05, spacing_mm=(1.4, 1.4))
    >>> -15.5 < bias.value < -14
    True
    """
    if of not in ("level", "mean"):
        raise ConfigError(f"of must be 'level' or 'mean', got {of!r}")
    spacing = check_spacing(tuple(spacing_mm), len(tuple(spacing_mm)))
    measure = front_level_vox if of == "level" else front_drift_vox
    front = measure(steps=steps, expand=expand, flip=flip, ndim=len(spacing))
    tilt = _table(len(spacing)).read("tilt", steps * flip, abs(2 * expand - 1), flip)
    stretch, tilted = _stretch(spacing)
    shift = front.value * tilt * tilted
    # Half of the term in the direction stands for its higher harmonics, which are not measured.
    return Estimate(-(front.value * stretch + shift) + 0.0, math.hypot(front.error * stretch, shift / 2))


def steps_for_bias(
    bias_mm: float,
    *,
    expand: float,
    flip: float,
    spacing_mm: Sequence[float],
    of: Literal["level", "mean"] = "level",
) -> int:
    """The number of steps whose expected bias comes closest to the one wanted.

    Args:
        bias_mm: negative for labels too large, positive for labels too small.
        expand: probability of an expansion step; above 0.5 for a negative bias, below for a positive one.
        flip: probability that a boundary pixel flips in a step.
        spacing_mm: per axis, two or three of them.
        of: as in `expected_bias_mm`.

    Raises:
        ConfigError: `expand` does not lead to a bias of this sign, or not within a million steps.

    >>> steps_for_bias(-3.0, expand=0.8, flip=0.05, spacing_mm=(1.0, 1.0))
    65
    """
    if not math.isfinite(bias_mm):
        raise ConfigError(f"the bias wanted must be a number, got {bias_mm}")

    def reached(steps: int) -> float:
        found = expected_bias_mm(steps=steps, expand=expand, flip=flip, spacing_mm=spacing_mm, of=of)
        return abs(found.value)

    if bias_mm == 0:
        return 0
    if (0.5 - expand) * bias_mm <= 0 or flip == 0:
        raise ConfigError(
            f"expand {expand} with flip {flip} gives no bias of {bias_mm} mm: "
            f"expand must lie above 0.5 for a negative bias, below for a positive one, and flip above 0"
        )
    low, high = 0, 1
    while reached(high) < abs(bias_mm):
        if high == MAX_STEPS:
            raise ConfigError(
                f"{bias_mm} mm is not reached in {MAX_STEPS:,} steps: raise flip, or and expand is {expand}"
            )
        low, high = high, min(2 * high, MAX_STEPS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reached(middle) < abs(bias_mm) else (low, middle)
    return min((low, high), key=lambda steps: abs(reached(steps) - abs(bias_mm)))


class _Table:
    """Measured fronts of one number of dimensions, read between the settings measured."""

    def __init__(self, held: dict[str, Any]) -> None:
        self.travels = held["travel"]
        self.errors = held["errors"]
        axes = (np.array(held["flip"]), 2 * np.array(held["expand"]) - 1, np.log1p(held["travel"]))
        self.fields = {
            name: RegularGridInterpolator(axes, np.array(held[name]), method="pchip")
            for name in ("gain", "lead", "tilt", "between", "within")
        }

    def read(self, name: str, travel: float, lean: float, flip: float) -> float:
        """A measured field; beyond the longest travel, its last value."""
        place = (flip, lean, math.log1p(min(travel, self.travels[-1])))
        return float(np.ravel(self.fields[name](place))[0])

    def drift(self, travel: float, lean: float, flip: float) -> float:
        """The mean displacement: the naive one times its gain."""
        return travel * lean * self.read("gain", travel, lean, flip)

    def estimate(
        self,
        name: str,
        length: Callable[[float], float],
        travel: float,
        lean: float,
        flip: float,
        sign: float = 1,
    ) -> Estimate:
        """A length at some travel with its error; beyond the longest travel, at the last speed."""
        if travel == 0:
            return Estimate(0.0, 0.0)
        last, before = self.travels[-1], self.travels[-2]
        beyond = max(0.0, travel - last)
        moved = beyond * (length(last) - length(before)) / (last - before)
        value = length(min(travel, last)) + moved
        errors = self.errors[name]
        error = math.hypot(errors["share"] * value, errors["vox"], UNSURE_BEYOND * moved)
        return Estimate(sign * value, error)


@cache
def _table(ndim: int) -> _Table:
    text = resources.files("labelmend.theory").joinpath("markov_front.json").read_text(encoding="utf-8")
    return _Table(json.loads(text)[f"{ndim}-D"])


def _stretch(spacing_mm: tuple[float, ...]) -> tuple[float, float]:
    """Means of |(s_i n_i)| and of its product with the cubic harmonic, over all directions n in mm."""
    normals, weights = _directions(len(spacing_mm))
    scaled = normals * spacing_mm
    length = np.sqrt((scaled**2).sum(axis=1))
    fourth = ((scaled / length[:, None]) ** 4).sum(axis=1)
    harmonic = 4 * fourth - 3 if len(spacing_mm) == 2 else (5 * fourth - 3) / 2
    return float(weights @ length), float(weights @ (length * harmonic))


@cache
def _directions(ndim: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors `(m ndim)` and weights `(m,)` that sum to 1, for means over all directions."""
    if ndim == 2:
        angles = (np.arange(720) + 0.5) * 2 * np.pi / 720
        return np.column_stack([np.cos(angles), np.sin(angles)]), np.full(720, 1 / 720)
    heights, height_weights = np.polynomial.legendre.leggauss(64)
    angles = (np.arange(128) + 0.5) * 2 * np.pi / 128
    flat = np.sqrt(1 - heights**2)[:, None]
    vectors = np.stack(
        [flat * np.cos(angles), flat * np.sin(angles), np.broadcast_to(heights[:, None], (64, 128))], axis=-1
    )
    return vectors.reshape(-1, 3), np.repeat(height_weights / 2 / 128, 128)


def _check(steps: int, expand: float, flip: float, ndim: int) -> None:
    whole = isinstance(steps, int | np.integer) and not isinstance(steps, bool)
    if not whole or not 0 <= steps <= MAX_STEPS:
        raise ConfigError(f"noise steps must be a whole number from 0 to {MAX_STEPS:,}, got {steps}")
    for name, value in {"expand": expand, "flip": flip}.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"noise {name} is a probability and must lie in [0, 1], got {value}")
    if ndim not in (2, 3):
        raise ConfigError(f"fronts were measured in 2 and 3 dimensions, got {ndim}")
