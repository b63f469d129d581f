"""Levels: one number a pixel and class, positive exactly where the class is predicted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelmend.types import BoolArray, FloatArray


def class_levels(probs: FloatArray, *, overlapping: bool) -> FloatArray:
    """`(k *space)` levels of the foreground classes: positive exactly where the class is predicted.

    Overlapping: the logit of each class. Exclusive: log p_c - max over the other classes (background
    included), so that the largest probability wins.

    Args:
        probs: `(k *space)` sigmoid outputs, or `(k+1 *space)` softmax outputs with background first.
        overlapping: which of the two.
    """
    tiny = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(probs, tiny))
    if overlapping:
        return logs - np.log(np.maximum(1 - probs, tiny))
    levels = []
    for index in range(1, len(probs)):
        others = np.delete(logs, index, axis=0)
        levels.append(logs[index] - others.max(axis=0))
    return np.stack(levels)


def resolve(levels: FloatArray, *, overlapping: bool) -> BoolArray:
    """Masks from levels: every positive level for overlapping classes, else the highest positive one."""
    masks = levels > 0
    if overlapping or len(levels) == 1:
        return masks
    winner = levels.argmax(axis=0)
    return masks & (winner == np.arange(len(levels)).reshape(-1, *[1] * winner.ndim))


def class_numbers(masks: BoolArray) -> NDArray[np.int64]:
    """`(*space)` integers of `(k *space)` exclusive masks: 0 background, j the j-th mask.

    >>> class_numbers(np.array([[True, False, False], [False, True, False]])).tolist()
    [1, 2, 0]
    """
    return np.where(masks.any(axis=0), masks.argmax(axis=0) + 1, 0)
