"""Small pictures of audited cases for a notebook: image, given outlines and predicted ones."""

from __future__ import annotations

import numpy as np

from labelmend.html.figures import thumbnail
from labelmend.html.slice_view import choose_plane
from labelmend.types import FloatArray, LabelMap
from labelmend.workflows.auditing.findings.case_statistics import views


def case_thumbnail(given: LabelMap, probs: FloatArray, image: FloatArray | None = None) -> str:
    """A data URI; of a volume the slice in which given and predicted labels differ most.

    Args:
        given: the annotation.
        probs: `(k+1 *space)`, or `(k *space)` of overlapping classes.
        image: `(c *space)`, of which the first channel is shown, or None.
    """
    drawn = given.masks()
    tasks = views(given, probs)
    predicted = np.stack([task.predicted == n for task in tasks for n in range(1, len(task.classes) + 1)])
    apart = np.logical_and((drawn != predicted).any(axis=0), ~given.ignored())
    plane = choose_plane(given.grid, apart if apart.any() else np.asarray(drawn.any(axis=0)))
    return thumbnail(
        None if image is None else plane.take(image[0]),
        np.stack([plane.take(mask) for mask in drawn]),
        np.stack([plane.take(mask) for mask in predicted]),
        height_to_width=plane.height_to_width,
    )
