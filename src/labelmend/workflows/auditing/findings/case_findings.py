"""What is told of one case among others: its score, and its findings in words and mm, surest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.types import LabelMap
from labelmend.workflows.auditing.findings.case_score import CaseScore, Typical, case_score
from labelmend.workflows.auditing.findings.case_statistics import CaseStatistics
from labelmend.workflows.auditing.findings.finding import Finding, Frame, measured, ordered
from labelmend.workflows.auditing.findings.voxel_units import step_mm

LEAST_CASE = 0.5
"""Score from which on a case as a whole is told."""

LEAST_OFFSET = 0.25
"""Mean offset of an outline in steps (`step_mm`), below which neither side is named."""

MOVED = 3.0
"""Standard deviations from the edges at which an outline is moved onto them."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What is told of one case.

    Args:
        score: of the case.
        findings: surest first within a kind: the case, objects, stretches of outline, faults.
        inward_mm: per class, how far inward its outline has to go to lie along the edges, 0 where it does.
    """

    score: CaseScore
    findings: tuple[Finding, ...]
    inward_mm: tuple[float, ...]

    @property
    def reason(self) -> str:
        """The first finding in words, or that there is none."""
        return self.findings[0].reason if self.findings else "Nothing stands out."


def examine(
    given: LabelMap | Frame,
    own: Sequence[Finding],
    numbers: CaseStatistics,
    usual: Typical,
    *,
    slips: Iterable[Finding] = (),
) -> Examined:
    """The findings of one case; no pixel is looked at any more.

    Args:
        given: the annotation, or its frame.
        own: what it shows by itself, see `own_findings`.
        numbers: its numbers.
        usual: those of the data set.
        slips: its faults.
    """
    score = case_score(numbers, usual)
    whole = [_whole(given, numbers, usual, score)] if _stands_out(score, own) else []
    findings = (*whole, *own, *ordered(list(slips)))
    return Examined(score, findings, _inward(numbers, usual, score))


def _stands_out(score: CaseScore, own: Sequence[Finding]) -> bool:
    """Whether the case is told as a whole: not where an object speaks most, nor where findings say which
    doubt it is."""
    if score.score < LEAST_CASE or score.main == "wrong_object":
        return False
    return score.main != "doubt" or not own


def _whole(given: LabelMap | Frame, numbers: CaseStatistics, usual: Typical, score: CaseScore) -> Finding:
    """A case as a whole, by what speaks most against it."""
    unit = given.grid.unit
    if score.main == "edges":
        off = (usual.edge_mm - numbers.edge_mm) / usual.edge_spread
        index = int(np.nanargmax(np.abs(np.where(np.isfinite(off), off, np.nan))))
        gap = float(usual.edge_mm[index] - numbers.edge_mm[index])
        reason = (
            f"{given.classes[index]} is drawn {measured(abs(gap), 1, unit)} too far "
            f"{'out' if gap > 0 else 'in'} all along: edges in the image lie beside its outline."
        )
        return Finding("case", given.classes[index], score.score, reason, offset_mm=gap)
    if score.main == "doubt":
        reason = (
            f"Where the prediction contradicts, it is surer than usual: {numbers.doubt:.0%} sure, "
            f"{1 / (1 + np.exp(-usual.doubt)):.0%} is usual."
        )
        return Finding("case", "", score.score, reason)
    index = int(np.nanargmax((numbers.far - usual.far) / usual.far_spread))
    offset = float(numbers.offset_mm[index])
    mean = f"{measured(abs(offset), 1, unit)} too far {'out' if offset > 0 else 'in'}"
    if abs(offset) < LEAST_OFFSET * step_mm(given.grid.spacing_mm):
        mean = "neither too far out nor in"
    reason = (
        f"{given.classes[index]}: {numbers.far[index]:.0%} of the outline lies apart from the predicted one, "
        f"{usual.far[index]:.0%} is usual; in the mean {mean}."
    )
    return Finding("case", given.classes[index], score.score, reason, offset_mm=offset)


def _inward(numbers: CaseStatistics, usual: Typical, score: CaseScore) -> tuple[float, ...]:
    """What moves outlines onto edges, where these speak most against the case."""
    off = usual.edge_mm - numbers.edge_mm
    if score.edges < max(score.far, score.wrong_object) or score.score < LEAST_CASE:
        return (0.0,) * len(off)
    tells = np.abs(np.nan_to_num(off / usual.edge_spread)) > MOVED
    return tuple(float(gap) if told else 0.0 for gap, told in zip(off, tells, strict=True))
