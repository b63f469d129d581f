"""Search for Markov settings: simulated designs, response surfaces of their moments, the nearest point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.errors import DataError
from labelmend.noise.markov import MAX_STEPS, MarkovNoise, markov_noise
from labelmend.runtime.randomness import case_generator
from labelmend.types import FloatArray
from labelmend.workflows.noise_fitting.displacement import Displacement, Pair

COARSE_CASES, POINTS, MORE_ROUNDS, REACH = 12, 14, 4, 1.4
FEWEST_FOR_COVARIANCE = 10
LEAST_BOX, MOST_BOX = np.array([0.2, 0.06]), np.array([0.8, 0.35])
"""Half-widths of the last design in log(steps flip) and in 2 expand - 1."""


@dataclass(frozen=True, eq=False)
class Cases:
    """The cases to fit, with their statistics."""

    pairs: list[Pair]
    measured: list[Displacement]

    @classmethod
    def of(
        cls, pairs: Sequence[Pair], measured: Sequence[Displacement] | None, max_cases: int, seed: int
    ) -> Cases:
        found = [pair.against_clean(pair.given) for pair in pairs] if measured is None else list(measured)
        usable = [i for i, d in enumerate(found) if math.isfinite(d.bias_mm)]
        if not usable:
            raise DataError(
                f"none of {len(pairs)} cases has a boundary in both masks: check that both folders hold this "
                "class"
            )
        order = case_generator(seed, "cases").permutation(len(usable))[:max_cases]
        chosen = [usable[i] for i in (order if len(usable) > max_cases else range(len(usable)))]
        return cls([pairs[i] for i in chosen], [found[i] for i in chosen])

    def first(self, n: int) -> Cases:
        """At most this many of them, evenly spaced."""
        chosen = np.unique(np.linspace(0, len(self.pairs) - 1, min(n, len(self.pairs))).astype(int))
        return Cases([self.pairs[i] for i in chosen], [self.measured[i] for i in chosen])

    def simulate(self, noise: MarkovNoise, seed: int, point: str, *, details: bool) -> list[Displacement]:
        """Statistics of every clean mask under the noise; NaN if the structure vanished."""
        found = []
        for index, pair in enumerate(self.pairs):
            rng = case_generator(seed, point, str(index))
            noisy = markov_noise(
                pair.clean, rng, steps=noise.steps, expand=noise.expand, flip=noise.flip,
                speckle=noise.speckle, smooth=noise.smooth,
            )  # fmt: skip
            found.append(pair.against_clean(noisy, details=details))
        return found

    @property
    def voxel(self) -> float:
        """Size of a voxel in mm."""
        spacing = self.pairs[0].spacing_mm or (1.0,)
        return float(np.exp(np.mean(np.log(spacing))))


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best point (log of steps times flip, 2 expand - 1), overall and per replicate, and more."""

    best: FloatArray
    boot: FloatArray
    distance: float
    moments: FloatArray
    surface: FloatArray
    spread: FloatArray


