"""The numbers of one case: Dice, offset and far share of outlines by hand; cases with nothing to measure."""

from __future__ import annotations

import numpy as np
import pytest

from drawing import box, disc
from drawn_findings import crowded, exclusive, overlapping, sure
from labelmend.errors import GeometryError
from labelmend.geometry import frontier
from labelmend.types import Grid, LabelMap
from labelmend.workflows.auditing.findings import CaseStatistics, find_disagreements, statistics_of
from labelmend.workflows.auditing.findings.case_statistics import _at_outlines, _outline_gap, views
from labelmend.workflows.auditing.findings.image_edges import edge_profile, peak_mm
from labelmend.workflows.auditing.findings.voxel_units import step_mm

SHAPE = (60, 60)
INNER, OUTER = box(SHAPE, (20, 40), (20, 40)), box(SHAPE, (18, 42), (18, 42))


def numbers(given: LabelMap, predicted: np.ndarray, image=None) -> CaseStatistics:
    """Of an annotation and its prediction, an integer map or masks."""
    sigmoids = np.where(predicted, 0.9, 0.1)
    probs = sigmoids if given.overlapping else sure(predicted, len(given.classes))
    return statistics_of(given, find_disagreements(given, probs), image)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (0.5, 0.5)])
def test_a_box_drawn_2_px_too_far_out_all_round(spacing_mm):
    found = numbers(exclusive(OUTER, spacing_mm=spacing_mm), INNER * 1)
    assert found.offset_mm == pytest.approx([2 * spacing_mm[0]])
    assert found.outline_mm == pytest.approx([4 * 24 * spacing_mm[0]])
    assert found.dice == pytest.approx([2 * 400 / (400 + 576)])
    assert (found.n_given.tolist(), found.n_predicted.tolist()) == ([576], [400])
    back = numbers(exclusive(INNER, spacing_mm=spacing_mm), OUTER * 1)
    assert back.offset_mm == pytest.approx([-2 * spacing_mm[0]])


@pytest.mark.parametrize("out_vox", [-3, 3])
def test_a_disc_drawn_3_px_too_far_out_or_in(out_vox):
    given, predicted = (disc(SHAPE, (30.2, 29.7), radius) for radius in (15 + out_vox, 15))
    assert numbers(exclusive(given), predicted * 1).offset_mm == pytest.approx([out_vox], abs=0.2)


@pytest.mark.parametrize("mm", [1.0, 0.3])
def test_the_share_of_an_outline_that_is_far_is_by_its_length(mm):
    # a side of 10 lies 4 px out, and of the two sides beside it 2 px each lie farther than 2 px
    given, predicted = box(SHAPE, (20, 30), (10, 40)), box(SHAPE, (20, 30), (10, 36))
    found = numbers(exclusive(given, spacing_mm=(mm, mm)), predicted * 1)
    assert found.far == pytest.approx([(10 + 2 * 2) / 80])
    assert found.offset_mm == [0]  # a part that is off does not move the whole


def test_what_agrees_is_nowhere_off():
    found = numbers(exclusive(INNER), INNER * 1)
    assert (found.dice, found.far, found.offset_mm, found.wrong_object) == ([1.0], [0.0], [0.0], 0.0)


def test_each_class_has_its_numbers_and_one_that_is_absent_none():
    given = exclusive(INNER * 1 + box(SHAPE, (2, 12), (2, 12)) * 3, 3)
    found = numbers(given, INNER * 1 + box(SHAPE, (2, 12), (2, 7)) * 3)
    np.testing.assert_allclose(found.dice, [1, np.nan, 2 * 50 / 150])
    np.testing.assert_array_equal(np.isnan(found.offset_mm), [False, True, False])
    assert found.n_given.tolist() == [400, 0, 100]


@pytest.mark.parametrize(
    ("given", "predicted", "dice"),
    [(0, 0, np.nan), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0)],
    ids=["both empty", "empty", "empty prediction", "both full"],
)
def test_empty_and_full_masks_have_no_outline(given, predicted, dice):
    full = np.ones(SHAPE, int)
    found = numbers(exclusive(full * given), full * predicted, np.ones((1, *SHAPE)))
    np.testing.assert_array_equal(found.dice, [dice])
    assert np.isnan([found.far, found.offset_mm, found.edge_mm]).all()


def test_a_case_that_nobody_annotated_has_no_numbers():
    given = exclusive(np.full(SHAPE, 9), 2, ignore=9)
    found = numbers(given, INNER * 1, np.ones((1, *SHAPE)))
    assert np.isnan([found.dice, found.far, found.offset_mm]).all()
    assert (found.n_given.sum(), found.n_predicted.sum(), found.wrong_object) == (0, 0, 0)
    assert found.calibration.n.sum() == 0


def test_what_is_ignored_is_held_against_nobody():
    labels = OUTER.astype(int)
    labels[:30] = 9
    found = numbers(exclusive(labels, ignore=9), box(SHAPE, (0, 42), (18, 42)) * 1)
    assert (found.dice, found.far) == ([1.0], [0.0])


