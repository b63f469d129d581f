"""Objects that are missing, too much or swapped; displaced outlines are none of these."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from drawn_findings import box, disc, sure
from labelmend.detection import WrongObject, regions, wrong_objects

SHAPE, MM = (80, 80), (1.0, 1.0)
DISC = disc(SHAPE, (30, 30), 10.5)


def found(given: np.ndarray, predicted: np.ndarray, k: int = 1, prob=0.9, mm=MM) -> tuple[WrongObject, ...]:
    given, probs = given.astype(np.uint8), sure(predicted, k, prob)
    return wrong_objects(given, probs, list(regions(given, probs, mm)), mm)


def test_a_missing_disc_with_its_score_by_hand():
    square = box(SHAPE, (20, 29), (20, 29))  # 9 px thick; margin 0.9 - 0.1
    (item,) = found(np.zeros(SHAPE), square)
    assert (item.region.given, item.region.predicted, item.region.inside.sum()) == (0, 1, 81)
    assert item.score == pytest.approx(0.8 * (1 - np.exp(-9 / 3)))


def test_a_spurious_disc():
    (item,) = found(DISC, np.zeros(SHAPE, int))
    assert (item.region.given, item.region.predicted) == (1, 0)


def test_a_disc_of_the_wrong_class():
    (item,) = found(DISC * 2, DISC * 1, k=2)
    assert (item.region.given, item.region.predicted) == (2, 1)


def test_the_second_of_two_discs_is_missing_though_the_class_is_there():
    far = disc(SHAPE, (60, 60), 6)
    (item,) = found(DISC, (DISC | far) * 1)
    assert item.region.inside.sum() == far.sum()


@pytest.mark.parametrize("step", [3, 6, 10])
def test_a_shifted_disc_is_no_wrong_object(step):
    assert found(DISC, np.roll(DISC, step, axis=1) * 1) == ()


@pytest.mark.parametrize("radius", [4.5, 7.5, 16.5])
def test_a_disc_drawn_too_small_or_too_large_is_no_wrong_object(radius):
    other = disc(SHAPE, (30, 30), radius)
    assert found(DISC, other * 1) == found(other, DISC * 1) == ()


def test_a_ring_that_is_more_than_half_of_a_small_object_is_its_outline():
    small, large = disc(SHAPE, (30, 30), 4.5), disc(SHAPE, (30, 30), 8.5)
    (ring,) = regions(large.astype(np.uint8), sure(small * 1, 1), MM)
    assert ring.is_object
    assert found(large, small * 1) == ()


def test_two_discs_that_changed_classes_are_two_wrong_objects():
    other = disc(SHAPE, (60, 60), 8.5)
    items = found(DISC * 1 + other * 2, DISC * 2 + other * 1, k=2)
    assert {(i.region.given, i.region.predicted) for i in items} == {(1, 2), (2, 1)}


def test_the_surest_comes_first_and_one_that_is_not_surer_than_the_label_scores_nothing():
    far, probs = disc(SHAPE, (60, 60), 8.5), sure(DISC * 1, 1, prob=0.8)
    probs[:, far] = [[0.05], [0.95]]
    given = np.zeros(SHAPE, np.uint8)
    first, second = wrong_objects(given, probs, list(regions(given, probs, MM)), MM)
    assert (first.region.box[0][0], second.region.box[0][0]) == (52, 20)
    assert first.score > second.score > 0
    tied = np.full((2, *SHAPE), 0.5)
    assert [item.score for item in wrong_objects(np.ones(SHAPE, int), tied, list(regions(
        np.ones(SHAPE, int), tied, MM)), MM)] == [0.0]  # fmt: skip


def test_mm_do_not_change_the_score():
    (one,), (other,) = found(DISC, np.zeros(SHAPE, int)), found(DISC, np.zeros(SHAPE, int), mm=(0.3, 0.3))
    assert one.score == pytest.approx(other.score)


def test_no_regions_no_objects():
    assert found(DISC, DISC * 1) == found(np.zeros(SHAPE), np.zeros(SHAPE, int)) == ()


@pytest.mark.parametrize(("shape", "mm"), [((90, 100), MM), ((16, 40, 42), (3.0, 1.0, 1.0))])
def test_distances_on_whole_images_say_the_same(rng, shape, mm):
    fields = ndimage.gaussian_filter(rng.normal(size=(6, *shape)), (0, *(2.5,) * len(shape)))
    given = np.where(fields[:2].max(0) > 0.045, 1 + fields[:2].argmax(0), 0).astype(np.uint8)
    likely = np.where(fields[1:3].max(0) > 0.045, 1 + fields[1:3].argmax(0), 0)
    probs = sure(likely, 2)
    whole = [r for r in regions(given, probs, mm) if r.is_object]
    expected = set()
    for region in whole:
        sides = ((region.of_given, region.given, likely), (region.of_predicted, region.predicted, given))
        for share, index, other in sides:
            if share >= 0.5:
                far = ndimage.distance_transform_edt(other != index, sampling=mm)[region.slices]
                if np.mean(far[region.inside] > region.thickness_mm) > 0.5:
                    expected.add(id(region))
    items = wrong_objects(given, probs, whole, mm)
    assert 2 <= len(expected) < len(whole)
    assert {id(item.region) for item in items} == expected
