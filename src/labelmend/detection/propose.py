"""Labels that mend what is told of a case."""

from __future__ import annotations

from collections.abc import Sequence

from labelmend.detection.numbers import ClassView, Seen
from labelmend.detection.own_findings import own_findings
from labelmend.geometry import signed_distance
from labelmend.types import BoolArray, LabelMap

LEAST_DOUBT = 0.2
"""Probability of the other class from which on a pixel changes its class when an outline is moved."""

LEAST_MARGIN = 0.5
"""By how much the predicted class has to be likelier than the given one for a stretch of outline to be
mended: half-way between what is unknown and what is sure."""


def propose(given: LabelMap, seen: Seen, inward_mm: Sequence[float]) -> LabelMap:
    """The annotation with the predicted class in each object, and each sure part of an outline, that is told.

    Where a whole case lies beside the edges of the image, its outlines are moved onto them first, as far as
    the probabilities leave it open: what an outline gives up goes to the likeliest other class, and it grows
    into the background only.

    Args:
        given: the annotation.
        seen: its disagreements with the prediction.
        inward_mm: per class, how far inward its outline has to go to lie along the edges, 0 where it does;
            see `Examined`.
    """
    masks = _moved(given, seen.views, inward_mm)
    for own in own_findings(given, seen):
        view, region = own.view, own.region
        at, mended = region.slices, region.inside
        if own.finding.kind == "outline":
            margin = view.probs[region.predicted][at] - view.probs[region.given][at]
            mended = mended & (margin >= LEAST_MARGIN)
        for number, index in enumerate(view.classes, start=1):  # all: one that moved may hold the region now
            masks[index][at][mended] = view.predicted[at][mended] == number
    return given.with_masks(masks)


def _moved(given: LabelMap, views: Sequence[ClassView], inward_mm: Sequence[float]) -> BoolArray:
    """`(k *space)` the masks with their outlines on the edges."""
    drawn = given.masks()
    masks = drawn.copy()
    for view in views:
        own = list(view.classes)
        for number, index in enumerate(own, start=1):
            if not inward_mm[index]:
                continue
            prob = view.probs[number]
            inside = signed_distance(drawn[index], given.grid.spacing_mm) < -inward_mm[index]
            masks[index] |= inside & ~masks[own].any(axis=0) & (prob >= LEAST_DOUBT)
            lost = drawn[index] & ~inside & (1 - prob >= LEAST_DOUBT)
            others = view.probs[:, lost]
            others[number] = -1
            for other, heir in enumerate(own, start=1):
                masks[heir][lost] = others.argmax(axis=0) == other
    return masks
