"""Objects that are missing, too much or swapped; displaced outlines are none of these."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from drawing import box, disc
from drawn_findings import sure
from labelmend.workflows.auditing.findings import Region, WrongObject, regions, wrong_objects

SHAPE, MM = (80, 80), (1.0, 1.0)
DISC = disc(SHAPE, (30, 30), 10.5)


def found(given: np.ndarray, predicted: np.ndarray, k: int = 1, prob=0.9, mm=MM) -> tuple[WrongObject, ...]:
    given, probs = given.astype(np.uint8), sure(predicted, k, prob)
    return wrong_objects(given, probs, list(regions(given, probs, mm)), mm)


def test_a_missing_disc_with_its_score_by_hand():
    square = box(SHAPE, (20, 29), (20, 29))  # of 9 px; margin 0.9 - 0.1
    layers = zip((32, 24, 16, 8, 1), (0.5, 1.5, 2.5, 3.5, 4.5), strict=True)
    width = 4 * sum(n * depth for n, depth in layers) / 81
    (item,) = found(np.zeros(SHAPE), square)
    assert (item.region.given, item.region.predicted, item.region.inside.sum()) == (0, 1, 81)
    assert item.score == pytest.approx(0.8 * (1 - np.exp(-np.sqrt(9 * width) / 6)))


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


def test_the_rim_of_an_object_may_be_unsure():
    probs = sure(DISC * 1, 1, prob=0.95)
    rim = DISC & ~ndimage.binary_erosion(DISC)
    (core,) = wrong_objects(np.zeros(SHAPE, int), probs, list(regions(DISC * 0, probs, MM)), MM)
    probs[:, rim] = [[0.45], [0.55]]
    (item,) = wrong_objects(np.zeros(SHAPE, int), probs, list(regions(DISC * 0, probs, MM)), MM)
    assert item.score == core.score
    assert item.region.certainty < core.region.certainty


def test_mm_do_not_change_the_score():
    (one,), (other,) = found(DISC, np.zeros(SHAPE, int)), found(DISC, np.zeros(SHAPE, int), mm=(0.3, 0.3))
    assert one.score == pytest.approx(other.score)


def test_no_regions_no_objects():
    assert found(DISC, DISC * 1) == found(np.zeros(SHAPE), np.zeros(SHAPE, int)) == ()


@pytest.mark.parametrize("gap", [0, 1, 2, 4])
@pytest.mark.parametrize("radius", [6.5, 12.5])
def test_a_disc_beside_another_one_of_its_class_is_an_object(radius, gap):
    one, other = disc(SHAPE, (40, 20), radius), disc(SHAPE, (40, 20 + 2 * radius + gap), radius)
    both = one | other
    for given, predicted in ((one, both), (both, one)):
        (item,) = found(given, predicted * 1, prob=0.95)
        assert item.region.inside.sum() == other.sum()
        assert item.score > 0.7


def test_so_is_one_that_the_network_joins_to_it_by_a_bridge():
    one, other = disc(SHAPE, (40, 20), 6.5), disc(SHAPE, (40, 36), 6.5)
    bridge = box(SHAPE, (39, 42), (20, 36))
    (item,) = found(one, (one | other | bridge) * 1)
    assert item.region.of_predicted < 0.6


def test_so_is_one_bone_of_a_row():
    row = [box(SHAPE, (5 + 12 * i, 15 + 12 * i), (30, 50)) for i in range(5)]
    (item,) = found(np.any(row[:2] + row[3:], axis=0), np.any(row, axis=0) * 1)
    assert item.region.box == ((29, 39), (30, 50))


def test_so_is_one_whose_neighbour_is_displaced():
    one, other = disc(SHAPE, (40, 20), 6.5), disc(SHAPE, (40, 39), 6.5)
    (item,) = found(np.roll(one, 4, axis=1), (one | other) * 1)
    assert item.region.inside.sum() == other.sum()


@pytest.mark.parametrize("gap", [0, 1])
def test_5_px_all_along_an_object_are_its_outline(gap):
    object_, strip = box(SHAPE, (20, 60), (36, 40)), box(SHAPE, (20, 60), (40 + gap, 45 + gap))
    (region,) = regions(object_.astype(np.uint8), sure((object_ | strip) * 1, 1), MM)
    assert region.is_object
    assert found(object_, (object_ | strip) * 1) == found(object_ | strip, object_ * 1) == ()


@pytest.mark.parametrize("step", [13, 20, 23, 28])
def test_a_disc_displaced_by_more_than_itself_is_no_wrong_object(step):
    assert found(DISC, np.roll(DISC, step, axis=1) * 1) == ()


LESION = disc((60, 60), (29.5, 29.5), 4)  # 8 px across
THICK = (5.0, 0.7, 0.7)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_lesion_in_n_thick_slices_scores_about_as_the_same_disc_in_a_picture(n):
    volume = np.zeros((9, 60, 60), bool)
    (flat,) = found(LESION * 0, LESION * 1, prob=0.95, mm=THICK[1:])
    deep = volume.copy()
    deep[4 : 4 + n] = LESION
    for given, predicted in ((volume, deep), (deep, volume)):
        (item,) = found(given, predicted * 1, prob=0.95, mm=THICK)
        assert item.score == pytest.approx(flat.score, rel=0.12)
    assert flat.score > 0.55


def test_one_slice_more_of_a_lesion_of_one_slice_is_no_object():
    one, two = np.zeros((9, 60, 60), bool), np.zeros((9, 60, 60), bool)
    one[4], two[4:6] = LESION, LESION
    assert found(one, two * 1, mm=THICK) == found(two, one * 1, mm=THICK) == ()


def test_of_as_sure_regions_the_larger_and_the_thicker_is_surer():
    small, large, thin = (
        found(DISC * 0, mask * 1)[0].score
        for mask in (
            box(SHAPE, (20, 26), (20, 26)),
            box(SHAPE, (20, 32), (20, 32)),
            box(SHAPE, (9, 12), (9, 57)),
        )
    )
    assert small < thin < large


def lies_apart(region: Region, here: np.ndarray, there: np.ndarray, mm: Sequence[float]) -> bool:
    """The rule pixel by pixel, in the region's box with its thickness around it."""
    margins = [int(np.ceil(region.thickness_mm / step)) for step in mm]
    inside = np.zeros(here.shape, bool)
    inside[region.slices] = region.inside
    near = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(region.slices, margins, strict=True))
    inside, here, there = inside[near], here[near], there[near]
    if not there.any():
        return True

    def beside(mask: np.ndarray, at: tuple[int, ...]) -> bool:
        return bool(mask[tuple(slice(max(0, i - 1), i + 2) for i in at)].any())

    shell = [at for at in np.ndindex(inside.shape) if not inside[at] and beside(inside, at)]
    if np.mean([beside(there, at) for at in shell]) > 0.2:
        return False
    numbers, n = ndimage.label(there, np.ones((3,) * there.ndim))
    parts = [numbers == number for number in range(1, n + 1)]
    free = [part for part in parts if np.mean((here & ~inside)[part]) <= 0.5]
    if not free:
        return True
    gaps = cdist(np.argwhere(inside) * mm, np.argwhere(np.any(free, axis=0)) * mm).min(axis=1)
    return bool(np.mean(gaps > region.thickness_mm) > 0.5)


