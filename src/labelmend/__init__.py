"""labelmend learns from wrong annotations and hands back better ones.

The names below load on first use, so that `import labelmend` is instant and pulls in no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from labelmend.api import train as train
    from labelmend.engine.audit import audit_labels as audit_labels
    from labelmend.engine.correct import correct as correct
    from labelmend.engine.estimate import estimate as estimate
    from labelmend.engine.evaluate import evaluate as evaluate
    from labelmend.engine.fit_noise import fit_noise as fit_noise
    from labelmend.engine.predict import load_predictor as load_predictor
    from labelmend.engine.seed import seed as seed
    from labelmend.engine.simulate import simulate as simulate
    from labelmend.geometry import boundary_bias as boundary_bias
    from labelmend.geometry import signed_distance as signed_distance
    from labelmend.methods.base import Method as Method
    from labelmend.methods.plain import Plain as Plain
    from labelmend.methods.spatial_correction import SpatialCorrection as SpatialCorrection
    from labelmend.methods.spatial_correction import spatial_correction as spatial_correction
    from labelmend.noise import MarkovNoise as MarkovNoise
    from labelmend.noise import markov_noise as markov_noise

_HOME = {
    "MarkovNoise": "noise",
    "Method": "methods.base",
    "Plain": "methods.plain",
    "SpatialCorrection": "methods.spatial_correction",
    "audit_labels": "engine.audit",
    "boundary_bias": "geometry",
    "correct": "engine.correct",
    "estimate": "engine.estimate",
    "evaluate": "engine.evaluate",
    "fit_noise": "engine.fit_noise",
    "load_predictor": "engine.predict",
    "markov_noise": "noise",
    "seed": "engine.seed",
    "signed_distance": "geometry",
    "simulate": "engine.simulate",
    "spatial_correction": "methods.spatial_correction",
    "train": "api",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labelmend' has no attribute {name!r}")
    return getattr(importlib.import_module(f"labelmend.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
