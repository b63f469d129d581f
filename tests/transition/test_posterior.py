"""Which labels are wrong: Bayes by hand, mixtures found again, probabilities that mean what they say."""

import numpy as np
import pytest

from labelmend.errors import ConfigError
from labelmend.transition.hoc import TransitionResult
from labelmend.transition.posterior import class_posterior, drawn_classes, local_prior, predictive_log

MATRIX = np.array([[0.7, 0.2, 0.1], [0.05, 0.8, 0.15], [0.3, 0.1, 0.6]])
RESULT = TransitionResult(MATRIX, np.array([0.5, 0.3, 0.2]), 0.0, True)


def crowd(n, shares, seed):
    """Rows that all have all others for neighbours, classes mixed by these shares."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(3, n, p=shares)
    given = drawn_classes(MATRIX[classes], rng)
    return classes, given, (np.arange(n)[:, None] + np.arange(1, n)) % n


def test_a_mixture_of_classes_is_found_in_their_wrong_labels():
    _, given, rows = crowd(3000, [0.2, 0.2, 0.6], 0)
    np.testing.assert_allclose(local_prior(given[:], rows[:, :], RESULT)[0], [0.2, 0.2, 0.6], atol=0.06)


def test_without_much_to_go_by_it_is_the_prior():
    eta = local_prior([0, 1, 2], [[1], [2], [0]], RESULT, strength=1e6)
    np.testing.assert_allclose(eta, np.tile(RESULT.prior, (3, 1)), atol=1e-4)


def test_the_own_label_counts_by_bayes():
    given, rows = np.array([0, 1, 2]), np.array([[1, 2], [0, 2], [0, 1]])
    eta, posterior = local_prior(given, rows, RESULT), class_posterior(given, rows, RESULT)
    for i in range(3):
        by_hand = eta[i] * MATRIX[:, given[i]]
        np.testing.assert_allclose(posterior[i], by_hand / by_hand.sum())


def test_probabilities_mean_what_they_say_on_pure_and_on_mixed_neighbourhoods():
    for shares in ([1 / 3, 1 / 3, 1 / 3], [0.96, 0.02, 0.02]):
        classes, given, rows = crowd(2000, shares, 1)
        right = class_posterior(given, rows, RESULT)[np.arange(2000), given]
        for k in range(3):
            there = given == k
            assert right[there].mean() == pytest.approx((classes == given)[there].mean(), abs=0.08)


def test_an_impossible_label_is_no_nan():
    result = TransitionResult(np.eye(2), np.array([1.0, 0.0]), 0.0, True)
    posterior = class_posterior([0, 1, 0], [[1, 2], [0, 2], [0, 1]], result)
    assert np.isfinite(posterior).all()
    assert np.isfinite(predictive_log([0, 1, 0], [[1, 2], [0, 2], [0, 1]], result))


def test_labels_are_foretold_better_by_neighbours_of_the_same_class():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], 100)
    given = drawn_classes(MATRIX[classes], rng)
    own = 100 * classes[:, None] + rng.integers(0, 100, (300, 20))
    anyone = rng.integers(0, 300, (300, 20))
    assert predictive_log(given, own, RESULT) > predictive_log(given, anyone, RESULT) + 0.1


def test_classes_are_drawn_by_their_probabilities_and_never_impossible_ones():
    rows = np.tile([0.0, 0.25, 0.75, 0.0], (20_000, 1))
    shares = np.bincount(drawn_classes(rows, np.random.default_rng(0)), minlength=4) / 20_000
    np.testing.assert_allclose(shares, [0, 0.25, 0.75, 0], atol=0.01)
    assert shares[0] == shares[3] == 0


def test_a_strength_of_zero_is_refused():
    with pytest.raises(ConfigError, match="strength"):
        local_prior([0, 1], [[1], [0]], RESULT, strength=0)
