"""What is known of the models of wrong labels without drawing any: numbers in, numbers with errors out."""

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
