"""Detect probabilities with reversed axes when their shape does not reveal it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelmend.io.cases import AnySource, Source
from labelmend.metrics import dice
from labelmend.types import FloatArray, LabelMap

MOST_READ = 8
"""Number of cases to check."""

ABSURD, GOOD = 0.5, 0.2
"""Dice below which axes are suspected, and the gain on reversing them that confirms it."""


def reversed_axes(source: AnySource, cases: Sequence[str]) -> list[str]:
    """A sentence if labels agree with the predictions only once the axes of these are reversed, else none.

    Checks only arrays for NIfTI labels whose shape is the same in both orders; they are rare.

    Args:
        source: labels and probabilities.
        cases: those that may be read.
    """
    if not isinstance(source, Source) or source.probs.kind != "arrays":
        return []
    as_read, turned = [], []
    for case in cases[:MOST_READ]:
        given, probs = source.read_labels(case)
        shape = given.grid.shape
        if given.grid.affine is None or shape != shape[::-1]:
            return []
        as_read.append(_dice(given, probs))
        turned.append(_dice(given, probs.transpose(0, *range(probs.ndim - 1, 0, -1))))
    if not as_read or np.isnan(as_read).all():
        return []
    now, then = float(np.nanmean(as_read)), float(np.nanmean(turned))
    if now >= ABSURD or then < now + GOOD:
        return []
    other = "array" if source.probs.order_of(cases[0]) == "sitk" else "sitk"
    return [
        f"The axes of the probabilities look reversed: the Dice between labels and predictions is {now:.2f}, "
        f"but {then:.2f} with reversed axes, which the shape allows. If so, use --order {other} (in "
        f'Python, order="{other}").'
    ]


def _dice(given: LabelMap, probs: FloatArray) -> float:
    """Mean Dice between given and predicted classes; NaN without any."""
    if given.overlapping:
        predicted = probs > 0.5
    else:
        winner = probs.argmax(axis=0)
        predicted = np.stack([winner == index for index in range(1, len(probs))])
    found = [dice(mask, other) for mask, other in zip(given.masks(), predicted, strict=True) if mask.any()]
    return float(np.mean(found)) if found else float("nan")
