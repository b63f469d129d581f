"""Detect masks with faded edges: resized, anti-aliased or saved as JPEG, they hold intermediate values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FADED = (
    "its edges are blurred, as after resizing, anti-aliasing or JPEG: threshold it, or export it without "
    "smoothing"
)
_FEWEST = 3
"""Fewest nonzero values of a faded mask: the drawn one, and two intermediate ones."""

_FLAT = 0.25
"""A value fills areas if at least this fraction of its pixels start a uniform 2 x 2 square."""

_FADED = 0.6
"""A mask is faded if at least this fraction of its values fill no area."""


def is_faded(array: NDArray[Any]) -> bool:
    """Whether most values of a mask fill no area but change from pixel to pixel, as after smoothing.

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
