"""How labels go wrong, estimated from wrong labels alone: arrays in, transition matrices out.

The estimators need scikit-learn and load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from labelmend.transition.anchor import anchor_matrix
from labelmend.transition.clusterability import CLUSTERABILITY, Clusterability, clusterability
from labelmend.transition.fmi import f_information, f_mutual_information, feature_weights
from labelmend.transition.hoc import TransitionResult, consensus_counts, consensus_model, solve_consensus
from labelmend.transition.local import local_matrices
from labelmend.transition.matrix import (
    best_symmetric,
    check_matrix,
    inverse_matrix,
    noise_rates,
    realised_matrix,
    symmetric_matrix,
    transition_error,
)
from labelmend.transition.neighbours import nearest
from labelmend.transition.posterior import class_posterior

if TYPE_CHECKING:
    from labelmend.transition.estimators import (
        AnchorEstimator,
        HOCEstimator,
        LocalHOC,
        WeightedAnchor,
        WeightedHOC,
    )
    from labelmend.transition.weighter import FMIFeatureWeighter

__all__ = [
    "CLUSTERABILITY",
    "AnchorEstimator",
    "Clusterability",
    "FMIFeatureWeighter",
    "HOCEstimator",
    "LocalHOC",
    "TransitionResult",
    "WeightedAnchor",
    "WeightedHOC",
    "anchor_matrix",
    "best_symmetric",
    "check_matrix",
    "class_posterior",
    "clusterability",
    "consensus_counts",
    "consensus_model",
    "f_information",
    "f_mutual_information",
    "feature_weights",
    "inverse_matrix",
    "local_matrices",
    "nearest",
    "noise_rates",
    "realised_matrix",
    "solve_consensus",
    "symmetric_matrix",
    "transition_error",
]

_HOME = {
    "AnchorEstimator": "estimators",
    "FMIFeatureWeighter": "weighter",
    "HOCEstimator": "estimators",
    "LocalHOC": "estimators",
    "WeightedAnchor": "estimators",
    "WeightedHOC": "estimators",
}
"""Public names that need scikit-learn, and their modules."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labelmend.transition' has no attribute {name!r}")
    return getattr(importlib.import_module(f"labelmend.transition.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
