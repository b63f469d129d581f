import numpy as np
import pytest
import torch

from labelmend.methods.base import flat_tasks
from labelmend.transition.counts import (
    LOGIT_BINS,
    anchor_counts,
    expected_joint,
    transition_from_anchors,
    updated_transition,
)


def given_by_chance(rng, truth: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Labels drawn with the row of the truth."""
    return (rng.random(truth.shape) > np.cumsum(matrix, axis=1)[truth].T).sum(axis=0)


def test_the_anchors_of_a_class_are_counted_by_what_they_are_given_as():
    # predicted as 1, the surest first: given 1, 0, 1, 0; predicted as 0: two, both given 0
    foreground = torch.tensor([0.95, 0.9, 0.8, 0.6, 0.1, 0.2])
    given = torch.tensor([1.0, 0, 1, 0, 0, 0])
    probs, shares = torch.stack([1 - foreground, foreground])[None], torch.stack([1 - given, given])[None]
    counts = anchor_counts(probs, shares, torch.ones(6, dtype=torch.bool))
    assert counts.shape == (1, 2, LOGIT_BINS, 2)
    assert counts.sum(axis=2).tolist() == [[[2, 0], [2, 2]]]
    np.testing.assert_allclose(transition_from_anchors(counts, 0.75), [[[1, 0], [1 / 3, 2 / 3]]])
    np.testing.assert_allclose(transition_from_anchors(counts, 0.25), [[[1, 0], [0, 1]]])
    ignored = anchor_counts(probs, shares, torch.tensor([1, 0, 1, 1, 1, 1], dtype=torch.bool))
    assert ignored.sum() == 5


def test_speckle_averaged_away_on_a_coarser_grid_is_found_all_the_same(rng):
    """A fifth of the pixels is flipped; the network sees means over two by two of them."""
    flipped = torch.tensor(rng.random((4, 20_000)) < 0.2).double().mean(dim=0)
    truth = torch.arange(20_000) % 2
    shares = torch.where(truth == 1, 1 - flipped, flipped)
    probs = torch.where(truth == 1, 0.99, 0.01)
    counts = anchor_counts(
        *(torch.stack([1 - x, x])[None] for x in (probs, shares)), torch.ones(20_000, dtype=torch.bool)
    )
    np.testing.assert_allclose(transition_from_anchors(counts, 0.5)[0], [[0.8, 0.2], [0.2, 0.8]], atol=0.01)


def test_a_known_matrix_is_found_from_anchors_of_a_network_that_knows_the_truth(rng):
    matrix = np.array([[0.95, 0.03, 0.02], [0.2, 0.8, 0.0], [0.1, 0.2, 0.7]])
    truth = rng.integers(0, 3, 30_000)
    given = given_by_chance(rng, truth, matrix)
    logits = torch.tensor(8.0 * (truth[:, None] == np.arange(3)) + rng.normal(size=(30_000, 3))).T[None]
    counts = anchor_counts(
        *flat_tasks(logits, torch.tensor(given)[None]), torch.ones(30_000, dtype=torch.bool)
    )
    np.testing.assert_allclose(transition_from_anchors(counts, 0.3)[0], matrix, atol=0.03)


def test_a_class_nowhere_predicted_or_mostly_given_as_another_is_not_corrected():
    counts = np.zeros((1, 3, LOGIT_BINS, 3))
    counts[0, 0, 30] = (9, 1, 0)
    counts[0, 2, 30] = (6, 0, 4)
    np.testing.assert_allclose(transition_from_anchors(counts, 0.5)[0], [[0.9, 0.1, 0], [0, 1, 0], [0, 0, 1]])


def test_the_update_finds_the_matrix_that_explains_the_labels(rng):
    """A network that knows the truth, labels of another matrix: full steps end at that matrix."""
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    truth = rng.integers(0, 2, 40_000)
    probs = torch.tensor(np.where(truth == np.arange(2)[:, None], 0.999, 0.001))[None].float()
    given = torch.tensor(given_by_chance(rng, truth, matrix) == np.arange(2)[:, None])[None].float()
    found = np.array([[[0.98, 0.02], [0.05, 0.95]]])
    for _ in range(20):
        joint = expected_joint(probs, given, torch.ones(40_000, dtype=torch.bool), found)
        assert joint.sum() == pytest.approx(40_000, rel=1e-4)
        found = updated_transition(found, joint, 0.5)
    np.testing.assert_allclose(found[0], matrix, atol=0.02)
    np.testing.assert_array_equal(updated_transition(found, np.zeros((1, 2, 2)), 0.5), found)
