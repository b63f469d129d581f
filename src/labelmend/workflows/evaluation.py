"""Compare labels with reference labels, of folders or arrays, per case and class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelmend.errors import ConfigError
from labelmend.geometry.orientation import labels_onto
from labelmend.html.result import Result
from labelmend.io.arrays import Arrays, CaseSpacing, ClassNames
from labelmend.io.labels.label_pair import asked_for, common_grid, common_unit, hold_pair, origin, pair_notes
from labelmend.metrics import MEASURES, ClassSummary, Score, score_case, summarise
from labelmend.runtime.progress import Progress, counter, no_progress


@dataclass(frozen=True)
class Summary:
    """Every class over all cases, and per measure the unweighted mean of the class means."""

    classes: tuple[ClassSummary, ...]
    mean: Mapping[str, float]


@dataclass(frozen=True, repr=False)
class Evaluation(Result):
    """The scores of all cases and classes.

    Args:
        labels: folder of the evaluated labels, None of arrays.
        reference: folder of the reference labels, None of arrays.
        classes: class names, in the order of the reference.
        unit: "mm", or "px" where files store no spacing and none was given: then all lengths are in pixels.
        tolerance_mm: tolerance of the NSD, in `unit`.
        scores: one per case and class, sorted by case.
        not_scored: cases of the reference that the evaluated labels do not have.
        notes: sentences on what headers say.
    """

    labels: Path | None
    reference: Path | None
    classes: tuple[str, ...]
    unit: str
    tolerance_mm: float
    scores: tuple[Score, ...]
    not_scored: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def headline(self) -> str:
        """How many cases, and the mean Dice of the classes."""
        dice = self.summary().mean["dice"]
        return f"{self.n_cases} cases compared: mean Dice {dice:.3f}; lengths in {self.unit}"

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A row for each case and class, lowest Dice first, without Dice last."""
        lowest = sorted(self.scores, key=lambda s: (math.isnan(s.dice), s.dice, s.nsd, s.case))
        return [_named(score) for score in lowest]

    def remarks(self) -> Sequence[str]:
        """What headers say."""
        return self.notes

    @property
    def n_cases(self) -> int:
        return len({score.case for score in self.scores})

    def summary(self) -> Summary:
        """Per class the spread over cases, and the mean over classes; what has no finite value is counted."""
        classes = tuple(summarise(name, self.scores) for name in self.classes)
        means = {m: [c.spreads[m].mean for c in classes if c.spreads[m].n] for m in MEASURES}
        return Summary(classes, {m: float(np.mean(v)) if v else math.nan for m, v in means.items()})

    def worst(self, count: int = 5) -> tuple[Score, ...]:
        """The scores with the lowest Dice, lowest first; of equal ones the lower NSD comes first."""
        scored = [score for score in self.scores if not math.isnan(score.dice)]
        return tuple(sorted(scored, key=lambda s: (s.dice, s.nsd, s.case))[:count])

    def as_dict(self) -> dict[str, Any]:
        """Everything in what JSON knows: NaN becomes None, infinity the text "inf"."""
        summary = self.summary()
        return {
            "labels": None if self.labels is None else str(self.labels.resolve()),
            "reference": None if self.reference is None else str(self.reference.resolve()),
            "unit": self.unit,
            "tolerance_mm": self.tolerance_mm,
            "n_cases": self.n_cases,
            "not_scored": list(self.not_scored),
            "notes": list(self.notes),
            "aggregation": "mean, sd, median over the n cases with a finite value; mean of class means",
            "classes": [_json(c) for c in summary.classes],
            "mean_over_classes": _json(dict(summary.mean)),
            "scores": [_json(s) for s in self.scores],
        }


def evaluate(
    labels: str | Path | Arrays,
    reference: str | Path | Arrays,
    *,
    classes: ClassNames | None = None,
    ignore: int | None = None,
    spacing_mm: CaseSpacing | None = None,
    tolerance_mm: float = 2.0,
    cases: str | Path | Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Compare every case of `labels` with the same case of `reference`.

    Pixels that the reference ignores are left out of both. Cases that only the reference has are listed, not
    scored. Integer maps without names take those of the other side.

    Args:
        labels: label folder to evaluate, or arrays, one per case: integers `(*space)`, or booleans `(k
            *space)` of classes that may overlap. All cases, or those asked for, must be in the reference.
        reference: label folder or arrays to compare with, with the same class names.
        classes: names and values of the classes, for integer maps without names; names of boolean masks.
        ignore: value that marks ignored pixels in integer maps.
        spacing_mm: per array axis, or one number, for arrays and formats that store none; of arrays also one
            a case.
        tolerance_mm: boundary deviation up to which NSD counts it as right; in pixels without spacing.
        cases: only these: ids, or a text file of them.
        progress: called with a `Tick` after each step, see `labelmend.runtime.progress`.

    Raises:
        MissingDataError: a folder or a reference case is not there.
        ConfigError: class names differ, or the tolerance is not a finite distance.
        GeometryError: shapes, spacings or affines of a case disagree.
    """
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise ConfigError(f"the tolerance must be a finite distance of at least 0, got {tolerance_mm}")
    ours, theirs = hold_pair(labels, reference, classes, ignore, spacing_mm, cases)
    count = counter(progress, "comparing")
    scores: list[Score] = []
    units: dict[str, str] = {}
    for case in sorted(ours.cases):
        truth = theirs.read(case)
        evaluated = labels_onto(ours.read(case), truth.grid)
        where = f"case {case}: {origin(ours, case)} and {origin(theirs, case)}"
        grid = common_grid(evaluated.grid, truth.grid, where)
        units[case] = grid.unit
        scores += score_case(case, evaluated, truth, tolerance_mm=tolerance_mm, spacing_mm=grid.spacing_mm)
        count(case, len(ours.cases))
    return Evaluation(
        labels=Path(labels) if isinstance(labels, str | Path) else None,
        reference=Path(reference) if isinstance(reference, str | Path) else None,
        classes=theirs.names,
        unit=common_unit(units),
        tolerance_mm=tolerance_mm,
        scores=tuple(scores),
        not_scored=tuple(sorted(set(theirs.cases) - set(ours.cases))) if cases is None else (),
        notes=(*asked_for(cases, ours), *pair_notes(ours, theirs, spacing_mm)),
    )


def _named(value: Score | ClassSummary) -> dict[str, Any]:
    """Its fields, `class_name` called "class", as in every other file."""
    fields = dataclasses.asdict(value)
    return {"class" if name == "class_name" else name: inner for name, inner in fields.items()}


def _json(value: Any) -> Any:
    """The same value in what JSON knows."""
    if isinstance(value, Score | ClassSummary):
        return _json(_named(value))
    if isinstance(value, dict):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
