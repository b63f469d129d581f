"""What the passes of an audit keep of a case."""

from __future__ import annotations

from dataclasses import dataclass

from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.findings import CaseStatistics, Finding, Layout, step_mm


@dataclass(frozen=True, eq=False)
class Proposal:
    """Labels that correct what was found in a case; both fields are empty if they equal the given ones.

    Args:
        files: their files, relative to the folder of the audit.
        labels: the labels themselves, where nothing is written.
    """

    files: tuple[str, ...] = ()
    labels: LabelMap | None = None


@dataclass(frozen=True, eq=False)
class StatisticsRow:
    """What the first pass keeps of a case.

    Args:
        statistics: of the case.
        layout: where its classes are.
        own: findings that need no other case.
        proposal: labels that correct these; None if not made yet.
        grid: of its pixels, without the affine.
        misplaced: how the geometry of image and labels differs; empty where they agree.
        checksum: of the given labels.
    """

    statistics: CaseStatistics
    layout: Layout
    own: tuple[Finding, ...]
    proposal: Proposal | None
    grid: Grid
    misplaced: str
    checksum: str

    @property
    def step_mm(self) -> float:
        return step_mm(self.grid.spacing_mm)

    @property
    def unit(self) -> str:
        return self.grid.unit


@dataclass(frozen=True, eq=False)
class FindingsRow:
    """What the last pass keeps of a case."""

    score: float
    reason: str
    findings: tuple[Finding, ...]
    proposal: Proposal
