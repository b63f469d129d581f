"""HOC: the equations, their solution on exact frequencies, on drawn labels, and where neighbours disagree."""

import numpy as np
import pytest
from scipy.optimize import OptimizeResult, check_grad

from labelmend.errors import ConfigError, GeometryError, LabelValueError
from labelmend.transition import hoc
from labelmend.transition.hoc import (
    bootstrap_weights,
    consensus_counts,
    consensus_model,
    residual,
    solve_consensus,
)
from labelmend.transition.matrix import symmetric_matrix, transition_error

UNEVEN = np.array([[0.7, 0.2, 0.1], [0.05, 0.8, 0.15], [0.3, 0.1, 0.6]])


def drawn(matrix: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Given labels of cases of these classes, any shape."""
    return (rng.random(classes.shape)[..., None] >= matrix.cumsum(axis=1)[classes]).sum(axis=-1)


def views(n, matrix, prior, rng, keep=1.0):
    """Labels of n rows with neighbours of their own, which keep the true class with this probability."""
    k = len(prior)
    classes = np.tile(rng.choice(k, n, p=prior)[:, None], (1, 3))
    other = (classes + rng.integers(1, k, classes.shape)) % k
    lost = rng.random(classes.shape) >= keep
    lost[:, 0] = False
    labels = drawn(matrix, np.where(lost, other, classes), rng)
    rows = np.arange(n)[:, None] + n * np.array([1, 2])
    return labels.T.ravel(), np.vstack([rows, rows, rows])


def frequencies(labels, neighbours, n_classes):
    """Of the first third of the rows, whose neighbours are the others."""
    weights = np.zeros(len(labels))
    weights[: len(labels) // 3] = 1
    return consensus_counts(labels, neighbours, n_classes, weights=weights)


def test_frequencies_are_counted_row_by_row():
    c1, c2, c3 = consensus_counts([0, 1, 1, 2], [[1, 2], [2, 3], [3, 0], [0, 1]], 3, symmetric=False)
    assert c3[0, 1, 1] == c3[1, 1, 2] == c3[1, 2, 0] == c3[2, 0, 1] == 0.25
    np.testing.assert_allclose(c2, c3.sum(axis=2))
    np.testing.assert_allclose(c1, [0.25, 0.5, 0.25])


@pytest.mark.parametrize("symmetric", [True, False])
def test_triples_sum_to_pairs_and_pairs_to_labels(symmetric):
    rng = np.random.default_rng(0)
    labels, rows = rng.integers(0, 4, 50), rng.integers(0, 50, (50, 3))
    c1, c2, c3 = consensus_counts(labels, rows, 4, symmetric=symmetric)
    np.testing.assert_allclose(c3.sum(axis=2), c2)
    np.testing.assert_allclose(c2.sum(axis=1), c1)
    assert c1.sum() == pytest.approx(1)
    if symmetric:
        np.testing.assert_allclose(c3, c3.transpose(2, 0, 1))
        np.testing.assert_allclose(c3, c3.transpose(1, 0, 2))


def test_a_row_with_weight_two_is_a_row_that_is_there_twice():
    labels, rows = np.array([0, 1, 1]), np.array([[1, 2], [0, 2], [0, 1]])
    twice = consensus_counts(np.append(labels, 0), np.vstack([rows, [1, 2]]), 2)
    for a, b in zip(consensus_counts(labels, rows, 2, weights=[2, 1, 1]), twice):
        np.testing.assert_allclose(a, b)


def test_frequencies_of_drawn_labels_are_those_of_the_model():
    prior = np.array([0.5, 0.3, 0.2])
    counted = frequencies(*views(40_000, UNEVEN, prior, np.random.default_rng(0)), 3)
    for c, m in zip(counted, consensus_model(UNEVEN, prior)):
        assert np.abs(c - m).max() < 4 * np.sqrt(m.max() / 40_000)


def test_the_slope_of_what_is_made_small_is_right():
    rng = np.random.default_rng(0)
    problem = hoc._Consensus(consensus_model(UNEVEN, [0.5, 0.3, 0.2]), 1.0)
    for _ in range(3):
        x = 2 * rng.normal(size=12)
        assert check_grad(lambda x: problem(x)[0], lambda x: problem(x)[1], x) < 1e-6


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("matrix", "prior"),
    [
        (np.array([[0.6, 0.4], [0.2, 0.8]]), [0.3, 0.7]),
        (UNEVEN, [0.5, 0.3, 0.2]),
        (symmetric_matrix(10, 0.4), np.full(10, 0.1)),
        (np.array([[1.0, 0.0], [0.3, 0.7]]), [0.5, 0.5]),
    ],
    ids=["two", "three", "ten", "one class clean"],
)
def test_exact_frequencies_give_the_matrix_and_the_prior_back(matrix, prior, seed):
    found = solve_consensus(*consensus_model(matrix, prior), rng=np.random.default_rng(seed), n_init=2)
    assert transition_error(matrix, found.matrix) < 1e-4
    np.testing.assert_allclose(found.prior, prior, atol=1e-4)
    assert found.loss < 1e-10
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1)


def test_drawn_labels_give_the_matrix_back_but_for_chance():
    for prior in ([0.5, 0.3, 0.2], [0.8, 0.1, 0.1]):
        counted = frequencies(*views(40_000, UNEVEN, prior, np.random.default_rng(1)), 3)
        found = solve_consensus(*counted, rng=np.random.default_rng(0))
        assert transition_error(UNEVEN, found.matrix) < 0.04


def test_other_numbers_for_the_classes_give_other_numbers_in_the_matrix():
    order = np.array([2, 0, 1])
    labels, rows = views(2000, UNEVEN, [0.5, 0.3, 0.2], np.random.default_rng(0))
    one = solve_consensus(*frequencies(labels, rows, 3), rng=np.random.default_rng(0))
    other = solve_consensus(*frequencies(order[labels], rows, 3), rng=np.random.default_rng(1))
    np.testing.assert_allclose(other.matrix[np.ix_(order, order)], one.matrix, atol=2e-3)
    np.testing.assert_allclose(other.prior[order], one.prior, atol=2e-3)


def test_true_classes_are_in_the_order_with_the_largest_diagonal():
    matrix, prior = hoc._in_order(UNEVEN[[2, 0, 1]], np.array([0.2, 0.5, 0.3]))
    np.testing.assert_array_equal(matrix, UNEVEN)
    np.testing.assert_array_equal(prior, [0.5, 0.3, 0.2])


def test_the_more_neighbours_lose_the_class_the_larger_the_error():
    matrix, errors = np.array([[0.6, 0.4], [0.2, 0.8]]), []
    for keep in (1.0, 0.95, 0.9, 0.8):
        counted = frequencies(*views(60_000, matrix, [0.5, 0.5], np.random.default_rng(0), keep), 2)
        found = solve_consensus(*counted, rng=np.random.default_rng(0), n_init=1)
        errors.append(transition_error(matrix, found.matrix))
    assert errors == sorted(errors)
    assert errors[0] < 0.01
    assert errors[-1] > 0.03


def test_the_best_point_is_kept_though_the_search_ends_elsewhere(monkeypatch):
    """The released programs return the last point, and mean to return the best."""
    search, ends = hoc.minimize, []

    def goes_astray(function, start, **settings):
        done = search(function, start, **settings)
        ends.append(function(done.x + 1.0 * np.arange(len(start)))[0])
        return OptimizeResult(x=start, fun=ends[-1], success=True)

    monkeypatch.setattr(hoc, "minimize", goes_astray)
    counted = consensus_model(UNEVEN, [0.5, 0.3, 0.2])
    found = solve_consensus(*counted, rng=np.random.default_rng(0))
    assert found.loss < 1e-10 < min(ends)
    assert transition_error(UNEVEN, found.matrix) < 1e-4


def test_more_starts_are_never_worse():
    rng = np.random.default_rng(0)
    labels, rows = rng.integers(0, 4, 200), rng.integers(0, 200, (200, 2))
    counted = consensus_counts(labels, rows, 4)
    losses = [
        solve_consensus(*counted, rng=np.random.default_rng(0), n_init=n, diag_penalty=0.0).loss
        for n in (1, 2, 6)
    ]
    assert losses == sorted(losses, reverse=True)


def test_steps_that_are_used_up_are_told():
    counted = consensus_model(UNEVEN, [0.5, 0.3, 0.2])
    assert not solve_consensus(*counted, rng=np.random.default_rng(0), max_iter=2).converged
    assert solve_consensus(*counted, rng=np.random.default_rng(0)).converged


def test_a_start_at_the_solution_stays_there():
    counted = consensus_model(UNEVEN, [0.5, 0.3, 0.2])
    found = solve_consensus(*counted, rng=np.random.default_rng(0))
    again = solve_consensus(*counted, rng=np.random.default_rng(0), n_init=1, max_iter=1, start=found)
    np.testing.assert_allclose(again.matrix, UNEVEN, atol=1e-4)


def test_a_class_that_is_never_given_keeps_its_row_and_has_no_share():
    matrix = np.array([[0.6, 0.4], [0.2, 0.8]])
    few = consensus_model(matrix, [0.5, 0.5])
    wide = [np.zeros((3,) * c.ndim) for c in few]
    for c, w in zip(few, wide):
        w[np.ix_(*[[0, 2]] * c.ndim)] = c
    found = solve_consensus(*wide, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.matrix, [[0.6, 0, 0.4], [0, 1, 0], [0.2, 0, 0.8]], atol=1e-4)
    np.testing.assert_allclose(found.prior, [0.5, 0, 0.5], atol=1e-4)


def test_a_single_class_is_all_there_is():
    found = solve_consensus(
        *consensus_counts([1, 1, 1], [[1, 2], [0, 2], [0, 1]], 2), rng=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(found.matrix, np.eye(2))
    np.testing.assert_array_equal(found.prior, [0, 1])
    assert found.loss == 0


def test_the_residual_is_a_sum_over_all_three():
    counted = consensus_model(UNEVEN, [0.5, 0.3, 0.2])
    model = consensus_model(np.eye(3), [0.5, 0.3, 0.2])
    by_hand = sum(((c - m) ** 2).sum() for c, m in zip(counted, model))
    assert residual(counted, np.eye(3), [0.5, 0.3, 0.2]) == pytest.approx(by_hand)


def test_weights_of_a_bootstrap_are_alike_where_neighbourhoods_share_rows():
    rng = np.random.default_rng(0)
    neighbours = np.array(
        [[1, 2], [2, 0], [0, 1], [4, 5], [5, 3], [3, 4]]
    )  # two neighbourhoods, three times each
    weights = np.stack([bootstrap_weights(neighbours, rng) for _ in range(4000)])
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.05)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights[:, 0], weights[:, 1])
    assert abs(np.corrcoef(weights[:, 0], weights[:, 3])[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda rng: consensus_counts([0, 1], [[1], [0]], 2), GeometryError, "2 neighbours or more"),
        (lambda rng: consensus_counts([0, 1], [[1, 0]], 2), GeometryError, "shapes"),
        (lambda rng: consensus_counts([0, 2], [[1, 1], [0, 0]], 2), LabelValueError, "0 to 1"),
        (lambda rng: consensus_counts([0.0, 1.0], [[1, 1], [0, 0]], 2), LabelValueError, "0 to 1"),
        (lambda rng: consensus_counts(np.zeros(0, int), np.zeros((0, 2), int), 2), GeometryError, "no rows"),
        (lambda rng: solve_consensus([1, 0], np.eye(2), np.eye(2), rng=rng), GeometryError, "c3"),
        (
            lambda rng: solve_consensus([np.nan, 0], np.eye(2), np.ones((2, 2, 2)), rng=rng),
            LabelValueError,
            "finite",
        ),
        (
            lambda rng: solve_consensus(*consensus_model(np.eye(2), [0.5, 0.5]), rng=rng, n_init=0),
            ConfigError,
            "n_init",
        ),
    ],
)
def test_what_cannot_be_used_is_said(call, error, words):
    with pytest.raises(error, match=words):
        call(np.random.default_rng(0))
