"""Where things lie in the small charts of the report: numbers in, positions out; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def nice_step(raw: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `raw`.

    >>> [nice_step(raw) for raw in (0.3, 1.1, 3.0)]
    [0.5, 2.0, 5.0]
    """
    power = 10.0 ** math.floor(math.log10(raw))
    return next(round(m * power, 12) for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


WIDTH, HEIGHT = 400.0, 150.0
"""Size of a chart in units of its SVG."""


@dataclass(frozen=True)
class Dots:
    """Estimates with intervals on one axis, a row each.

    Args:
        rows: (name, x, x of the low end, x of the high end, text); ends are None without interval.
        ticks: (x, text) of each mark.
        zero: x of zero.
        height: of the chart.
    """

    rows: tuple[tuple[str, float, float | None, float | None, str], ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float
    height: float


def dots(
    rows: Sequence[tuple[str, Mapping[str, float | None]]], unit: str, *, signed: bool, digits: int = 2
) -> Dots:
    """A chart of estimates with intervals, zero on its axis.

    Args:
        rows: (name, interval) each; an interval has value, low and high, None where unknown.
        unit: for the text beside them.
        signed: write a plus before positive values.
        digits: decimals of the text.
    """
    every = [v for _, row in rows for v in row.values() if v is not None]
    low, high = min([0.0, *every]), max([0.0, *every])
    pad = 0.06 * ((high - low) or 1.0)
    low, high = (low - pad if low < 0 else low), high + pad

    def across(value: float) -> float:
        return round(WIDTH * (value - low) / (high - low), 2)

    made = []
    for name, row in rows:
        value, ends = row["value"], (row["low"], row["high"])
        if value is None:
            continue
        places = [None if end is None else across(end) for end in ends]
        made.append((name, across(value), *places, f"{interval_text(row, digits, signed=signed)} {unit}"))
    return Dots(tuple(made), _ticks(low, high, across), across(0.0), 26.0 * len(made) + 8)  # type: ignore[arg-type]


def interval_text(row: Mapping[str, float | None], digits: int = 2, signed: bool = False) -> str:
    """`1.20 (1.10 to 1.31)`, without the bracket where there is no interval.

    >>> interval_text({"value": 1.2, "low": 1.1, "high": 1.31})
    '1.20 (1.10 to 1.31)'
    """
    value, low, high = row["value"], row["low"], row["high"]
    if value is None:
        return "not known"
    sign = "+" if signed else ""
    text = f"{value:{sign}.{digits}f}"
    return (
        text if low is None or high is None else f"{text} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"
    )


def _ticks(low: float, high: float, across: Any) -> tuple[tuple[float, str], ...]:
    step = nice_step((high - low) / 5)
    marks = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return tuple((across(step * mark), f"{round(step * mark, 10):g}") for mark in marks)
