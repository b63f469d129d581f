"""Where the classes of a label map lie: the boxes of all of them in one pass, and what is done with boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import find_objects

from labelmend.types import BoolArray, LabelMap

Slices = tuple[slice, ...]

LARGEST_VALUE = 1 << 16
"""Classes with larger values are looked for one by one: the table of all values would grow too long."""


def class_boxes(labels: LabelMap) -> dict[str, Slices | None]:
    """Per class of `LabelMap.names` the smallest box that holds it, None where it is nowhere.

    >>> from labelmend.types import Grid
    >>> labels = LabelMap(np.array([[0, 2, 2], [0, 0, 0]]), Grid((2, 3), (1.0, 1.0)), ("a", "b"))
    >>> class_boxes(labels)
    {'a': None, 'b': (slice(0, 1, None), slice(1, 3, None))}
    """
    if labels.overlapping or max(labels.class_values) > LARGEST_VALUE:
        return {name: mask_box(labels.mask(name)) for name in labels.names}
    found = find_objects(labels.array, max_label=max(labels.class_values))
    boxes = {name: found[v - 1] for name, v in zip(labels.classes, labels.class_values, strict=True)}
    zero = {} if labels.background is None else {labels.background: mask_box(labels.mask(labels.background))}
    return zero | boxes


def mask_box(mask: BoolArray) -> Slices | None:
    """The smallest box that holds a mask, None if it is empty."""
    return next(iter(find_objects(mask.view(np.uint8), max_label=1)), None)


def joint_box(boxes: Iterable[Slices | None], shape: Sequence[int], margin: int = 0) -> Slices:
    """The smallest box that holds all of them, and some pixels more within the image; one pixel for none.

    Args:
        boxes: one slice an axis each, or None for what is nowhere.
        shape: of the image.
        margin: pixels more on each side.

    >>> joint_box([(slice(2, 4),), None, (slice(7, 9),)], (9,), margin=1)
    (slice(1, 9, None),)
    """
    there = [box for box in boxes if box is not None]
    if not there:
        return (slice(0, 1),) * len(shape)
    return tuple(
        slice(max(min(s.start for s in own) - margin, 0), min(max(s.stop for s in own) + margin, n))
        for *own, n in zip(*there, shape, strict=True)
    )
