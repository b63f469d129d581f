"""The two passes of an audit over one case: on its own, and compared with all cases.

The first pass reads a case, keeps its statistics and the findings that need no other case, and writes labels
that correct these. The last pass works on that; it reads a case again only where its outlines are to be
moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.io.cases import AnySource
from labelmend.metrics.calibration import scaled
from labelmend.types import FloatArray, LabelMap
from labelmend.workflows.auditing.audit_folder import PROPOSALS
from labelmend.workflows.auditing.case_rows import FindingsRow, Proposal, StatisticsRow
from labelmend.workflows.auditing.findings import (
    Disagreements,
    Finding,
    Frame,
    Typical,
    UsualLayout,
    examine,
    faults,
    find_disagreements,
    layout_of,
    own_findings,
    propose,
    statistics_of,
)


@dataclass(frozen=True)
class StatisticsPass:
    """First pass: the statistics of a case, the findings that need no other case, and a proposal.

    Args:
        temperature: logits are divided by it first.
        home: folder that proposals are written to; None keeps them in memory.
        proposals: whether to make any.
    """

    temperature: float = 1.0
    home: Path | None = None
    proposals: bool = True

    def __call__(self, task: tuple[AnySource, StatisticsRow | None]) -> StatisticsRow:
        source, (case,) = task[0], task[0].cases
        given, probs, image, misplaced = source.read(case)
        seen = find_disagreements(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        own = tuple(found.finding for found in own_findings(given, seen))
        proposal = None
        if self.proposals:
            still = (0.0,) * len(given.classes)
            proposal = _propose(self.home, source, given, seen, still) if own else Proposal()
        return StatisticsRow(
            statistics_of(given, seen, image),
            layout_of(given),
            own,
            proposal,
            dataclasses.replace(given.grid, affine=None),
            misplaced,
            source.checksum(case),
        )


@dataclass(frozen=True, eq=False)
class FindingsPass:
    """Last pass: the findings of a case, and a proposal where that of the first pass is not enough.

    Args:
        temperature: logits are divided by it first.
        usual: what is typical of the cases.
        places: where classes typically are.
        home: folder that proposals are written to; None keeps them in memory.
        proposals: whether to make any.
    """

    temperature: float
    usual: Typical
    places: UsualLayout
    home: Path | None
    proposals: bool = True

    def __call__(self, task: tuple[AnySource, StatisticsRow | None]) -> FindingsRow:
        source, first_pass = task
        assert first_pass is not None
        (case,) = source.cases
        frame = Frame(source.classes, first_pass.grid)
        slips = list(faults(Frame(source.names, first_pass.grid), first_pass.layout, self.places))
        if first_pass.misplaced:
            reason = f"Image and labels are not aligned: they differ in {first_pass.misplaced}."
            slips.append(Finding("fault", "", 1.0, reason))
        examined = examine(frame, first_pass.own, first_pass.statistics, self.usual, slips=slips)
        before = first_pass.proposal or Proposal()
        proposal = before
        unwritten = first_pass.proposal is None and first_pass.own
        if self.proposals and (unwritten or any(examined.inward_mm)):
            given, probs = source.read_labels(case)
            seen = find_disagreements(
                given, scaled_if(probs, self.temperature, overlapping=given.overlapping)
            )
            proposal = _propose(self.home, source, given, seen, examined.inward_mm)
            for path in set(before.files) - set(proposal.files):
                assert self.home is not None
                (self.home / Path(path).relative_to(PROPOSALS)).unlink(missing_ok=True)
        return FindingsRow(examined.score.score, examined.reason, examined.findings, proposal)


def _propose(
    home: Path | None, source: AnySource, given: LabelMap, seen: Disagreements, inward_mm: Sequence[float]
) -> Proposal:
    """The proposal for the only case of a source; empty if it equals the given labels."""
    (case,) = source.cases
    proposed = propose(given, seen, inward_mm)
    if np.array_equal(proposed.array, given.array):
        return Proposal()
    if home is None:
        return Proposal(labels=proposed)
    files = source.write(home, case, proposed)
    return Proposal(tuple((Path(PROPOSALS) / path.relative_to(home)).as_posix() for path in files))


def scaled_if(probs: FloatArray, temperature: float, *, overlapping: bool) -> FloatArray:
    """Probabilities at another temperature, unchanged at 1; overlapping classes one by one."""
    if temperature == 1.0:
        return probs
    if overlapping:
        return np.stack([scaled(np.stack([1 - p, p]), temperature)[1] for p in probs])
    return scaled(probs, temperature)
