"""What is said about an estimate: each doubt where its reason is there, and none where it is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labelmend.transition import solve_consensus, symmetric_matrix, transition_error
from labelmend.workflows.class_labels.table import Table
from labelmend.workflows.class_labels.text import done_to, estimate_doubts

GOOD = [[0.8, 0.2], [0.1, 0.9]]


def table(labels: list[int], features: Any = None, groups: Any = None) -> Table:
    values = np.arange(float(len(labels)))[:, None] if features is None else np.array(features, float)
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    classes = ("ill", "well")
    return Table(values, names, np.array(labels), classes, names, np.arange(len(labels)), (), groups)


def model(matrix: Any, prior: Any = (0.5, 0.5), **more: Any) -> SimpleNamespace:
    checked = SimpleNamespace(doubtful=more.get("doubtful", False), agreement=more.get("agreement", 0.9))
    return SimpleNamespace(
        transition_matrix_=np.array(matrix),
        prior_=np.array(prior),
        clusterability_=checked,
        converged_=more.get("converged", True),
    )


EVEN = table([0, 1] * 100)


def test_a_good_estimate_raises_no_doubt():
    assert list(estimate_doubts(EVEN, model(GOOD), "anchors")) == []
    assert list(estimate_doubts(EVEN, model(GOOD), "hoc")) == []


@pytest.mark.parametrize(
    ("estimated", "method", "words"),
    [
        (model(GOOD, doubtful=True), "hoc", "neighbours often belong to different classes"),
        (model(GOOD, converged=False), "hoc", "stopped before it converged"),
        (model(GOOD, agreement=0.25), "anchors", "features carry no information on these labels"),
        (model([[0.55, 0.45], [0.4, 0.6]]), "anchors", "“ill” and “well” have nearly the same labels"),
        (model([[0.3, 0.7], [0.0, 1.0]]), "anchors", "Rows of “ill” seem to be labelled “well” more often"),
        (model(GOOD, (0.001, 0.999)), "anchors", "Almost no row seems to be “ill” in truth"),
    ],
)
def test_each_doubt_is_told_alone(estimated, method, words):
    (told,) = estimate_doubts(EVEN, estimated, method)
    assert words in told


def test_what_only_matters_to_hoc_is_not_told_of_anchors():
    assert list(estimate_doubts(EVEN, model(GOOD, doubtful=True, converged=False), "anchors")) == []


def test_classes_with_few_labels_are_named():
    (told,) = estimate_doubts(table([0] * 49 + [1] * 50), model(GOOD), "anchors")
    assert told.startswith("Fewer than 50 rows are labelled “ill”:")


def test_agreement_by_chance_grows_with_a_common_class():
    mostly_one = table([0] * 180 + [1] * 20)
    first, _few = estimate_doubts(mostly_one, model(GOOD, agreement=0.75), "anchors")
    assert first.startswith("Similar rows agree")
    assert not any(
        "Similar rows agree" in text for text in estimate_doubts(EVEN, model(GOOD, agreement=0.75), "anchors")
    )


def mixed_counts(T: np.ndarray, prior: np.ndarray, pure: float) -> tuple[np.ndarray, ...]:
    """Frequencies of HOC where each neighbour keeps the class with probability `pure`, else has any other."""
    k = len(prior)
    neighbour = (pure * np.eye(k) + (1 - pure) * (1 - np.eye(k)) / (k - 1)) @ T
    c3 = np.einsum("i,ij,ik,il->jkl", prior, T, neighbour, neighbour)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    c3 = np.mean([c3.transpose(order) for order in orders], axis=0)
    return c3.sum(axis=(1, 2)), c3.sum(axis=2), c3


@pytest.mark.parametrize(
    ("pure", "least", "most"), [(1.0, 0.0, 0.001), (0.95, 0.01, 0.03), (0.8, 0.05, 0.11)]
)
@pytest.mark.parametrize(
    "T",
    [np.array(GOOD), np.array([[0.6, 0.4], [0.2, 0.8]]), symmetric_matrix(5, 0.2), symmetric_matrix(5, 0.4)],
    ids=["mild", "strong", "five", "five, strong"],
)
def test_what_is_said_of_neighbours_of_other_classes_is_so(T, pure, least, most):
    counts = mixed_counts(T, np.full(len(T), 1 / len(T)), pure)
    found = solve_consensus(*counts, rng=np.random.default_rng(0), n_init=1)
    assert least <= transition_error(T, found.matrix) <= most
    assert (np.diag(found.matrix) <= np.diag(T) + 1e-3).all()


def test_what_was_done_to_rows_is_told():
    (scaled,) = done_to(EVEN, None)
    assert "mean 0 and standard deviation 1" in scaled
    labels = [0, 1] * 2
    _, grouped = done_to(table(labels, groups=np.array([0, 0, 1, 1])), "patient")
    assert grouped == "Rows with the same patient were not compared with each other (2 groups)."
    _, repeated = done_to(table(labels, [[1, 2], [1, 2], [1, 2], [3, 4]]), None)
    assert repeated.startswith("2 of 4 rows have the same features as another row.")
