"""labelmend learns from wrong annotations and hands back better ones.

The names below load on first use, so that `import labelmend` is instant and pulls in no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from labelmend.geometry import boundary_bias as boundary_bias
    from labelmend.geometry import signed_distance as signed_distance
    from labelmend.methods.base import Batch as Batch
    from labelmend.methods.base import Facts as Facts
    from labelmend.methods.base import Method as Method
    from labelmend.methods.plain import Plain as Plain
    from labelmend.methods.spatial_correction import SpatialCorrection as SpatialCorrection
    from labelmend.methods.spatial_correction import spatial_correction as spatial_correction
    from labelmend.model.predictor import load_predictor as load_predictor
    from labelmend.noise import MarkovNoise as MarkovNoise
    from labelmend.noise import markov_noise as markov_noise
    from labelmend.types import LabelMap as LabelMap
    from labelmend.types import Predicted as Predicted
    from labelmend.workflows.auditing.audit import audit as audit
    from labelmend.workflows.auditing.fiftyone_fields import add_fiftyone_fields as add_fiftyone_fields
    from labelmend.workflows.class_labels.estimate import estimate_transition as estimate_transition
    from labelmend.workflows.correction.correct import correct as correct
    from labelmend.workflows.crossfitting.crossfit import crossfit as crossfit
    from labelmend.workflows.evaluation import evaluate as evaluate
    from labelmend.workflows.image_tags.make_masks import pseudo_masks as pseudo_masks
    from labelmend.workflows.noise_fitting.fit import fit_noise as fit_noise
    from labelmend.workflows.noise_fitting.fit import fit_rater_noise as fit_rater_noise
    from labelmend.workflows.simulation import simulate as simulate
    from labelmend.workflows.training.revising import revise_labels as revise_labels
    from labelmend.workflows.training.train import train as train

_HOME = {
    "Batch": "methods.base",
    "Facts": "methods.base",
    "LabelMap": "types",
    "MarkovNoise": "noise",
    "Method": "methods.base",
    "Plain": "methods.plain",
    "Predicted": "types",
    "SpatialCorrection": "methods.spatial_correction",
    "add_fiftyone_fields": "workflows.auditing.fiftyone_fields",
    "audit": "workflows.auditing.audit",
    "boundary_bias": "geometry",
    "correct": "workflows.correction.correct",
    "crossfit": "workflows.crossfitting.crossfit",
    "estimate_transition": "workflows.class_labels.estimate",
    "evaluate": "workflows.evaluation",
    "fit_noise": "workflows.noise_fitting.fit",
    "fit_rater_noise": "workflows.noise_fitting.fit",
    "load_predictor": "model.predictor",
    "markov_noise": "noise",
    "pseudo_masks": "workflows.image_tags.make_masks",
    "revise_labels": "workflows.training.revising",
    "signed_distance": "geometry",
    "simulate": "workflows.simulation",
    "spatial_correction": "methods.spatial_correction",
    "train": "workflows.training.train",
}

_PACKAGES = {
    "findings": "workflows.auditing.findings",
    "geometry": "geometry",
    "io": "io",
    "losses": "losses",
    "methods": "methods",
    "metrics": "metrics",
    "noise": "noise",
    "noise_fitting": "workflows.noise_fitting",
    "theory": "theory",
    "transition": "transition",
    "types": "types",
}
"""What can be used after `import labelmend` alone, such as `labelmend.metrics.dice`."""

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _PACKAGES and name not in _HOME:
        raise AttributeError(f"module 'labelmend' has no attribute {name!r}")
    from labelmend.runtime.extras import needed_by

    with needed_by(f"labelmend.{name}"):
        module = importlib.import_module(f"labelmend.{(_PACKAGES | _HOME)[name]}")
    return module if name in _PACKAGES else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
