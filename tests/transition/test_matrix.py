"""Errors, inverses, frequencies and the nearest symmetric matrix, worked out by hand."""

import numpy as np
import pytest

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.transition.matrix import (
    best_symmetric,
    check_matrix,
    inverse_matrix,
    noise_rates,
    realised_matrix,
    symmetric_matrix,
    transition_error,
)

T = np.array([[0.75, 0.25], [0.5, 0.5]])
PAIR = np.array([[0.7, 0.3, 0], [0, 0.7, 0.3], [0.3, 0, 0.7]])


def random_matrix(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.dirichlet(np.ones(k), k)


# ---- what a matrix is ----


def test_a_transition_matrix_comes_back_as_float64():
    checked = check_matrix([[1, 0], [0, 1]])
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, np.eye(2))


def test_rows_may_miss_1_by_rounding_and_no_more():
    check_matrix([[0.9, 0.1 + 9e-7], [0.2, 0.8]])
    check_matrix(np.full((10, 10), 0.1, np.float32))
    with pytest.raises(LabelValueError, match=r"each row of E must sum to 1, row 0 sums to 1\.000002"):
        check_matrix([[0.9, 0.1 + 2e-6], [0.2, 0.8]], "E")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([0.5, 0.5], r"T must be square with 2 classes or more, got shape \(2,\)"),
        ([[0.5, 0.5]], r"must be square .* got shape \(1, 2\)"),
        ([[1.0]], r"2 classes or more, got shape \(1, 1\)"),
        ([[0.5, 0.5], [1.0]], "T must hold numbers in rows of one length"),
        ([["a", "b"], ["c", "d"]], "T must hold numbers in rows of one length"),
    ],
)
def test_what_is_no_square_of_numbers_is_no_matrix(matrix, message):
    with pytest.raises(GeometryError, match=message):
        check_matrix(matrix)


@pytest.mark.parametrize(("bad", "told"), [(np.nan, "nan"), (np.inf, "inf"), (-0.25, r"-0\.25")])
def test_a_number_that_is_no_probability_is_told(bad, told):
    with pytest.raises(LabelValueError, match=f"T must hold finite probabilities >= 0, got {told}"):
        check_matrix([[1 - bad, bad], [0, 1]] if bad < 0 else [[0.5, bad], [0, 1]])


# ---- how far two are apart ----


def test_the_error_is_the_mean_total_variation_of_the_rows():
    """Rows differ by (.25, .25) and (.5, .5): total variations .25 and .5."""
    assert transition_error(T, np.eye(2)) == 0.375
    assert transition_error(T, np.eye(2), "l1") == 0.75
    assert transition_error(np.eye(2), T) == 0.375
    assert transition_error(T, T) == 0


def test_the_largest_error_is_1():
    assert transition_error(np.eye(3), np.roll(np.eye(3), 1, axis=1)) == 1


def test_the_reference_errors_of_the_fact_sheet():
    """Identity 0.30 and all one half 0.20 for e = (.4, .2)."""
    noise = [[0.6, 0.4], [0.2, 0.8]]
    assert transition_error(noise, np.eye(2)) == pytest.approx(0.3)
    assert transition_error(noise, np.full((2, 2), 0.5)) == pytest.approx(0.2)


def test_an_unknown_kind_and_other_shapes_are_refused():
    with pytest.raises(ConfigError, match="kind must be"):
        transition_error(T, T, "l2")
    with pytest.raises(GeometryError, match=r"T has shape \(2, 2\), estimate \(3, 3\)"):
        transition_error(T, np.eye(3))
    with pytest.raises(LabelValueError, match="each row of estimate"):
        transition_error(T, np.ones((2, 2)))


# ---- from annotated to true ----


def test_the_inverse_is_bayes_rule():
    """p = (.8, .2): joint ((.6, .2), (.1, .1)), so 6 of 7 annotated as 0 are 0, and 2 of 3 annotated as 1."""
    np.testing.assert_allclose(inverse_matrix(T, [0.8, 0.2]), [[6 / 7, 1 / 7], [2 / 3, 1 / 3]])


