"""How labels go wrong, estimated from wrong labels alone: arrays in, transition matrices out."""

from __future__ import annotations

from labelmend.transition.anchor import anchor_matrix
from labelmend.transition.clusterability import CLUSTERABILITY, Clusterability, clusterability
from labelmend.transition.hoc import TransitionResult, consensus_counts, consensus_model, solve_consensus
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

__all__ = [
    "CLUSTERABILITY",
    "Clusterability",
    "TransitionResult",
    "anchor_matrix",
    "best_symmetric",
    "check_matrix",
    "class_posterior",
    "clusterability",
    "consensus_counts",
    "consensus_model",
    "inverse_matrix",
    "nearest",
    "noise_rates",
    "realised_matrix",
    "solve_consensus",
    "symmetric_matrix",
    "transition_error",
]
