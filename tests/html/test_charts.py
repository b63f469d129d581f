"""Positions in the small charts."""

from __future__ import annotations

import pytest

from labelmend.html.charts import nice_step


@pytest.mark.parametrize(
    ("raw", "step"), [(1.0, 1.0), (1.01, 2.0), (0.02, 0.02), (7.0, 10.0), (300.0, 500.0)]
)
def test_steps_are_one_two_or_five(raw: float, step: float) -> None:
    assert nice_step(raw) == step
