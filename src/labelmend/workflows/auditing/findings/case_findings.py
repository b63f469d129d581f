"""One case compared with the others: its score, and its findings in words and mm, most certain first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from labelmend.types import LabelMap
from labelmend.workflows.auditing.findings.case_score import CaseScore, Typical, case_score
from labelmend.workflows.auditing.findings.case_statistics import CaseStatistics
from labelmend.workflows.auditing.findings.finding import Finding, Frame, measured, ordered, titled
from labelmend.workflows.auditing.findings.voxel_units import step_mm

LEAST_CASE = 0.5
"""A case as a whole is reported from this score."""

LEAST_OFFSET = 0.25
"""Mean offset of an outline in steps (`step_mm`) below which no direction is named."""

MOVED = 3.0
"""Standard deviations from the edges at which an outline is moved onto them."""


@dataclass(frozen=True, eq=False)
class Examined:
    """Score and findings of one case.

    Args:
        score: of the case.
        findings: most certain first within a kind: the case, objects, stretches of outline, faults.
        inward_mm: per class, how far its outline has to be moved inward to follow the edges; 0 if it does.
    """

    score: CaseScore
    findings: tuple[Finding, ...]
    inward_mm: tuple[float, ...]

    @property
    def reason(self) -> str:
        """The first finding, or that there is none."""
        return self.findings[0].reason if self.findings else "Nothing stands out."


def examine(
    given: LabelMap | Frame,
    own: Sequence[Finding],
    statistics: CaseStatistics,
    usual: Typical,
    *,
    slips: Iterable[Finding] = (),
) -> Examined:
    """The findings of one case, from its statistics; needs no pixels.

    Args:
        given: the annotation, or its frame.
        own: findings that need no other case, see `own_findings`.
        statistics: of the case.
        usual: what is typical of the data set.
        slips: its faults.
    """
    score = case_score(statistics, usual)
    whole = [_whole(given, statistics, usual, score)] if _stands_out(score, own) else []
    findings = (*whole, *own, *ordered(list(slips)))
    return Examined(score, findings, _inward(statistics, usual, score))


def _stands_out(score: CaseScore, own: Sequence[Finding]) -> bool:
    """Whether the case is reported as a whole: not if an object is the main reason, nor if findings already
    show where the prediction disagrees."""
    if score.score < LEAST_CASE or score.main == "wrong_object":
        return False
    return score.main != "doubt" or not own


def _whole(given: LabelMap | Frame, statistics: CaseStatistics, usual: Typical, score: CaseScore) -> Finding:
    """A finding on the whole case, by its main reason."""
    unit = given.grid.unit
    if score.main == "edges":
        off = (usual.edge_mm - statistics.edge_mm) / usual.edge_spread
        index = int(np.nanargmax(np.abs(np.where(np.isfinite(off), off, np.nan))))
        gap = float(usual.edge_mm[index] - statistics.edge_mm[index])
        reason = (
            f"{titled(given.classes[index])}: drawn {measured(abs(gap), 1, unit)} too "
            f"{'wide' if gap > 0 else 'tight'} throughout; the edges in the image are "
            f"{'inside' if gap > 0 else 'outside'} the outline."
        )
        return Finding("case", given.classes[index], score.score, reason, offset_mm=gap)
    if score.main == "doubt":
        reason = (
            f"Where the model disagrees with this mask, it is unusually confident: {statistics.doubt:.0%}, "
            f"typically {1 / (1 + np.exp(-usual.doubt)):.0%}."
        )
        return Finding("case", "", score.score, reason)
    index = int(np.nanargmax((statistics.far - usual.far) / usual.far_spread))
    offset = float(statistics.offset_mm[index])
    mean = f"{measured(abs(offset), 1, unit)} too {'wide' if offset > 0 else 'tight'}"
    if abs(offset) < LEAST_OFFSET * step_mm(given.grid.spacing_mm):
        mean = "neither too wide nor too tight"
    reason = (
        f"{titled(given.classes[index])}: {statistics.far[index]:.0%} of the outline differs from the "
        f"prediction, typically {usual.far[index]:.0%}; on average it is {mean}."
    )
    return Finding("case", given.classes[index], score.score, reason, offset_mm=offset)


def _inward(statistics: CaseStatistics, usual: Typical, score: CaseScore) -> tuple[float, ...]:
    """How far outlines have to be moved onto edges, if these are the main reason."""
    off = usual.edge_mm - statistics.edge_mm
    if score.edges < max(score.far, score.wrong_object) or score.score < LEAST_CASE:
        return (0.0,) * len(off)
    clear = np.abs(np.nan_to_num(off / usual.edge_spread)) > MOVED
    return tuple(float(gap) if moves else 0.0 for gap, moves in zip(off, clear, strict=True))
