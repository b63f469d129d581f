"""Scores of drawn cases, and a summary in which nothing missing is averaged unseen."""

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError
from labelmend.metrics import Score, dice, iou, score_case, spread, summarise
from labelmend.metrics.surface import known_boundary_bias, surface_distances
from labelmend.types import Grid, LabelMap

GRID = Grid((1, 12), (1.0, 2.0))


def exclusive(text: str, classes=("heart", "lung"), ignore=None) -> LabelMap:
    """A row of digits: 0 background, 1 heart, 2 lung."""
    array = np.array([[int(c) for c in text]])
    return LabelMap(array, GRID, classes, ignore=ignore)


def test_a_case_is_scored_class_by_class_in_the_order_of_the_reference():
    heart, lung = score_case("a", exclusive("001111002200"), exclusive("000110002200"), tolerance_mm=1)
    assert (heart.class_name, lung.class_name) == ("heart", "lung")
    assert heart.dice == pytest.approx(2 * 2 / 6)
    assert heart.iou == 0.5
    # the boundary of a row is its two ends, which are 2 mm off
    assert heart.nsd == 0
    assert heart.hd95_mm == 2
    assert heart.boundary_bias_mm == -2
    assert (heart.labels_vox, heart.reference_vox) == (4, 2)
    assert (lung.dice, lung.iou, lung.nsd, lung.hd95_mm, lung.boundary_bias_mm) == (1, 1, 1, 0, 0)


def test_classes_are_matched_by_name_not_by_position():
    swapped = LabelMap(exclusive("002222001100").array, GRID, ("lung", "heart"))
    assert score_case("a", swapped, exclusive("000110002200"))[0].dice == pytest.approx(2 / 3)


def test_overlapping_and_exclusive_annotations_of_the_same_thing_compare():
    reference = exclusive("000110002200")
    masks = LabelMap(reference.masks(), GRID, ("heart", "lung"))
    assert [s.dice for s in score_case("a", masks, reference)] == [1, 1]
    assert [s.dice for s in score_case("a", reference, masks)] == [1, 1]


def test_a_given_spacing_wins_over_that_of_the_grid():
    scores = score_case("a", exclusive("001111000000"), exclusive("000110000000"), spacing_mm=(1.0, 0.5))
    assert scores[0].boundary_bias_mm == -0.5


def test_pixels_that_the_reference_ignores_count_nowhere():
    heart, _ = score_case(
        "a", exclusive("001111002200", ignore=9), exclusive("009110002200", ignore=9), tolerance_mm=0
    )
    assert (heart.labels_vox, heart.reference_vox) == (3, 2)
    assert heart.dice == pytest.approx(2 * 2 / 5)


def test_a_class_that_is_absent_is_refused_by_name():
    with pytest.raises(ConfigError, match="no class called 'lung'"):
        score_case("a", exclusive("010000000000", classes=("heart",)), exclusive("010000000000"))


def test_different_shapes_are_refused():
    other = LabelMap(np.zeros((2, 6), int), Grid((2, 6), (1.0, 1.0)), ("heart", "lung"))
    with pytest.raises(GeometryError, match="must be equal"):
        score_case("a", other, exclusive("010000000000"))


def test_empty_missing_and_spurious_cases_are_counted_and_not_averaged_as_distances():
    nothing, thing = exclusive("000000000000"), exclusive("000110000000")
    pairs = {"both": (thing, thing), "neither": (nothing, nothing), "missing": (nothing, thing)}
    pairs |= {"spurious": (thing, nothing), "larger": (exclusive("001111000000"), thing)}
    scores = [s for case, pair in pairs.items() for s in score_case(case, *pair, tolerance_mm=2)]
    heart = summarise("heart", scores)
    assert (heart.n_cases, heart.n_empty, heart.n_missing, heart.n_spurious, heart.n_infinite) == (
        5,
        1,
        1,
        1,
        2,
    )
    assert heart.spreads["dice"].n == 4  # zeros count, the case with nothing to find does not
    assert heart.spreads["dice"].mean == pytest.approx((1 + 0 + 0 + 2 / 3) / 4)
    assert heart.spreads["hd95_mm"].n == 2
    assert heart.spreads["hd95_mm"].mean == 1
    assert heart.spreads["boundary_bias_mm"].mean == -1
    assert summarise("lung", scores).n_empty == 5
    assert math.isnan(summarise("lung", scores).spreads["dice"].mean)


def test_spread_of_four_numbers():
    # mean 5, squared deviations 16 + 4 + 4 + 16 = 40 over n - 1 = 3
    four = spread([1, 3, 7, 9])
    assert (four.mean, four.median, four.n) == (5, 5, 4)
    assert four.sd == pytest.approx(math.sqrt(40 / 3))


