"""Anchors: overlapping classes that HOC gets wrong, pure ones on which both agree, mixtures beneath."""

import numpy as np
import pytest
from scipy.stats import binom

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.transition.anchor import anchor_matrix, binomial, mixing_distribution, prior_of
from labelmend.transition.hoc import consensus_counts, solve_consensus
from labelmend.transition.matrix import transition_error
from labelmend.transition.neighbours import nearest

TWO = np.array([[0.6, 0.4], [0.2, 0.8]])
THREE = np.array([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
FOUR = np.array([[0.7, 0.1, 0.1, 0.1], [0.0, 0.8, 0.2, 0.0], [0.3, 0.0, 0.7, 0.0], [0.1, 0.1, 0.1, 0.7]])
CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])


def world(matrix, n, seed, *, apart, dims=2, m=30):
    """Gaussian classes of spread one around corners this far apart: given labels and neighbours."""
    rng = np.random.default_rng(seed)
    k = len(matrix)
    classes = rng.integers(0, k, n)
    points = rng.normal(size=(n, dims)) + apart * CORNERS[:k, :dims][classes]
    given = (rng.random(n)[:, None] >= matrix.cumsum(axis=1)[classes]).sum(axis=1)
    return given, nearest(points, m, rng=rng)


def errors(matrix, n, seeds, **settings):
    """Mean errors of anchors and of HOC."""
    rows = []
    for seed in seeds:
        given, neighbours = world(matrix, n, seed, **settings)
        ours = anchor_matrix(given, neighbours, len(matrix))
        counts = consensus_counts(given, neighbours, len(matrix))
        hoc = solve_consensus(*counts, rng=np.random.default_rng(seed), n_init=2)
        rows.append([transition_error(matrix, r.matrix) for r in (ours, hoc)])
    return np.mean(rows, axis=0)


def test_chances_of_counts_are_binomial():
    q = np.array([0.0, 1e-300, 0.2, 0.9, 1.0])
    np.testing.assert_allclose(binomial(7, q), binom.pmf(np.arange(8)[:, None], 7, q), atol=1e-12)


def test_the_distribution_of_q_is_found_at_its_two_points():
    histogram = 0.3 * binom.pmf(np.arange(31), 30, 0.2) + 0.7 * binom.pmf(np.arange(31), 30, 0.85)
    mixing = mixing_distribution(histogram, max_iter=5000, tol=0)
    low = mixing.grid < 0.5
    assert mixing.probs[low].sum() == pytest.approx(0.3, abs=0.01)
    assert (mixing.probs[low] @ mixing.grid[low]) / 0.3 == pytest.approx(0.2, abs=0.01)
    assert (mixing.probs[~low] @ mixing.grid[~low]) / 0.7 == pytest.approx(0.85, abs=0.01)
    assert not mixing.converged


def test_each_round_makes_the_counts_likelier_and_problems_do_not_touch_each_other():
    histograms = np.random.default_rng(0).integers(0, 50, (3, 11))
    logs = np.stack([mixing_distribution(histograms, max_iter=n, tol=0).mean_log for n in (1, 2, 5, 50)])
    assert (np.diff(logs, axis=0) >= 0).all()
    alone = mixing_distribution(histograms[1], max_iter=50, tol=0)
    np.testing.assert_allclose(alone.probs, mixing_distribution(histograms, max_iter=50, tol=0).probs[1])
    assert mixing_distribution(histograms, max_iter=5000).converged


def test_overlapping_classes_on_a_line_are_no_trouble_and_hoc_is_further_off():
    ours, hoc = errors(TWO, 2000, range(6), apart=2.0, dims=1)
    assert ours < 0.05
    assert hoc > 1.5 * ours


@pytest.mark.parametrize("matrix", [THREE, FOUR], ids=["three", "four"])
def test_more_classes_that_overlap_with_uneven_errors(matrix):
    ours, hoc = errors(matrix, 3000, range(3), apart=2.5)
    assert ours < 0.08
    assert hoc > 1.3 * ours


@pytest.mark.parametrize("matrix", [TWO, FOUR], ids=["two", "four"])
def test_on_classes_far_apart_both_agree(matrix):
    ours, hoc = errors(matrix, 4000, range(2), apart=30.0)
    assert ours < 0.04
    assert hoc < 0.04


