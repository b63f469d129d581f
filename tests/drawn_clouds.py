"""Clouds of points with wrong labels, and quick settings of the estimators, for tests that fit them."""

from __future__ import annotations

import numpy as np
import pytest

from labelmend.transition.posterior import drawn_classes
from labelmend.workflows.class_labels.estimator_base import TransitionEstimator
from labelmend.workflows.class_labels.estimators import (
    AnchorEstimator,
    HOCEstimator,
    LocalHOC,
    WeightedAnchor,
    WeightedHOC,
)

MATRIX = np.array([[0.8, 0.15, 0.05], [0.05, 0.7, 0.25], [0.1, 0.1, 0.8]])
QUICK = {
    HOCEstimator: {"n_init": 1, "n_null": 0, "metric": "euclidean"},
    AnchorEstimator: {},
    WeightedHOC: {"n_init": 1, "n_null": 0, "metric": "euclidean"},
    WeightedAnchor: {},
    LocalHOC: {"n_init": 1, "n_null": 0, "metric": "euclidean", "n_local": 100, "n_centres": 3},
}
EVERY = pytest.mark.parametrize("kind", QUICK, ids=lambda kind: kind.__name__)


def made(kind: type, **settings) -> TransitionEstimator:
    return kind(**QUICK[kind] | {"random_state": 0} | settings)


def clouds(n: int = 900, seed: int = 0, apart: float = 12.0):
    """Points around three corners, their true and their given classes."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, n)
    corners = apart * np.array([[0, 0], [1, 0], [0, 1]])
    return rng.normal(size=(n, 2)) + corners[classes], classes, drawn_classes(MATRIX[classes], rng)
