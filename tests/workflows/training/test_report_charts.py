from __future__ import annotations

import pytest

from labelmend.workflows.training.report_charts import BiasAxis, bias_axis, slopes
from labelmend.workflows.training.report_summary import ClassBias


def bias(mean: float | None, low: float | None = None, high: float | None = None) -> ClassBias:
    return ClassBias("lung", mean, low, high, 2, True, "")


def test_positions_are_shares_of_the_axis() -> None:
    assert BiasAxis(-2.0, 6.0, ()).at(0.0) == 0.25


def test_a_negative_bias_lies_on_the_too_large_side() -> None:
    axis = bias_axis([bias(-14.6, -15.0, -14.2)])
    assert axis.at(0) < axis.at(14.2) < axis.at(14.6) < axis.at(15.0) < 1
    assert axis.ticks == (0.0, 5.0, 10.0, 15.0)


def test_both_sides_have_room() -> None:
    axis = bias_axis([bias(-10.0), bias(None), bias(4.0, 3.0, 5.0)])
    assert axis.start == pytest.approx(-5.9)
    assert axis.stop == pytest.approx(10.9)
    assert 0 in axis.ticks


def test_an_axis_without_any_bias_still_has_a_length() -> None:
    for biases in ([], [bias(0.0)], [bias(None)]):
        assert bias_axis(biases).start < 0 < bias_axis(biases).stop


def test_slopes_share_an_axis_from_the_tenth_below_the_lowest_to_one() -> None:
    first, second = slopes([[(0.5, 1.0), (0.7, 0.8)], [(0.83, 0.9)]])
    assert first.bottom == second.bottom == 0.5
    assert first.ticks == (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
    assert first.mean == (pytest.approx(0.6), pytest.approx(0.9))
    assert (first.down(1.0), first.down(0.75), first.down(0.5)) == (0.0, 0.5, 1.0)


def test_perfect_pairs_still_leave_an_axis() -> None:
    assert slopes([[(1.0, 1.0)]])[0].bottom == 0.9
    assert slopes([[]])[0].pairs == ()
