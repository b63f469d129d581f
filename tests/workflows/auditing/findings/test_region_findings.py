"""What a case shows by itself: which of its regions are told, in which order, and what is kept of them."""

from __future__ import annotations

import numpy as np

from drawing import box, disc
from drawn_findings import exclusive, overlapping, sure, told
from labelmend.workflows.auditing.findings import find_disagreements, own_findings
from labelmend.workflows.auditing.findings.region_findings import MOST_STRETCHES

SHAPE = (80, 80)
LARGE, SMALL = disc(SHAPE, (28, 28), 16.5), disc(SHAPE, (62, 62), 6.5)


def test_of_many_stretches_the_surest_are_told():
    teeth = sum(box(SHAPE, (1 + 8 * i, 6 + 8 * i), (40, 46)) for i in range(10))
    found = told(
        exclusive(box(SHAPE, (0, 80), (10, 40)) | teeth.astype(bool)), box(SHAPE, (0, 80), (10, 40)) * 1
    )
    assert len(found.findings) == MOST_STRETCHES
    scores = [finding.score for finding in found.findings]
    assert scores == sorted(scores, reverse=True)


def test_objects_come_before_stretches_and_the_surest_of_each_first():
    third = disc(SHAPE, (62, 18), 9.5)
    given = exclusive(disc(SHAPE, (28, 34), 16.5))
    own = own_findings(given, find_disagreements(given, sure((LARGE | SMALL | third) * 1, 1, 0.95)))
    assert [found.finding.kind for found in own] == ["missing", "missing", "outline", "outline"]
    scores = [found.finding.score for found in own]
    assert scores[0] > scores[1]
    assert scores[2] >= scores[3]
    assert own[0].finding.size_mm == third.sum()


def test_a_finding_has_the_region_that_it_tells_of():
    true = LARGE * 1 + SMALL * 2
    given = exclusive(LARGE * 1 + SMALL * 1, 2)
    (own,) = own_findings(given, find_disagreements(given, sure(true, 2)))
    assert (own.region.given, own.region.predicted, own.region.box) == (1, 2, own.finding.box)
    np.testing.assert_array_equal(own.region.inside, SMALL[own.region.slices])
    assert own.view.classes == (0, 1)


def test_of_overlapping_classes_the_class_is_named_that_the_view_is_of():
    given = overlapping([LARGE, LARGE])
    (own,) = own_findings(given, find_disagreements(given, np.where([LARGE, LARGE | SMALL], 0.95, 0.05)))
    assert (own.finding.kind, own.finding.class_name, own.view.classes) == ("missing", "b", (1,))


def test_nothing_is_told_of_a_case_without_errors_nor_of_an_empty_one_in_3d():
    given = exclusive(LARGE)
    assert own_findings(given, find_disagreements(given, sure(LARGE * 1, 1))) == ()
    empty = exclusive(np.zeros((4, 20, 20)), spacing_mm=(5.0, 1.0, 1.0))
    assert own_findings(empty, find_disagreements(empty, sure(empty.array, 1))) == ()


def test_with_a_class_of_value_0_no_object_is_missing_nor_too_much_but_of_the_wrong_class():
    sidewalk = LARGE * 1
    for given, true, names in (
        (sidewalk, (LARGE | SMALL) * 1, ("a", "road")),
        ((LARGE | SMALL) * 1, sidewalk, ("road", "a")),
    ):
        labels = exclusive(given, background="road")
        (own,) = own_findings(labels, find_disagreements(labels, sure(true, 1)))
        assert (own.finding.kind, own.finding.class_name, own.finding.other) == ("wrong_class", *names)
        assert own.finding.reason.endswith(f"annotated as {names[1]} but looks like {names[0]}.")
        assert own.finding.size_mm == SMALL.sum()


def test_an_object_of_value_0_inside_of_another_class_is_an_object():
    given = exclusive(np.ones(SHAPE), background="road")
    true = np.where(SMALL, 0, 1)
    (own,) = own_findings(given, find_disagreements(given, sure(true, 1)))
    assert (own.finding.kind, own.finding.class_name, own.finding.other) == ("wrong_class", "road", "a")
    assert own.finding.box == own.region.box == ((56, 69), (56, 69))


def test_an_outline_of_value_0_runs_into_the_class_beside_it():
    true, drawn = box(SHAPE, (0, 80), (0, 40)), box(SHAPE, (0, 80), (0, 33))
    labels = exclusive(drawn, background="road")
    (own,) = own_findings(labels, find_disagreements(labels, sure(true * 1, 1)))
    assert (own.finding.kind, own.finding.class_name, own.finding.other) == ("outline", "road", "a")
    assert own.finding.offset_mm > 0
    assert own.finding.reason.startswith("road: outline 6.9 mm too far out into a along ")
