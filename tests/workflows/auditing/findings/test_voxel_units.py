"""Steps: pixels of a slice, and what a pixel counts along the other axes."""

from __future__ import annotations

import pytest

from labelmend.workflows.auditing.findings.voxel_units import MOST_STEPS, step_mm, steps_along


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_where_pixels_are_cubes_steps_are_pixels(ndim):
    assert step_mm((0.3,) * ndim) == 0.3
    assert steps_along((0.3,) * ndim) == (1.0,) * ndim


@pytest.mark.parametrize(
    ("spacing_mm", "step", "along"),
    [
        ((5.0, 0.5, 0.5), 0.5, (MOST_STEPS, 1.0, 1.0)),
        ((0.5, 0.5, 5.0), 0.5, (1.0, 1.0, MOST_STEPS)),
        ((1.5, 1.0, 1.0), 1.0, (1.5, 1.0, 1.0)),
        ((0.25, 1.0, 1.0), 1.0, (0.25, 1.0, 1.0)),
        ((4.0, 1.0), 1.0, (MOST_STEPS, 1.0)),
        ((4.0, 1.0, 0.5), 1.0, (MOST_STEPS, 1.0, 0.5)),
    ],
)
def test_the_middle_spacing_is_the_step_and_longer_pixels_count_two_at_most(spacing_mm, step, along):
    assert step_mm(spacing_mm) == step
    assert steps_along(spacing_mm) == along
