"""Masks whose edges fade: resized, anti-aliased or saved as JPEG, so they hold values that nobody drew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FADED = (
    "its edges fade, as in a mask that was resized, anti-aliased or saved as JPEG: threshold it, or export "
    "it without smoothing"
)
_FEWEST = 3
"""Values beside 0 that a faded mask has at least: the drawn one, and two in between."""

_FLAT = 0.25
"""Share of its pixels that begin a square of four alike, from which on a value fills areas."""

_FADED = 0.6
"""Share of values that fill no area, from which on a mask is faded."""


def is_faded(array: NDArray[Any]) -> bool:
    """Whether most values of a mask fill no area, but change from pixel to pixel as smoothing makes them.

    Args:
        array: integers `(*any h w)`.
    """
    values, sizes = np.unique(array[array > 0], return_counts=True)
    if len(values) < _FEWEST:
        return False
    corner = array[..., :-1, :-1]
    flat = (corner > 0) & (corner == array[..., 1:, :-1])
    flat &= (corner == array[..., :-1, 1:]) & (corner == array[..., 1:, 1:])
    areas = np.zeros(len(values), int)
    found, n_flat = np.unique(corner[flat], return_counts=True)
    areas[np.searchsorted(values, found)] = n_flat
    return bool(np.mean(areas < _FLAT * sizes) >= _FADED)
