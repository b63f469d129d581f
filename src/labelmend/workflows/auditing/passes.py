"""The passes of an audit over one case: what it says by itself, and what is told of it among all cases.

The first reads each case, keeps some numbers and findings of it, and writes labels that mend these. The last
makes do with that: it reads a case again only where its outlines are to be moved, which the others tell.
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
    """First pass: the numbers of a case, the findings that it shows by itself, and a proposal.

    Args:
        temperature: what logits are divided by before.
        home: folder that proposals are written to; None keeps them in memory.
        proposals: whether there are to be any.
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
    """Last pass: the findings of a case, and a proposal where the first pass made none or another.

    Args:
        temperature: what logits are divided by before.
        usual: numbers that the cases have in common.
        places: where classes lie in them.
        home: folder that proposals are written to; None keeps them in memory.
        proposals: whether there are to be any.
    """

    temperature: float
    usual: Typical
    places: UsualLayout
    home: Path | None
    proposals: bool = True

    def __call__(self, task: tuple[AnySource, StatisticsRow | None]) -> FindingsRow:
        source, counted = task
        assert counted is not None
        (case,) = source.cases
        frame = Frame(source.classes, counted.grid)
        slips = list(faults(Frame(source.names, counted.grid), counted.layout, self.places))
        if counted.misplaced:
            reason = f"Image and labels do not lie on each other: they differ in {counted.misplaced}."
            slips.append(Finding("fault", "", 1.0, reason))
        examined = examine(frame, counted.own, counted.numbers, self.usual, slips=slips)
        before = counted.proposal or Proposal()
        proposal = before
        unwritten = counted.proposal is None and counted.own
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
    """The proposal for the only case of a source; none where it is what is given."""
    (case,) = source.cases
    proposed = propose(given, seen, inward_mm)
    if np.array_equal(proposed.array, given.array):
        return Proposal()
    if home is None:
        return Proposal(labels=proposed)
    files = source.write(home, case, proposed)
    return Proposal(tuple((Path(PROPOSALS) / path.relative_to(home)).as_posix() for path in files))


def scaled_if(probs: FloatArray, temperature: float, *, overlapping: bool) -> FloatArray:
    """Probabilities at another temperature, or as they are at one; of overlapping classes one by one."""
    if temperature == 1.0:
        return probs
    if overlapping:
        return np.stack([scaled(np.stack([1 - p, p]), temperature)[1] for p in probs])
    return scaled(probs, temperature)
