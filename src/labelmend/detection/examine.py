"""The findings of one case, in words and mm, surest first; and labels that mend them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from labelmend.detection.finding import Finding, measured, ordered
from labelmend.detection.numbers import CaseNumbers, ClassView, Seen
from labelmend.detection.regions import Region
from labelmend.detection.score import CaseScore, Typical, case_score
from labelmend.detection.steps import step_mm
from labelmend.geometry import signed_distance
from labelmend.types import BoolArray, LabelMap

LEAST_OBJECT = 0.45
"""Score from which on a wrong object is told."""

LEAST_WIDTH, LEAST_STRETCH = 2.5, 0.5
"""Mean width in steps (`steps_along` each axis), and score, from which on a stretch of outline is told."""

MOST_STRETCHES = 8
"""Stretches of outline that are told of a case: the widest and surest."""

LEAST_CASE = 0.5
"""Score from which on a case as a whole is told."""

LEAST_OFFSET = 0.25
"""Mean offset of an outline in steps (`step_mm`), below which neither side is named."""

MOVED = 3.0
"""Standard deviations from the edges at which an outline is moved onto them."""

LEAST_DOUBT = 0.2
"""Probability of the other class from which on a pixel changes its class when an outline is moved."""

LEAST_MARGIN = 0.5
"""By how much the predicted class has to be likelier than the given one for a stretch of outline to be
mended: half-way between what is unknown and what is sure."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What is told of one case.

    Args:
        score: of the case.
        findings: surest first within a kind: the case, objects, stretches of outline, faults.
        regions: those that the findings are made of, with their view, in the order of the findings; None for
            findings that are no region.
        inward_mm: per class, how far inward its outline has to go to lie along the edges, 0 where it does.
        views: the tasks of the case.
    """

    score: CaseScore
    findings: tuple[Finding, ...]
    regions: tuple[tuple[ClassView, Region] | None, ...]
    inward_mm: tuple[float, ...]
    views: tuple[ClassView, ...]

    @property
    def reason(self) -> str:
        """The first finding in words, or that there is none."""
        return self.findings[0].reason if self.findings else "Nothing stands out."


def examine(
    given: LabelMap,
    seen: Seen,
    numbers: CaseNumbers,
    usual: Typical,
    *,
    slips: Iterable[Finding] = (),
) -> Examined:
    """The findings of one case.

    Args:
        given: the annotation.
        seen: its disagreements with the prediction.
        numbers: its numbers.
        usual: those of the data set.
        slips: its faults.
    """
    score = case_score(numbers, usual)
    told: list[tuple[Finding, tuple[ClassView, Region] | None]] = []
    if score.score >= LEAST_CASE and score.main != "wrong_object":  # the object itself says more
        told.append((_whole(given, numbers, usual, score), None))
    told += sorted(_objects(given, seen), key=lambda pair: -pair[0].score)
    stretches = [pair for pair in _stretches(given, seen) if pair[0].score >= LEAST_STRETCH]
    told += sorted(stretches, key=lambda pair: -pair[0].score)[:MOST_STRETCHES]
    told += [(finding, None) for finding in ordered(list(slips))]
    findings, regions = (tuple(column) for column in zip(*told, strict=True)) if told else ((), ())
    return Examined(score, findings, regions, _inward(numbers, usual, score), seen.views)


def propose(given: LabelMap, examined: Examined) -> LabelMap:
    """The annotation with the predicted class in each object, and each sure part of an outline, that is told.

    Where a whole case lies beside the edges of the image, its outlines are moved onto them first, as far as
    the probabilities leave it open: what an outline gives up goes to the likeliest other class, and it grows
    into the background only.

    Args:
        given: the annotation.
        examined: what is told of it.
    """
    masks = _moved(given, examined)
    for finding, pair in zip(examined.findings, examined.regions, strict=True):
        if pair is None:
            continue
        view, region = pair
        at, mended = region.slices, region.inside
        if finding.kind == "outline":
            margin = view.probs[region.predicted][at] - view.probs[region.given][at]
            mended = mended & (margin >= LEAST_MARGIN)
        for index in view.classes:  # all that the task knows: an outline that moved may hold the region now
            masks[index][at][mended] = False
        if region.predicted:
            masks[view.classes[region.predicted - 1]][at][mended] = True
    return given.with_masks(masks)


def _moved(given: LabelMap, examined: Examined) -> BoolArray:
    """`(k *space)` the masks with their outlines on the edges."""
    drawn = given.masks()
    masks = drawn.copy()
    for view in examined.views:
        own = list(view.classes)
        for number, index in enumerate(own, start=1):
            inward_mm, prob = examined.inward_mm[index], view.probs[number]
            if not inward_mm:
                continue
            inside = signed_distance(drawn[index], given.grid.spacing_mm) < -inward_mm
            masks[index] |= inside & ~masks[own].any(axis=0) & (prob >= LEAST_DOUBT)
            lost = drawn[index] & ~inside & (1 - prob >= LEAST_DOUBT)
            others = view.probs[:, lost]
            others[number] = -1
            for other, heir in enumerate(own, start=1):
                masks[heir][lost] = others.argmax(axis=0) == other
    return masks


def _objects(given: LabelMap, seen: Seen) -> Iterator[tuple[Finding, tuple[ClassView, Region]]]:
    for view, objects in seen.objects:
        for item in objects:
            if item.score >= LEAST_OBJECT:
                yield _object(given, view, item.region, item.score), (view, item.region)


def _object(given: LabelMap, view: ClassView, region: Region, score: float) -> Finding:
    size_mm = float(region.inside.sum() * np.prod(given.grid.spacing_mm))
    size = measured(size_mm, given.grid.ndim, given.grid.unit)
    predicted = _name(given, view, region.predicted)
    annotated = _name(given, view, region.given)
    if not region.given:
        kind, name, reason = "missing", predicted, f"{predicted} of {size} seems to be missing."
    elif not region.predicted:
        kind, name, reason = "spurious", annotated, f"{annotated} of {size} where none seems to be."
    else:
        kind, name = "wrong_class", predicted
        reason = f"{size} annotated as {annotated} look like {predicted}."
    other = annotated if kind == "wrong_class" else ""
    return Finding(kind, name, score, reason, region.box, size_mm, other=other)  # type: ignore[arg-type]


def _stretches(given: LabelMap, seen: Seen) -> Iterator[tuple[Finding, tuple[ClassView, Region]]]:
    whole = {id(item.region) for _, objects in seen.objects for item in objects if item.score >= LEAST_OBJECT}
    for view, found in seen.regions:
        for region in found:
            if region.width_steps >= LEAST_WIDTH and id(region) not in whole:
                yield _stretch(given, view, region), (view, region)


def _stretch(given: LabelMap, view: ClassView, region: Region) -> Finding:
    """A part of an outline that is off; of two classes that meet there, it is the outline of the given
    one."""
    grid = given.grid
    out = region.given > 0
    name = _name(given, view, region.given or region.predicted)
    size_mm = float(region.inside.sum() * np.prod(grid.spacing_mm)) / region.width_mm
    length = measured(size_mm, grid.ndim - 1, grid.unit)
    width = measured(region.width_mm, 1, grid.unit)
    other = _name(given, view, region.predicted) if region.given and region.predicted else ""
    into = f" into {other}" if other else ""
    reason = f"{name}: {length} of outline lie {width} too far {'out' if out else 'in'}{into}."
    score = max(0.0, 2 * region.certainty - 1) * float(1 - np.exp(-region.width_steps / LEAST_WIDTH))
    return Finding(
        "outline",
        name,
        score,
        reason,
        region.box,
        size_mm,
        region.width_mm if out else -region.width_mm,
        other,
    )


def _whole(given: LabelMap, numbers: CaseNumbers, usual: Typical, score: CaseScore) -> Finding:
    """A case as a whole, by what speaks most against it."""
    unit = given.grid.unit
    if score.main == "edges":
        off = (usual.edge_mm - numbers.edge_mm) / usual.edge_spread
        index = int(np.nanargmax(np.abs(np.where(np.isfinite(off), off, np.nan))))
        gap = float(usual.edge_mm[index] - numbers.edge_mm[index])
        reason = (
            f"{given.classes[index]} is drawn {measured(abs(gap), 1, unit)} too far "
            f"{'out' if gap > 0 else 'in'} all along: edges in the image lie beside its outline."
        )
        return Finding("case", given.classes[index], score.score, reason, offset_mm=gap)
    index = int(np.nanargmax((numbers.far - usual.far) / usual.far_spread))
    offset = float(numbers.offset_mm[index])
    mean = f"{measured(abs(offset), 1, unit)} too far {'out' if offset > 0 else 'in'}"
    if abs(offset) < LEAST_OFFSET * step_mm(given.grid.spacing_mm):
        mean = "neither too far out nor in"
    reason = (
        f"{given.classes[index]}: {numbers.far[index]:.0%} of the outline lies apart from the predicted one, "
        f"{usual.far[index]:.0%} is usual; in the mean {mean}."
    )
    return Finding("case", given.classes[index], score.score, reason, offset_mm=offset)


def _inward(numbers: CaseNumbers, usual: Typical, score: CaseScore) -> tuple[float, ...]:
    """What moves outlines onto edges, where these speak most against the case."""
    off = usual.edge_mm - numbers.edge_mm
    if score.main != "edges" or score.score < LEAST_CASE:
        return (0.0,) * len(off)
    tells = np.abs(np.nan_to_num(off / usual.edge_spread)) > MOVED
    return tuple(float(gap) if told else 0.0 for gap, told in zip(off, tells, strict=True))


def _name(given: LabelMap, view: ClassView, index: int) -> str:
    return given.classes[view.classes[index - 1]] if index else "background"
