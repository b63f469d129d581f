"""The passes of an audit over one case: its numbers, and what is told of it against those of all cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.detection import (
    Examined,
    Finding,
    Typical,
    UsualLayout,
    examine,
    faults,
    layout_of,
    numbers_of,
    propose,
    see,
    step_mm,
)
from labelmend.detection.calibration import scaled
from labelmend.engine.audit_rows import Counted, Told
from labelmend.engine.audit_source import Source
from labelmend.io.audit_folder import PROPOSALS
from labelmend.types import FloatArray, LabelMap


@dataclass(frozen=True)
class Count:
    """First pass: the numbers of a case.

    Args:
        temperature: what logits are divided by before.
    """

    temperature: float = 1.0

    def __call__(self, task: tuple[Source, Counted | None]) -> Counted:
        source, (case,) = task[0], task[0].cases
        given, probs, image, misplaced = source.read(case)
        seen = see(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        numbers = numbers_of(given, seen, image)
        step, unit = step_mm(given.grid.spacing_mm), given.grid.unit
        return Counted(numbers, layout_of(given), misplaced, source.checksum(case), step, unit)


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
        given, probs = source.read_labels(case)
        seen = see(given, scaled_if(probs, self.temperature, overlapping=given.overlapping))
        slips = list(faults(given, counted.layout, self.places))
        if counted.misplaced:
            reason = f"Image and labels do not lie on each other: they differ in {counted.misplaced}."
            slips.append(Finding("fault", "", 1.0, reason))
        examined = examine(given, seen, counted.numbers, self.usual, slips=slips)
        proposal = self._propose(source, case, given, examined)
        return Told(examined.score.score, examined.reason, examined.findings, proposal)

    def _propose(self, source: Source, case: str, given: LabelMap, examined: Examined) -> tuple[str, ...]:
        if self.home is None or not examined.findings:
            return ()
        proposed = propose(given, examined)
        if np.array_equal(proposed.array, given.array):
            return ()
        files = source.write(self.home, case, proposed)
        return tuple((Path(PROPOSALS) / path.relative_to(self.home)).as_posix() for path in files)


def scaled_if(probs: FloatArray, temperature: float, *, overlapping: bool) -> FloatArray:
    """Probabilities at another temperature, or as they are at one; of overlapping classes one by one."""
    if temperature == 1.0:
        return probs
    if overlapping:
        return np.stack([scaled(np.stack([1 - p, p]), temperature)[1] for p in probs])
    return scaled(probs, temperature)
