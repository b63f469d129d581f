"""Speckle and smoothing are read off masks as they were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from drawing import disc
from labelmend.metrics.intervals import draw_cases
from labelmend.noise import markov_noise
from labelmend.workflows.noise_fitting.displacement import measure, without_specks
from labelmend.workflows.noise_fitting.speckle import estimate_speckle, looks_smooth, speckle_before_smoothing

DISC, LARGE = disc((90, 90), (45, 45), 25), disc((160, 160), (80, 80), 50)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("steps", "flip"), [(20, 0.03), (100, 0.05)])
def test_smoothing_shows_in_the_outline(
    steps: int, flip: float, smooth: bool, rng: np.random.Generator
) -> None:
    masks = [
        markov_noise(DISC, rng, steps=steps, expand=0.6, flip=flip, speckle=0.2 * smooth, smooth=smooth)
        for _ in range(10)
    ]
    assert looks_smooth([without_specks(mask, DISC) for mask in masks]) == smooth


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("steps", "flip"), [(10, 0.03), (60, 0.05)])
def test_smoothing_shows_in_3d_too(steps: int, flip: float, smooth: bool, rng: np.random.Generator) -> None:
    ball = disc((30, 30, 30), (15, 15, 15), 9)
    masks = [markov_noise(ball, rng, steps=steps, expand=0.5, flip=flip, smooth=smooth) for _ in range(6)]
    assert looks_smooth([without_specks(mask, ball) for mask in masks]) == smooth


def test_a_drawn_disc_looks_smooth() -> None:
    assert looks_smooth([DISC])


@pytest.mark.parametrize(("speckle", "smooth"), [(0.02, False), (0.2, False), (0.2, True), (0.3, True)])
def test_speckle_is_found_again(speckle: float, smooth: bool, rng: np.random.Generator) -> None:
    measured = [
        measure(
            markov_noise(
                LARGE,
                rng,
                steps=20,
                expand=0.5,
                flip=0.05,
                speckle=speckle,
                smooth=smooth,
            ),
            LARGE,
        )
        for _ in range(12)
    ]
    found = estimate_speckle(measured, draw_cases(12, 200, 0), 0.95, smooth, 2, 0)
    assert abs(found.value / speckle - 1) < 0.06
    assert found.low <= found.value <= found.high


def test_the_curve_behind_smoothing_is_that_of_the_noise_in_3d(rng: np.random.Generator) -> None:
    solid = np.ones((60, 60, 60), bool)
    left = 1 - markov_noise(solid, rng, steps=0, expand=0, flip=0, speckle=0.3, smooth=True).mean()
    assert abs(speckle_before_smoothing(np.array([left]), 3)[0] - 0.3) < 0.01


def test_no_specks_are_no_speckle() -> None:
    assert estimate_speckle([measure(DISC, DISC)], np.empty((0, 1)), 0.95, True, 2, 0).value == 0.0
    assert estimate_speckle([measure(DISC, DISC)], np.empty((0, 1)), 0.95, False, 2, 0).value == 0.0
