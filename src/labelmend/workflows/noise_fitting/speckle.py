"""Estimate speckle and smoothing from given masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from labelmend.geometry import frontier
from labelmend.metrics.intervals import Interval, interval_of
from labelmend.noise.markov import markov_noise
from labelmend.runtime.randomness import case_generator
from labelmend.types import BoolArray, FloatArray
from labelmend.workflows.noise_fitting.displacement import Displacement

SPURS, SPURS_IN_3D = 0.04, 0.015
"""Largest fraction of spurs among boundary pixels in smooth masks."""

LEAST_SHARE = 0.002
"""Below this fraction, wrong pixels far from the outlines are attributed to the walk, not speckle."""


def looks_smooth(masks: Sequence[BoolArray]) -> bool:
    """Whether the masks have few one-pixel spurs, as after smoothing or careful drawing.

    A spur is a boundary pixel with at most one face-neighbour on its own side. In 2-D a Markov walk of ten
    steps at a flip of 0.02 makes 7 % of the boundary pixels spurs, and a long one 20 %; after smoothing 2 %
    are, and the limit is 4 %. In 3-D it is 3 %, 10 % and 0.5 %, and the limit is 1.5 %.

    Args:
        masks: `(*space)` booleans each, without specks; at least one.

    >>> jagged = np.zeros((9, 9), bool)
    >>> jagged[3:6, 3:6] = jagged[4, 7] = True
    >>> looks_smooth([jagged])
    False
    """
    spurs = edge = 0
    for mask in masks:
        alike = np.zeros(mask.shape, np.int8)
        for axis in range(mask.ndim):
            low = (*[slice(None)] * axis, slice(None, -1))
            high = (*[slice(None)] * axis, slice(1, None))
            same = mask[low] == mask[high]
            alike[low] += same
            alike[high] += same
        inner = tuple(slice(1, -1) for _ in mask.shape)
        near = (frontier(mask, outer=True) | frontier(mask, outer=False))[inner]
        spurs += int(((alike[inner] <= 1) & near).sum())
        edge += int(near.sum())
    return spurs <= (SPURS_IN_3D if masks[0].ndim == 3 else SPURS) * edge


def estimate_speckle(
    measured: Sequence[Displacement], boot: FloatArray, level: float, smooth: bool, ndim: int, seed: int
) -> Interval:
    """The speckle probability from the fraction of wrong pixels far from both outlines."""
    n_deep = np.array([float(d.n_deep) for d in measured])
    wrong = np.array([d.speck_share * d.n_deep if d.n_deep else 0.0 for d in measured])
    weights = np.vstack([np.full(len(measured), 1 / len(measured)), boot])
    share = (weights @ wrong) / np.maximum(weights @ n_deep, 1e-9)
    if smooth and ndim in (2, 3):
        share = speckle_before_smoothing(share, ndim, seed)
    else:
        share = np.where(share < LEAST_SHARE, 0.0, share)
    return interval_of(share, level, len(measured))


def speckle_before_smoothing(share: FloatArray, ndim: int, seed: int = 0) -> FloatArray:
    """The speckle probability that leaves a given fraction of wrong pixels after smoothing.

    Args:
        share: fractions of wrong pixels; below 2 in 100,000 the result is 0.
        ndim: 2 or 3, which are smoothed differently.
        seed: random seed of the simulated curve, which in 2-D is exact.

    Returns:
        Probabilities, same shape as `share`.

    >>> speckle_before_smoothing(np.array([0.000684, 0.0]), ndim=2).round(3)
    array([0.201, 0.   ])
    """
    tried = np.arange(0.1, 0.5, 0.01)
    left = _left_in_2d(tried) if ndim == 2 else _left_in_3d(tried, seed)
    curve = np.log(np.maximum(np.maximum.accumulate(left), 1e-9))
    share = np.asarray(share, float)
    found = np.interp(np.log(np.maximum(share, 1e-12)), curve + 1e-9 * np.arange(curve.size), tried)
    return np.where(share < 2e-5, 0.0, found)


def _left_in_2d(speckle: FloatArray) -> FloatArray:
    """Exact probability that flipped pixels have half of the weight of the 5x5 Gaussian with sigma 2."""
    line = np.exp(-(np.arange(-2, 3) ** 2) / 8)
    kernel = np.outer(line, line) / line.sum() ** 2
    weights, times = np.unique(kernel.round(12), return_counts=True)
    held, chance = np.zeros(1), np.ones((1, speckle.size))
    for weight, n in zip(weights, times, strict=True):
        flipped = np.arange(n + 1)
        held = (held[:, None] + weight * flipped).ravel()
        chance = (chance[:, None] * binom.pmf(flipped[:, None], n, speckle)).reshape(-1, speckle.size)
    left: FloatArray = chance[held >= 0.5].sum(axis=0)
    return left


def _left_in_3d(speckle: FloatArray, seed: int) -> FloatArray:
    """The same in 3-D by simulation: fraction of wrong voxels in a solid block."""
    solid = np.ones((90, 90, 90), bool)
    wrong = [
        1 - markov_noise(solid, case_generator(seed, "speckle"), steps=0, expand=0, flip=0,
                         speckle=float(p), smooth=True).mean()
        for p in speckle[::3]
    ]  # fmt: skip
    return np.exp(np.interp(speckle, speckle[::3], np.log(np.maximum(wrong, 1e-9))))
