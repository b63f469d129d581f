"""Findings that need no other case: objects, and stretches of outline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from labelmend.types import LabelMap
from labelmend.workflows.auditing.findings.case_statistics import ClassView, Disagreements
from labelmend.workflows.auditing.findings.disagreement_regions import Region
from labelmend.workflows.auditing.findings.finding import Finding, measured, titled

LEAST_OBJECT = 0.45
"""A wrong object is reported from this score."""

LEAST_WIDTH, LEAST_STRETCH = 2.5, 0.5
"""Mean width in steps (`steps_along` each axis) and score from which a stretch of outline is reported."""

MOST_STRETCHES = 8
"""Most stretches of outline that are reported per case: the widest and most certain."""


@dataclass(frozen=True, eq=False)
class OwnFinding:
    """A finding and its region.

    Args:
        finding: in words and mm, small enough to be kept for every case.
        view: the task of the case that the region belongs to.
        region: where annotation and prediction disagree.
    """

    finding: Finding
    view: ClassView
    region: Region


def own_findings(given: LabelMap, seen: Disagreements) -> tuple[OwnFinding, ...]:
    """Objects, most certain first, then the most certain stretches of outline.

    Args:
        given: the annotation.
        seen: its disagreements with the prediction.
    """
    stretches = [own for own in _stretches(given, seen) if own.finding.score >= LEAST_STRETCH]
    return (*_most_certain(_objects(given, seen)), *_most_certain(stretches)[:MOST_STRETCHES])


def _most_certain(found: Iterable[OwnFinding]) -> list[OwnFinding]:
    return sorted(found, key=lambda own: -own.finding.score)


def _objects(given: LabelMap, seen: Disagreements) -> Iterator[OwnFinding]:
    for view, objects in seen.objects:
        for item in objects:
            if item.score >= LEAST_OBJECT:
                yield OwnFinding(_object(given, view, item.region, item.score), view, item.region)


def _object(given: LabelMap, view: ClassView, region: Region, score: float) -> Finding:
    size_mm = float(region.inside.sum() * np.prod(given.grid.spacing_mm))
    size = measured(size_mm, given.grid.ndim, given.grid.unit)
    predicted = _name(given, view, region.predicted)
    annotated = _name(given, view, region.given)
    if not region.given and given.background is None:
        kind, name, reason = (
            "missing",
            predicted,
            f"{titled(predicted)}: an object of {size} seems to be missing.",
        )
    elif not region.predicted and given.background is None:
        kind, name, reason = (
            "spurious",
            annotated,
            f"{titled(annotated)}: an object of {size} seems to be spurious.",
        )
    else:
        kind, name = "wrong_class", predicted
        reason = f"An object of {size} is annotated as {annotated} but looks like {predicted}."
    other = annotated if kind == "wrong_class" else ""
    return Finding(kind, name, score, reason, region.box, size_mm, other=other)  # type: ignore[arg-type]


def _stretches(given: LabelMap, seen: Disagreements) -> Iterator[OwnFinding]:
    objects = [item for _, found in seen.objects for item in found if item.score >= LEAST_OBJECT]
    whole = {id(piece) for item in objects for piece in item.pieces}
    for view, found in seen.regions:
        for region in found:
            if region.width_steps >= LEAST_WIDTH and id(region) not in whole:
                yield OwnFinding(_stretch(given, view, region), view, region)


def _stretch(given: LabelMap, view: ClassView, region: Region) -> Finding:
    """A part of an outline that is off; where two classes meet, the outline of the given one."""
    grid = given.grid
    is_class = given.background is not None  # value 0
    out = region.given > 0 or is_class
    name = _name(given, view, region.given if out else region.predicted)
    size_mm = float(region.inside.sum() * np.prod(grid.spacing_mm)) / region.width_mm
    length = measured(size_mm, grid.ndim - 1, grid.unit)
    width = measured(region.width_mm, 1, grid.unit)
    other = _name(given, view, region.predicted) if out and (region.predicted or is_class) else ""
    into = f" into {other}" if other else ""
    reason = f"{titled(name)}: outline {width} too far {'out' if out else 'in'}{into} along {length}."
    score = max(0.0, 2 * region.certainty - 1) * float(1 - np.exp(-region.width_steps / LEAST_WIDTH))
    return Finding(
        "outline",
        name,
        score,
        reason,
        region.box,
        size_mm,
        region.width_mm if out else -region.width_mm,
        other,
    )


def _name(given: LabelMap, view: ClassView, index: int) -> str:
    return given.classes[view.classes[index - 1]] if index else given.background or "background"