def test_one_number_has_no_spread_and_none_has_no_mean():
    assert spread([2.0]).mean == 2
    assert math.isnan(spread([2.0]).sd)
    assert spread([math.inf, math.nan]).n == 0
    assert math.isnan(spread([]).median)


def test_a_named_value_0_is_scored_like_every_class():
    drawn = dataclasses.replace(exclusive("000111220000"), background="road")
    truth = dataclasses.replace(exclusive("000011220000"), background="road")
    road, heart, lung = score_case("a", drawn, truth, tolerance_mm=0)
    assert [s.class_name for s in (road, heart, lung)] == ["road", "heart", "lung"]
    assert (road.labels_vox, road.reference_vox) == (7, 8)
    assert road.dice == pytest.approx(2 * 7 / 15)
    assert road.iou == 7 / 8
    # in a row the ends of its pieces are boundary: of 4 + 4 one each has its partner 2 mm away
    assert road.nsd == 6 / 8
    # of the two ends of the true road one lies 2 mm outside of the drawn one, the other is right
    assert road.boundary_bias_mm == 1
    assert heart.dice == pytest.approx(2 * 2 / 5)
    assert lung.dice == 1


def test_pixels_that_are_ignored_count_in_no_named_value_0():
    truth = exclusive("000119220000", ("heart", "lung"), ignore=9)
    truth = dataclasses.replace(truth, background="road")
    drawn = dataclasses.replace(exclusive("000110220000"), background="road")
    road, *_ = score_case("a", drawn, truth)
    assert (road.labels_vox, road.reference_vox, road.dice) == (7, 7, 1)


def whole(case, labels, reference, tolerance_mm=2.0):
    """The scores from all masks at once, on the whole grid: what boxes must give to the last bit."""
    spacing, ignore, masks = reference.grid.spacing_mm, reference.ignored(), labels.masks()
    scores = []
    for name, truth in zip(reference.classes, reference.masks(), strict=True):
        mask = masks[labels.classes.index(name)]
        surfaces = surface_distances(mask, truth, spacing_mm=spacing, ignore=ignore)
        scores.append(
            Score(
                case,
                name,
                dice(mask, truth, ignore),
                iou(mask, truth, ignore),
                surfaces.nsd(tolerance_mm),
                surfaces.hausdorff(95),
                known_boundary_bias(mask, truth, spacing_mm=spacing, ignore=ignore),
                int((mask & ~ignore).sum()),
                int((truth & ~ignore).sum()),
            )
        )
    return tuple(scores)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (0.7, 1.4), (0.7, 0.7, 2.1), (3.0, 0.5, 0.8)])
@pytest.mark.parametrize("seed", range(6))
def test_classes_in_their_boxes_have_the_scores_of_whole_masks_to_the_last_bit(spacing_mm, seed):
    rng = np.random.default_rng(seed)
    shape = (23, 31, 17)[: len(spacing_mm)]
    grid, names = Grid(shape, spacing_mm), tuple("abcdef")
    truth = np.zeros(shape, np.uint8)
    for value in rng.permutation([1, 2, 3, 4, 5]):  # the sixth is nowhere
        start = [rng.integers(0, n - 4) for n in shape]
        truth[tuple(slice(s, s + rng.integers(2, 12)) for s in start)] = value
    drawn = np.roll(truth, rng.integers(-2, 3), axis=rng.integers(len(shape)))
    drawn[rng.random(shape) < 0.01] = rng.integers(0, 7)
    truth[rng.random(shape) < 0.02] = 9
    reference = LabelMap(truth, grid, names, ignore=9)
    labels = LabelMap(drawn, grid, names)
    assert repr(score_case("a", labels, reference)) == repr(whole("a", labels, reference))
    masks = LabelMap(labels.masks(), grid, names)
    assert repr(score_case("a", masks, reference)) == repr(whole("a", labels, reference))


def test_memory_does_not_grow_with_the_number_of_classes():
    rng, n, k = np.random.default_rng(0), 64, 100
    array = np.zeros((n, n, n), np.uint8)
    for value in range(1, k + 1):
        start = rng.integers(1, n - 12, 3)
        array[tuple(slice(s, s + 10) for s in start)] = value
    grid, names = Grid((n, n, n), (1.0, 1.0, 1.0)), tuple(map(str, range(1, k + 1)))
    labels, reference = LabelMap(np.roll(array, 1, 0), grid, names), LabelMap(array, grid, names)
    score_case("a", labels.cropped((slice(0, 4),) * 3), reference.cropped((slice(0, 4),) * 3))  # imports
    tracemalloc.start()
    score_case("a", labels, reference)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * array.size
