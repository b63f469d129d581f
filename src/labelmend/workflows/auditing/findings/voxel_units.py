"""Thresholds in pixels where pixels are longer along one axis, as in volumes with thick slices.

Outlines are drawn in slices, so thresholds count in steps of one pixel within a slice. Across slices two
things hold. A structure that fills a single slice is as thick as that slice: so objects are measured in mm,
divided by the step. But an outline that ends one slice too late is normal for a structure that fills half of
the last
slice, however thick the slices are: so where outlines are compared, a pixel counts as two steps at most. For
cubic voxels both are a number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_STEPS = 2.0
"""Most steps per pixel where outlines are compared; less than what counts as off."""


def step_mm(spacing_mm: Sequence[float]) -> float:
    """The size of a pixel within slices: the middle one of the spacings, of two the finer.

    Args:
        spacing_mm: per axis in mm.

    >>> step_mm((5.0, 0.7, 0.7)), step_mm((0.3, 1.0, 1.0)), step_mm((2.0, 0.5))
    (0.7, 1.0, 0.5)
    """
    return float(sorted(spacing_mm)[(len(spacing_mm) - 1) // 2])


def steps_along(spacing_mm: Sequence[float]) -> tuple[float, ...]:
    """How many steps a pixel counts along each axis where outlines are compared.

    Args:
        spacing_mm: per axis in mm.

    >>> steps_along((5.0, 0.5, 0.5)), steps_along((0.5, 1.0, 1.0)), steps_along((3.0, 3.0))
    ((2.0, 1.0, 1.0), (0.5, 1.0, 1.0), (1.0, 1.0))
    """
    step = step_mm(spacing_mm)
    return tuple(min(spacing / step, MOST_STEPS) for spacing in spacing_mm)
