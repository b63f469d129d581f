"""What was learned about the noise of masks, and how it is shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.html.result import Result
from labelmend.metrics.intervals import Interval
from labelmend.workflows.noise_fitting.displacement import Displacement
from labelmend.workflows.noise_fitting.markov import MarkovFit, flags
from labelmend.workflows.noise_fitting.raters import RaterFit

BINS = 40


@dataclass(frozen=True)
class ClassNoise:
    """What was learned about one class.

    Args:
        name: of the class.
        cases: ids of the cases measured.
        measured: one per case; NaN where a boundary is missing.
        summary: bias, spread, roughness, Dice and so on, with intervals over cases.
        fit: the Markov settings.
    """

    name: str
    cases: tuple[str, ...]
    measured: tuple[Displacement, ...]
    summary: Mapping[str, Interval]
    fit: MarkovFit

    @property
    def n_left_out(self) -> int:
        """Cases without a boundary in one of the folders."""
        return sum(not math.isfinite(d.bias_mm) for d in self.measured)

    def as_dict(self) -> dict[str, Any]:
        """Everything in what JSON knows."""
        fit = dataclasses.asdict(dataclasses.replace(self.fit, simulated=()))
        del fit["simulated"]
        return {
            "class": self.name,
            "n_cases": len(self.cases),
            "n_left_out": self.n_left_out,
            "summary": {name: dataclasses.asdict(value) for name, value in self.summary.items()},
            "fit": fit,
            "flags": flags(self.fit.noise),
            "histogram": _histogram(self.measured, self.fit.simulated),
            "given": [_row(d, case) for case, d in zip(self.cases, self.measured, strict=True)],
            "simulated": [_row(d) for d in self.fit.simulated],
        }


@dataclass(frozen=True, eq=False, repr=False)
class NoiseFit(Result):
    """What `fit_noise` found.

    Args:
        given: folder of the given labels.
        clean: folder of the clean labels.
        unit: of all lengths; "px" where no spacing is known.
        level: of the intervals.
        classes: one a class.
        notes: sentences on what headers say.
    """

    given: Path
    clean: Path
    unit: str
    level: float
    classes: tuple[ClassNoise, ...]
    notes: tuple[str, ...] = ()

    def headline(self) -> str:
        """What was measured."""
        return (
            f"Noise of {len(self.classes)} classes, with {self.level:.0%} intervals; lengths in {self.unit}"
        )

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A row for each class: what was measured, the ends of intervals, and the Markov settings."""
        return [
            {
                "class": c.name,
                "n_cases": len(c.cases),
                **{k: v for name, interval in c.summary.items() for k, v in _ends(name, interval).items()},
                "flags": flags(c.fit.noise),
            }
            for c in self.classes
        ]

    def remarks(self) -> Sequence[str]:
        """What headers say."""
        return self.notes

    def as_dict(self) -> dict[str, Any]:
        """Everything in what JSON knows."""
        return {
            "kind": "clean",
            "given": str(self.given.resolve()),
            "clean": str(self.clean.resolve()),
            "unit": self.unit,
            "notes": list(self.notes),
            "level": self.level,
            "classes": [c.as_dict() for c in self.classes],
        }


@dataclass(frozen=True, eq=False, repr=False)
class RatersFit(Result):
    """What `fit_rater_noise` found.

    Args:
        folders: one an annotator.
        unit: of all lengths; "px" where no spacing is known.
        level: of the intervals.
        n_cases: cases that at least two annotators have drawn.
        classes: one a class.
        notes: sentences on what headers say.
    """

    folders: tuple[Path, ...]
    unit: str
    level: float
    n_cases: int
    classes: Mapping[str, RaterFit]
    notes: tuple[str, ...] = ()

    def headline(self) -> str:
        """What was measured."""
        return f"{len(self.folders)} annotators of {self.n_cases} cases; lengths in {self.unit}"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A row for each class and annotator."""
        return [
            {
                "class": name,
                "rater": rater,
                "n_cases": fit.n_cases[i],
                **_ends("bias_mm", fit.bias_mm[i]),
                **_ends("spread_mm", fit.spread_mm[i]),
                **_ends("roughness_mm", fit.roughness_mm[i]),
            }
            for name, fit in self.classes.items()
            for i, rater in enumerate(fit.raters)
        ]

    def remarks(self) -> Sequence[str]:
        """What headers say."""
        return self.notes

    def as_dict(self) -> dict[str, Any]:
        """Everything in what JSON knows."""
        return {
            "kind": "raters",
            "folders": [str(folder.resolve()) for folder in self.folders],
            "unit": self.unit,
            "notes": list(self.notes),
            "level": self.level,
            "n_cases": self.n_cases,
            "classes": [{"class": name, **dataclasses.asdict(fit)} for name, fit in self.classes.items()],
        }


def _ends(name: str, interval: Interval) -> dict[str, float]:
    """A value with the ends of its interval, as columns of a table."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _row(measured: Displacement, case: str | None = None) -> dict[str, Any]:
    """The numbers of one case."""
    row = {
        f.name: getattr(measured, f.name)
        for f in dataclasses.fields(measured)
        if f.name not in ("values_mm", "weights")
    }
    return row if case is None else {"case": case, **row}


def _histogram(given: Sequence[Displacement], simulated: Sequence[Displacement]) -> dict[str, Any]:
    """Shares of the boundary by displacement, in common bins; what lies beyond them is in the outer ones."""
    sides = [
        (np.concatenate([d.values_mm for d in side]), np.concatenate([d.weights for d in side]))
        for side in (given, simulated)
    ]
    every = np.concatenate([values for values, _ in sides])
    low, high = np.percentile(every, [0.5, 99.5])
    pad = max(0.02 * (high - low), 1e-6)
    edges = np.linspace(low - pad, high + pad, BINS + 1)
    shares = [
        np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=weights)[0] / weights.sum()
        for values, weights in sides
    ]
    return {"edges_mm": edges, "given": shares[0], "simulated": shares[1]}