def test_clean_labels_are_found_clean():
    given, neighbours = world(np.eye(3), 1000, 0, apart=30.0)
    found = anchor_matrix(given, neighbours, 3)
    np.testing.assert_allclose(found.matrix, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(found.prior, np.bincount(given) / 1000, atol=1e-3)


def test_the_prior_gives_the_given_labels_by_the_matrix():
    given, neighbours = world(FOUR, 2000, 0, apart=2.5)
    found = anchor_matrix(given, neighbours, 4)
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1)
    np.testing.assert_allclose(found.prior @ found.matrix, np.bincount(given) / 2000, atol=0.01)
    np.testing.assert_allclose(prior_of(FOUR, np.array([0.1, 0.2, 0.3, 0.4]) @ FOUR), [0.1, 0.2, 0.3, 0.4])


def test_other_numbers_for_the_classes_give_other_numbers_in_the_matrix():
    order = np.array([2, 0, 3, 1])
    given, neighbours = world(FOUR, 1000, 0, apart=2.5)
    one, other = (anchor_matrix(y, neighbours, 4) for y in (given, order[given]))
    np.testing.assert_allclose(other.matrix[np.ix_(order, order)], one.matrix, atol=1e-9)
    np.testing.assert_allclose(other.prior[order], one.prior, atol=1e-9)


def test_two_classes_are_the_two_ends_of_one_distribution():
    given, neighbours = world(TWO, 1000, 0, apart=2.0)
    one, other = (anchor_matrix(y, neighbours, 2).matrix for y in (given, 1 - given))
    np.testing.assert_allclose(other[::-1, ::-1], one, atol=1e-9)
    histogram = np.bincount(np.column_stack([given, given[neighbours]]).sum(axis=1), minlength=32)
    mixing = mixing_distribution(histogram)
    share = given.mean()
    ends = np.interp([2 * 0.03 * (1 - share), 1 - 2 * 0.03 * share], np.cumsum(mixing.probs), mixing.grid)
    np.testing.assert_allclose(one[:, 1], ends, atol=0.006)  # one step of the grid


def test_the_order_of_the_rows_does_not_matter():
    given, neighbours = world(THREE, 800, 0, apart=2.5)
    order = np.random.default_rng(1).permutation(800)
    shuffled = np.argsort(order)[neighbours[order]]
    one, other = anchor_matrix(given, neighbours, 3), anchor_matrix(given[order], shuffled, 3)
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-9)


def test_a_row_with_weight_two_is_a_row_that_is_there_twice():
    given, neighbours = world(THREE, 300, 0, apart=2.5)
    weights = np.ones(300)
    weights[:100] = 2
    twice = np.append(np.arange(300), np.arange(100))
    one = anchor_matrix(given, neighbours, 3, weights=weights)
    np.testing.assert_allclose(
        one.matrix, anchor_matrix(given[twice], neighbours[twice], 3).matrix, atol=1e-9
    )


def test_a_rare_class_has_anchors_of_its_own():
    """With one share of anchors for all, half of a class of 5 % would be taken, and others with it."""
    rng = np.random.default_rng(0)
    classes = rng.choice(4, 4000, p=[0.6, 0.2, 0.15, 0.05])
    given = (rng.random(4000)[:, None] >= FOUR.cumsum(axis=1)[classes]).sum(axis=1)
    neighbours = nearest(rng.normal(size=(4000, 2)) + 4 * CORNERS[classes], 30, rng=rng)
    assert transition_error(FOUR, anchor_matrix(given, neighbours, 4).matrix) < 0.07


def test_a_class_that_is_never_given_keeps_its_row_and_one_class_is_all_there_is():
    given, neighbours = world(TWO, 500, 0, apart=5.0)
    found = anchor_matrix(2 * given, neighbours, 3)
    np.testing.assert_array_equal(found.matrix[1], [0, 1, 0])
    assert found.prior[1] == 0
    np.testing.assert_allclose(
        found.matrix[np.ix_([0, 2], [0, 2])], anchor_matrix(given, neighbours, 2).matrix
    )
    alone = anchor_matrix(np.ones(5, int), np.zeros((5, 2), int), 2)
    np.testing.assert_array_equal(alone.matrix, np.eye(2))
    np.testing.assert_array_equal(alone.prior, [0, 1])


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"alpha": 0.0}, ConfigError, "alpha"),
        ({"alpha": 0.5}, ConfigError, "alpha"),
        ({"max_iter": 0}, ConfigError, "max_iter"),
        ({"y": [0, 2, 1]}, LabelValueError, "0 to 1"),
        ({"neighbours": [[1], [0]]}, GeometryError, "shapes"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_said(settings, error, words):
    with pytest.raises(error, match=words):
        anchor_matrix(**{"y": [0, 1, 1], "neighbours": [[1], [2], [0]], "n_classes": 2} | settings)
