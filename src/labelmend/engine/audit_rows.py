"""What the passes of an audit keep of a case, in memory and, to the last bit, in what JSON can hold."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelmend.detection import Calibration, CaseNumbers, Finding, Layout, step_mm
from labelmend.types import Grid


@dataclass(frozen=True, eq=False)
class Counted:
    """What the first pass keeps of a case.

    Args:
        numbers: of the case.
        layout: where its classes lie.
        own: findings that it shows by itself.
        proposal: files of labels that mend these; None where they were not to be written.
        grid: of its pixels, without the affine.
        misplaced: what places image and labels apart, in words; empty where they agree.
        checksum: of the given labels.
    """

    numbers: CaseNumbers
    layout: Layout
    own: tuple[Finding, ...]
    proposal: tuple[str, ...] | None
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
class Told:
    """What the last pass keeps of a case."""

    score: float
    reason: str
    findings: tuple[Finding, ...]
    proposal: tuple[str, ...]


def encoded(value: Any) -> Any:
    """What JSON can hold of a row, its numbers with their types; NaN and infinity as Python's json has them.

    >>> encoded((np.float32(0.5), np.array([1, 2], np.uint8)))
    [{'dtype': 'float32', 'values': 0.5}, {'dtype': 'uint8', 'values': [1, 2]}]
    """
    if isinstance(value, np.ndarray | np.generic):
        return {"dtype": str(value.dtype), "values": value.tolist()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encoded(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [encoded(item) for item in value]
    return value


def decoded(value: Any) -> Any:
    """What was encoded: numbers as they were, lists as tuples, dataclasses as dictionaries.

    >>> decoded([{"dtype": "uint8", "values": [1, 2]}, {"score": 1.0}])
    (array([1, 2], dtype=uint8), {'score': 1.0})
    """
    if isinstance(value, dict):
        if value.keys() == {"dtype", "values"}:
            return np.array(value["values"], value["dtype"])[()]
        return {name: decoded(item) for name, item in value.items()}
    return tuple(map(decoded, value)) if isinstance(value, list) else value


def counted_from(row: Mapping[str, Any]) -> Counted:
    """A row of the first pass from what `decoded` gives."""
    calibration = Calibration(**row["numbers"]["calibration"])
    return Counted(
        **{
            **row,
            "numbers": CaseNumbers(**{**row["numbers"], "calibration": calibration}),
            "layout": Layout(**row["layout"]),
            "own": _findings(row["own"]),
            "grid": Grid(**row["grid"]),
        }
    )


def told_from(row: Mapping[str, Any]) -> Told:
    """A row of the last pass from what `decoded` gives."""
    return Told(**{**row, "findings": _findings(row["findings"])})


def _findings(rows: Iterable[Mapping[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**row) for row in rows)


def digest(rows: Sequence[Any]) -> str:
    """SHA-256 of rows as they are encoded, the empty text for none."""
    text = json.dumps([encoded(row) for row in rows])
    return hashlib.sha256(text.encode()).hexdigest() if rows else ""
