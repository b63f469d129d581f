"""What can be a probability and what cannot, and what is made of small differences."""

import numpy as np
import pytest

from labelmend.errors import LabelValueError
from labelmend.io.probabilities.check_values import (
    checked_sigmoid,
    checked_softmax,
    with_background,
)


def column(*values):
    """Channels of one pixel."""
    return np.array(values, np.float32).reshape(-1, 1, 1)


def test_small_differences_are_evened_out():
    probs = checked_softmax(column(-0.0005, 0.7, 0.31))
    np.testing.assert_allclose(probs.ravel(), [0, 0.7 / 1.01, 0.31 / 1.01], rtol=1e-6)
    assert checked_sigmoid(column(1.0005, 0.9)).ravel().tolist() == [1, np.float32(0.9)]


def test_sums_far_from_one_are_no_softmax():
    probs = np.concatenate([column(0.9, 0.9), column(0.5, 0.5)], axis=2)
    with pytest.raises(LabelValueError, match=r"50.0% of the pixels do not sum to one \(such as 1.8\)"):
        checked_softmax(probs)


def test_steps_of_integers_widen_what_is_allowed():
    almost = column(0.5, 0.47)
    with pytest.raises(LabelValueError, match="do not sum to one"):
        checked_softmax(almost.copy())
    np.testing.assert_allclose(checked_softmax(almost.copy(), step=1 / 15).sum(), 1, rtol=1e-6)


def test_pixels_without_any_probability_are_background_only_where_said():
    probs = np.concatenate([column(0.25, 0.75), column(0, 0)], axis=2)
    with pytest.raises(LabelValueError, match="such as 0"):
        checked_softmax(probs.copy())
    assert checked_softmax(probs.copy(), empty_is_background=True)[:, 0].tolist() == [[0.25, 1], [0.75, 0]]


def test_background_is_what_is_left_to_one():
    probs = with_background(column(0.25, 0.5))
    assert probs.ravel().tolist() == [0.25, 0.25, 0.5]
    assert with_background(column(0, 0)).ravel().tolist() == [1, 0, 0]
    assert with_background(column(1.0)).ravel().tolist() == [0, 1]


def test_classes_that_sum_up_to_more_than_one_are_no_softmax():
    with pytest.raises(LabelValueError, match=r"sum to more than one in 100.0% .* \(such as 1.4\)"):
        with_background(column(0.7, 0.7))


@pytest.mark.parametrize("check", [checked_sigmoid, checked_softmax, with_background])
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((-0.004, 1.004), "range from -0.004 to 1.004, .* after interpolation, so clip them"),
        ((-3.0, 5.0), "range from -3 to 5, .* these look like logits"),
        ((-3.0, -0.05), "these look like log-probabilities"),
        ((0.0, 97.5), "these look scaled"),
        ((-np.inf, 0.5), "these look like logits"),
        ((0.5, np.nan), "1 probabilities are NaN"),
    ],
)
def test_other_numbers_are_told_by_their_range(check, values, told):
    with pytest.raises(LabelValueError, match=told):
        check(column(*values))


def test_a_few_wrong_pixels_among_many_are_an_error_too():
    probs = np.full((2, 100, 100), 0.5, np.float32)
    probs[1, 0, 0] = 0
    with pytest.raises(LabelValueError, match=r"less than 0.1% of the pixels"):
        checked_softmax(probs)