class Search:
    """The search for steps and expand at one flip."""

    def __init__(self, cases: Cases, known: MarkovNoise, seed: int, tick: Callable[[str], None]) -> None:
        self.cases, self.known, self.seed, self.tick = cases, known, seed, tick
        self.floor = 0.05 * cases.voxel
        self.data = _stats(cases.measured, self.floor)

    def noise(self, place: FloatArray) -> MarkovNoise:
        """The settings at a point."""
        steps = int(np.clip(round(math.exp(place[0]) / self.known.flip), 1, MAX_STEPS))
        expand = float(np.clip((1 + place[1]) / 2, 0, 1))
        k = self.known
        return MarkovNoise(steps=steps, expand=expand, flip=k.flip, speckle=k.speckle, smooth=k.smooth)

    def simulated(self, cases: Cases, place: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The nearest point with integer steps, and `(n 2)` bias and log roughness there."""
        noise = self.noise(place)
        real = np.array([math.log(noise.steps * noise.flip), 2 * noise.expand - 1])
        name = f"{noise.steps} {noise.expand:.6f} {noise.flip}"
        found = _stats(cases.simulate(noise, self.seed, name, details=False), self.floor)
        self.tick(f"flip {noise.flip:g}")
        return real, found

    def coarse(self) -> FloatArray:
        """The best point of a coarse grid, on a few cases."""
        few = self.cases.first(COARSE_CASES)
        data = _stats(few.measured, self.floor)
        scale = np.maximum(data.std(axis=0), [0.3 * self.cases.voxel, 0.2])
        best = math.inf
        place: FloatArray = np.zeros(2)
        for candidate in _coarse_grid(self.cases, self.known.flip):
            real, sim = self.simulated(few, candidate)
            z = np.nan_to_num((np.nanmean(sim, axis=0) - data.mean(axis=0)) / scale, nan=1e3)
            if float(z @ z) < best:
                best, place = float(z @ z), real
        return place

    def refine(self, start: FloatArray, boot: FloatArray, widths: Sequence[float]) -> SearchResult:
        """Designs around the best point so far, each narrower; the last as wide as the sampling error.

        A design whose best point is near its edge is repeated around that point.
        """
        centre, places, stats = start, [], []
        half = LEAST_BOX * widths[0]
        found = None
        left = list(widths)
        extra = MORE_ROUNDS
        while left:
            width = left.pop(0)
            if width:
                half = np.minimum(LEAST_BOX * width, MOST_BOX)
            elif found is not None and len(found.boot) > 1:
                half = np.clip(2.0 * found.boot.std(axis=0), LEAST_BOX, MOST_BOX)
            for point in _design(POINTS, centre, half):
                real, sim = self.simulated(self.cases, point)
                places.append(real)
                stats.append(sim)
            apart = np.abs(np.array(places) - centre)
            near = np.flatnonzero(np.all(apart <= 1.3 * half + 1e-9, axis=1))
            known = np.array(places)[near], np.array(stats)[near]
            found = _solve(self.data, *known, boot, centre, REACH * half)
            at_edge = np.abs(found.best - centre) > 0.6 * REACH * half
            if at_edge.any() and extra and abs(found.best[1]) < 0.99:
                left.insert(0, width)
                extra -= 1
            centre = found.best
        assert found is not None
        return found


def n_points(cases: Cases, flip: float, n_more: int) -> int:
    """Number of design points that a fit simulates."""
    profile = (1 + n_more) * 2 * POINTS if n_more else 0
    return len(_coarse_grid(cases, flip)) + 3 * POINTS + profile


def _coarse_grid(cases: Cases, flip: float) -> list[FloatArray]:
    """Plausible points: walks whose drift does not far exceed the bias of the data."""
    bias = float(np.mean([d.bias_mm for d in cases.measured])) / cases.voxel
    side = -1.0 if bias < 0 else 1.0
    return [
        np.array([math.log(2.0**power), side * tilt])
        for power in range(-4, 7)
        for tilt in (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
        if 2.0**power * tilt <= 1.5 * abs(bias) + 0.5 and 2.0**power / flip <= MAX_STEPS
    ]


def _design(n: int, centre: FloatArray, half: FloatArray) -> FloatArray:
    """Evenly scattered points in a box, `2 expand - 1` within [-1, 1]."""
    steps = np.arange(1, n + 1)[:, None] * np.array([0.7548776662, 0.5698402910])
    unit = 2 * ((0.5 + steps) % 1) - 1
    places = centre + unit * half
    low, high = np.maximum(centre[1] - half[1], -1), np.minimum(centre[1] + half[1], 1)
    places[:, 1] = low + (unit[:, 1] + 1) / 2 * (high - low)
    return places


def _stats(measured: Sequence[Displacement], floor: float) -> FloatArray:
    """`(n 2)`: bias, and the logarithm of the roughness with a floor far below a voxel."""
    rough = np.maximum([d.roughness_mm for d in measured], floor)
    return np.stack([np.array([d.bias_mm for d in measured]), np.log(rough)], axis=1)


def _matched(stats: FloatArray, weights: FloatArray, floor: float) -> FloatArray:
    """`(n_boot ... 3)` matched moments of `(... n 2)` statistics under `(n_boot n)` weights of cases."""
    there = np.asarray(np.all(np.isfinite(stats), axis=-1))
    filled = np.where(np.expand_dims(there, -1), stats, 0.0)
    mass = np.maximum(np.einsum("bn,...n->b...", weights, there.astype(float)), 1e-12)
    mean = np.einsum("bn,...nj->b...j", weights, filled) / mass[..., None]
    square = np.einsum("bn,...n->b...", weights, filled[..., 0] ** 2) / mass
    sd = np.sqrt(np.maximum(square - mean[..., 0] ** 2, floor**2))
    return np.stack([mean[..., 0], np.log(sd), mean[..., 1]], axis=-1)


def _solve(
    data: FloatArray,
    places: FloatArray,
    stats: FloatArray,
    boot: FloatArray,
    centre: FloatArray,
    reach: FloatArray,
) -> SearchResult:
    """The point where simulated and given moments are nearest, overall and per bootstrap replicate."""
    n = len(data)
    floor = 0.05 * math.exp(float(np.min(data[:, 1])))
    weights = np.vstack([np.full(n, 1 / n), boot])
    given, simulated = _matched(data, weights, floor), _matched(stats, weights, floor)
    usable = n >= 2
    columns = [0, 1, 2] if usable else [0, 2]
    precision, spread = _precision(data, given[1:], simulated[1:], columns)
    inverse = np.linalg.pinv(_terms((places - centre) / reach))
    surface = np.einsum("cd,bdj->bcj", inverse, simulated)
    ticks = np.linspace(-1, 1, 57)
    grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    grid = np.compress(np.abs(centre[1] + grid[:, 1] * reach[1]) <= 1, grid, axis=0)
    terms = _terms(grid)
    best, least = np.empty((len(weights), 2)), math.inf
    for index in range(len(weights)):
        gap = (terms @ surface[index] - given[index])[:, columns]
        distance = np.einsum("gj,jk,gk->g", gap, precision, gap)
        chosen = int(distance.argmin())
        best[index] = centre + grid[chosen] * reach
        least = float(distance[chosen]) if index == 0 else least
    fitted = _terms((best[:1] - centre) / reach) @ surface[0]
    return SearchResult(best[0], best[1:], least, given[0], fitted[0], spread)


def _precision(
    data: FloatArray, given: FloatArray, simulated: FloatArray, columns: list[int]
) -> tuple[FloatArray, FloatArray]:
    """Inverse covariance of the matched moments over cases, and the standard errors of all three."""
    n = len(data)
    centred = data - data.mean(axis=0)
    variance = np.maximum((centred**2).mean(axis=0), 1e-12)
    influence = np.stack([centred[:, 0], 0.5 * (centred[:, 0] ** 2 / variance[0] - 1), centred[:, 1]], axis=1)
    covariance = influence.T @ influence / n**2
    least = np.array([0.02, 0.1, 0.02]) ** 2 / n
    covariance[np.diag_indices(3)] += least * (10 if n < FEWEST_FOR_COVARIANCE else 1)
    if n < FEWEST_FOR_COVARIANCE:
        covariance = np.diag(np.diag(covariance))
    gap = given - simulated.mean(axis=1)
    spread = gap.std(axis=0) if len(gap) > 1 else np.full(3, math.nan)
    return np.linalg.inv(covariance[np.ix_(columns, columns)]), spread


def _terms(places: FloatArray) -> FloatArray:
    """Terms of a quadratic in two variables."""
    x, y = places[:, 0], places[:, 1]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