def test_masks_that_run_into_what_is_ignored_are_cut_there():
    ignored = box(SHAPE, (0, 30), (0, 60))
    given = overlapping([OUTER], ignored_mask=ignored)
    found = numbers(given, (OUTER & ~ignored)[None])
    assert (found.dice, found.far, found.offset_mm) == ([1.0], [0.0], [0.0])
    assert found.n_given.tolist() == [12 * 24]


def test_one_class_says_the_same_exclusive_and_overlapping():
    image = INNER[None] * 40.0
    one = numbers(exclusive(OUTER), INNER * 1, image)
    other = numbers(overlapping([OUTER]), INNER[None], image)
    for name in ("dice", "far", "offset_mm", "edge_mm", "wrong_object", "n_given"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.calibration.losses, other.calibration.losses, rtol=1e-6)


def test_overlapping_classes_are_tasks_of_their_own():
    given = overlapping([INNER, OUTER])
    found = numbers(given, np.stack([INNER, INNER]))
    np.testing.assert_allclose(found.offset_mm, [0, 2])
    assert found.calibration.n.sum() == 2 * 1800  # every second pixel of 3600, of each


def test_edges_need_an_image():
    assert np.isnan(numbers(exclusive(OUTER), OUTER * 1).edge_mm).all()
    assert numbers(exclusive(OUTER), OUTER * 1, INNER[None] * 1.0).edge_mm == pytest.approx([-2], abs=0.1)


def test_the_surest_wrong_object_counts():
    far = box(SHAPE, (50, 59), (50, 59))
    found = numbers(exclusive(INNER), (INNER | far) * 1)
    assert found.wrong_object == numbers(exclusive(INNER & False), far * 1).wrong_object > 0.5


def test_doubt_by_hand():
    given, probs = np.zeros((2, 20), np.uint8), np.zeros((2, 2, 20), np.float32)
    probs[:, 0], probs[:, 1] = [[0.6], [0.4]], [[0.3], [0.7]]  # the second row contradicts
    probs[:, 1, :5] = [[0.0], [1.0]]
    weights = 5 * np.exp(0.0) + 15 * np.exp(-3.0)
    found = statistics_of(exclusive(given), find_disagreements(exclusive(given), probs))
    assert found.doubt == pytest.approx((5 * 1.0 + 15 * 0.7 * np.exp(-3.0)) / weights)
    assert found.n_doubted == pytest.approx(weights)


def test_where_nothing_contradicts_there_is_no_doubt():
    found = numbers(exclusive(INNER), INNER * 1)
    assert np.isnan(found.doubt)
    assert found.n_doubted == 0


def test_one_object_more_that_is_surely_predicted_adds_its_pixels_and_its_doubt():
    far = box(SHAPE, (50, 58), (50, 58))
    rim, both = (numbers(exclusive(OUTER), (INNER | more) * 1) for more in (INNER, far))
    assert (rim.doubt, both.doubt) == pytest.approx((0.9, 0.9))
    assert both.n_doubted - rim.n_doubted == pytest.approx(64 * np.exp(-1.0))


def test_where_nobody_annotated_nothing_contradicts():
    array = INNER * 1
    array[50:58, 50:58] = 9
    found = numbers(exclusive(array, ignore=9), (INNER | box(SHAPE, (50, 58), (50, 58))) * 1)
    assert found.n_doubted == 0


def test_doubt_is_that_of_all_overlapping_classes_together():
    far = box(SHAPE, (50, 58), (50, 58))
    one, both = (
        numbers(overlapping([INNER, INNER]), np.stack([INNER | far, last])) for last in (INNER, far | INNER)
    )
    assert (one.n_doubted, both.n_doubted) == pytest.approx((64 * np.exp(-1.0), 128 * np.exp(-1.0)))


def test_volumes_of_thick_slices_are_measured_in_mm():
    shape, spacing_mm = (9, 40, 40), (5.0, 1.0, 1.0)
    given, predicted = box(shape, (2, 7), (10, 30), (10, 30)), box(shape, (2, 7), (13, 27), (13, 27))
    found = numbers(exclusive(given, spacing_mm=spacing_mm), predicted * 1)
    assert found.offset_mm == pytest.approx([3], abs=0.01)


@pytest.mark.parametrize("n", [1, 2])
def test_an_outline_that_ends_a_slice_too_late_is_not_off_and_two_slices_are(n):
    end, sides = 400 * 0.7**2, 80 * 5 * 0.7  # the sides of a slice
    share = 0 if n == 1 else (end + sides) / (2 * end + 9 * sides)
    given, predicted = (box((16, 40, 40), (2, stop), (10, 30), (10, 30)) for stop in (9 + n, 9))
    found = numbers(exclusive(given, spacing_mm=(5.0, 0.7, 0.7)), predicted * 1)
    assert found.far == pytest.approx([share])


