"""Empty cases, a class that all others have, fragments, mirrored pictures: seen without any prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from drawing import box
from drawn_findings import exclusive, overlapping
from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.findings import Finding, faults, layout_of, usual_layout
from labelmend.workflows.auditing.findings.layout_faults import Layout, UsualLayout

SHAPE = (40, 50)
HEART, LIVER = box(SHAPE, (10, 20), (30, 42)), box(SHAPE, (24, 36), (4, 20))
WHOLE = HEART * 1 + LIVER * 2


def told(given: LabelMap, others: Sequence[LabelMap]) -> list[Finding]:
    """Faults of a case among others."""
    own = layout_of(given)
    return list(faults(given, own, usual_layout([own, *map(layout_of, others)])))


def plain(n: int) -> list[LabelMap]:
    """Cases without a fault, not all at quite the same place."""
    return [exclusive(np.roll(WHOLE, i % 3 - 1, axis=(0, 1)), 2) for i in range(n)]


def test_the_layout_of_a_case_by_hand():
    layout = layout_of(exclusive(HEART, 2))
    assert layout.present.tolist() == [True, False]
    np.testing.assert_allclose(layout.centres, [[15 / 40, 36 / 50], [np.nan, np.nan]])
    assert (layout.fragments.tolist(), layout.n_fragments.tolist()) == ([0, 0], [0, 0])


def test_the_middle_of_an_image_is_at_one_half_and_a_mirrored_place_at_what_is_left_to_one():
    assert layout_of(exclusive(np.ones((7, 8, 9)))).centres.tolist() == [[0.5, 0.5, 0.5]]
    one, other = (layout_of(exclusive(m)).centres[0] for m in (HEART, HEART[:, ::-1]))
    assert other == pytest.approx([one[0], 1 - one[1]])


def test_cases_like_all_others_have_no_fault():
    assert told(plain(1)[0], plain(19)) == []


def test_nothing_annotated_is_all_that_is_said_of_an_empty_case():
    (fault,) = told(exclusive(np.zeros(SHAPE), 2), plain(30))
    assert (fault.kind, fault.class_name, fault.score) == ("fault", "", 1.0)
    assert fault.reason == "Nothing is annotated."


def test_a_class_that_nearly_all_others_have_is_missed():
    (fault,) = told(exclusive(HEART, 2), plain(39))
    assert (fault.class_name, fault.score) == ("b", 39 / 40)
    assert fault.reason == "b is missing; 98% of the cases have it."


@pytest.mark.parametrize("n", [0, 3, 18])
def test_in_a_few_cases_nothing_is_missed(n):
    assert told(exclusive(HEART, 2), plain(n)) == []


def test_fragments_by_hand():
    labels = WHOLE.copy()
    labels[0, 0] = labels[38:40, 48:50] = 1  # 1 and 4 px; the heart has 120
    given = exclusive(labels, 2, spacing_mm=(2.0, 0.5))
    (fault,) = told(given, plain(9))
    assert (fault.class_name, fault.size_mm, fault.score) == ("a", 5.0, 0.75)
    assert fault.reason == "a has 2 fragments of 5.0 mm2 in all."


def test_one_fragment_and_a_part_of_5_percent_that_is_none():
    labels = WHOLE.copy()
    labels[0, :6] = 1  # 6 of 120
    labels[39, 49] = 2
    (fault,) = told(exclusive(labels, 2), plain(9))
    assert (fault.class_name, fault.score) == ("b", 0.5)
    assert fault.reason == "b has a fragment of 1.0 mm2."


def test_pixels_that_touch_by_a_corner_are_no_fragment():
    labels = WHOLE.copy()
    labels[9, 29] = 1
    assert told(exclusive(labels, 2), plain(9)) == []


def test_where_fragments_are_usual_nothing_is_said_of_them():
    labels = WHOLE.copy()
    labels[0, 0] = 1
    given = exclusive(labels, 2)
    assert told(given, [given] * 3 + plain(6)) == []
    assert len(told(given, [given] * 2 + plain(7))) == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_picture_is_seen(axis):
    (fault,) = told(exclusive(np.flip(WHOLE, axis), 2), plain(9))
    assert (fault.kind, fault.class_name) == ("fault", "")
    assert (
        fault.reason
        == f"a, b: positions as in a mirrored image (axis {axis}). Is the image or the mask flipped?"
    )


def test_a_mirrored_volume_is_seen():
    volume = np.stack([WHOLE * 0, *[WHOLE] * 3, *[WHOLE * 0] * 6])
    given = exclusive(volume[::-1], 2, spacing_mm=(5.0, 1.0, 1.0))
    (fault,) = told(given, [exclusive(np.roll(volume, i % 2, axis=2), 2) for i in range(9)])
    assert "(axis 0)" in fault.reason


def test_a_class_in_the_middle_cannot_be_mirrored():
    middle = exclusive(box(SHAPE, (15, 25), (20, 30)))
    assert told(middle, [exclusive(box(SHAPE, (15, 25), (20 + i % 2, 30))) for i in range(12)]) == []


def test_a_class_that_lies_elsewhere_is_not_mirrored():
    assert told(exclusive(np.roll(WHOLE, -8, axis=1), 2), plain(12)) == []


def test_in_a_few_cases_nothing_is_mirrored():
    assert told(exclusive(WHOLE[:, ::-1], 2), plain(8)) == []


def test_a_class_that_no_case_has_is_nowhere():
    cases = [exclusive(HEART, 2) for _ in range(12)]
    assert np.isnan(usual_layout([layout_of(case) for case in cases]).centres[1]).all()
    assert told(cases[0], cases) == []


def test_overlapping_classes_have_faults_too():
    given = overlapping([HEART, np.zeros(SHAPE, bool)])
    (fault,) = told(given, [overlapping([HEART, LIVER])] * 25)
    assert fault.class_name == "b"


def test_a_case_that_is_all_of_value_0_is_empty_only_if_that_is_no_class():
    empty = np.zeros(SHAPE)
    assert [f.reason for f in told(exclusive(empty), [exclusive(empty)] * 3)] == ["Nothing is annotated."]
    road = exclusive(empty, background="road")
    assert told(road, [road] * 3) == []


def test_a_class_of_value_0_that_all_other_cases_have_is_missed():
    full = exclusive(np.ones(SHAPE), background="road")
    others = [exclusive(HEART, background="road")] * 20
    assert [f.class_name for f in told(full, others)] == ["road"]


def test_places_are_those_in_the_patient_where_the_affine_tells_them():
    array = (box((8, 4, 2), (1, 3), (0, 1), (0, 2)) * 1).astype(np.uint8)
    ras, las = np.eye(4), np.diag([-1.0, 1, 1, 1])
    one, other = (
        layout_of(LabelMap(stored, Grid(stored.shape, (1.0,) * 3, affine), ("heart",)))
        for stored, affine in ((array, ras), (array[::-1], las))
    )
    assert one.centres.tolist() == other.centres.tolist() == [[0.25, 0.125, 0.5]]


@pytest.mark.parametrize(("usual", "own", "n"), [(0.2, 0.8, 1), (0.8, 0.2, 1), (0.52, 0.9, 0), (0.2, 0.5, 0)])
def test_only_a_class_that_is_off_centre_and_lies_as_far_on_the_other_side_is_mirrored(usual, own, n):
    one = np.ones(1)
    layout = Layout(one.astype(bool), np.array([[own, 0.5]]), one * 0, one * 0)
    common = UsualLayout(12, one, one, np.array([[usual, 0.5]]), np.full((1, 2), 0.01))
    assert len(list(faults(exclusive(WHOLE), layout, common))) == n