def test_a_class_that_is_never_annotated_keeps_its_own_row():
    """Joint ((.5, 0, 0), (.125, 0, .125), (0, 0, .25)), read by column."""
    never_1 = [[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]]
    expected = [[0.8, 0.2, 0], [0, 1, 0], [0, 1 / 3, 2 / 3]]
    np.testing.assert_allclose(inverse_matrix(never_1, [0.5, 0.25, 0.25]), expected)


def test_the_inverse_undoes_the_flips_in_expectation():
    rng = np.random.default_rng(0)
    for k in (2, 3, 7):
        matrix, prior = random_matrix(rng, k), rng.dirichlet(np.ones(k))
        inverse = inverse_matrix(matrix, prior)
        np.testing.assert_allclose(inverse.sum(axis=1), 1)
        np.testing.assert_allclose(prior @ matrix @ inverse, prior)


def test_the_inverse_is_what_the_labels_show():
    """Rows of the inverse are the true labels' frequencies among equal annotations."""
    rng = np.random.default_rng(1)
    true, noisy = rng.integers(0, 3, 500), rng.integers(0, 3, 500)
    prior = np.bincount(true) / 500
    inverse = inverse_matrix(realised_matrix(true, noisy, 3), prior)
    np.testing.assert_allclose(inverse, realised_matrix(noisy, true, 3))


@pytest.mark.parametrize(
    ("prior", "error"),
    [
        ([1.0], GeometryError),
        ([[0.5, 0.5]], GeometryError),
        ([0.5, 0.6], LabelValueError),
        ([1.5, -0.5], LabelValueError),
        ([np.nan, 1], LabelValueError),
    ],
)
def test_a_prior_that_is_no_distribution_is_refused(prior, error):
    with pytest.raises(error, match="prior"):
        inverse_matrix(T, prior)
    with pytest.raises(error, match="prior"):
        noise_rates(T, prior)


# ---- what came about ----


def test_realised_frequencies_are_counted_by_row():
    true = [0, 0, 0, 0, 2, 2, 1, 1, 1]
    noisy = [0, 0, 2, 1, 2, 0, 1, 1, 2]
    expected = [[0.5, 0.25, 0.25], [0, 2 / 3, 1 / 3], [0.5, 0, 0.5]]
    np.testing.assert_allclose(realised_matrix(true, noisy, 3), expected)


