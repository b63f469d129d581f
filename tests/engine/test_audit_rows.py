"""What an audit keeps of a case comes back from JSON as it was."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from labelmend.detection import Calibration, CaseNumbers, Finding, Layout
from labelmend.engine.audit_rows import Counted, Told, counted_from, decoded, digest, encoded, told_from
from labelmend.types import Grid


def counted() -> Counted:
    """Two classes in three dimensions, with numbers that few digits do not hold."""
    calibration = Calibration(
        np.arange(15.0), np.full(15, 0.1), np.zeros(15), np.geomspace(1e-300, 1e300, 17), 1 / 3, 7
    )
    numbers = CaseNumbers(
        n_given=np.array([2**53 + 1, 0]),
        n_predicted=np.array([3, 4], np.int32),
        dice=np.array([0.1 + 0.2, np.nan]),
        far=np.array([np.nan, 1e-17]),
        outline_mm=np.array([0.0, 0.1 + 0.2]),
        offset_mm=np.array([-0.0, np.inf]),
        edge_mm=np.array([1 / 3, -np.inf], np.float32),
        wrong_object=np.float32(0.1),  # type: ignore[arg-type]
        doubt=float("nan"),
        n_doubted=1e-17,
        calibration=calibration,
    )
    layout = Layout(
        np.array([True, False]),
        np.array([[0.5, 1 / 7, 0.25], [np.nan] * 3]),
        np.array([1, 0]),
        np.array([2, 0]),
    )
    own = (
        Finding("missing", "a", np.float64(1 / 3), "why", ((1, 2), (3, 4), (5, 6)), 0.1 + 0.2),
        Finding("outline", "b", 1.0, "\u00fc", ((0, 1),) * 3, 1e-17, -1 / 3, "a"),
    )
    grid = Grid((4, 5, 6), (5.0, 0.1, 0.1), unit="mm")
    return Counted(numbers, layout, own, ("proposals/a.png",), grid, "spacing, \u00e4 and \n mm", "sha256:0")


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """All that is in a row, by place."""
    if dataclasses.is_dataclass(value):
        found = {}
        for field in dataclasses.fields(value):
            found |= leaves(getattr(value, field.name), f"{name}.{field.name}")
        return found
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return {k: v for i, item in enumerate(value) for k, v in leaves(item, f"{name}[{i}]").items()}
    return {name: value}


def through_json(row: Any) -> Any:
    return decoded(json.loads(json.dumps(encoded(row))))


def test_numbers_of_a_case_come_back_to_the_last_bit_and_with_their_types():
    before, after = leaves(counted()), leaves(counted_from(through_json(counted())))
    assert before.keys() == after.keys()
    assert len(before) == 43
    for name, value in before.items():
        assert type(after[name]) is type(value), name
        if isinstance(value, np.ndarray | np.generic):
            assert after[name].dtype == value.dtype, name
            assert after[name].tobytes() == value.tobytes(), name
        else:
            assert after[name] == value or (math.isnan(value) and math.isnan(after[name])), name


def test_the_step_and_the_unit_are_those_of_the_grid():
    row = counted()
    assert (row.step_mm, row.unit) == (0.1, "mm")
    other = dataclasses.replace(row, grid=Grid((4, 5), (3.0, 2.0), unit="px"))
    assert (other.step_mm, other.unit) == (2.0, "px")


def test_findings_come_back_as_they_were():
    box = ((1, 2), (3, 4))
    whole = Finding("case", "a", 1 / 3, "why")
    part = Finding("outline", "a", 1.0, "\u00fc", box, 0.1 + 0.2, -math.inf, "b")
    row = told_from(through_json(Told(0.3, "why", (whole, part), ("proposals/c.png",))))
    assert (row.score, row.reason, row.proposal) == (0.3, "why", ("proposals/c.png",))
    assert row.findings[1] == part
    assert str(row.findings[0]) == str(whole)  # NaN equals nothing, not even itself
    assert told_from(through_json(Told(0.0, "", (), ()))).findings == ()


def test_equal_rows_have_the_same_digest_and_others_have_another():
    row = counted()
    assert digest([row]) == digest([counted_from(through_json(row))])
    other = dataclasses.replace(row, grid=Grid((4, 5, 6), (5.0, 0.1, math.nextafter(0.1, 1))))
    assert digest([row]) != digest([other])
    assert digest([row]) != digest([dataclasses.replace(row, own=row.own[:1])])
    assert digest([row]) != digest([row, row])
    assert digest([]) == ""


def test_a_row_with_something_missing_is_no_row():
    row = through_json(counted())
    del row["numbers"]["far"]
    with pytest.raises(TypeError, match="far"):
        counted_from(row)
