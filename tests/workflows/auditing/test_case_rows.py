"""What an audit keeps of a case."""

from __future__ import annotations

import dataclasses

import numpy as np

from labelmend.types import Grid
from labelmend.workflows.auditing.case_rows import StatisticsRow
from labelmend.workflows.auditing.findings import Calibration, CaseStatistics, Finding, Layout


def counted() -> StatisticsRow:
    """Two classes in three dimensions, with numbers that few digits do not hold."""
    calibration = Calibration(
        np.arange(15.0), np.full(15, 0.1), np.zeros(15), np.geomspace(1e-300, 1e300, 17), 1 / 3, 7
    )
    numbers = CaseStatistics(
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
    return StatisticsRow(
        numbers, layout, own, ("proposals/a.png",), grid, "spacing, \u00e4 and \n mm", "sha256:0"
    )


def test_the_step_and_the_unit_are_those_of_the_grid():
    row = counted()
    assert (row.step_mm, row.unit) == (0.1, "mm")
    other = dataclasses.replace(row, grid=Grid((4, 5), (3.0, 2.0), unit="px"))
    assert (other.step_mm, other.unit) == (2.0, "px")
