"""The passes of an audit over one case: what it says by itself, and what is told of it among all cases.

The first reads each case and keeps some numbers and findings of it. The last makes do with these: it reads a
case again only where labels are to be proposed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.detection import (
    Finding,
    Frame,
    Typical,
    UsualLayout,
    examine,
    faults,
    layout_of,
    numbers_of,
    own_findings,
    propose,
    see,
)
from labelmend.detection.calibration import scaled
from labelmend.engine.audit_rows import Counted, Told
from labelmend.engine.audit_source import Source
from labelmend.io.audit_folder import PROPOSALS
from labelmend.types import FloatArray


@dataclass(frozen=True)
class Count:
    """First pass: the numbers of a case, and the findings that it shows by itself.

    Args:
        temperature: what logits are divided by before.
    """

    temperature: float = 1.0

    def __call__(self, task: tuple[Source, Counted | None]) -> Counted:
        source, (case,) = task[0], task[0].cases
        given, probs, image, misplaced = source.read(case)
        seen = see(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        return Counted(
            numbers_of(given, seen, image),
            layout_of(given),
            tuple(own.finding for own in own_findings(given, seen)),
            dataclasses.replace(given.grid, affine=None),
            misplaced,
            source.checksum(case),
        )


@dataclass(frozen=True, eq=False)
class Tell:
    """Last pass: the findings of a case, and a proposal on disk.

    Args:
        temperature: what logits are divided by before.
        usual: numbers that the cases have in common.
        places: where classes lie in them.
        home: folder that proposals are written to; None writes none.
    """

    temperature: float
    usual: Typical
    places: UsualLayout
    home: Path | None

    def __call__(self, task: tuple[Source, Counted | None]) -> Told:
        source, counted = task
        assert counted is not None
        (case,) = source.cases
        frame = Frame(source.classes, counted.grid)
        slips = list(faults(frame, counted.layout, self.places))
        if counted.misplaced:
            reason = f"Image and labels do not lie on each other: they differ in {counted.misplaced}."
            slips.append(Finding("fault", "", 1.0, reason))
        examined = examine(frame, counted.own, counted.numbers, self.usual, slips=slips)
        proposal: tuple[str, ...] = ()
        if self.home is not None and (counted.own or any(examined.inward_mm)):
            proposal = self._propose(self.home, source, case, examined.inward_mm)
        return Told(examined.score.score, examined.reason, examined.findings, proposal)

    def _propose(self, home: Path, source: Source, case: str, inward_mm: Sequence[float]) -> tuple[str, ...]:
        given, probs = source.read_labels(case)
        seen = see(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        proposed = propose(given, seen, inward_mm)
        if np.array_equal(proposed.array, given.array):
            return ()
        files = source.write(home, case, proposed)
        return tuple((Path(PROPOSALS) / path.relative_to(home)).as_posix() for path in files)


def scaled_if(probs: FloatArray, temperature: float, *, overlapping: bool) -> FloatArray:
    """Probabilities at another temperature, or as they are at one; of overlapping classes one by one."""
    if temperature == 1.0:
        return probs
    if overlapping:
        return np.stack([scaled(np.stack([1 - p, p]), temperature)[1] for p in probs])
    return scaled(probs, temperature)
