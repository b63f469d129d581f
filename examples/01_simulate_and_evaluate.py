"""Draw clean outlines, let tired annotators copy them, and measure what came of it.

Run it: python examples/01_simulate_and_evaluate.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import labelmend
from labelmend.io import write_picture
from labelmend.phantom import PHANTOM_CLASSES, draw_phantom


def draw_labels(folder: Path, n_cases: int, size: int) -> None:
    """Write `folder/<class>/<case>.png`: one black-and-white picture a class and case."""
    for number in range(n_cases):
        _, masks = draw_phantom(np.random.default_rng(number), size)
        for name, mask in zip(PHANTOM_CLASSES, masks, strict=True):
            write_picture(folder / name / f"case{number:02}.png", mask)


def main(n_cases: int = 8, size: int = 128, steps: int = 60) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        clean, given = Path(temporary, "clean"), Path(temporary, "given")
        draw_labels(clean, n_cases, size)

        # Outlines that wander: `expand` above 0.5 makes them too large on average, `flip` and `steps` rough.
        noise = labelmend.MarkovNoise(steps=steps, expand=0.8, flip=0.05)
        labelmend.simulate(clean, given, noise=noise, seed=0)

        # Without `spacing_mm`, lengths are in pixels.
        evaluation = labelmend.evaluate(given, clean, spacing_mm=1.4)
        print(f"{evaluation.n_cases} cases, given against clean")
        for row in evaluation.summary().classes:
            dice, bias = row.spreads["dice"], row.spreads["boundary_bias_mm"]
            print(f"{row.class_name:10} Dice {dice.mean:.3f}   bias {bias.mean:+.1f} {evaluation.unit}")
        print("a negative bias: the outlines are too large")


if __name__ == "__main__":
    main()
