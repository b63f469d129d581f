"""Class labels of tables, features and small images: estimates of label noise, and robust classifiers.

Estimators and classifiers need scikit-learn and load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelmend.workflows.class_labels.baselines import BaselineClassifier, NetworkClassifier
    from labelmend.workflows.class_labels.cores import SampleSieve, sieve_from_probs
    from labelmend.workflows.class_labels.estimators import (
        AnchorEstimator,
        HOCEstimator,
        LocalHOC,
        WeightedAnchor,
        WeightedHOC,
    )
    from labelmend.workflows.class_labels.fmi import f_information, f_mutual_information, feature_weights
    from labelmend.workflows.class_labels.local import local_matrices
    from labelmend.workflows.class_labels.weighter import FMIFeatureWeighter

__all__ = [
    "AnchorEstimator",
    "BaselineClassifier",
    "FMIFeatureWeighter",
    "HOCEstimator",
    "LocalHOC",
    "NetworkClassifier",
    "SampleSieve",
    "WeightedAnchor",
    "WeightedHOC",
    "f_information",
    "f_mutual_information",
    "feature_weights",
    "local_matrices",
    "sieve_from_probs",
]

_HOME = {
    "AnchorEstimator": "estimators",
    "BaselineClassifier": "baselines",
    "FMIFeatureWeighter": "weighter",
    "HOCEstimator": "estimators",
    "LocalHOC": "estimators",
    "NetworkClassifier": "baselines",
    "SampleSieve": "cores",
    "WeightedAnchor": "estimators",
    "WeightedHOC": "estimators",
    "f_information": "fmi",
    "f_mutual_information": "fmi",
    "feature_weights": "fmi",
    "local_matrices": "local",
    "sieve_from_probs": "cores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labelmend.workflows.class_labels' has no attribute {name!r}")
    from labelmend.runtime.extras import needed_by

    with needed_by(name):
        return getattr(importlib.import_module(f"labelmend.workflows.class_labels.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
