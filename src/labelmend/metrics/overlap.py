"""How much of two masks is common: Dice and IoU of one class in one case."""

from __future__ import annotations

import numpy as np

from labelmend.errors import GeometryError
from labelmend.types import BoolArray


def dice(
    mask: BoolArray, reference: BoolArray, ignore: BoolArray | None = None, *, empty: float = float("nan")
) -> float:
    """Dice coefficient of two masks: 2 |A and B| / (|A| + |B|).

    Args:
        mask: `(*space)` booleans.
        reference: `(*space)` booleans.
        ignore: `(*space)` booleans, True where pixels are left out of both masks.
        empty: the value when both masks are empty: NaN, so that no average counts such a case unseen.

    Returns:
        In [0, 1]; 0 when exactly one mask is empty.

    Raises:
        GeometryError: shapes differ.

    >>> round(dice(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool)), 4)
    0.6667
    """
    common, size, reference_size = _sizes(mask, reference, ignore)
    return 2 * common / (size + reference_size) if size + reference_size else empty


def iou(
    mask: BoolArray, reference: BoolArray, ignore: BoolArray | None = None, *, empty: float = float("nan")
) -> float:
    """Intersection over union of two masks: |A and B| / |A or B|.

    Args:
        mask: `(*space)` booleans.
        reference: `(*space)` booleans.
        ignore: `(*space)` booleans, True where pixels are left out of both masks.
        empty: the value when both masks are empty: NaN, so that no average counts such a case unseen.

    Returns:
        In [0, 1]; 0 when exactly one mask is empty.

    Raises:
        GeometryError: shapes differ.

    >>> iou(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool))
    0.5
    """
    common, size, reference_size = _sizes(mask, reference, ignore)
    union = size + reference_size - common
    return common / union if union else empty


def _sizes(mask: BoolArray, reference: BoolArray, ignore: BoolArray | None) -> tuple[int, int, int]:
    """Pixels common to both, pixels of the mask and pixels of the reference, outside `ignore`."""
    mask, reference = np.asarray(mask, bool), np.asarray(reference, bool)
    if mask.shape != reference.shape or (ignore is not None and np.shape(ignore) != mask.shape):
        raise GeometryError(
            f"mask has shape {mask.shape}, reference {reference.shape}"
            + ("" if ignore is None else f", ignored pixels {np.shape(ignore)}")
            + "; they must be equal"
        )
    if ignore is not None:
        known = ~np.asarray(ignore, bool)
        mask, reference = mask & known, reference & known
    return tuple(int(np.count_nonzero(m)) for m in (mask & reference, mask, reference))  # type: ignore[return-value]
