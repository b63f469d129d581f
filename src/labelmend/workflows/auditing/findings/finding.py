"""What an audit finds: one thing that looks wrong in one case, with a score, a reason and a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from labelmend.errors import ConfigError
from labelmend.types import Grid

Kind = Literal["case", "missing", "spurious", "wrong_class", "outline", "fault"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Frame:
    """An annotation without its pixels: what sentences in mm need.

    Args:
        classes: names of the classes.
        grid: of the pixels.
    """

    classes: tuple[str, ...]
    grid: Grid

    @property
    def names(self) -> tuple[str, ...]:
        """The same, as `LabelMap.names`."""
        return self.classes


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    Args:
        kind: "case": the whole annotation; "missing", "spurious", "wrong_class": an object; "outline": a
            stretch of a boundary; "fault": visible without a prediction.
        class_name: the class that is, or should be, annotated there; empty if it concerns no class.
        score: in [0, 1], higher is more certain; comparable within a kind.
        reason: one sentence in words and mm.
        box: `[start, stop)` along each array axis; None: the whole case.
        size_mm: area of an object in mm2 (volume in mm3), length of a stretch of outline in mm (area in mm2);
            in pixels if the grid has no unit.
        offset_mm: mean distance of an outline from the predicted one; positive: too wide.
        other: for a wrong class, the given class; for an outline, the class that it runs into; else empty.
    """

    kind: Kind
    class_name: str
    score: float
    reason: str
    box: Box | None = None
    size_mm: float = math.nan
    offset_mm: float = math.nan
    other: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"no kind of finding called {self.kind!r}: there are {', '.join(KINDS)}")
        if not 0 <= self.score <= 1:
            raise ConfigError(f"a score lies in [0, 1], got {self.score}")


def measured(value: float, ndim: int, unit: str) -> str:
    """A length, area or volume as text, with a useful number of digits.

    Args:
        value: the measure.
        ndim: 1 for a length, 2 for an area, 3 for a volume.
        unit: "mm" or "px".

    >>> measured(3.14159, 1, "mm"), measured(1234.5, 2, "mm"), measured(12345678, 3, "mm")
    ('3.1 mm', '12 cm2', '12,346 ml')
    """
    if unit == "mm" and ndim == 2 and value >= 100:
        return f"{_short(value / 100)} cm2"
    if unit == "mm" and ndim == 3 and value >= 1000:
        return f"{_short(value / 1000)} ml"
    power = "" if ndim == 1 else str(ndim)
    return f"{_short(value)} {unit}{power if unit == 'mm' else ''}"


def titled(name: str) -> str:
    """The name of a class at the beginning of a sentence.

    >>> titled("lung"), titled("1")
    ('lung', 'label 1')
    """
    return f"label {name}" if name.isdigit() else name


def _short(value: float) -> str:
    return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Most certain first; equal scores stay in order."""
    return tuple(sorted(findings, key=lambda finding: -finding.score))
