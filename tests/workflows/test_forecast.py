"""What a simulation would do, against what it then does."""

import numpy as np
import pytest
from PIL import Image

from labelmend.noise import MarkovNoise, MorphologyNoise
from labelmend.workflows.forecast import forecast
from labelmend.workflows.simulation import mean_dice, simulate

GROW = MorphologyNoise(low_mm=2.0, high_mm=2.0, dilate=1.0)
"""Every outline moves out by 2 mm."""


@pytest.fixture
def discs(tmp_path):
    """Six cases with a disc of radius 20 px, one of them empty."""
    rows, columns = np.mgrid[:80, :80]
    (tmp_path / "labels").mkdir()
    for i in range(6):
        disc = (np.hypot(rows - 40, columns - 40) < 20) & (i < 5)
        Image.fromarray(disc.astype(np.uint8)).save(tmp_path / "labels" / f"c{i}.png")
    return tmp_path / "labels"


def test_dice_and_shift_are_those_of_the_masks_that_are_then_written(discs, tmp_path):
    found = forecast(discs, noise=GROW, classes={"disc": 1}, spacing_mm=1.0)
    (disc,) = found.classes
    assert (found.n_cases, found.n_drawn, found.unit) == (6, 6, "mm")
    assert np.mean(disc.shift_mm) == pytest.approx(2.0, abs=0.3)
    assert len(disc.dice) == 5  # an empty mask counts for nothing
    out = simulate(discs, tmp_path / "out", noise=GROW, classes={"disc": 1}, spacing_mm=1.0)
    assert np.mean(disc.dice) == pytest.approx(mean_dice(out.folder)["disc"])
    assert disc.expected_mm is None
    assert disc.n_lost == 0


def test_theory_and_drawing_agree_on_markov_noise(discs):
    noise = MarkovNoise(steps=60, expand=0.8, flip=0.05, smooth=True)
    (disc,) = forecast(discs, noise=noise, classes={"disc": 1}, spacing_mm=1.0).classes
    assert disc.expected_mm.value > 0
    assert np.mean(disc.shift_mm) == pytest.approx(disc.expected_mm.value, rel=0.35)


def test_masks_that_lose_their_object_are_counted(discs):
    shrink = MorphologyNoise(low_mm=15.0, high_mm=15.0, dilate=0.0)
    (disc,) = forecast(discs, noise=shrink, classes={"disc": 1}, spacing_mm=1.0).classes
    assert disc.n_lost == 5


def test_a_few_cases_stand_for_many(discs):
    found = forecast(discs, noise=GROW, classes={"disc": 1}, max_cases=2)
    assert (found.n_cases, found.n_drawn, found.unit) == (6, 2, "px")
