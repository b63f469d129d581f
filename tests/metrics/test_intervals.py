"""Weights of drawn cases, and the ends they give."""

from __future__ import annotations

import math

import numpy as np

from labelmend.metrics.intervals import draw_cases, interval_of, percentiles, weighted_mean, weighted_sd


def test_drawn_weights_add_up_to_one_and_are_the_same_for_the_same_seed() -> None:
    weights = draw_cases(7, 50, 3)
    assert weights.shape == (50, 7)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert np.array_equal(weights, draw_cases(7, 50, 3))
    assert not np.array_equal(weights, draw_cases(7, 50, 4))


def test_cases_of_one_group_are_drawn_together() -> None:
    weights = draw_cases(4, 100, 0, groups=["a", "b", "a", "c"])
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert not np.array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_one_case_or_one_group_has_no_interval() -> None:
    assert draw_cases(1, 50, 0).shape == (0, 1)
    assert draw_cases(3, 50, 0, groups=[1, 1, 1]).shape == (0, 3)
    found = interval_of(np.array([2.0]), 0.95, 1)
    assert found.value == 2.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide(rng: np.random.Generator) -> None:
    values = rng.normal(size=200)
    weights = np.vstack([np.full(200, 1 / 200), draw_cases(200, 2000, 0)])
    found = interval_of(weighted_mean(values, weights), 0.95, 200)
    assert abs(found.value - values.mean()) < 1e-12
    assert abs((found.high - found.low) / (2 * 1.96 * values.std() / 200**0.5) - 1) < 0.1


def test_means_leave_out_what_is_not_known() -> None:
    weights = np.array([[0.5, 0.25, 0.25]])
    assert weighted_mean(np.array([1.0, math.nan, 4.0]), weights)[0] == 2.0


def test_the_standard_deviation_counts_n_minus_one() -> None:
    values = np.array([1.0, 2.0, 6.0])
    assert abs(weighted_sd(values, np.full((1, 3), 1 / 3))[0] - values.std(ddof=1)) < 1e-12
    assert math.isnan(weighted_sd(np.array([1.0]), np.ones((1, 1)))[0])


def test_percentiles_cut_the_same_share_at_both_ends() -> None:
    np.testing.assert_allclose(percentiles(np.arange(101.0), 0.9), [5, 95])


def test_two_cases_have_an_interval_and_a_spread() -> None:
    assert draw_cases(2, 50, 0).shape == (50, 2)
    assert percentiles(np.array([1.0, 3.0]), 0.5).tolist() == [1.5, 2.5]
    equal, first = [0.5, 0.5], [1.0, 0.0]
    found = weighted_sd(np.array([1.0, 3.0]), np.array([equal, first]))
    np.testing.assert_allclose(found, [math.sqrt(2), 0])
