"""Objects that cross several classes of the other annotation are told as one."""

from __future__ import annotations

import numpy as np
import pytest

from drawing import box, disc
from drawn_findings import sure
from labelmend.types import BoolArray
from labelmend.workflows.auditing.findings import Region, WrongObject, regions, wrong_objects
from labelmend.workflows.auditing.findings.merge_regions import crossings

SHAPE, MM = (60, 60), (1.0, 1.0)
ORGAN = box(SHAPE, (10, 50), (10, 30))
LESION = disc(SHAPE, (30, 29.5), 8)  # half in the organ, half out of it


def painted(*masks: BoolArray) -> np.ndarray:
    """Class 1, 2, ... painted over each other."""
    array = np.zeros(SHAPE, np.uint8)
    for value, mask in enumerate(masks, start=1):
        array[mask] = value
    return array


def found(given: np.ndarray, predicted: np.ndarray, k: int = 2) -> tuple[WrongObject, ...]:
    probs = sure(predicted, k)
    return wrong_objects(given, probs, list(regions(given, probs, MM)), MM)


def test_a_missing_lesion_half_in_an_organ_is_one_object_of_two_pieces():
    given, predicted = painted(ORGAN), painted(ORGAN, LESION)
    (item,) = found(given, predicted)
    assert item.region.predicted == 2
    assert item.region.inside.sum() == LESION.sum() == sum(piece.inside.sum() for piece in item.pieces)
    assert {piece.given for piece in item.pieces} == {0, 1}
    assert (item.region.of_predicted, item.region.of_given) == (1, 0)
    assert (item.region.certainty, item.region.core) == pytest.approx((0.925, 0.925))  # margin 0.9 - 0.05


def test_a_spurious_lesion_half_in_an_organ_is_one_object():
    (item,) = found(painted(ORGAN, LESION), painted(ORGAN))
    assert (item.region.given, item.region.inside.sum()) == (2, LESION.sum())
    assert item.region.of_given == 1


def test_what_a_given_and_a_predicted_object_have_in_common_is_told_once():
    row = np.indices(SHAPE)[0]
    other = (LESION & (row < 33)) | box(SHAPE, (17, 24), (24, 30))  # without an end, and with another one
    given, predicted = painted(ORGAN, LESION), painted(ORGAN, LESION & False, other)
    probs = sure(predicted, 3)
    pieces = list(regions(given, probs, MM))
    assert {(piece.given, piece.predicted) for piece in pieces} == {(2, 3), (1, 3), (2, 1), (2, 0)}
    assert len(list(crossings(pieces, (given, predicted), probs, MM))) == 2
    assert len(wrong_objects(given, probs, pieces, MM)) == 1


def test_of_the_class_that_it_crosses_the_one_of_most_pixels_is_named():
    mostly_in, mostly_out = disc(SHAPE, (30, 26.5), 8), disc(SHAPE, (30, 32.5), 8)
    for lesion, crossed in ((mostly_in, 1), (mostly_out, 0)):
        (item,) = found(painted(ORGAN), painted(ORGAN, lesion))
        assert item.region.given == crossed


def test_it_scores_as_the_same_lesion_in_the_background():
    (whole,) = found(painted(ORGAN & False), painted(ORGAN & False, LESION))
    (crossing,) = found(painted(ORGAN), painted(ORGAN, LESION))
    assert crossing.score == pytest.approx(whole.score)
    assert crossing.region.box == whole.region.box


def test_a_lesion_that_is_displaced_across_the_border_of_an_organ_is_no_object():
    moved = np.roll(LESION, 4, axis=1)
    assert found(painted(ORGAN, moved), painted(ORGAN, LESION)) == ()


def test_less_than_half_of_a_lesion_is_none():
    third = LESION & (np.indices(SHAPE)[0] >= 33)
    given, predicted = painted(ORGAN, LESION & ~third), painted(ORGAN, LESION)
    probs = sure(predicted, 2)
    pieces = list(regions(given, probs, MM))
    assert len(pieces) == 2
    assert not list(crossings(pieces, (given, predicted), probs, MM))


def test_pieces_that_do_not_touch_are_no_object_unless_one_part_is_half():
    row = box(SHAPE, (28, 34), (10, 50))
    ends = row & ((np.indices(SHAPE)[1] < 19) | (np.indices(SHAPE)[1] >= 39))  # two times a quarter
    left = box(SHAPE, (0, 60), (0, 30))
    given, predicted = painted(left & ~row, row & ~ends), painted(left & ~row, row)
    given[ends & left] = 1
    probs = sure(predicted, 2)
    pieces = list(regions(given, probs, MM))
    assert sum(piece.of_predicted for piece in pieces) == pytest.approx(20 / 40)
    assert not list(crossings(pieces, (given, predicted), probs, MM))


def test_a_piece_that_does_not_touch_the_others_is_not_of_the_object():
    row = box(SHAPE, (26, 34), (10, 50))
    gap = box(SHAPE, (0, 60), (20, 24))  # of the row, only this is right
    organ = box(SHAPE, (0, 60), (36, 60))
    given, predicted = painted(organ, row & gap), painted(organ, row)
    probs = sure(predicted, 2)
    pieces = list(regions(given, probs, MM))
    assert len(pieces) == 3
    (item,) = crossings(pieces, (given, predicted), probs, MM)
    assert item.region.box == ((26, 34), (24, 50))
    assert {(piece.given, piece.box[1]) for piece in item.pieces} == {(0, (24, 36)), (1, (36, 50))}


def test_volumes_are_put_together_too():
    shape, mm = (8, 40, 40), (2.5, 1.0, 1.0)
    organ, lesion = box(shape, (0, 8), (0, 40), (0, 20)), box(shape, (2, 5), (10, 20), (15, 25))
    given = np.where(organ, 1, 0).astype(np.uint8)
    probs = sure(np.where(lesion, 2, given), 2)
    (item,) = wrong_objects(given, probs, list(regions(given, probs, mm)), mm)
    assert item.region.box == ((2, 5), (10, 20), (15, 25))
    assert item.region.inside.all()
    assert item.region.thickness_mm == pytest.approx(7.5)


def piece(place: tuple[tuple[int, int], tuple[int, int]], share: float) -> Region:
    """A block of the given object 1 of class 1, where nothing is predicted, so much of the object."""
    inside = np.ones([stop - start for start, stop in place], bool)
    return Region(1, 0, place, inside, 3.0, 3.0, 3.0, share, 0.0, 0.9, 0.9, 1, 0)


BLOCKS = ((10, 20), (10, 20)), ((10, 20), (20, 26)), ((40, 50), (10, 18))
"""100 pixels, 60 beside them, and 80 apart."""


@pytest.mark.parametrize(
    ("shares", "n"),
    [
        ((0.4, 0.1, 0.0), 1),  # just half
        ((0.4, 0.09, 0.0), 0),
        ((0.3, 0.2, 0.2), 0),  # half only with what lies apart: 160 of 240 pixels of 0.7
        ((0.3, 0.3, 0.2), 1),
        ((0.8, 0.0, 0.0), 0),  # alone
        ((0.6, 0.0, 0.4), 0),  # two that do not touch
    ],
)
def test_connected_pieces_are_half_of_the_object(shares, n):
    pieces = [piece(place, share) for place, share in zip(BLOCKS, shares, strict=True) if share]
    sides = np.ones(SHAPE, np.intp), np.zeros(SHAPE, np.intp)
    found = list(crossings(pieces, sides, sure(sides[1], 1), MM))
    assert [len(crossing.pieces) for crossing in found] == [2] * n
    assert [crossing.region.of_predicted for crossing in found] == [0.0] * n