def test_an_absent_class_has_the_row_of_the_identity():
    np.testing.assert_array_equal(realised_matrix([1, 1], [0, 0], 3), [[1, 0, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(realised_matrix([], [], 2), np.eye(2))


def test_masks_count_as_labels_of_their_pixels():
    true = np.array([[1, 1, 0], [1, 1, 0]], bool)
    noisy = np.array([[1, 1, 0], [1, 0, 1]], bool)
    np.testing.assert_array_equal(realised_matrix(true, noisy, 2), [[0.5, 0.5], [0.25, 0.75]])


def test_small_integers_do_not_overflow():
    labels = np.full(3, 99, np.uint8)
    assert realised_matrix(labels, labels, 100)[99, 99] == 1


@pytest.mark.parametrize(
    ("true", "noisy", "error", "message"),
    [
        ([0, 1], [0], GeometryError, r"y_true has shape \(2,\), y_noisy \(1,\)"),
        ([0, 2], [0, 1], LabelValueError, "y_true must hold class numbers from 0 to 1, got 2"),
        ([0, 1], [0, -1], LabelValueError, "y_noisy must hold class numbers from 0 to 1, got -1"),
        ([0.0, 1.0], [0, 1], LabelValueError, "as integers, got float64"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(true, noisy, error, message):
    with pytest.raises(error, match=message):
        realised_matrix(true, noisy, 2)


# ---- symmetric ----


def test_symmetric_noise_spreads_over_the_other_classes():
    np.testing.assert_allclose(symmetric_matrix(4, 0.3), 0.6 * np.eye(4) + 0.1)
    np.testing.assert_array_equal(symmetric_matrix(2, 0), np.eye(2))
    np.testing.assert_array_equal(symmetric_matrix(2, 1), 1 - np.eye(2))


@pytest.mark.parametrize(("k", "rate"), [(1, 0.1), (2.5, 0.1), (3, -0.1), (3, 1.1), (3, np.nan)])
def test_one_class_and_a_rate_that_is_none_are_refused(k, rate):
    with pytest.raises(ConfigError, match="expected, got"):
        symmetric_matrix(k, rate)


def test_pair_noise_is_nearest_to_symmetric_noise_of_its_rate():
    """Breakpoints 0 (three of weight 1/2), .3 (three of weight 1) and .6 (three of 1/2): the median is .3."""
    np.testing.assert_allclose(best_symmetric(PAIR), symmetric_matrix(3, 0.3), atol=1e-15)


def test_of_two_classes_any_rate_between_theirs_does_and_the_lowest_is_taken():
    found = best_symmetric([[0.6, 0.4], [0.2, 0.8]])
    np.testing.assert_allclose(found, symmetric_matrix(2, 0.2), atol=1e-15)
    for rate in (0.2, 0.3, 0.4):
        assert transition_error([[0.6, 0.4], [0.2, 0.8]], symmetric_matrix(2, rate)) == pytest.approx(0.1)


def test_symmetric_noise_is_found_again():
    for k, rate in ((2, 0.0), (2, 1.0), (3, 0.4), (10, 0.25)):
        np.testing.assert_allclose(best_symmetric(symmetric_matrix(k, rate)), symmetric_matrix(k, rate))


def test_no_rate_on_a_fine_grid_does_better():
    rng = np.random.default_rng(2)
    for k in (2, 3, 4, 6):
        for _ in range(5):
            matrix = random_matrix(rng, k)
            grid = [transition_error(matrix, symmetric_matrix(k, rate)) for rate in np.linspace(0, 1, 501)]
            least = transition_error(matrix, best_symmetric(matrix))
            assert least <= min(grid) + 1e-12
            assert least >= min(grid) - 1 / 500  # an error changes by 1 at most when the rate does


def test_a_rate_of_1_is_found_where_every_class_is_taken_for_the_next():
    """Breakpoints 0 (three of weight 1/2), 1 (three of weight 1) and 2 (three of 1/2)."""
    found = best_symmetric(np.roll(np.eye(3), 1, axis=1))
    np.testing.assert_array_equal(found, symmetric_matrix(3, 1))


def test_all_labels_in_one_class_leave_the_rate_open_and_0_is_taken():
    all_0 = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(best_symmetric(all_0), np.eye(3))
    for rate in (0, 0.5, 1):
        assert transition_error(all_0, symmetric_matrix(3, rate)) == pytest.approx(2 / 3)


# ---- rates ----


def test_rates_of_the_classes_and_of_all():
    rates, overall = noise_rates(T, [0.8, 0.2])
    np.testing.assert_array_equal(rates, [0.25, 0.5])
    assert overall == pytest.approx(0.8 * 0.25 + 0.2 * 0.5)
    assert isinstance(overall, float)


def test_clean_labels_have_rate_0():
    rates, overall = noise_rates(np.eye(3), [1, 0, 0])
    np.testing.assert_array_equal(rates, [0, 0, 0])
    assert overall == 0


def test_inputs_are_not_changed():
    matrix, prior = T.copy(), np.array([0.8, 0.2])
    for call in (best_symmetric, lambda m: inverse_matrix(m, prior), lambda m: noise_rates(m, prior)):
        call(matrix)
    np.testing.assert_array_equal(matrix, T)
    np.testing.assert_array_equal(prior, [0.8, 0.2])