@pytest.mark.parametrize(("shape", "mm"), [((90, 100), MM), ((16, 30, 32), (3.0, 1.0, 1.0))])
def test_the_rule_pixel_by_pixel_says_the_same(rng, shape, mm):
    fields = ndimage.gaussian_filter(rng.normal(size=(6, *shape)), (0, *(2.5,) * len(shape)))
    given = np.where(fields[:2].max(0) > 0.045, 1 + fields[:2].argmax(0), 0).astype(np.uint8)
    likely = np.where(fields[1:3].max(0) > 0.045, 1 + fields[1:3].argmax(0), 0)
    probs = sure(likely, 2)
    whole = [r for r in regions(given, probs, mm) if r.is_object]
    expected = set()
    for region in whole:
        sides = ((region.of_given, region.given, given, likely),
                 (region.of_predicted, region.predicted, likely, given))  # fmt: skip
        for share, index, here, there in sides:
            if share >= 0.5 and lies_apart(region, here == index, there == index, mm):
                expected.add(id(region))
    alone = [dataclasses.replace(r, given_object=i, predicted_object=i) for i, r in enumerate(whole)]
    items = wrong_objects(given, probs, alone, mm)
    assert 2 <= len(expected) < len(whole)
    assert {id(whole[item.region.given_object]) for item in items} == expected
