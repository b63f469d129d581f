"""Labels that correct the findings of a case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelmend.geometry import signed_distance
from labelmend.types import LabelMap
from labelmend.workflows.auditing.findings.case_statistics import ClassView, Disagreements
from labelmend.workflows.auditing.findings.region_findings import own_findings

LEAST_DOUBT = 0.2
"""Least probability of the other class for a pixel to change when an outline is moved."""

LEAST_MARGIN = 0.5
"""By how much the predicted class has to be more probable than the given one for a stretch of outline to be
corrected: half-way between undecided and certain."""


def propose(given: LabelMap, seen: Disagreements, inward_mm: Sequence[float]) -> LabelMap:
    """The annotation with the predicted class in every reported object, and the certain part of every
    reported stretch of outline.

    If the outlines of a whole case are off the edges of the image, they are first moved onto them, as far as
    the probabilities allow: pixels that an outline gives up go to the likeliest other class, and it grows
    only into the background.

    Args:
        given: the annotation.
        seen: its disagreements with the prediction.
        inward_mm: per class, how far its outline has to be moved inward to follow the edges, see `Examined`.
    """
    new = {id(view): _moved(given, view, inward_mm) for view in seen.views}
    for own in own_findings(given, seen):
        view, region = own.view, own.region
        at, corrected = region.slices, region.inside
        if own.finding.kind == "outline":
            margin = view.probs[region.predicted][at] - view.probs[region.given][at]
            corrected = corrected & (margin >= LEAST_MARGIN)
        new[id(view)][at][corrected] = view.predicted[at][corrected]
    found = [new[id(view)] for view in seen.views]
    if given.overlapping:
        return given.with_masks(np.stack([indices > 0 for indices in found]))
    return given.with_indices(found[0])


def _moved(given: LabelMap, view: ClassView, inward_mm: Sequence[float]) -> NDArray[np.integer]:
    """`(*space)` indices of the given classes of a task, with outlines moved onto the edges."""
    indices = view.given.copy()
    for number, index in enumerate(view.classes, start=1):
        if not inward_mm[index]:
            continue
        prob, drawn = view.probs[number], view.given == number
        inside = signed_distance(drawn, given.grid.spacing_mm) < -inward_mm[index]
        indices[inside & (indices == 0) & (prob >= LEAST_DOUBT)] = number
        lost = drawn & ~inside & (1 - prob >= LEAST_DOUBT)
        others = view.probs[:, lost]
        others[number] = -1
        indices[lost] = others.argmax(axis=0)
    return indices
