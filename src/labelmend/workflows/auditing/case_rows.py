"""What the passes of an audit keep of a case."""

from __future__ import annotations

from dataclasses import dataclass

from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.findings import CaseStatistics, Finding, Layout, step_mm


@dataclass(frozen=True, eq=False)
class Proposal:
    """Labels that mend what was found in a case; without both fields they are the given ones.

    Args:
        files: that hold them, as the result names them.
        labels: themselves, where nothing is written.
    """

    files: tuple[str, ...] = ()
    labels: LabelMap | None = None


@dataclass(frozen=True, eq=False)
class StatisticsRow:
    """What the first pass keeps of a case.

    Args:
        numbers: of the case.
        layout: where its classes lie.
        own: findings that it shows by itself.
        proposal: labels that mend these; None where none were asked for yet.
        grid: of its pixels, without the affine.
        misplaced: what places image and labels apart, in words; empty where they agree.
        checksum: of the given labels.
    """

    numbers: CaseStatistics
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
