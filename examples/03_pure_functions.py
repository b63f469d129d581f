"""The mathematics without the engine: arrays in, arrays out, no torch, no files.

Run it: python examples/03_pure_functions.py

Annotators who always draw a little too far outside: their average is smooth, and wrong. One clean case tells
by how much; moving the average back by that much repairs another case.
"""

from __future__ import annotations

import numpy as np

from labelmend import boundary_bias, markov_noise, signed_distance, spatial_correction
from labelmend.metrics import dice

SPACING_MM = 1.4


def ellipse(centre_mm: tuple[float, float], radii_mm: tuple[float, float]) -> np.ndarray:
    """A mask on a grid of 96 x 96 pixels."""
    y, x = np.mgrid[:96, :96] * SPACING_MM
    return ((y - centre_mm[0]) / radii_mm[0]) ** 2 + ((x - centre_mm[1]) / radii_mm[1]) ** 2 < 1


def average_of_annotators(clean: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Share of n annotators who count each pixel in; what a network learns from many such cases."""
    rng = np.random.default_rng(seed)
    return np.mean([markov_noise(clean, rng, steps=12, expand=0.8, flip=0.2) for _ in range(n)], axis=0)


def main(n_annotators: int = 100) -> float:
    trusted, other = ellipse((65, 70), (36, 30)), ellipse((70, 62), (30, 40))

    bias_mm = boundary_bias(average_of_annotators(trusted, n_annotators, 0) > 0.5, trusted, SPACING_MM)
    print(f"bias on the trusted case: {bias_mm:.1f} mm (negative: too large)")

    share = average_of_annotators(other, n_annotators, 1)
    corrected = spatial_correction(share - 0.5, bias_mm, SPACING_MM) > 0
    before, after = dice(share > 0.5, other), dice(corrected, other)
    print(f"Dice of the other case: {before:.3f} as drawn, {after:.3f} corrected")

    deepest_mm = -signed_distance(corrected, SPACING_MM).min()
    print(f"the middle of the corrected shape lies {deepest_mm:.1f} mm inside its boundary")
    return after


if __name__ == "__main__":
    main()
