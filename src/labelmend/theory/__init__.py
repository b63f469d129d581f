"""Analytical results on the models of wrong labels, with errors, without simulating any."""

from labelmend.theory.markov import (
    Estimate,
    FrontSpread,
    expected_bias_mm,
    front_drift_vox,
    front_level_vox,
    front_spread_vox,
    naive_drift_vox,
    steps_for_bias,
)

__all__ = [
    "Estimate",
    "FrontSpread",
    "expected_bias_mm",
    "front_drift_vox",
    "front_level_vox",
    "front_spread_vox",
    "naive_drift_vox",
    "steps_for_bias",
]