@pytest.mark.parametrize(("width", "far"), [(2, False), (3, True)])
def test_in_thick_slices_pixels_count_as_in_a_picture(width, far):
    given, predicted = (box((9, 60, 60), (2, 7), (20, 40), (20, stop)) for stop in (40 + width, 40))
    found = numbers(exclusive(given, spacing_mm=(5.0, 0.7, 0.7)), predicted * 1)
    assert (found.far[0] > 0.1) == far


def test_the_annotation_is_not_changed():
    given = overlapping([OUTER], ignored_mask=box(SHAPE, (0, 30), (0, 60)))
    before = given.array.copy()
    numbers(given, INNER[None])
    np.testing.assert_array_equal(given.array, before)


def test_16_bit_probabilities_give_the_same_numbers():
    given, probs = exclusive(OUTER), sure(INNER * 1, 1, prob=0.875)
    one, other = (
        statistics_of(given, find_disagreements(given, probs.astype(t))) for t in (np.float32, np.float16)
    )
    assert (one.dice, one.far, one.wrong_object) == (other.dice, other.far, other.wrong_object)
    np.testing.assert_allclose(one.calibration.losses, other.calibration.losses, rtol=1e-3)


@pytest.mark.parametrize("shape", [(1, 60, 60), (3, 60, 60), (2, 60, 61), (60, 60)])
def test_probabilities_of_another_shape_are_refused(shape):
    with pytest.raises(GeometryError, match=r"probabilities of shape \(2, 60, 60\) expected, got"):
        find_disagreements(exclusive(OUTER), np.ones(shape))


def test_overlapping_classes_have_no_background_among_their_probabilities():
    with pytest.raises(GeometryError, match=r"\(2, 60, 60\) expected, got \(3, 60, 60\)"):
        find_disagreements(overlapping([INNER, OUTER]), np.ones((3, *SHAPE)))


@pytest.mark.parametrize("shape", [(1, 60, 61), (60, 60)])
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(GeometryError, match="an image of shape"):
        numbers(exclusive(OUTER), INNER * 1, np.ones(shape))


def test_300_classes_have_300_indices():
    array = np.arange(1, 301, dtype=np.int32).reshape(20, 15)
    given = LabelMap(array, Grid(array.shape, (1.0, 1.0)), tuple(map(str, range(300))))
    (view,) = views(given, sure(array, 300))
    np.testing.assert_array_equal(view.given, array)
    np.testing.assert_array_equal(view.predicted, array)


@pytest.mark.parametrize("shape", [(14, 15), (1, 9), (5, 6, 7)])
def test_pixels_at_outlines_are_the_frontiers_of_all_classes(rng, shape):
    indices = rng.integers(0, 4, shape).astype(np.uint8)
    expected = np.zeros(shape, bool)
    for index in range(1, 4):
        for outer in (False, True):
            expected |= frontier(indices == index, outer=outer)
    np.testing.assert_array_equal(_at_outlines(indices), expected)


def test_calibration_looks_at_known_pixels_only():
    labels = OUTER.astype(int)  # 12 x 24 px of it are left
    labels[:30] = 9
    found = numbers(exclusive(labels, ignore=9), OUTER * 1).calibration
    assert found.n.sum() == 1800
    inner, outer = 12 * 24 - 10 * 22, 12 + 12 + 24
    assert (found.n_at_outlines, found.at_outlines) == (inner + outer, pytest.approx(0.9 * (inner + outer)))


@pytest.mark.parametrize("shape", [(40, 50), (14, 30, 25)])
@pytest.mark.parametrize("seed", range(4))
def test_numbers_from_boxes_are_those_of_whole_masks_to_the_last_bit(shape, seed):
    labels, softmax = crowded(seed, shape, 6)
    masks = LabelMap(labels.masks(), labels.grid, labels.classes, ignored_mask=labels.ignored())
    image = np.random.default_rng(seed).normal(size=(2, *shape))
    for given, probs in ((labels, softmax), (masks, softmax[1:])):
        seen = find_disagreements(given, probs)
        found = statistics_of(given, seen, image)
        drawn, spacing = given.masks(), given.grid.spacing_mm
        predicted = [v.predicted == i for v in seen.views for i in range(1, len(v.classes) + 1)]
        sides = [(a & seen.known, b & seen.known) for a, b in zip(drawn, predicted, strict=True)]
        assert found.n_given.tolist() == [a.sum() for a, _ in sides]
        assert found.n_predicted.tolist() == [b.sum() for _, b in sides]
        gaps = np.array([_outline_gap(a, b, spacing) for a, b in sides])
        np.testing.assert_array_equal(np.stack([found.offset_mm, found.far, found.outline_mm], axis=1), gaps)
        profiles = [edge_profile(image, mask, spacing, seen.known) for mask in drawn]
        np.testing.assert_array_equal(found.edge_mm, [peak_mm(p, step_mm(spacing)) for p in profiles])
