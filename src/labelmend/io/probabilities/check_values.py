"""Check whether values can be probabilities, and guess what they are if not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelmend.errors import LabelValueError

RANGE_TOLERANCE = 1e-3
"""How far outside [0, 1] a probability may lie, by rounding or resampling."""

SUM_TOLERANCE = 0.02
"""Tolerance of the sum of a pixel's probabilities, beyond integer rounding."""

OVERSHOOT = 0.2
"""How far cubic interpolation may carry probabilities outside [0, 1]."""

Probs = NDArray[np.float32]


def checked_softmax(probs: Probs, *, step: float = 0.0, empty_is_background: bool = False) -> Probs:
    """Exclusive probabilities, in place: clipped to [0, 1] and summing to one in every pixel.

    Args:
        probs: `(k+1 *space)`, background first.
        step: distance of neighbouring values if stored as integers, otherwise 0.
        empty_is_background: pixels with all zeros are certain background, as in files of earlier nnU-Net
            versions, which left pixels outside the cropped image at zero.

    Raises:
        LabelValueError: NaN, values outside [0, 1], sums far from one.
    """
    _clip(probs)
    total = probs.sum(axis=0)
    if empty_is_background:
        empty = total == 0
        probs[0][empty] = 1
        total[empty] = 1
    far = np.abs(total - 1) > SUM_TOLERANCE + step * len(probs) / 2
    if far.any():
        raise LabelValueError(
            f"the probabilities of {_share(far)} of the pixels do not sum to one (such as "
            f"{total[far][0]:.3g}): classes of an integer map are exclusive, so expected a softmax over "
            "background and classes, not one sigmoid per class"
        )
    probs /= total
    return probs


def checked_sigmoid(probs: Probs) -> Probs:
    """Probabilities of overlapping classes `(k *space)`, in place: clipped to [0, 1]."""
    _clip(probs)
    return probs


def with_background(foreground: Probs, *, step: float = 0.0) -> Probs:
    """Exclusive probabilities from the foreground classes alone: background is the remainder to one.

    Args:
        foreground: `(k *space)`; clipped in place.
        step: as for `checked_softmax`.

    Raises:
        LabelValueError: NaN, values outside [0, 1], sums above one.
    """
    _clip(foreground)
    total = foreground.sum(axis=0)
    above = total > 1 + SUM_TOLERANCE + step * len(foreground) / 2
    if above.any():
        raise LabelValueError(
            f"the classes sum to more than one in {_share(above)} of the pixels (such as "
            f"{total[above][0]:.3g}): classes of an integer map are exclusive, so expected a softmax, not "
            "one sigmoid per class"
        )
    probs = np.concatenate([np.clip(1 - total, 0, 1)[None], foreground])
    probs /= probs.sum(axis=0)
    return probs


def _clip(probs: Probs) -> None:
    """Check the range, then clip values slightly outside."""
    low, high = float(probs.min()), float(probs.max())
    if np.isnan(low):
        raise LabelValueError(
            f"{int(np.isnan(probs).sum())} probabilities are NaN: predict these cases again"
        )
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise LabelValueError(
            f"the values range from {low:.4g} to {high:.4g}, but probabilities must be in [0, 1]: "
            f"{_looks(low, high)}"
        )
    if low < 0 or high > 1:
        np.clip(probs, 0, 1, out=probs)


def _looks(low: float, high: float) -> str:
    """The most likely meaning of values outside [0, 1], as advice."""
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return "these look like probabilities after interpolation, so clip them to [0, 1]"
    if low < -RANGE_TOLERANCE and high <= RANGE_TOLERANCE:
        return "these look like log-probabilities, so save their exponential"
    if low < -RANGE_TOLERANCE:
        return "these look like logits, so save their softmax (integer maps) or sigmoid (overlapping classes)"
    return "these look scaled, for example to percent or 0..255, so divide them by their full scale"


def _share(pixels: NDArray[np.bool_]) -> str:
    share = float(pixels.mean())
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
