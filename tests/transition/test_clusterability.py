"""Whether neighbours share their class: pure data are believed, mixed ones found out if there are many."""

import numpy as np
import pytest

from labelmend.transition.clusterability import CLUSTERABILITY, Clusterability, clusterability
from labelmend.transition.hoc import TransitionResult, consensus_counts, solve_consensus
from labelmend.transition.neighbours import nearest

THREE = np.array([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
CORNERS = np.array([[0, 0], [1, 0], [0.5, 0.87]])


def examined(n, seed, *, apart, n_null=19):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, n)
    neighbours = nearest(rng.normal(size=(n, 2)) + apart * CORNERS[classes], 49, rng=rng)
    given = (rng.random(n)[:, None] >= THREE.cumsum(axis=1)[classes]).sum(axis=1)
    found = solve_consensus(*consensus_counts(given, neighbours, 3), rng=rng, n_init=1)
    return given, neighbours, clusterability(given, neighbours, found, rng=rng, n_null=n_null)


def test_classes_far_apart_are_believed():
    assert sum(examined(1000, seed, apart=30.0)[2].doubtful for seed in range(6)) <= 1


def test_classes_that_overlap_are_found_out_with_many_rows():
    assert sum(examined(3000, seed, apart=2.5)[2].doubtful for seed in range(4)) >= 3


def test_agreement_is_counted_and_what_is_expected_follows_from_the_matrix():
    given, neighbours, found = examined(500, 0, apart=30.0, n_null=0)
    same = [given[i] == given[a] == given[b] for i, (a, b) in enumerate(neighbours[:, :2])]
    assert found.agreement == pytest.approx(np.mean(same))
    clean = TransitionResult(np.eye(2), np.array([0.5, 0.5]), 0.0, True)
    y, rows = np.array([0, 0, 0, 1, 1, 1]), np.array([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]])
    found = clusterability(y, rows, clean, rng=np.random.default_rng(0))
    assert (found.agreement, found.expected, found.residual) == pytest.approx((1, 1, 0), abs=1e-9)
    half = TransitionResult(np.full((2, 2), 0.5), np.array([0.5, 0.5]), 0.0, True)
    assert clusterability(y, rows, half, rng=np.random.default_rng(0)).expected == pytest.approx(1 / 4)


def test_without_simulations_nothing_is_doubted():
    found = examined(1000, 0, apart=2.5, n_null=0)[2]
    assert found.p_value == 1
    assert not found.doubtful


def test_a_gap_that_does_no_harm_is_not_doubtful_however_sure_it_is():
    assert Clusterability(0.5, 0.5, 0.1, 0.01, CLUSTERABILITY).doubtful
    assert not Clusterability(0.5, 0.5, 0.0004, 0.0, CLUSTERABILITY).doubtful
    assert not Clusterability(0.5, 0.5, 0.1, 0.01, 0.1).doubtful


def test_a_single_class_is_clusterable():
    result = TransitionResult(np.eye(2), np.array([1.0, 0.0]), 0.0, True)
    found = clusterability([0, 0, 0], [[1, 2], [0, 2], [0, 1]], result, rng=np.random.default_rng(0))
    assert found.gap == pytest.approx(0, abs=1e-9)
    assert not found.doubtful
