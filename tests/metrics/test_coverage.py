"""Coverage curves of a few pixels worked out by hand, and against scikit-learn."""

import numpy as np
import pytest

from labelmend.errors import GeometryError, LabelValueError
from labelmend.metrics import coverage_curve, iou


def test_four_pixels_by_hand():
    """Falling: object, background, object, background."""
    curve = coverage_curve([[0.9, 0.7], [0.8, 0.1]], [[1, 1], [0, 0]])
    np.testing.assert_array_equal(curve.thresholds, [0.9, 0.8, 0.7, 0.1])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3, 2 / 4])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1, 1])
    assert (curve.n_object, curve.n_pixels) == (2, 4)
    assert curve.average_precision == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert curve.best_iou == pytest.approx(2 / 3)  # at 0.7: two of the object, one beside it


def test_recall_at_a_precision_is_the_best_one_even_if_precision_falls_between():
    curve = coverage_curve([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    assert curve.recall_at(1.0) == 0.5
    assert curve.recall_at(2 / 3) == 1.0  # although 0.8, a higher threshold, has a precision of 1/2
    assert curve.recall_at(0.0) == 1.0


def test_a_precision_that_no_threshold_reaches_has_no_recall():
    curve = coverage_curve([0.2, 0.9], [1, 0])
    assert curve.recall_at(0.51) == 0.0
    assert curve.recall_at(0.5) == 1.0


def test_equal_scores_are_taken_or_left_together():
    curve = coverage_curve([0.5, 0.5, 0.5, 0.0], [1, 0, 1, 1])
    np.testing.assert_array_equal(curve.thresholds, [0.5, 0.0])
    np.testing.assert_allclose(curve.precision, [2 / 3, 3 / 4])
    np.testing.assert_allclose(curve.recall, [2 / 3, 1])


def test_a_constant_score_has_the_precision_of_chance():
    curve = coverage_curve(np.full((4, 5), 3.0), np.arange(20).reshape(4, 5) < 3)
    assert curve.average_precision == pytest.approx(3 / 20)
    assert curve.best_iou == pytest.approx(3 / 20)
    assert (curve.recall_at(0.15), curve.recall_at(0.16)) == (1.0, 0.0)


def test_perfect_and_reversed_scores():
    truth = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
    best = coverage_curve(truth.astype(np.float32), truth)
    assert (best.average_precision, best.best_iou, best.recall_at(1.0)) == (1.0, 1.0, 1.0)
    worst = coverage_curve(-truth.astype(np.float32), truth)
    assert worst.average_precision == pytest.approx(2 / 8)  # nothing of the object until all is taken
    assert worst.precision[0] == worst.recall[0] == 0


def test_an_object_that_fills_the_image_is_covered_at_full_precision():
    curve = coverage_curve(np.arange(6.0).reshape(2, 3), np.ones((2, 3), bool))
    assert curve.average_precision == pytest.approx(1.0)
    assert curve.recall_at(1.0) == 1.0


def test_pixels_of_all_images_are_pooled_whatever_their_shapes():
    scores = [np.array([[0.9, 0.1]]), np.array([0.8]), np.zeros((2, 1, 2))]
    truth = [np.array([[1, 0]]), np.array([0]), np.array([[[0, 0]], [[1, 0]]])]
    curve, flat = (
        coverage_curve(scores, truth),
        coverage_curve([0.9, 0.1, 0.8, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1, 0]),
    )
    np.testing.assert_array_equal(curve.precision, flat.precision)
    np.testing.assert_array_equal(curve.recall, flat.recall)
    assert (curve.n_object, curve.n_pixels) == (2, 7)


def test_pixels_that_do_not_count_are_left_out():
    scores, truth = [np.array([0.9, 0.8, 0.7])] * 2, [np.array([1, 0, 1])] * 2
    counted = [np.array([True, False, True]), np.array([False, True, False])]
    curve = coverage_curve(scores, truth, counted)
    np.testing.assert_array_equal(curve.thresholds, [0.9, 0.8, 0.7])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    assert (curve.n_object, curve.n_pixels) == (2, 3)


def test_scikit_learn_agrees(rng):
    from sklearn.metrics import average_precision_score, precision_recall_curve

    truth = rng.random((3, 7, 9, 5)) < 0.2
    scores = (np.round(rng.random(truth.shape) * 20) / 20 + 0.3 * truth).astype(np.float32)  # many ties
    curve = coverage_curve(scores, truth)
    assert curve.average_precision == pytest.approx(average_precision_score(truth.ravel(), scores.ravel()))
    precision, recall, thresholds = precision_recall_curve(truth.ravel(), scores.ravel())
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
    np.testing.assert_array_equal(curve.thresholds[::-1], thresholds)


def test_best_iou_is_that_of_the_best_mask(rng):
    truth = rng.random((8, 9)) < 0.3
    scores = rng.random((8, 9)) + 0.4 * truth
    assert coverage_curve(scores, truth).best_iou == pytest.approx(
        max(iou(scores >= t, truth) for t in scores.ravel())
    )


def test_only_the_order_of_the_scores_matters(rng):
    truth, scores = rng.random(200) < 0.3, rng.normal(size=200)
    one, other = coverage_curve(scores, truth), coverage_curve(np.exp(3 * scores - 50), truth)
    np.testing.assert_array_equal(one.precision, other.precision)
    np.testing.assert_array_equal(one.recall, other.recall)


def test_inputs_are_not_changed(rng):
    scores, truth = rng.random((2, 6)), np.eye(2, 6, dtype=bool)
    before = scores.copy(), truth.copy()
    coverage_curve(scores, truth)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(truth, before[1])


def test_no_object_pixel_is_an_error():
    with pytest.raises(LabelValueError, match="none of the 4 pixels that count"):
        coverage_curve(np.ones((2, 2)), np.zeros((2, 2)))
    with pytest.raises(LabelValueError, match="none of the 1 pixels that count"):
        coverage_curve(np.ones(2), np.array([1, 0]), np.array([False, True]))
    with pytest.raises(LabelValueError, match="none of the 0 pixels that count"):
        coverage_curve([], [])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error(bad):
    with pytest.raises(LabelValueError, match="array 1: scores must be finite"):
        coverage_curve([np.ones(2), np.array([0.0, bad])], [np.ones(2), np.ones(2)])


def test_shapes_that_do_not_belong_together_are_errors():
    with pytest.raises(GeometryError, match=r"array 0: scores have shape \(2, 3\), truth \(3, 2\)"):
        coverage_curve(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(GeometryError, match=r"counted \(6,\)"):
        coverage_curve(np.ones((2, 3)), np.ones((2, 3)), np.ones(6))
    with pytest.raises(GeometryError, match="2 arrays of scores, 1 of truth"):
        coverage_curve([np.ones(2), np.ones(2)], np.ones(2))


def test_truth_that_is_neither_yes_nor_no_is_an_error():
    with pytest.raises(LabelValueError, match=r"array 0: truth must be booleans, or 0 and 1, got .*255"):
        coverage_curve(np.ones(2), np.array([1, 255]))
    with pytest.raises(LabelValueError, match="array 0: counted must be"):
        coverage_curve(np.ones(2), np.ones(2), np.array([0.5, 1]))
