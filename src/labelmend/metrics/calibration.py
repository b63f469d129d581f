"""Whether probabilities mean what they say, the temperature that makes them, and whether they are
out-of-sample.

Everything here is counted case by case and added up, so that no array outlives its case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelmend.types import BoolArray, FloatArray

TEMPERATURES: FloatArray = np.geomspace(0.25, 4.0, 17)
N_BINS = 15
MOST_PIXELS = 2000
"""Of a case: enough for sums over a data set, and quick."""

LEAST_PROB = 1e-4
"""Probabilities in 16 bits end near here; below it the logarithm says nothing."""

IN_SAMPLE = 0.9
"""Mean probability of the given class on both sides of given outlines, above which it is too good to be
true."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Counts of pixels by confidence, and what each temperature would lose; of cases, to be added up.

    Args:
        n: `(N_BINS)` pixels by the probability of the predicted class.
        confidence: `(N_BINS)` sums of it.
        right: `(N_BINS)` how many of them are given as predicted.
        losses: `(TEMPERATURES)` sums over pixels of the negative log-probability of the given class.
        at_outlines: sum over pixels at given outlines of the probability of the given class.
        n_at_outlines: how many they are.
    """

    n: FloatArray
    confidence: FloatArray
    right: FloatArray
    losses: FloatArray
    at_outlines: float
    n_at_outlines: int

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.n + other.n,
            self.confidence + other.confidence,
            self.right + other.right,
            self.losses + other.losses,
            self.at_outlines + other.at_outlines,
            self.n_at_outlines + other.n_at_outlines,
        )

    @property
    def error(self) -> float:
        """Expected calibration error: mean gap between confidence and the share given as predicted."""
        return float(np.abs(self.confidence - self.right).sum() / max(self.n.sum(), 1))

    @property
    def temperature(self) -> float:
        """What logits are divided by so that the given labels are likeliest; above 1: too sure of itself.

        1 where no pixel is known.
        """
        if not self.n.any():
            return 1.0
        return float(TEMPERATURES[self.losses.argmin()])

    @property
    def looks_in_sample(self) -> bool:
        """Whether the network seems to know these very labels: it is sure of them even at their outlines."""
        return self.n_at_outlines > 0 and self.at_outlines / self.n_at_outlines > IN_SAMPLE


def calibration_of(given: NDArray[np.integer], probs: FloatArray, at_outlines: BoolArray) -> Calibration:
    """The counts of one case.

    Args:
        given: `(n)` index of the class of each known pixel, 0 the background.
        probs: `(k+1 n)` their probabilities.
        at_outlines: `(n)` booleans, True beside a given outline.
    """
    edge = np.flatnonzero(at_outlines)
    outlines = float(probs[given[edge], edge].sum(dtype=np.float64)), len(edge)
    step = max(1, -(-len(given) // MOST_PIXELS))
    given, probs = given[::step].astype(np.intp), probs[:, ::step].astype(np.float32)
    sure = probs.max(axis=0)
    number = np.minimum((sure * N_BINS).astype(np.intp), N_BINS - 1)
    n = np.bincount(number, minlength=N_BINS).astype(float)
    logs = np.log(np.maximum(probs, LEAST_PROB))
    logs -= logs.max(axis=0)
    own = np.take_along_axis(logs, given[None], axis=0)[0]
    return Calibration(
        n,
        np.bincount(number, sure, N_BINS).astype(float),
        np.bincount(number, probs.argmax(axis=0) == given, N_BINS).astype(float),
        np.array([_loss(own, logs, t) for t in TEMPERATURES]),
        *outlines,
    )


def scaled(probs: FloatArray, temperature: float) -> FloatArray:
    """Probabilities at another temperature.

    Args:
        probs: `(k+1 *space)`, summing to one along the first axis.
        temperature: above 1 makes them less sure.

    >>> scaled(np.array([[0.8], [0.2]]), 2.0).round(3).ravel().tolist()
    [0.667, 0.333]
    """
    wide = probs.astype(np.result_type(probs, np.float32), copy=False)  # 16 bits hold no small powers
    powers = np.maximum(wide, LEAST_PROB) ** (1 / temperature)
    return powers / powers.sum(axis=0)


def _loss(own: FloatArray, logs: FloatArray, temperature: float) -> float:
    """Sum over pixels, of logarithms that are 0 for the likeliest class."""
    total = np.log(np.exp(logs / temperature).sum(axis=0))
    return float((total - own / temperature).sum(dtype=np.float64))


IN_SAMPLE_WARNING = (
    "The probabilities look as if the network had been trained on these very labels: it is sure of them even "
    "at their outlines. It then repeats errors instead of {} them. Use predictions of cases that were held "
    "out, as cross-validation gives them."
)
"""To be completed by what is asked of the probabilities."""
