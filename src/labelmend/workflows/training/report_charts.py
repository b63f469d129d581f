"""Charts of the training report: biases by class, and Dice from given to corrected labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labelmend.html.charts import nice_step
from labelmend.workflows.training.report_summary import ClassBias

LEAST_SIDE = 0.14
"""Share of a bias axis kept free on the side where nothing lies, so that its name fits."""


@dataclass(frozen=True)
class BiasAxis:
    """A horizontal axis from "too small" (left) to "too large" (right), shared by all classes of a run.

    Args:
        start: size at the left end; sizes are the bias with its sign turned: positive = too large.
        stop: size at the right end.
        ticks: sizes with a mark.
    """

    start: float
    stop: float
    ticks: tuple[float, ...]

    def at(self, size: float) -> float:
        """Position in [0, 1]."""
        return (size - self.start) / (self.stop - self.start)


def bias_axis(biases: Sequence[ClassBias]) -> BiasAxis:
    """The axis that holds zero, every mean and every interval."""
    sizes = [0.0]
    for bias in biases:
        sizes += [-value for value in (bias.mean, bias.low, bias.high) if value is not None]
    low, high = min(sizes), max(sizes)
    span = (high - low) or 1.0
    low, high = min(low - 0.06 * span, -LEAST_SIDE * span), max(high + 0.06 * span, LEAST_SIDE * span)
    step = nice_step((high - low) / 5)
    marks = range(math.ceil(low / step), math.floor(high / step) + 1)
    return BiasAxis(low, high, tuple(round(step * mark, 10) for mark in marks))


@dataclass(frozen=True)
class Slopes:
    """Dice to clean before and after, one line a case, on an axis from `bottom` to 1.

    Args:
        pairs: (given, corrected) of each case where both are known.
        bottom: lower end of the axis.
        ticks: Dice values with a mark.
    """

    pairs: tuple[tuple[float, float], ...]
    bottom: float
    ticks: tuple[float, ...]

    @property
    def mean(self) -> tuple[float, float]:
        """Mean of both ends."""
        n = len(self.pairs)
        return sum(p[0] for p in self.pairs) / n, sum(p[1] for p in self.pairs) / n

    def down(self, value: float) -> float:
        """How far below the top, in [0, 1]."""
        return (1 - value) / (1 - self.bottom)


def slopes(per_class: Sequence[Sequence[tuple[float, float]]]) -> list[Slopes]:
    """One slope chart a class, on a common axis that begins at the tenth below the lowest value."""
    lowest = min((value for pairs in per_class for pair in pairs for value in pair), default=0.0)
    bottom = min(0.9, math.floor(lowest * 10) / 10)
    every = 1 if bottom >= 0.5 else 2
    ticks = tuple(tenth / 10 for tenth in range(10, round(bottom * 10) - 1, -every))
    return [Slopes(tuple(pairs), bottom, ticks) for pairs in per_class]
