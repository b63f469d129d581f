"""What a simulation would do to masks, before it writes any: drawn in memory on a few cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelmend.geometry import boundary_bias
from labelmend.io import open_labels
from labelmend.io.cases import wanted_cases
from labelmend.metrics import dice
from labelmend.noise import MarkovNoise, Noise, Preset
from labelmend.runtime.randomness import case_generator
from labelmend.theory import Estimate, expected_bias_mm
from labelmend.types import BoolArray, LabelMap
from labelmend.workflows.simulation import choose_noise

HALF = 0.5
"""Dice under which a noisy mask is said to have lost its object."""


@dataclass(frozen=True)
class ClassForecast:
    """What would happen to the masks of one class.

    Args:
        name: the class.
        dice: Dice of noisy to clean, one per mask drawn.
        shift_mm: mean signed distance by which outlines moved, one per mask with an outline left; positive:
            outwards.
        expected_mm: the shift that theory expects of Markov noise, with its error; None for other noise.
    """

    name: str
    dice: tuple[float, ...]
    shift_mm: tuple[float, ...]
    expected_mm: Estimate | None

    @property
    def n_lost(self) -> int:
        """Masks that keep a Dice under one half."""
        return sum(value < HALF for value in self.dice)


@dataclass(frozen=True)
class Forecast:
    """What a simulation would do.

    Args:
        classes: class by class.
        n_cases: cases of the data set.
        n_drawn: how many of them were drawn.
        unit: "mm", or "px" where no spacing is known.
    """

    classes: tuple[ClassForecast, ...]
    n_cases: int
    n_drawn: int
    unit: str


def forecast(
    labels: str | Path,
    *,
    preset: str | None = None,
    noise: Noise | None = None,
    severity: str = "medium",
    seed: int = 0,
    classes: Mapping[str, int] | None = None,
    ignore: int | None = None,
    spacing_mm: Sequence[float] | float | None = None,
    cases: str | Path | Sequence[str] | None = None,
    max_cases: int = 20,
) -> Forecast:
    """Draw the noise of `simulate` on a few cases and measure how far outlines move; nothing is written.

    Args:
        labels, preset, noise, severity, seed, classes, ignore, spacing_mm, cases: as for `simulate`, which
            would write the same masks.
        max_cases: draw on at most this many cases, evenly spread over the data set.

    Raises:
        ConfigError, DataError: as `simulate`.
    """
    chosen = choose_noise(preset, noise, severity)
    folder = open_labels(labels, classes=classes, ignore=ignore, spacing_mm=spacing_mm)
    folder = folder if cases is None else folder.only(*wanted_cases(cases, folder))
    every = np.linspace(0, len(folder.cases) - 1, min(max_cases, len(folder.cases))).round().astype(int)
    few = [folder.cases[i] for i in every]
    drawn = [_drawn(chosen, folder.read(case), case_generator(seed, case)) for case in few]
    grid = drawn[0][0].grid
    names = drawn[0][0].classes
    return Forecast(
        tuple(_of_class(name, drawn, _markov(chosen, name), grid.spacing_mm) for name in names),
        n_cases=len(folder.cases),
        n_drawn=len(drawn),
        unit=grid.unit,
    )


def _drawn(noise: Noise, clean: LabelMap, rng: np.random.Generator) -> tuple[LabelMap, LabelMap]:
    return clean, noise.apply(clean, noise.draw(rng, clean))


def _of_class(
    name: str,
    drawn: Sequence[tuple[LabelMap, LabelMap]],
    markov: MarkovNoise | None,
    spacing_mm: tuple[float, ...],
) -> ClassForecast:
    pairs = [
        (clean.mask(name), noisy.mask(name), clean.grid.spacing_mm)
        for clean, noisy in drawn
        if name in clean.classes and clean.mask(name).any()
    ]
    shifts = [_shift(noisy, clean, spacing) for clean, noisy, spacing in pairs if noisy.any()]
    expected = None
    if markov is not None:
        bias = expected_bias_mm(
            steps=markov.steps, expand=markov.expand, flip=markov.flip, spacing_mm=spacing_mm, of="mean"
        )
        expected = Estimate(-bias.value, bias.error)
    overlap = tuple(dice(noisy, clean) for clean, noisy, _ in pairs)
    return ClassForecast(name, overlap, tuple(shift for shift in shifts if np.isfinite(shift)), expected)


def _shift(noisy: BoolArray, clean: BoolArray, spacing_mm: tuple[float, ...]) -> float:
    """How far the outline moved outwards, in mm."""
    return -boundary_bias(noisy, clean, spacing_mm=spacing_mm)


def _markov(noise: Noise, name: str) -> MarkovNoise | None:
    """The Markov noise of a class, where that is what would be drawn."""
    if isinstance(noise, Preset):
        found = noise.per_class.get(name, noise.noise)
        return found if isinstance(found, MarkovNoise) else None
    return noise if isinstance(noise, MarkovNoise) else None
