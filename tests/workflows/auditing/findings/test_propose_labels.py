"""Labels that mend what is told: exactly that, and no further than the probabilities leave it open."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from drawing import box, disc
from drawn_findings import crowded, exclusive, sure, told
from labelmend.geometry import signed_distance
from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.findings import (
    Disagreements,
    Region,
    WrongObject,
    find_disagreements,
    own_findings,
    propose,
)
from labelmend.workflows.auditing.findings.case_statistics import views
from labelmend.workflows.auditing.findings.propose_labels import LEAST_DOUBT, LEAST_MARGIN

SHAPE = (80, 80)
LARGE, SMALL = disc(SHAPE, (28, 28), 16.5), disc(SHAPE, (62, 62), 6.5)
BOTH = LARGE * 1 + SMALL * 2


def test_of_a_stretch_the_part_that_the_network_is_sure_of_is_mended():
    true, given = box(SHAPE, (20, 60), (20, 40)), box(SHAPE, (20, 60), (20, 48))
    probs = sure(true * 1, 1, 0.95)
    probs[:, 20:60, 45:48] = [[[0.7]], [[0.3]]]
    found = told(exclusive(given), probs=probs)
    assert [finding.kind for finding in found.findings] == ["outline"]
    mended = true | box(SHAPE, (20, 60), (45, 48))
    np.testing.assert_array_equal(found.proposal().array, mended)


def test_a_proposal_along_edges_grows_into_the_background_only():
    image = (box(SHAPE, (20, 60), (20, 40)) * 50.0 + box(SHAPE, (20, 60), (40, 60)) * 90)[None]
    right = box(SHAPE, (20, 60), (20, 40)) * 1 + box(SHAPE, (20, 60), (40, 60)) * 2
    drawn = box(SHAPE, (23, 57), (23, 40)) * 1 + box(SHAPE, (20, 60), (40, 60)) * 2
    given = exclusive(drawn, 2)
    found = told(given, probs=sure(drawn, 2, 0.5), image=image, others=[exclusive(right, 2)] * 9)
    proposal = propose(given, found.seen, (-3.0, 0.0)).array
    assert (proposal == 2).sum() == (drawn == 2).sum()
    assert (proposal == 1).sum() > (drawn == 1).sum()


def test_what_an_outline_gives_up_goes_to_the_likeliest_other_class():
    array = np.array([[0, 1, 1, 1, 1, 1, 1, 2, 2]])
    probs = np.zeros((3, 1, 9))
    probs[0, 0] = [0.9, 0.3, 0.1, 0, 0, 0.1, 0.1, 0, 0]  # the third pixel keeps its class: 0.9
    probs[2, 0] = [0, 0, 0, 0, 0, 0.3, 0.3, 1, 1]
    probs[1] = 1 - probs[0] - probs[2]
    given = exclusive(array, 2)
    assert propose(given, find_disagreements(given, probs), (2.0, 0.0)).array.tolist() == [
        [0, 0, 1, 1, 1, 2, 2, 2, 2]
    ]


def test_values_of_classes_are_kept():
    given = dataclasses.replace(exclusive(LARGE * 7, 2), values=(7, 200))
    np.testing.assert_array_equal(told(given, BOTH).proposal().array, LARGE * 7 + SMALL * 200)


def test_a_region_that_an_outline_has_grown_into_goes_to_the_predicted_class_alone():
    array = np.zeros((1, 9), np.uint8)
    array[0, 1:3] = 1
    given = LabelMap(array, Grid((1, 9), (1.0, 1.0)), ("one", "two"))
    probs = np.full((3, 1, 9), 1 / 3, np.float32)
    probs[2, 0, 3:6] = 0.4
    view = views(given, probs)[0]
    region = Region(0, 2, ((0, 1), (3, 6)), np.ones((1, 3), bool), 3, 3, 3, 0, 1, 1, 1, 0, 1)
    seen = Disagreements(
        (view,), given.array >= 0, ((view, (region,)),), ((view, (WrongObject(region, 1.0, (region,)),)),)
    )
    assert propose(given, seen, (-2.0, 0.0)).array.tolist() == [[1, 1, 1, 2, 2, 2, 0, 0, 0]]


def test_an_object_that_crosses_a_class_goes_where_each_pixel_is_predicted():
    organ, lesion = box(SHAPE, (10, 70), (10, 40)), disc(SHAPE, (40, 38), 8)
    true = organ * 1
    given = exclusive(np.where(lesion, 2, true), 2)
    seen = find_disagreements(given, sure(true, 2))
    (own,) = own_findings(given, seen)  # and no stretch of an outline beside it
    assert (own.finding.kind, own.finding.size_mm) == ("wrong_class", lesion.sum())
    np.testing.assert_array_equal(propose(given, seen, (0.0, 0.0)).array, true)


def test_what_nothing_is_told_of_stays_as_it_is():
    given = exclusive(BOTH, 2)
    proposed = propose(given, find_disagreements(given, sure(BOTH, 2)), (0.0, 0.0))
    np.testing.assert_array_equal(proposed.array, given.array)
    assert proposed.array is not given.array


def from_masks(given: LabelMap, seen: Disagreements, inward_mm) -> np.ndarray:
    """The proposal made of one mask a class, all at once."""
    drawn = given.masks()
    masks = drawn.copy()
    for view in seen.views:
        own = list(view.classes)
        for number, index in enumerate(own, start=1):
            if inward_mm[index]:
                prob = view.probs[number]
                inside = signed_distance(drawn[index], given.grid.spacing_mm) < -inward_mm[index]
                masks[index] |= inside & ~masks[own].any(axis=0) & (prob >= LEAST_DOUBT)
                lost = drawn[index] & ~inside & (1 - prob >= LEAST_DOUBT)
                others = view.probs[:, lost]
                others[number] = -1
                for other, heir in enumerate(own, start=1):
                    masks[heir][lost] = others.argmax(axis=0) == other
    for own in own_findings(given, seen):
        view, region, at, mended = own.view, own.region, own.region.slices, own.region.inside
        if own.finding.kind == "outline":
            margin = view.probs[region.predicted][at] - view.probs[region.given][at]
            mended = mended & (margin >= LEAST_MARGIN)
        for number, index in enumerate(view.classes, start=1):
            masks[index][at][mended] = view.predicted[at][mended] == number
    return given.with_masks(masks).array


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("inward_mm", [0.0, 1.5, -1.5])
def test_a_proposal_is_that_of_one_mask_a_class(seed, inward_mm):
    labels, softmax = crowded(seed, (40, 50), 5)
    masks = LabelMap(labels.masks(), labels.grid, labels.classes, ignored_mask=labels.ignored())
    for given, probs in ((labels, softmax), (masks, softmax[1:])):
        seen, moves = find_disagreements(given, probs), (0.0, inward_mm, inward_mm, 0.0, 0.0)
        np.testing.assert_array_equal(propose(given, seen, moves).array, from_masks(given, seen, moves))


def test_a_class_of_value_0_is_proposed_like_any_other():
    true = LARGE * 1
    given = exclusive((LARGE | SMALL) * 1, background="road")
    found = told(given, true)
    assert [finding.kind for finding in found.findings] == ["wrong_class"]
    np.testing.assert_array_equal(found.proposal().array, true)
